"""What effects cost on one CPU thread, per 1080p frame, beside decoding and encoding.

Each step runs alone in this process over the same frames, several times in turn; tables show the median and the least of the
rounds. Grades are the difference between transcoding with them and without, by the same ffmpeg.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2

from benchmarks.gpu import film
from benchmarks.measure import say, table
from montage_dask.analysis.motion import MAXIMUM_SIZE, measure_motion, motion_between
from montage_dask.analysis.steady import steady
from montage_dask.media.encoders import encoding
from montage_dask.media.probe import probe
from montage_dask.render.pictures import Picture, even_size, read_pictures, write_pictures
from montage_dask.render.stabilise import stabilise
from montage_dask.render.transcode import transcode_window

GRADES = ("none", "vibrant", "teal-orange")
"""No grade, one that is done plane by plane, and one that needs a 3-D table."""


def main(arguments: Sequence[str]) -> int:
    """Measure, and print markdown tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks effects", description=__doc__)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        print(_measured(Path(folder), options.frames, options.repeats))
    return 0


def _measured(folder: Path, frames: int, repeats: int) -> str:
    cv2.setNumThreads(1)
    clip = folder / "clip.mp4"
    say("making the clip")
    film(clip, frames / 25 + 1, "1920x1080")
    source, index = probe(clip)
    motions = measure_motion(source, index, 0, frames)
    path = steady(motions, source.frame_rate, source.coded_height / source.coded_width)
    moved = stabilise([(0, frames, path)])
    pictures = [
        Picture(p.frame, p.pts, p.y.copy(), p.u.copy(), p.v.copy())
        for p in read_pictures(source, index, 0, frames)
    ]
    small = [cv2.resize(p.y, MAXIMUM_SIZE, interpolation=cv2.INTER_AREA) for p in pictures]

    def grade(name: str) -> Callable[[], object]:
        how = encoding("h264", "preview")
        output = folder / "graded.mp4"
        return lambda: transcode_window(
            source, index, 0, frames, output, encoding=how, size=None, grade=name
        )

    def motion() -> None:
        for p in pictures:
            cv2.resize(p.y, MAXIMUM_SIZE, interpolation=cv2.INTER_AREA)
        for before, after in itertools.pairwise(small):
            motion_between(before, after)

    def warp() -> None:
        for _ in moved(iter(pictures)):
            pass

    def mezzanine() -> None:
        write_pictures(
            source,
            index,
            0,
            frames,
            folder / "m.mp4",
            transform=lambda p: p,
            size=even_size(source),
        )

    steps: dict[str, Callable[[], object]] = {
        "motion": motion,
        "warp": warp,
        "mezzanine: decode and encode": mezzanine,
        **{f"transcode, grade {name}": grade(name) for name in GRADES},
    }
    spent: dict[str, list[float]] = defaultdict(list)
    for number in range(repeats):
        say(f"round {number + 1} of {repeats}")
        for name, step in steps.items():
            before = sum(os.times()[:4])
            started = time.perf_counter()
            step()
            spent[name].append((sum(os.times()[:4]) - before) / frames * 1000)
            say(f"  {name}: {time.perf_counter() - started:.1f} s")
    plain = f"transcode, grade {GRADES[0]}"
    for name in GRADES[1:]:
        with_grade = spent[f"transcode, grade {name}"]
        spent[f"grade {name} alone"] = [
            a - b for a, b in zip(with_grade, spent[plain], strict=True)
        ]
    spent["stabilising: motion and warp"] = [
        a + b for a, b in zip(spent["motion"], spent["warp"], strict=True)
    ]
    rows = [
        [name, f"{statistics.median(values):.1f}", f"{min(values):.1f}"]
        for name, values in spent.items()
    ]
    return table(("1080p, CPU-ms a frame", "median", "least"), rows)


if __name__ == "__main__":
    raise SystemExit(main([]))
