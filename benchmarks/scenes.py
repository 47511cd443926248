"""Scene detection against PySceneDetect and the floor, which is decoding the file once.

The file has known transitions: it is composed at 1080p from generated pictures or from given clips. Every
program runs in a process of its own, one after the other in each round; CPU seconds are user plus
system of the process and all its children.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Usage, cpu, measure, say, table, wall
from montage_dask.media.ffmpeg import binary, input_arguments, output_argument, run_ffmpeg

RATE = 25
TOLERANCE_FRAMES = 2
WINDOW_FRAMES = 500

GENERATED = (
    "testsrc2=size=1920x1080:rate=25",
    "mandelbrot=size=1920x1080:rate=25:start_scale=0.4:end_scale=0.02:end_pts=400",
    "gradients=size=1920x1080:rate=25:seed=5:speed=0.02:nb_colors=6",
    "life=size=480x270:rate=25:mold=10:ratio=0.3:seed=3:death_color=#204060:life_color=#e0c040,"
    "scale=1920:1080",
    "sierpinski=size=1920x1080:rate=25:seed=2",
)


TRANSITIONS = ("", "", "", "fade", "fade", "fadeblack", "wipeleft", "circleopen", "slideup")
"""Names of ffmpeg's xfade; nothing is a cut."""

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Result:
    """One run of one program."""

    usage: Usage
    found: tuple[Span, ...] | None
    """None for a program that finds none."""


