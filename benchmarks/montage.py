"""The whole job against its floor: decoding all footage once, and encoding the same output frames once.

Floor: one `ffmpeg` per clip (1 thread) decodes it to nothing, and `ffmpeg` encodes the finished
montage's pictures with the job's own encoder arguments, in as many equal parts as the job has workers. Those pictures come
from the finished file; what decoding it costs is measured alone in the same round and taken off. As many processes run at
once as the job has workers: two threads of one core take more CPU time for the same work than one alone.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import Usage, cpu, interleaved, measure, table, wall
from montage_dask.media.encoders import encoding
from montage_dask.media.ffmpeg import binary

CLIP_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")


def main(arguments: Sequence[str]) -> int:
    """Measure, and print markdown tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks montage", description=__doc__)
    parser.add_argument("--footage", nargs="+", required=True, help="clips or folders")
    parser.add_argument("--music", required=True)
    parser.add_argument("--duration", help="of the montage; default: to the end of the music")
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--quality", default="standard")
    parser.add_argument("--n-workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        print(_compare(options, Path(folder)))
    return 0


def _compare(options: argparse.Namespace, folder: Path) -> str:
    clips = list(_clips(options.footage))
    montage = folder / "montage.mp4"
    results: list[dict[str, Any]] = []

    def job() -> Usage:
        used = _job(options, folder / f"run-{len(results)}", montage)
        results.append(json.loads(used.output))
        return used

    def part(number: int, rest: Sequence[str]) -> list[str]:
        length = results[-1]["frames"] / results[-1]["fps"] / options.n_workers
        return _ffmpeg(montage, rest, start=number * length, length=length)

    def encode() -> Usage:
        settings = encoding("h264", options.quality).arguments()
        outputs = [str(folder / f"floor-{n}.mp4") for n in range(options.n_workers)]
        commands = [part(n, [*settings, "-an", "-y", o]) for n, o in enumerate(outputs)]
        return _together(commands, options.n_workers)

    def decode() -> Usage:
        null = ["-an", "-f", "null", "-"]
        return _together([part(n, null) for n in range(options.n_workers)], options.n_workers)

    runs = interleaved(
        {
            "job": job,
            "decode": lambda: _together(
                [_ffmpeg(c, ["-f", "null", "-"]) for c in clips], options.n_workers
            ),
            "decode the montage": decode,
            "encode": encode,
        },
        options.repeats,
    )
    floors = [
        d.cpu_seconds + e.cpu_seconds - m.cpu_seconds
        for d, e, m in zip(runs["decode"], runs["encode"], runs["decode the montage"], strict=True)
    ]
    walls = [
        d.wall_seconds + e.wall_seconds - m.wall_seconds
        for d, e, m in zip(runs["decode"], runs["encode"], runs["decode the montage"], strict=True)
    ]
    floor, floor_wall = statistics.median(floors), statistics.median(walls)
    spent = {name: cpu(used) for name, used in runs.items()}
    rows = [
        ["decode all footage once", f"{spent['decode']:.1f}", f"{wall(runs['decode']):.1f}", ""],
        [
            "encode the same frames once",
            f"{spent['encode'] - spent['decode the montage']:.1f}",
            f"{wall(runs['encode']) - wall(runs['decode the montage']):.1f}",
            "",
        ],
        ["floor", f"{floor:.1f}", f"{floor_wall:.1f}", "1.00"],
        [
            "whole job",
            f"{spent['job']:.1f}",
            f"{wall(runs['job']):.1f}",
            f"{spent['job'] / floor:.2f} (wall {wall(runs['job']) / floor_wall:.2f})",
        ],
    ]
    last = results[-1]
    title = (
        f"{len(clips)} clips, {last['frames']} output frames of {options.size}, "
        f"{options.n_workers} workers, {options.repeats} interleaved rounds, medians"
    )
    first = table(("", "CPU s", "wall s", "× floor"), rows)
    return f"{title}\n\n{first}\n{_operations(results, spent['job'])}"


def _operations(results: Sequence[dict[str, Any]], total: float) -> str:
    """Where the job's time went; what lies outside the operations is start-up of the cluster and its waiting."""
    names = [o["name"] for o in results[-1]["operations"]]

    def spent(name: str, kind: str) -> float:
        return statistics.median(
            sum(o[kind] for o in r["operations"] if o["name"] == name) for r in results
        )

    counts = {o["name"]: o["count"] for o in results[-1]["operations"]}
    rows = [
        [n, str(counts[n]), f"{spent(n, 'cpu_seconds'):.1f}", f"{spent(n, 'seconds'):.1f}"]
        for n in names
    ]
    inside = sum(spent(n, "cpu_seconds") for n in names)
    rows.append(["outside the operations", "", f"{total - inside:.1f}", ""])
    rows.append(["whole job", "", f"{total:.1f}", ""])
    return table(("operation", "count", "CPU s", "seconds inside"), rows)


def _job(options: argparse.Namespace, run_dir: Path, output: Path) -> Usage:
    command = [
        sys.executable, "-m", "montage_dask", "run", *options.footage, "--music", options.music,
        "--output", str(output), "--run-dir", str(run_dir), "--store", str(run_dir / "store"),
        "--size", options.size, "--fps", "30", "--quality", options.quality, "--detector", "fast",
        "--n-workers", str(options.n_workers), "--json", "-q",
    ]  # fmt: skip
    command += ["--duration", options.duration] if options.duration else []
    return measure(command, ok=(0, 3))


def _clips(patterns: Sequence[str]) -> list[Path]:
    found = []
    for pattern in map(Path, patterns):
        inside = sorted(pattern.rglob("*")) if pattern.is_dir() else [pattern]
        found += [p for p in inside if p.suffix.lower() in CLIP_SUFFIXES]
    return found


def _ffmpeg(
    path: Path, rest: Sequence[str], *, start: float = 0.0, length: float | None = None
) -> list[str]:
    window = [] if length is None else ["-ss", f"{start:.6f}", "-t", f"{length:.6f}"]
    return [
        str(binary()), "-v", "error", "-nostdin", "-threads", "1", *window, "-i", f"file:{path}",
        "-map", "0:v:0", *rest,
    ]  # fmt: skip


def _together(commands: Sequence[Sequence[str]], at_once: int) -> Usage:
    """Several commands, so many at a time."""
    lines = "\n".join(shlex.join(c) for c in commands)
    script = f"tr '\\n' '\\0' <<'END' | xargs -0 -P {at_once} -I CMD sh -c CMD\n{lines}\nEND"
    return measure(["sh", "-c", script])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
