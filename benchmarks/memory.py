"""Peak memory of the client and of every worker while footage of growing length is analysed.

A 1080p clip is made once and looped without encoding again, so that the sources differ in nothing but length.
Peaks are what the kernel counts for each process as resident; shared libraries count in each of them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import measure, say, table
from montage_dask.media.ffmpeg import run_ffmpeg

CLIP_SECONDS = 20
RATE = 25


def main(arguments: Sequence[str]) -> int:
    """Measure, and print a markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks memory", description=__doc__)
    parser.add_argument("--minutes", type=float, nargs="+", default=[10, 30, 120])
    parser.add_argument("--clip", type=Path, help="loop this clip instead of a generated one")
    parser.add_argument("--n-workers", type=int, default=2)
    options = parser.parse_args(arguments)
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        clip = options.clip or _clip(folder)
        for minutes in options.minutes:
            say(f"{minutes:g} min")
            rows.append(_measure(folder, clip, minutes, options.n_workers))
    header = (
        "source",
        "frames",
        "shots",
        "client MB",
        "workers MB",
        "ffmpeg MB",
        "CPU s",
        "wall s",
    )
    print(table(header, rows))
    return 0


def _clip(folder: Path) -> Path:
    """Moving pictures with a cut every 5 s, encoded so that they decode cheaply."""
    path = folder / "clip.mp4"
    shots = ("testsrc2", "smptehdbars", "rgbtestsrc", "yuvtestsrc")
    inputs = [a for s in shots for a in ("-f", "lavfi", "-i", f"{s}=size=1920x1080:rate={RATE}")]
    length = CLIP_SECONDS // len(shots)
    chains = ";".join(
        f"[{n}:v]trim=duration={length},setpts=PTS-STARTPTS,format=yuv420p[v{n}]"
        for n in range(len(shots))
    )
    joined = "".join(f"[v{n}]" for n in range(len(shots)))
    run_ffmpeg(
        [
            *inputs, "-filter_complex", f"{chains};{joined}concat=n={len(shots)}",
            "-c:v", "libx264", "-preset", "ultrafast", "-tune", "fastdecode", "-g", "125",
            "-threads", "2", "-y", str(path),
        ],
        about=path,
    )  # fmt: skip
    return path


def _measure(folder: Path, clip: Path, minutes: float, workers: int) -> list[str]:
    source = folder / "long.mp4"
    run_ffmpeg(
        [
            "-stream_loop", "-1", "-i", str(clip), "-map", "0:v:0", "-c", "copy",
            "-t", str(minutes * 60), "-y", str(source),
        ],
        about=source,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(dir=folder) as store:
        used = measure(
            [
                sys.executable, "-m", "montage_dask", "analyse", str(source), "--detector", "fast",
                "--n-workers", str(workers), "--store", store, "--json", "-q",
            ]
        )  # fmt: skip
    (found,) = json.loads(used.output)["footage"]
    peaks = ", ".join(f"{mb:.0f}" for mb in used.peaks_mb.get("worker", ())[: workers + 1])
    return [
        f"{minutes:g} min", str(found["frames"]), str(len(found["shots"])),
        f"{used.peak_mb('client'):.0f}", peaks, f"{used.peak_mb('ffmpeg'):.0f}",
        f"{used.cpu_seconds:.1f}", f"{used.wall_seconds:.1f}",
    ]  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