def main(arguments: Sequence[str]) -> int:
    """Compose, measure, and print a markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks scenes", description=__doc__)
    parser.add_argument("--footage", nargs="*", default=[], help="clips without cuts")
    parser.add_argument("--shots", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--without-accurate", action="store_true")
    parser.add_argument("--keep", type=Path, help="compose into this folder and keep the file")
    parser.add_argument(
        "--child", nargs=3, metavar=("DETECTOR", "FILE", "FOLDER"), help=argparse.SUPPRESS
    )
    options = parser.parse_args(arguments)
    if options.child:
        return _detect(*options.child)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        path, truth, frames = compose(folder, options.footage, options.shots)
        programs = ["decode only (ffmpeg, 1 thread)", "auto", "fast", "scenedetect detect-adaptive"]
        if not options.without_accurate:
            programs.append("accurate")
        runs: dict[str, list[Result]] = {name: [] for name in programs}
        for _ in range(options.repeats):
            for name in programs:
                say(name)
                with tempfile.TemporaryDirectory() as work:
                    runs[name].append(_run(name, path, Path(work)))
    print(_table(runs, truth, frames))
    return 0


def compose(folder: Path, clips: Sequence[str], shots: int) -> tuple[Path, tuple[Span, ...], int]:
    """A 1080p H.264 file of known transitions: cuts, dissolves, fades and wipes; and flashes, which are none.

    Returns:
        The file, its transitions as [start, stop) of the mixed frames (equal for cuts), and its number of frames.
    """
    rng = random.Random(1)
    inputs, chains = [], []
    source = -1
    truth: list[Span] = []
    total, joined = 0, ""
    for number in range(shots):
        count = len(clips) or len(GENERATED)
        # Never the same one twice running: that might not be a cut at all.
        source = rng.choice([i for i in range(count) if i != source or count == 1])
        kind = rng.choice(TRANSITIONS) if number else ""
        length = rng.randint(6, 16) * 2 if kind else 0
        frames = rng.randint(40, 90) + 2 * length
        inputs += ["-ss", f"{rng.uniform(0, 1.5):.3f}"]
        inputs += ["-i", os.path.abspath(clips[source])] if clips else []
        inputs += [] if clips else ["-f", "lavfi", "-i", GENERATED[source]]
        flash = rng.randint(length + 12, frames - 12) if rng.random() < 0.3 else -1
        light = (
            f"drawbox=c=white@0.7:t=fill:enable='between(n,{flash},{flash + 1})',"
            if flash > 0
            else ""
        )
        chains.append(
            f"[{number}:v]fps={RATE},scale=1920:1080:force_original_aspect_ratio=increase,"
            "crop=1920:1080,setsar=1,format=yuv420p,tpad=stop=-1:stop_mode=clone,"
            f"trim=end_frame={frames},settb=1/{RATE},setpts=N,{light}fps={RATE}[v{number}]"
        )
        if not number:
            joined = "v0"
        elif kind:
            chains.append(
                f"[{joined}][v{number}]xfade=transition={kind}:duration={length / RATE}:"
                f"offset={(total - length) / RATE},settb=1/{RATE},fps={RATE}[j{number}]"
            )
            truth.append((total - length, total))
        else:
            chains.append(f"[{joined}][v{number}]concat=n=2,settb=1/{RATE},fps={RATE}[j{number}]")
            truth.append((total, total))
        joined = f"j{number}" if number else joined
        total += frames - length
    path = folder / "scenes.mp4"
    # Keyframes do not tell where the cuts are, as they do not in cut material either.
    run_ffmpeg(
        [
            *inputs, "-filter_complex", ";".join(chains), "-map", f"[{joined}]",
            "-c:v", "libx264", "-preset", "medium", "-b:v", "5.4M", "-g", "250",
            "-sc_threshold", "0", "-threads", "2", output_argument(path),
        ],
        about=path,
    )  # fmt: skip
    return path, tuple(truth), total


def _run(name: str, path: Path, work: Path) -> Result:
    """Run one program to its end."""
    module = [sys.executable, "-m", "benchmarks.scenes", "--child"]
    command = {
        "decode only (ffmpeg, 1 thread)": [
            str(binary()), "-v", "error", "-nostdin", "-threads", "1",
            *input_arguments(path, "mov"), "-map", "0:v", "-f", "null", "-",
        ],
        "auto": [*module, "auto", str(path), str(work)],
        "fast": [*module, "fast", str(path), str(work)],
        "accurate": [*module, "accurate", str(path), str(work)],
        "scenedetect detect-adaptive": [
            sys.executable, "-m", "scenedetect", "-q", "-i", str(path), "-o", str(work),
            "detect-adaptive", "list-scenes", "-f", "scenes.csv",
        ],
    }[name]  # fmt: skip
    return Result(measure(command), _found(work))


def _found(work: Path) -> tuple[Span, ...] | None:
    ours, theirs = work / "found.json", work / "scenes.csv"
    if ours.exists():
        return tuple((a, b) for a, b in json.loads(ours.read_text()))
    if not theirs.exists():
        return None
    with theirs.open(newline="") as file:
        rows = [row for row in csv.reader(file) if row and row[0].isdigit()]
    # Columns: scene number, start frame (from 1), …; the first scene starts with the file.
    return tuple((int(row[1]) - 1,) * 2 for row in rows[1:])


def _detect(detector: str, path: str, folder: str) -> int:
    """What a worker does, in this process: probe, strip, scenes."""
    from montage_dask.analysis import transnet
    from montage_dask.analysis.scenes import detect_boundaries
    from montage_dask.analysis.strip import Strip, strip_folder, write_window
    from montage_dask.media.probe import probe
    from montage_dask.media.windows import split_windows
    from montage_dask.store import Store

    source, index = probe(Path(path))
    strip_path = strip_folder(Store(Path(folder)), source, WINDOW_FRAMES)
    windows = split_windows(len(index), WINDOW_FRAMES)
    for window in windows:
        write_window(source, index, window, WINDOW_FRAMES, strip_path)
    strip = Strip(strip_path)
    if detector == "accurate":
        for window in windows:
            transnet.write_scores(strip, window)
    found = detect_boundaries(strip, detector=detector, frame_rate=source.frame_rate)
    spans = [(b.start_frame, b.stop_frame) for b in found]
    (Path(folder) / "found.json").write_text(json.dumps(spans))
    return 0


def score(found: Sequence[Span], truth: Sequence[Span]) -> tuple[float, float, float]:
    """Precision, recall and F1; a transition counts once, where extents come within ±2 frames."""
    left = sorted(found)
    hits = 0
    for start, stop in truth:
        near = [
            f for f in left if f[0] <= stop + TOLERANCE_FRAMES and f[1] >= start - TOLERANCE_FRAMES
        ]
        if near:
            left.remove(min(near, key=lambda f: abs(sum(f) - start - stop)))
            hits += 1
    precision = hits / len(found) if found else 0.0
    recall = hits / len(truth) if truth else 0.0
    total = precision + recall
    return precision, recall, 2 * precision * recall / total if total else 0.0


def _table(runs: dict[str, list[Result]], truth: Sequence[Span], frames: int) -> str:
    peer = cpu([r.usage for r in runs["scenedetect detect-adaptive"]])
    rounds = len(next(iter(runs.values())))
    rows = []
    for name, results in runs.items():
        usages, spans = [r.usage for r in results], results[-1].found
        found = ["–"] * 3 if spans is None else [f"{v:.3f}" for v in score(spans, truth)]
        spent = cpu(usages)
        values = [f"{spent / frames * 1000:.2f}", f"{wall(usages):.1f}", f"{peer / spent:.2f}"]
        rows.append([name, *values, *found])
    cuts = sum(start == stop for start, stop in truth)
    title = (
        f"1920×1080, {frames} frames, {len(truth)} transitions ({cuts} cuts), "
        f"{rounds} interleaved rounds, medians"
    )
    header = ("program", "CPU-ms per frame", "wall s", "× scenedetect", "precision", "recall", "F1")
    return f"{title}\n\n{table(header, rows)}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
