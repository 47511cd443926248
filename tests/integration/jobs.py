"""Material for small jobs and ways to run them: five short clips with known pictures and a track with known beats."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from montage_dask.media.ffmpeg import run_ffmpeg

PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2

BPM = 120
SECONDS = 12


def make_clip(path: Path, picture: str, seconds: float = 5, rate: str = "25", *more: str) -> None:
    """A clip from one of ffmpeg's own sources."""
    run_ffmpeg(
        [
            "-f", "lavfi", "-i", picture, "-t", str(seconds), "-r", rate, "-pix_fmt", "yuv420p",
            *(more or ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")), str(path),
        ],
        about=path,
    )  # fmt: skip


def make_track(
    path: Path, seconds: float = SECONDS, bpm: float = BPM, level: float = 0.6
) -> list[float]:
    """Kick on every beat, hat between, a chord: returns the beats."""
    rate = 44_100
    sound = np.zeros(int(seconds * rate), np.float64)
    rng = np.random.default_rng(1)
    beats = [float(b) for b in np.arange(0, seconds - 0.1, 60 / bpm)]
    time = np.arange(int(0.2 * rate)) / rate
    kick = np.sin(2 * np.pi * (50 + 60 * np.exp(-time * 40)) * time) * np.exp(-time * 18)
    hat = rng.standard_normal(len(time)) * np.exp(-time * 90) * 0.15
    for number, beat in enumerate(beats):
        for at, drum in ((beat, kick * (1.2 if number % 4 == 0 else 0.9)), (beat + 30 / bpm, hat)):
            start = int(at * rate)
            stop = min(len(sound), start + len(drum))
            if stop > start:
                sound[start:stop] += drum[: stop - start]
    whole = np.arange(len(sound)) / rate
    sound += 0.05 * (np.sin(2 * np.pi * 220 * whole) + np.sin(2 * np.pi * 277.2 * whole))
    sound *= level / (np.abs(sound).max() or 1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((sound * 32767).astype("<i2").tobytes())
    return beats


@dataclass(frozen=True)
class Material:
    """What the integration tests make montages of."""

    footage: Path
    music: Path
    beats: list[float]


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self):
        return json.loads(self.stdout)


def environment(**extra: str) -> dict[str, str]:
    # Dask's report takes half a second of a core, in each of many small runs; its own test switches it on.
    quick = {"DASK_MONTAGE__PERFORMANCE_REPORT": "false"}
    return {**os.environ, "PYTHONWARNINGS": "default", **quick, **extra}


def _bound_by_permissions() -> None:
    """In the child, before the program starts: even root obeys the permissions of files."""
    libc = ctypes.CDLL(None)
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def montage(
    *arguments: object, cwd: Path | None = None, ordinary_user: bool = False, **extra: str
) -> Done:
    """Run the command as a user does; on request as one whom the permissions of files stop, even if that is root."""
    done = subprocess.run(
        [sys.executable, "-m", "montage_dask", *map(str, arguments)],
        capture_output=True,
        text=True,
        errors="replace",
        cwd=cwd,
        timeout=240,
        env=environment(**extra),
        preexec_fn=_bound_by_permissions if ordinary_user and os.getuid() == 0 else None,
    )
    return Done(done.returncode, done.stdout, done.stderr)


SMALL = ("--size", "192x108", "--fps", "25", "--quality", "preview")
