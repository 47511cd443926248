"""Windowed transcoding on Dask against one ffmpeg of two threads with the same encoder settings.

The job has two workers of one thread each, so both may use two cores. SSIM compares each result with the source.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import Usage, cpu, interleaved, measure, say, table, wall
from benchmarks.scenes import RATE, compose
from montage_dask.media.encoders import QUALITIES, encoding
from montage_dask.media.ffmpeg import binary, run_ffmpeg
from montage_dask.render.segments import count_frames

THREADS = 2


def main(arguments: Sequence[str]) -> int:
    """Compose a source, measure, and print a markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks transcode", description=__doc__)
    parser.add_argument("--footage", nargs="*", default=[], help="clips to compose the source of")
    parser.add_argument("--source", type=Path, help="transcode this file instead")
    parser.add_argument("--seconds", type=int, default=240, help="length of the composed source")
    parser.add_argument("--quality", choices=QUALITIES, default="standard")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source = options.source or _source(folder, options.footage, options.seconds)
        print(_compare(source, folder, options.quality, options.repeats))
    return 0


def _source(folder: Path, clips: Sequence[str], seconds: int) -> Path:
    """A 1080p file of about so many seconds: shots of the clips, repeated when they are too short."""
    say("composing the source")
    path, _, frames = compose(folder, clips, min(24, max(2, seconds * RATE // 65)))
    loops = -(-seconds * RATE // frames)
    if loops == 1:
        return path
    long = folder / "source.mp4"
    run_ffmpeg(
        ["-stream_loop", str(loops - 1), "-i", str(path), "-c", "copy", "-y", str(long)], about=long
    )
    return long


def _compare(source: Path, folder: Path, quality: str, repeats: int) -> str:
    whole = folder / "one-ffmpeg.mp4"
    outputs: dict[str, Path] = {"one ffmpeg, 2 threads": whole}

    def windowed() -> Usage:
        with tempfile.TemporaryDirectory(dir=folder) as run:
            used = measure(
                [
                    sys.executable, "-m", "montage_dask", "transcode", str(source), "-o", run,
                    "--store", f"{run}/store", "--quality", quality, "--n-workers", str(THREADS),
                    "-q",
                ]
            )  # fmt: skip
            made = next(Path(run).glob("*.mp4"))
            outputs["windowed, 2 workers"] = made.replace(folder / "windowed.mp4")
            return used

    def single() -> Usage:
        return measure(
            [
                str(binary()), "-v", "error", "-nostdin", "-threads", str(THREADS),
                "-i", f"file:{source}", "-map", "0:v:0", "-map", "0:a:0?",
                *_settings(quality), "-c:a", "copy", "-y", str(whole),
            ]
        )  # fmt: skip

    runs = interleaved({"one ffmpeg, 2 threads": single, "windowed, 2 workers": windowed}, repeats)
    base = runs["one ffmpeg, 2 threads"]
    rows = []
    for name, used in runs.items():
        say(f"SSIM: {name}")
        size = outputs[name].stat().st_size
        rows.append(
            [
                name, f"{wall(used):.1f}", f"{wall(used) / wall(base):.3f}", f"{cpu(used):.1f}",
                f"{cpu(used) / cpu(base):.3f}", f"{size / 1e6:.2f}",
                f"{100 * (size / whole.stat().st_size - 1):+.2f} %",
                str(count_frames(outputs[name])), f"{ssim(source, outputs[name]):.5f}",
            ]
        )  # fmt: skip
    title = (
        f"{count_frames(source)} frames, quality {quality}, {repeats} interleaved rounds, medians"
    )
    header = ("", "wall s", "×", "CPU s", "×", "MB", "size", "frames", "SSIM")
    return f"{title}\n\n{table(header, rows)}"


def _settings(quality: str) -> list[str]:
    """The job's encoder arguments. Both keep the source's own colour tags; naming others might convert the picture."""
    tags = ("colorspace", "color_primaries", "color_trc", "color_range")
    options = encoding("h264", quality, threads=THREADS).options
    return [part for name, value in options if name not in tags for part in (f"-{name}", value)]


def ssim(source: Path, result: Path) -> float:
    """Structural similarity of two files, frame by frame in order whatever their time bases."""
    # settb before setpts: the filter pairs frames by time, and N means nothing in another time base.
    same = f"settb=1/{RATE},setpts=N"
    graph = f"[0:v]{same}[a];[1:v]{same}[b];[a][b]ssim"
    done = subprocess.run(
        [
            str(binary()), "-nostdin", "-hide_banner", "-i", f"file:{source}",
            "-i", f"file:{result}", "-lavfi", graph, "-f", "null", "-",
        ],
        capture_output=True,
        text=True,
        check=True,
    )  # fmt: skip
    found = re.findall(r"All:([0-9.]+)", done.stderr)
    return float(found[-1])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
