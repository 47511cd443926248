"""What the line to a Colab runtime costs: calls of the CLI and megabytes a second, through a loopback Colab.

The tests' stand-in for cgpu is used, or the cgpu that CGPU_BIN names. Nothing leaves the machine.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import table

TESTS = Path(__file__).parents[1] / "tests" / "cgpu"


def main(arguments: Sequence[str]) -> int:
    """Measure, and print a markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks cgpu", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    sys.path.insert(0, str(TESTS))
    with tempfile.TemporaryDirectory() as name:
        rows = _measured(Path(name), options.megabytes, options.rounds)
    print(table(("", "calls", "seconds", "MB/s"), rows))
    return 0


def _measured(folder: Path, megabytes: int, rounds: int) -> list[tuple[str, ...]]:
    from colab import loopback_colab

    from montage_dask.cgpu.client import CgpuCli
    from montage_dask.cgpu.runtime import Runtime

    binary = _binary(folder)
    (folder / "large").write_bytes(os.urandom(megabytes * 1_000_000))
    (folder / "small").write_bytes(os.urandom(100_000))
    with loopback_colab(folder / "colab") as colab:
        environment = {**os.environ, **colab.environment(folder / "config"), "NO_COLOR": "1"}
        runner = CgpuCli(
            binary, folder / "config", scratch=str(colab.root()), environment=environment
        )
        runtime = Runtime(
            runner, f"{colab.root()}/montage-dask", python=sys.executable, install="off"
        )

        def exchange() -> None:
            done = runtime.exchange(
                folder / "small", "cat input input > out", ["out"], 60, into=folder / "made",
                job_id=str(time.monotonic_ns()),
            )  # fmt: skip
            assert done.files["out"].stat().st_size == 200_000

        flows: dict[str, tuple[Callable[[], Any], float, int]] = {
            "a cold runtime made ready": (runtime.ensure, 0, 1),
            "a command": (lambda: runtime.run("true", 60), 0, rounds),
            "a bundle of 100 kB there, 200 kB back": (exchange, 0.3, rounds),
            f"{megabytes} MB there": (
                lambda: runtime.put(folder / "large", f"large{time.monotonic_ns()}"), megabytes, rounds,
            ),
            f"{megabytes} MB back": (
                lambda: runtime.get("back", folder / f"back{time.monotonic_ns()}"), megabytes, rounds,
            ),
        }  # fmt: skip
        rows = []
        for what, (flow, size, times) in flows.items():
            if what.endswith("back") and size == megabytes:
                runtime.put(folder / "large", "back")
            rows.append((what, *_timed(flow, runner, size, times)))
        return rows


def _timed(flow: Callable[[], Any], runner: Any, megabytes: float, times: int) -> tuple[str, ...]:
    seconds, calls = [], []
    for _ in range(times):
        before, began = runner.processes_started, time.monotonic()
        flow()
        seconds.append(time.monotonic() - began)
        calls.append(runner.processes_started - before)
    middle = sorted(seconds)[len(seconds) // 2]
    rate = f"{megabytes / middle:.1f}" if megabytes >= 1 else ""
    return f"{max(calls)}", f"{middle:.2f}", rate


def _binary(folder: Path) -> Path:
    if named := os.environ.get("CGPU_BIN"):
        return Path(named)
    binary = folder / "cgpu"
    stand_in = shlex.quote(str(TESTS / "cgpu_stand_in.py"))
    binary.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -IS {stand_in} "$@"\n')
    binary.chmod(0o755)
    return binary
