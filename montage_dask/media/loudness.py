"""Loudness of a track as EBU R128 defines it, measured by FFmpeg."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from montage_dask.media.audio import probe_audio, raw_sound
from montage_dask.media.ffmpeg import run_ffmpeg

SILENT_LUFS = -70.0
"""The absolute gate of EBU R128; what is reported when nothing is louder."""
SILENT_PEAK_DB = -120.0
"""Reported for digital silence, whose true peak is -inf."""


@dataclass(frozen=True, slots=True)
class Loudness:
    """How loud a track is as a whole."""

    integrated_lufs: float
    """-70 for silence."""
    true_peak_db: float
    """dBTP; -120 for digital silence."""
    troubles: tuple[str, ...] = ()
    """What a user must know of a file that is damaged or strange."""


MEASURED_RATE = 48_000


def measure_loudness(path: str | Path) -> Loudness:
    """Integrated loudness and true peak of the audio of a file, of the very samples that are played.

    Raises:
        MediaError: the file has no audio that can be decoded.
    """
    layout = "mono" if probe_audio(path).channels == 1 else "stereo"
    troubles: list[str] = []
    lines = run_ffmpeg(
        [
            *raw_input(MEASURED_RATE, 1 if layout == "mono" else 2),
            *("-threads", "1", "-filter_threads", "1"),
            *("-af", "ebur128=peak=true:framelog=quiet", "-f", "null", "-"),
        ],
        about=path,
        feed=raw_sound(path, MEASURED_RATE, layout=layout, troubles=troubles),
    )
    return replace(parse_summary(lines), troubles=tuple(troubles))


def raw_input(sample_rate: int, channels: int = 2) -> list[str]:
    """Arguments that read what `raw_sound` gives from the standard input."""
    pcm = ["-f", "f32le", "-ar", str(sample_rate), "-ac", str(channels)]
    return ["-protocol_whitelist", "pipe", *pcm, "-i", "pipe:0"]


def parse_summary(lines: Sequence[str]) -> Loudness:
    """The values in the summary that FFmpeg's ebur128 prints at the end; silence without one."""
    text = "\n".join(lines)
    summary = text[text.rfind("Integrated loudness:") :] if "Integrated loudness:" in text else ""
    integrated = _value(r"\bI:\s*(\S+)\s*LUFS", summary)
    peak = _value(r"\bPeak:\s*(\S+)\s*dBFS", summary)
    return Loudness(
        max(SILENT_LUFS, integrated) if integrated is not None else SILENT_LUFS,
        max(SILENT_PEAK_DB, peak) if peak is not None else SILENT_PEAK_DB,
    )


def _value(pattern: str, text: str) -> float | None:
    match = re.search(pattern, text)
    if match is None:
        return None
    try:
        value = float(match[1])
    except ValueError:
        return None
    return None if value != value else value
