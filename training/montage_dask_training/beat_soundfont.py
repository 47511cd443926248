"""Music by FluidSynth and a soundfont, where both are installed.

All events are written at one constant tempo with absolute times: with many tempo events FluidSynth drifts by 50–100 ms.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from montage_dask.children import dying_with_parent
from montage_dask.errors import UsageError
from montage_dask.media.audio import ANALYSIS_RATE
from montage_dask_training.beat_synth import Sound

FOLDERS = (
    Path("/usr/share/sounds/sf2"),
    Path("/usr/share/soundfonts"),
    Path("/usr/local/share/sounds/sf2"),
)
TRAINING_SOUNDFONT = "FluidR3_GM.sf2"
"""Debian's fluid-soundfont-gm (3.1-5.3, MIT)."""
TEST_SOUNDFONT = "TimGM6mb.sf2"
"""Debian's timgm6mb-soundfont (1.3-5, GPL-2): heard only in tests, never in training."""

TICKS_PER_SECOND = 2000
DRUM_CHANNEL = 9
LONGEST_SECONDS = 600


class Event(NamedTuple):
    """A note to play."""

    time: float
    """Seconds."""
    length: float
    channel: int
    pitch: int
    velocity: int
    """1 … 127."""


class Change(NamedTuple):
    """From a time on, a channel has another instrument and loudness."""

    time: float
    channel: int
    program: int
    volume: int


def soundfont(name: str) -> str | None:
    """Name and size of a soundfont that can be played here; None without it or without FluidSynth."""
    path = _found(name)
    return f"{name} {path.stat().st_size}" if path and shutil.which("fluidsynth") else None


def _found(name: str) -> Path | None:
    return next((folder / name for folder in FOLDERS if (folder / name).is_file()), None)


def render(font: str, notes: Sequence[Event], changes: Sequence[Change], duration: float) -> Sound:
    """Mono samples at ANALYSIS_RATE.

    Args:
        font: as `soundfont` said.

    Raises:
        UsageError: it is not installed here, or FluidSynth failed.
    """
    path = _found(font.split()[0])
    if path is None or soundfont(path.name) != font:
        raise UsageError(
            f"soundfont {font}: not installed on this machine, or another version; install fluidsynth and its Debian package"
        )
    with tempfile.TemporaryDirectory() as folder:
        score, sound = Path(folder, "score.mid"), Path(folder, "sound.wav")
        score.write_bytes(_midi(notes, changes, duration))
        command = [
            "fluidsynth", "-n", "-i", "-q", "-R", "0", "-C", "0", "-g", "0.35", "-r", str(ANALYSIS_RATE),
            "-o", "synth.polyphony=512", "-o", "synth.cpu-cores=1", "-o", "synth.dynamic-sample-loading=1",
            "-T", "wav", "-F", str(sound), str(path), str(score),
        ]  # fmt: skip
        done = subprocess.run(
            dying_with_parent(command),
            capture_output=True,
            timeout=LONGEST_SECONDS,
            check=False,
        )
        if done.returncode or not sound.exists():
            raise UsageError(f"fluidsynth failed: {done.stderr.decode('utf-8', 'replace')[-300:]}")
        with wave.open(str(sound), "rb") as file:
            raw = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    mono = raw.reshape(-1, 2).astype(np.float32).mean(1) / 32768
    out = np.zeros(round(duration * ANALYSIS_RATE), np.float32)
    out[: len(mono)] = mono[: len(out)]
    return out


def _midi(notes: Sequence[Event], changes: Sequence[Change], duration: float) -> bytes:
    """A MIDI file of one track with a constant tempo."""
    events: list[tuple[int, int, bytes]] = []
    for change in changes:
        tick = round(change.time * TICKS_PER_SECOND)
        events.append((tick, 0, bytes([0xB0 | change.channel, 7, change.volume])))
        events.append((tick, 1, bytes([0xC0 | change.channel, change.program])))
    for note in notes:
        start = round(note.time * TICKS_PER_SECOND)
        end = max(start + 20, round((note.time + note.length) * TICKS_PER_SECOND))
        events.append((start, 3, bytes([0x90 | note.channel, note.pitch, note.velocity])))
        events.append((end, 2, bytes([0x80 | note.channel, note.pitch, 0])))
    events.append((round(duration * TICKS_PER_SECOND), 9, b"\xff\x2f\x00"))
    events.sort(key=lambda e: e[:2])
    # 500 ticks per quarter at 120 BPM.
    track = bytearray(b"\x00\xff\x51\x03" + (500_000).to_bytes(3, "big"))
    before = 0
    for tick, _, data in events:
        track += _variable(tick - before) + data
        before = tick
    division = TICKS_PER_SECOND // 2
    return (
        b"MThd"
        + struct.pack(">IHHH", 6, 0, 1, division)
        + b"MTrk"
        + struct.pack(">I", len(track))
        + bytes(track)
    )


def _variable(value: int) -> bytes:
    """A length of MIDI: seven bits per byte."""
    found = [value & 0x7F]
    while value := value >> 7:
        found.append(0x80 | value & 0x7F)
    return bytes(reversed(found))
