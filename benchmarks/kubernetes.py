"""What it takes to start on Kubernetes, and how long a job stands still when something breaks in its middle.

Needs KUBECONFIG, the Dask operator in the namespace dask-operator, and pods that see this machine's files (hostPath) and hold
this package, as the tests do. One CPU worker does the work, so that nothing hides the loss. Each job must end with the frames
of the quiet one and leave nothing behind.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.measure import say, table

TESTS = Path(__file__).parents[1] / "tests"

JOB = ("--duration", "8", "--cpu-workers", "1:1")
SMALL_STEPS = {"DASK_MONTAGE__WINDOW_FRAMES": "50", "DASK_MONTAGE__SEGMENT_FRAMES": "50"}
"""Many short operations: a result should come every second or so."""

BEFORE = 6
"""Results of a job before something breaks."""

OUTAGE_SECONDS = 20


@dataclass(frozen=True)
class Took:
    """One job."""

    first_seconds: float
    """From the command to the first result."""
    standstill_seconds: float
    """The longest time without a result behind the fault (in a quiet job: behind as many results)."""
    whole_seconds: float


def main(arguments: Sequence[str]) -> int:
    """Measure, and print a markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks kubernetes", description=__doc__)
    parser.add_argument("--folder", type=Path, help="Seen by the pods, too; default: a temporary one.")  # fmt: skip
    parser.add_argument("--only", nargs="*", metavar="WORD", help="Faults whose name has one of these words.")  # fmt: skip
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args(arguments)
    if not os.environ.get("KUBECONFIG"):
        raise SystemExit("python -m benchmarks kubernetes: set KUBECONFIG")
    sys.path[:0] = [str(TESTS / "kubernetes"), str(TESTS / "integration")]
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        rows = _measured(Path(name), options.only, options.repeats)
    print(table(("", "first result", "longest standstill", "whole job"), rows))
    return 0


def _measured(folder: Path, only: Sequence[str] | None, repeats: int) -> list[tuple[str, ...]]:
    from faults import Gate
    from server import Server

    folder.chmod(0o777)
    gate = Gate()
    with (
        Server() as server,
        server.namespace(f"benchmark-{secrets.token_hex(3)}", folder) as namespace,
    ):
        bench = _Bench(namespace, folder)
        jobs = _jobs(bench, gate)
        rows = []
        for name, job in jobs.items():
            if only and name != QUIET and not any(word in name for word in only):
                continue
            say(name)
            rows.append(_row(name, [job() for _ in range(repeats)]))
    gate.close()
    return rows


QUIET = "nothing breaks"


def _jobs(bench: _Bench, gate: Any) -> dict[str, Callable[[], Took]]:
    import faults

    def broken(fault: Callable[[Any], Any]) -> Callable[[], Took]:
        return lambda: bench.job(fault)

    def shut(_: Any) -> None:
        gate.shut(OUTAGE_SECONDS)

    return {
        QUIET: lambda: bench.job(None),
        "worker process killed (SIGKILL)": broken(faults.kill_worker_process),
        "worker pod deleted": broken(faults.delete_worker_pod),
        "the group's Deployments deleted": broken(faults.delete_group_deployments),
        "the group scaled to 0": broken(faults.scale_group_to_zero),
        "operator's pod deleted": broken(faults.restart_operator),
        f"API server unreachable for {OUTAGE_SECONDS} s": lambda: bench.job(
            shut, KUBECONFIG=str(bench.write(gate.kubeconfig()))
        ),
        "scheduler's pod deleted": broken(faults.delete_scheduler_pod),
        "client killed, run again": bench.killed,
        "client killed in the cluster, its Job runs it again": bench.killed_inside,
    }


class _Bench:
    """Jobs in one namespace, and when their results came."""

    def __init__(self, namespace: Any, folder: Path) -> None:
        from jobs import Material, make_clip, make_track

        self.namespace, self._folder = namespace, folder
        footage = folder / "footage"
        footage.mkdir()
        for number, picture in enumerate(("testsrc2", "mandelbrot", "smptehdbars")):
            make_clip(footage / f"{number}.mp4", f"{picture}=size=640x360:rate=25", 10)
        self._material = Material(footage, folder / "track.wav", make_track(folder / "track.wav", 12))  # fmt: skip
        self._frames: str | None = None

    def write(self, value: Any) -> Path:
        """A file for a client, as JSON."""
        from server import write_json

        return write_json(self._folder / f"{secrets.token_hex(4)}.json", value)

    @contextmanager
    def _output(self) -> Iterator[Path]:
        """Where a job goes; then it must have left nothing but the frames of all others."""
        from server import eventually

        from montage_dask.render.verify import frames_hash

        folder = self._folder / secrets.token_hex(4)
        folder.mkdir()
        folder.chmod(0o777)
        yield folder / "out.mp4"
        frames = frames_hash(folder / "out.mp4")
        self._frames = self._frames or frames
        if frames != self._frames:
            raise SystemExit("the frames are not those of the quiet job")
        eventually(lambda: self.namespace.remains() == [], 60)

    def _start(self, out: Path, **variables: str) -> Any:
        return self.namespace.start(self._material, out, *JOB, **SMALL_STEPS, **variables)

    def job(self, fault: Callable[[Any], Any] | None, **variables: str) -> Took:
        """One job, in whose middle something breaks; run again if it ends by that."""
        with self._output() as out:
            began = time.time()
            run = self._start(out, **variables)
            self._wait(out, BEFORE)
            broke = time.time()
            if fault:
                fault(self.namespace)
            if run.done().code != 0:
                self._start(out, **variables).result()
            return self._took(out, began, broke)

    def killed(self) -> Took:
        """The client is killed with its cluster left behind, and run again at once."""
        with self._output() as out:
            began = time.time()
            run = self._start(out)
            self._wait(out, BEFORE)
            broke = time.time()
            run.process.kill()
            run.process.wait()
            self._start(out).result()
            return self._took(out, began, broke)

    def killed_inside(self) -> Took:
        """The same in a Job, which starts it again by itself."""
        from faults import main_process
        from inside import launched_inside

        with self._output() as out:
            began = time.time()
            with launched_inside(
                self.namespace, self._material, out, *JOB, environment=SMALL_STEPS
            ) as job:
                self._wait(out, BEFORE)
                broke = time.time()
                process = main_process(job.client())
                assert process is not None
                os.kill(process, signal.SIGKILL)
                job.succeed()
            return self._took(out, began, broke)

    def _wait(self, out: Path, results: int) -> None:
        from server import eventually

        eventually(lambda: len(_results(out)) >= results, 180, 0.1)

    def _took(self, out: Path, began: float, broke: float) -> Took:
        ended = time.time()
        results = _results(out)
        # The last results are followed by work of the client alone, which no fault delays.
        later = [broke, *(t for t in results if t > broke)]
        gaps = [b - a for a, b in pairwise(later)]
        return Took(results[0] - began, max(gaps, default=0.0), ended - began)


def _results(out: Path) -> list[float]:
    """When each operation was done: the times of their records."""
    records = (out.parent / ".montage" / "records").rglob("*.json")
    return sorted(r.stat().st_mtime for r in records)


def _row(name: str, took: Sequence[Took]) -> tuple[str, ...]:
    middle = statistics.median
    return (
        name,
        f"{middle(t.first_seconds for t in took):.1f} s",
        f"{middle(t.standstill_seconds for t in took):.1f} s",
        f"{middle(t.whole_seconds for t in took):.1f} s",
    )
