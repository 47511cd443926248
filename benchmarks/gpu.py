"""What a GPU does for scenes, beats, upscaling, encoding and whole montages, against the promises made for it.

Each row is one command on one embedded cluster, start-up included, sent to the GPU by its placement. A row counts as measured
only if every one of its operations ran on the GPU: what fell back says so. Without a GPU the rows say "not measured".
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import measure, say, table
from montage_dask.devices import count_gpus
from montage_dask.media.encoders import working_encoder
from montage_dask.media.ffmpeg import run_ffmpeg

RATE = 25
SHOT_SECONDS = 4


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement."""

    what: str
    promise: str
    operations: tuple[str, ...]
    """That must run on the GPU."""
    command: Callable[[Path], list[str]]
    """Arguments of the command, from the folder to work in."""


def main(arguments: Sequence[str]) -> int:
    """Measure, and print a markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks gpu", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="shorten all material (a trial)")
    parser.add_argument("--output", type=Path, help="also write the rows there as JSON")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        rows = _measured(Path(temporary), options.scale)
    print(device_name())
    print(table(("", "promise", "wall s", "ran on", "remark"), rows))
    if options.output:
        options.output.write_text(json.dumps({"device": device_name(), "rows": rows}, indent=1))
    return 0


def device_name() -> str:
    """What the figures are of."""
    try:
        asked = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "no GPU"


def _measured(folder: Path, scale: float) -> list[list[str]]:
    rows = _rows(scale)
    if not count_gpus():
        return [[r.what, r.promise, "not measured", "", "no GPU"] for r in rows]
    say("making the material")
    film(folder / "ten.mp4", 600 * scale, "1920x1080")
    film(folder / "five.mp4", 300 * scale, "1920x1080")
    film(folder / "one.mp4", 60 * scale, "1920x1080")
    film(folder / "small.mp4", 60 * scale, "960x540")
    track(folder / "three.wav", 180 * scale)
    track(folder / "five.wav", 300 * scale)
    done = []
    for row in rows:
        say(row.what)
        done.append(_one(row, folder))
    return done


def _rows(scale: float) -> list[Row]:
    def analyse(name: str, *more: str) -> Callable[[Path], list[str]]:
        return lambda f: ["analyse", str(f / name), "--output", str(f / f"out-{name}"), *more]

    def to(verb: str, name: str, *more: str) -> Callable[[Path], list[str]]:
        return lambda f: [verb, str(f / name), "--output", str(f / f"out-{verb}-{name}"), *more]

    length = f"{scale:g} × " if scale != 1 else ""
    return [
        Row(
            f"scenes (accurate) of {length}10 min of 1080p",
            "< 8 s (aim < 2 s)",
            ("scores",),
            analyse("ten.mp4", "--detector", "accurate"),
        ),
        Row(f"beats of {length}3 min", "< 3 s (aim < 0.3 s)", ("beats",), analyse("three.wav")),
        Row(
            f"upscaling {length}1 min of 540p 2×",
            "< 120 s (aim < 30 s)",
            ("upscale",),
            to("upscale", "small.mp4", "--scale", "2", "--yes"),
        ),
        Row(f"encoding {length}1 min of 1080p", "< 5 s", ("transcode",), to("transcode", "one.mp4")),
        Row(
            f"montage of {length}5 min of 1080p",
            "< 120 s",
            ("scores",),
            lambda f: [
                "run", str(f / "five.mp4"), "--music", str(f / "five.wav"),
                "--output", str(f / "montage.mp4"), "--detector", "accurate",
            ],
        ),
    ]  # fmt: skip


def _one(row: Row, folder: Path) -> list[str]:
    if row.operations == ("transcode",):
        encoder, why = working_encoder("h264")
        if encoder is None:
            return [row.what, row.promise, "not measured", "", f"no GPU encoder works: {why}"]
    os.environ["DASK_MONTAGE__PLACEMENT"] = json.dumps(dict.fromkeys(row.operations, "gpu"))
    used = measure([sys.executable, "-m", "montage_dask", *row.command(folder), "--json", "-q"])
    result: dict[str, Any] = json.loads(used.output)
    ran = {o["name"]: o["target"] for o in result["operations"]}
    where = ", ".join(f"{n}: {ran.get(n, '-')}" for n in row.operations)
    inside = sum(o["seconds"] for o in result["operations"] if o["name"] in row.operations)
    return [row.what, row.promise, f"{used.wall_seconds:.1f}", where, f"{inside:.1f} s inside"]


def film(path: Path, seconds: float, size: str) -> None:
    """Moving pictures with a cut every few seconds, from one short loop that is encoded once."""
    shots = ("testsrc2", "mandelbrot", "smptehdbars", "gradients", "yuvtestsrc")
    inputs = [a for s in shots for a in ("-f", "lavfi", "-i", f"{s}=size={size}:rate={RATE}")]
    chains = ";".join(
        f"[{n}:v]trim=duration={SHOT_SECONDS},setpts=PTS-STARTPTS,format=yuv420p[v{n}]"
        for n in range(len(shots))
    )
    joined = "".join(f"[v{n}]" for n in range(len(shots)))
    loop = path.with_name("loop.mp4")
    run_ffmpeg(
        [
            *inputs, "-filter_complex", f"{chains};{joined}concat=n={len(shots)}",
            "-c:v", "libx264", "-preset", "veryfast", "-g", "100", "-y", str(loop),
        ],
        about=loop,
    )  # fmt: skip
    run_ffmpeg(
        ["-stream_loop", "-1", "-i", str(loop), "-c", "copy", "-t", str(seconds), "-y", str(path)],
        about=path,
    )


def track(path: Path, seconds: float) -> None:
    """A click on every beat at 120 BPM over noise."""
    rate = 44_100
    noise = np.random.default_rng(0).standard_normal(int(seconds * rate)) * 0.01
    click = np.exp(-np.arange(rate // 20) / 300) * np.sin(np.arange(rate // 20) / 3)
    for start in range(0, len(noise) - len(click), rate // 2):
        noise[start : start + len(click)] += click
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((noise.clip(-1, 1) * 30_000).astype("<i2").tobytes())


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
