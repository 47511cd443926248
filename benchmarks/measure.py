"""What a program costs: wall time, CPU seconds of it and all its descendants, peak memory of each of its processes."""

from __future__ import annotations

import ctypes
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

SAMPLE_SECONDS = 0.1
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True)
class Usage:
    """One run of one program."""

    cpu_seconds: float
    """User and system time of the process and all its descendants."""
    wall_seconds: float
    peaks_mb: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Highest resident memory of each process (10^6 bytes), largest first, by kind: client (the process
    itself), worker (spawned by Dask), ffmpeg, other."""
    output: str = ""
    """What it wrote to stdout."""

    def peak_mb(self, kind: str) -> float:
        """The largest process of a kind; 0 when there was none."""
        return max(self.peaks_mb.get(kind, ()), default=0.0)


def measure(
    command: Sequence[str],
    *,
    ok: Sequence[int] = (0,),
    environment: Mapping[str, str] | None = None,
) -> Usage:
    """Run a command to its end.

    Args:
        command: program and arguments.
        ok: exit codes of success.
        environment: variables to set besides ours.

    Raises:
        SystemExit: it failed; with its last lines.
    """
    _adopt_orphans()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env={**os.environ, **(environment or {})},
        )
        peaks = _Peaks(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        cpu = usage.ru_utime + usage.ru_stime + _orphans_cpu_seconds()
        by_kind = peaks.stop()
        out.seek(0)
        err.seek(0)
        if process.returncode not in ok:
            tail = "".join(err.readlines()[-20:])
            raise SystemExit(f"exit code {process.returncode}: {' '.join(command)}\n{tail}")
        return Usage(cpu, wall, by_kind, out.read())


def interleaved(
    programs: Mapping[str, Callable[[], Usage]], repeats: int
) -> dict[str, list[Usage]]:
    """Run every program once per round, so that slow spells of the machine hit all alike."""
    runs: dict[str, list[Usage]] = {name: [] for name in programs}
    for number in range(repeats):
        for name, run in programs.items():
            say(f"round {number + 1} of {repeats}: {name}")
            runs[name].append(run())
    return runs


def cpu(runs: Sequence[Usage]) -> float:
    """Median CPU seconds."""
    return statistics.median(r.cpu_seconds for r in runs)


def wall(runs: Sequence[Usage]) -> float:
    """Median wall seconds."""
    return statistics.median(r.wall_seconds for r in runs)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table; all columns but the first to the right."""
    rule = [":---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, rule, *rows)) + "\n"


def say(message: str) -> None:
    """Tell people what goes on; the tables alone go to stdout."""
    sys.stderr.write(message + "\n")
    sys.stderr.flush()


def _adopt_orphans() -> None:
    """Descendants whose parent ends first become our children, so that their time is not lost. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _orphans_cpu_seconds() -> float:
    total = 0.0
    while True:
        try:
            _pid, _status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return total
        total += usage.ru_utime + usage.ru_stime


class _Peaks:
    """Highest resident memory of the descendants of a process, looked at now and then.

    Linux keeps the highest value itself, so that only what a process does in its last moments is missed.
    """

    def __init__(self, pid: int) -> None:
        self._root = pid
        self._peaks: dict[int, tuple[str, float]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> dict[str, tuple[float, ...]]:
        """Peaks in MB by kind of process."""
        self._ended.set()
        self._thread.join()
        kinds = {kind for kind, _ in self._peaks.values()}
        return {
            kind: tuple(sorted((mb for k, mb in self._peaks.values() if k == kind), reverse=True))
            for kind in kinds
        }

    def _watch(self) -> None:
        while not self._ended.is_set():
            with suppress(psutil.Error):
                root = psutil.Process(self._root)
                for process in (root, *root.children(recursive=True)):
                    with suppress(psutil.Error, OSError, IndexError):
                        self._look(process)
            self._ended.wait(SAMPLE_SECONDS)

    def _look(self, process: psutil.Process) -> None:
        now = max(_high_water(process.pid), process.memory_info().rss) / 1e6
        kind = self._kind(process)
        before = self._peaks.get(process.pid, (kind, 0.0))
        # Between fork and exec a child looks like its parent: that is not its own memory.
        self._peaks[process.pid] = (kind, max(now, before[1]) if before[0] == kind else now)

    def _kind(self, process: psutil.Process) -> str:
        if process.pid == self._root:
            return "client"
        command = process.cmdline()
        if "ffmpeg" in Path(command[0]).name:
            return "ffmpeg"
        return "worker" if any("spawn_main" in part for part in command) else "other"


def _high_water(pid: int) -> int:
    """Bytes of VmHWM; 0 where there is no such thing."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
