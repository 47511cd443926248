"""Songs of Frets on Fire (Debian's fretsonfire-songs-sectoid and -muldjord): recordings of rock whose charts know the beats.

apt-get download fretsonfire-songs-sectoid fretsonfire-songs-muldjord
for deb in fretsonfire-songs-*.deb; do dpkg -x "$deb" songs; done
python -m benchmarks beats --minutes --fretsonfire songs
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from montage_dask.media.ffmpeg import run_ffmpeg

CHART = "notes.mid"
PARTS = ("song.ogg", "guitar.ogg")
"""The player's guitar is a file of its own."""


def songs(folder: Path, output: Path) -> Iterator[tuple[str, Path, np.ndarray]]:
    """All songs below a folder.

    Args:
        folder: of unpacked packages.
        output: where the mixes go.

    Yields:
        Name, audio of the whole band, and its beats in seconds: quarter notes of the chart, good to some 45 ms.
    """
    for chart in sorted(folder.rglob(CHART)):
        parts = [part for name in PARTS if (part := chart.with_name(name)).exists()]
        mixed = output / f"{chart.parent.name}.ogg"
        inputs = [word for part in parts for word in ("-i", str(part))]
        how = f"amix=inputs={len(parts)}:normalize=0,volume=0.7"
        run_ffmpeg([*inputs, "-filter_complex", how, "-q:a", "6", str(mixed)], about=chart.parent)
        yield chart.parent.name, mixed, quarters(chart)


def quarters(chart: Path) -> np.ndarray:
    """The times of all quarter notes of a MIDI file, in seconds."""
    import mido

    file = mido.MidiFile(chart)
    changes = {0: 500_000}  # microseconds a quarter: MIDI's default
    end = 0
    for track in file.tracks:
        tick = 0
        for message in track:
            tick += message.time
            if message.type == "set_tempo":
                changes[tick] = message.tempo
        end = max(end, tick)
    ticks = np.array(sorted(changes))
    per_tick = np.array([changes[t] for t in ticks]) / 1e6 / file.ticks_per_beat
    starts = np.concatenate([[0.0], np.cumsum(np.diff(ticks) * per_tick[:-1])])
    wanted = np.arange(0, end, file.ticks_per_beat)
    place = np.searchsorted(ticks, wanted, "right") - 1
    return np.asarray(starts[place] + (wanted - ticks[place]) * per_tick[place])
