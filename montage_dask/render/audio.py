"""The sound of a montage, made once for the whole of it: trimmed, faded, ducked, and brought to one loudness."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from montage_dask.media.audio import raw_sound
from montage_dask.media.ffmpeg import output_argument
from montage_dask.media.loudness import Loudness, measure_loudness, parse_summary, raw_input
from montage_dask.records import Source, Timeline
from montage_dask.render.running import make_file
from montage_dask.render.source_sound import SAMPLE_RATE, lay_out
from montage_dask.store.locks import work_folder

VERSION = 3

SILENCE_LUFS = -60.0
"""What is quieter is taken for silence, and not made loud."""
MAXIMUM_GAIN_DB = 46.0
MAXIMUM_LIMITING_DB = 15.0
"""Peaks are not pressed down more than this: music of single beats stays quieter rather than get distorted."""
ATTEMPTS = 6
TOLERANCE_LU = 0.25
HEADROOM_DB = 0.6
"""The limiter stays this far below the true peak that is wanted: the encoder overshoots."""
FADE_IN_SECONDS = 0.03
"""A track that is entered in the middle must not click."""
LONG = ("-rf64", "auto")
"""From three hours on, a WAV file has another header."""
DUCKING = "threshold=0.03:ratio=6:attack=60:release=700:makeup=1"


def render_audio(
    timeline: Timeline,
    music_path: str,
    sources: Mapping[str, Source],
    output: Path,
    *,
    keep_audio: bool,
    loudness_lufs: float = -14.0,
    true_peak_db: float = -1.0,
) -> dict[str, Any]:
    """Render the sound of a montage as AAC in an .m4a, exactly as long as its pictures.

    The music is played as the analysis heard it, sample by sample: see `media.audio`.

    Args:
        timeline: says which part of the music, and what to keep of the sources.
        music_path: audio file, or video whose sound is the music.
        sources: by identity; needed only to keep their sound.
        output: the .m4a; not atomic, that is the caller's.
        keep_audio: keep the sound of the sources; the music gets quieter while they are loud.
        loudness_lufs: integrated loudness of the result (silence stays silence).
        true_peak_db: the most that the decoded result reaches, in dBTP.

    Returns:
        A small record: loudness_lufs, true_peak_db, gain_db.

    Raises:
        MediaError: the music cannot be read.
    """
    with work_folder("sound", output.parent) as folder:
        mixed = Path(folder) / "mixed.wav"
        _mix(timeline, music_path, sources, mixed, keep_audio=keep_audio)
        level, gain = _mastered(mixed, output, _samples(timeline), loudness_lufs, true_peak_db)
    return {
        "loudness_lufs": level.integrated_lufs,
        "true_peak_db": level.true_peak_db,
        "gain_db": round(gain, 2),
        "size_bytes": output.stat().st_size,
    }


def _mastered(
    mixed: Path, output: Path, samples: int, loudness_lufs: float, true_peak_db: float
) -> tuple[Loudness, float]:
    """Bring the mix to its loudness, encode it, and go on until the decoded result is right.

    Returns:
        The level of the result, and the gain in dB.
    """
    before = measure_loudness(mixed)
    ceiling = true_peak_db - HEADROOM_DB
    most = min(MAXIMUM_GAIN_DB, ceiling - before.true_peak_db + MAXIMUM_LIMITING_DB)
    silent = before.integrated_lufs <= SILENCE_LUFS
    gain = 0.0 if silent else min(loudness_lufs - before.integrated_lufs, most)
    limited = mixed.with_name("limited.wav")
    for attempt in range(1, ATTEMPTS + 1):
        level = _limit(mixed, limited, gain, ceiling, samples)
        lacking = loudness_lufs - level.integrated_lufs
        reached = silent or abs(lacking) <= TOLERANCE_LU or (lacking > 0 and gain >= most)
        if not reached and attempt < ATTEMPTS:  # encoding costs most: not before the level is right
            gain = min(gain + lacking, most)
            continue
        _encode(limited, output)
        level = measure_loudness(output)
        if level.true_peak_db <= true_peak_db:
            break
        ceiling -= level.true_peak_db - true_peak_db + 0.1
    return level, gain


def _samples(timeline: Timeline) -> int:
    return round(timeline.duration_seconds * SAMPLE_RATE)


def _ends_itself(timeline: Timeline, samples: int) -> bool:
    """Whether the music is heard up to its own ending, which needs no fade."""
    fit = timeline.music_fit
    if fit is None:
        return False
    heard = round(timeline.music_start_seconds * SAMPLE_RATE) + samples
    return heard >= fit.samples - SAMPLE_RATE / timeline.fps


def _mix(
    timeline: Timeline,
    music_path: str,
    sources: Mapping[str, Source],
    output: Path,
    *,
    keep_audio: bool,
) -> None:
    """Music (and source sound) of the montage's length, before any change of loudness."""
    samples = _samples(timeline)
    start = round(timeline.music_start_seconds * SAMPLE_RATE)
    fade = 0 if _ends_itself(timeline, samples) else timeline.fade_out_frames / timeline.fps
    chain = ["apad", f"atrim=end_sample={samples}"]
    if start:
        chain.append(f"afade=t=in:d={FADE_IN_SECONDS}")
    if fade:
        chain.append(
            f"afade=t=out:st={float(timeline.duration_seconds - fade):.6f}:d={float(fade):.6f}:curve=hsin"
        )
    arguments = raw_input(SAMPLE_RATE)
    graph = f"[0:a]{','.join(chain)}[music]"
    result = "music"
    raw = output.with_name("sources.f32")
    if keep_audio and lay_out(timeline, sources, raw):
        pcm = ["-f", "f32le", "-ar", str(SAMPLE_RATE), "-ac", "2"]
        arguments += [*pcm, "-i", output_argument(raw)]
        graph += (
            f";[1:a]asplit=2[key][source];[music][key]sidechaincompress={DUCKING}[ducked];"
            "[ducked][source]amix=inputs=2:duration=first:normalize=0[mixed]"
        )
        result = "mixed"
    make_file(
        [
            *arguments, "-filter_complex_threads", "1", "-filter_complex", graph,
            "-map", f"[{result}]", "-c:a", "pcm_f32le", "-f", "wav", *LONG, output_argument(output),
        ],
        output,
        about=music_path,
        feed=raw_sound(music_path, SAMPLE_RATE, start, samples),
    )  # fmt: skip


