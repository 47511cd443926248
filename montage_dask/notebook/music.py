"""A track: its waveform with sections, energy and beats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from montage_dask.notebook.page import facts, frame, lines, title
from montage_dask.records import Music
from montage_dask.report.chart import clock, music_chart

MOST_BEATS = 1200
MOST_ENERGIES = 3000
CHART_SECONDS = 300
"""Of a longer track the picture shows the beginning."""


def no_music_html(path: Path) -> str:
    """Music that is not analysed."""
    return frame(
        title(f"Music {path.name}"),
        lines("muted", ["not analysed yet: .analyse() finds its beats"]),
    )


def music_html(music: Music, waveform: Sequence[float]) -> str:
    """What the analysis found.

    Args:
        music: the record.
        waveform: 0 … 1, equal parts over the track; may be empty.
    """
    whole = float(music.duration_seconds)
    length = min(whole, CHART_SECONDS)
    found = music.confidence > 0
    beats = [float(b) for b in music.beats_seconds if found and b < length]
    downbeats = [float(music.beats_seconds[i]) for i in music.downbeats if found]
    if len(beats) > MOST_BEATS:
        beats = downbeats[:MOST_BEATS]
    heard = {
        "waveform": list(waveform)[: max(1, int(len(waveform) * length / whole))] if whole else [],
        "energy": list(music.energy_curve)[: min(MOST_ENERGIES, int(length * 10) + 1)],
        "downbeats_seconds": [b for b in downbeats if b < length],
        "sections": [
            {
                "start_seconds": float(s.start_seconds),
                "stop_seconds": min(length, float(s.stop_seconds)),
                "label": s.label,
                "energy": s.energy,
            }
            for s in music.sections
            if s.start_seconds < length
        ],
    }
    half = ", ".join(f"{a.tempo_bpm:.1f}" for a in music.alternatives[:2])
    return frame(
        title(f"Music {Path(music.path).name}"),
        facts(
            {
                "length": clock(whole),
                "tempo": f"{music.tempo_bpm:.1f} BPM" if found else "no beat",
                "confidence": f"{music.confidence:.2f}",
                "or": half and f"{half} BPM",
                "beats": len(music.beats_seconds) if found else None,
                "bars": f"{len(music.downbeats)} of {music.beats_per_bar or '?'} beats"
                if found
                else None,
                "loudness": f"{music.loudness_lufs:.1f} LUFS",
            }
        ),
        lines("warn", music.warnings),
        Markup('<div class="wide">{}</div>').format(music_chart(heard, beats, length)),
        lines("muted", [f"the first {clock(length)} of {clock(whole)}"] if whole > length else []),
    )
