"""The graph alone: the survey of many clips on the job's own cluster, with operations that do nothing.

Sources are made up; requests, driver, store, scheduler and worker processes are the real ones. Only the functions behind the
operations are replaced, in the client and in every worker. Scheduler and client share one process: the scheduler's share is the
CPU time of its event loop's thread (with the client's own messages), the client's that of the main thread.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from benchmarks.measure import say, table

RATE = 25


def main(arguments: Sequence[str]) -> int:
    """Measure, and print markdown tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks graph", description=__doc__)
    parser.add_argument("--clips", type=int, nargs="+", default=[1000])
    parser.add_argument("--seconds", type=int, default=120, help="length of each clip")
    parser.add_argument("--n-workers", type=int, default=2)
    options = parser.parse_args(arguments)
    if len(options.clips) > 1:
        for clips in options.clips:  # the peak of memory is that of a process: each gets its own
            shared = ["--seconds", str(options.seconds), "--n-workers", str(options.n_workers)]
            again = [sys.executable, "-m", "benchmarks", "graph", "--clips", str(clips), *shared]
            subprocess.run(again, check=True)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        print(_survey(options.clips[0], options.seconds * RATE, options.n_workers, Path(folder)))
    return 0


def idle() -> None:
    """Replace the functions of all operations in this process."""
    from montage_dask.graph import operation as registry
    from montage_dask.graph import operations  # noqa: F401 - registers them

    for name, op in registry._REGISTRY.items():
        registry._REGISTRY[name] = replace(op, function=_nothing)


def _nothing(request: Any, context: Any) -> dict[str, Any]:
    return {"shots": []} if request.operation == "shots" else {}


def _survey(clips: int, frames: int, workers: int, folder: Path) -> str:
    from distributed.diagnostics.plugin import SchedulerPlugin

    from montage_dask.cluster.connect import connect
    from montage_dask.config import resolve
    from montage_dask.graph.analysing import Analysis
    from montage_dask.graph.drive import Driver
    from montage_dask.graph.survey import Settings
    from montage_dask.graph.telling import Silent
    from montage_dask.store import Store

    seen: Counter[str] = Counter()
    most = 0

    class Watch(SchedulerPlugin):  # type: ignore[misc]
        """Counts tasks as they reach the scheduler."""

        def transition(
            self, key: Any, start: str, finish: str, *args: Any, stimulus_id: str, **kwargs: Any
        ) -> None:
            nonlocal most
            if start == "released" and finish == "waiting":
                seen[str(key).split("-")[0]] += 1
                most = max(most, len(cluster.scheduler.tasks))

    settings = resolve({"n-workers": workers})
    with connect(settings) as client:
        cluster: Any = client.cluster
        idle()
        client.run(idle)
        cluster.scheduler.add_plugin(Watch())
        survey = made_up(clips, frames, folder)
        driver = Driver(
            client, Store(folder), Silent(), in_flight_per_slot=settings["in-flight-per-slot"].value
        )
        chosen = Settings.of(settings)
        say(f"{clips} clips")
        before, loop_before = time.thread_time(), client.sync(thread_time)
        began, peak_before = time.monotonic(), peak_mb()
        Analysis(driver, chosen, survey).run([])
        wall = time.monotonic() - began
        main_seconds = time.thread_time() - before
        loop_seconds = client.sync(thread_time) - loop_before
    assert len(survey.clips) == clips
    assert not survey.skipped
    windows = -(-frames // chosen.window_frames) * clips
    each = {"strip": windows, "shots": clips}
    total = sum(seen.values())
    tasks = [
        [n, str(seen[n]), str(each.get(n, 0)), f"{seen[n] / each[n]:.2f}" if n in each else "–"]
        for n in sorted(seen)
    ]
    costs = [
        ["wall", f"{wall:.1f} s", f"{1000 * wall / total:.2f} ms"],
        [
            "event loop (scheduler)",
            f"{loop_seconds:.1f} s",
            f"{1000 * loop_seconds / total:.2f} ms",
        ],
        ["main thread (client)", f"{main_seconds:.1f} s", f"{1000 * main_seconds / total:.2f} ms"],
    ]
    return (
        f"{clips} clips of {frames} frames, {workers} workers; at most {most} tasks known at once; "
        f"peak of client and scheduler {peak_mb():.0f} MB ({peak_before:.0f} MB before the first task)\n\n"
        + table(("operation", "tasks", "windows or clips", "tasks each"), tasks)
        + "\n"
        + table(("", "in all", "per task"), costs)
    )


async def thread_time() -> float:
    """CPU seconds of the thread of the event loop."""
    return time.thread_time()


def peak_mb() -> float:
    """Highest resident memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def made_up(clips: int, frames: int, folder: Path) -> Any:
    """A survey of clips that do not exist."""
    from montage_dask.graph.survey import Clip, Survey
    from montage_dask.records import Source

    survey = Survey()
    for number in range(clips):
        identity = f"{number:032x}"
        source = Source(
            path=str(folder / f"clip-{number}.mp4"), identity=identity, size_bytes=10**8,
            format_name="mov", stream_index=0, codec="h264", coded_width=1920, coded_height=1080,
            width=1920, height=1080, rotation_degrees=0, sample_aspect=Fraction(1),
            pixel_format="yuv420p", bit_depth=8, color_space="bt709", color_primaries="bt709",
            color_transfer="bt709", color_range="tv", time_base=Fraction(1, 12800),
            frame_rate=Fraction(RATE), constant_frame_rate=True, frames=frames, start_pts=0,
            duration_seconds=Fraction(frames, RATE),
        )  # fmt: skip
        survey.clips[identity] = Clip(source, folder / f"{identity}.npz")
    return survey


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