def _limit(mixed: Path, output: Path, gain_db: float, ceiling_db: float, samples: int) -> Loudness:
    """Gain, then a look-ahead limiter at four times the rate, so that it sees peaks between samples; measured."""
    limit = 10 ** (ceiling_db / 20)
    chain = [
        f"volume={gain_db:.3f}dB:precision=float",
        f"aresample={4 * SAMPLE_RATE}",
        f"alimiter=limit={limit:.6f}:level=0:attack=2:release=80:latency=1",
        f"aresample={SAMPLE_RATE}",
        "apad",
        f"atrim=end_sample={samples}",
        "ebur128=peak=true:framelog=quiet",
    ]
    lines = make_file(
        [
            "-protocol_whitelist", "file", "-i", output_argument(mixed), "-af", ",".join(chain),
            "-c:a", "pcm_f32le", "-f", "wav", *LONG, output_argument(output),
        ],
        output,
        about=output,
    )  # fmt: skip
    return parse_summary(lines)


def _encode(limited: Path, output: Path) -> None:
    make_file(
        [
            "-protocol_whitelist", "file", "-i", output_argument(limited),
            "-c:a", "aac", "-b:a", "256k", "-threads", "1", "-flags:a", "+bitexact",
            "-fflags", "+bitexact", "-map_metadata", "-1", "-f", "mp4", output_argument(output),
        ],
        output,
        about=output,
    )  # fmt: skip
