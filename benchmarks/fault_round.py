"""One job that is disturbed: its processes, its words and when they came, what it leaves."""

from __future__ import annotations

import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import psutil

MARK = "MONTAGE_FAULT_ROUND"
"""All processes of a round or of a session have it in their environment, whoever started them."""

LOOK_SECONDS = 0.002
PATIENCE_SECONDS = 180
GONE_SECONDS = 10.0
"""So soon all processes of a job are gone when it has ended."""

JOB = (
    "--size", "160x90", "--fps", "25", "--quality", "preview", "--seed", "3", "--duration", "4",
    "--allow", "all", "--tracker", "flux",
)  # fmt: skip
"""Small, with every stage; the network of the tracker would cost more than all else."""

ENVIRONMENT = {
    "DASK_MONTAGE__PERFORMANCE_REPORT": "false",
    "DASK_MONTAGE__WINDOW_FRAMES": "30",
    "DASK_MONTAGE__SEGMENT_FRAMES": "12",
}


class Missed(Exception):
    """The moment came too late: the job had ended, or had nothing of the kind."""


class Hung(Exception):
    """A run that has no end."""


class Runs(Protocol):
    """A run of the command."""

    mark: str
    pid: int

    @property
    def running(self) -> bool:
        """Whether it goes on."""

    def wait(self, seconds: float) -> int:
        """Its exit code.

        Raises:
            TimeoutError: there is none so soon.
        """


class Command:
    """A run in a process of its own, with a cluster of its own; the process leads a group, as behind a terminal.

    Args:
        arguments: of the command.
        environment: variables beside ours.
        hear: gets each line that it says.
    """

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], hear: Callable[[str], None]
    ) -> None:
        self.mark = secrets.token_hex(8)
        self._process = begin(["-m", "montage_dask", *arguments], self.mark, environment)
        self.pid = self._process.pid
        self._reader = threading.Thread(target=listen, args=(self._process, hear), daemon=True)
        self._reader.start()

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self._process.poll() is None

    def wait(self, seconds: float) -> int:
        """See `Runs`."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError from error
        self._reader.join(GONE_SECONDS)
        return code


def begin(
    arguments: Sequence[str], mark: str, environment: Mapping[str, str], **how: Any
) -> subprocess.Popen[str]:
    """Start a Python whose words we hear. Even root obeys the permissions of files in there."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        **{"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, **how},
        text=True,
        errors="replace",
        env={**os.environ, **ENVIRONMENT, **environment, MARK: mark},
        start_new_session=True,
        preexec_fn=_bound_by_permissions if os.getuid() == 0 else None,
    )  # fmt: skip


def listen(process: subprocess.Popen[str], hear: Callable[[str], None]) -> None:
    """Hand on the lines of a process until there are no more."""
    assert process.stderr is not None
    for line in process.stderr:
        hear(line.rstrip())


class Job:
    """The material as a montage, in a folder of its own.

    Args:
        material: with `footage/` and `track.wav`.
        folder: gets the output and all that the runs make.
        rng: decides moments and victims.
    """

    def __init__(self, material: Path, folder: Path, rng: random.Random) -> None:
        self.folder, self.rng = folder, rng
        self.output = folder / "out.mp4"
        self.store = folder / ".montage"
        self.words: list[str] = []
        self.longest_silence_seconds = 0.0
        self.arguments = [
            "run", str(material / "footage"), "--music", str(material / "track.wav"),
            "-o", str(self.output), "--n-workers", "2", *JOB,
        ]  # fmt: skip
        self.run: Runs | None = None
        self._heard = 0.0

    def hear(self, line: str) -> None:
        """A line that a run says."""
        self._still()
        self.words.append(line)

    def _still(self) -> None:
        now = time.monotonic()
        self.longest_silence_seconds = max(self.longest_silence_seconds, now - self._heard)
        self._heard = now

    def start(self, start: Callable[[Sequence[str], Callable[[str], None]], Runs], *more: str) -> None:  # fmt: skip
        """Start a run, or the next one; nothing else speaks meanwhile.

        Args:
            start: gets the arguments of the command, and who hears what it says.
            more: arguments.
        """
        self._heard = time.monotonic()
        self.run = start([*self.arguments, *more], self.hear)

    @property
    def running(self) -> bool:
        """Whether the run goes on."""
        return self.run is not None and self.run.running

    def wait(self) -> int:
        """Wait for the end of the run; its exit code.

        Raises:
            Hung: it has no end; all its processes were killed.
        """
        assert self.run is not None
        try:
            code = self.run.wait(PATIENCE_SECONDS)
        except TimeoutError:
            kill(marked(self.run.mark))
            raise Hung("a run hung: " + " | ".join(self.words[-3:])) from None
        self._still()
        return code

    def sleep(self, seconds: float) -> None:
        """Let the run go on for a while.

        Raises:
            Missed: it ended before.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not self.running:
                raise Missed
            time.sleep(min(0.01, seconds))

    def victim(self, kind: str) -> psutil.Process:
        """A worker or an ffmpeg, by chance; waits until there is one.

        Raises:
            Missed: the run ended before.
        """
        assert self.run is not None
        started = Started()
        looked, workers = 0.0, list[psutil.Process]()
        while self.running:
            if time.monotonic() - looked > 1:  # one that was killed has a follower
                looked = time.monotonic()
                workers = [p for p in marked(self.run.mark) if is_worker(p)]
            found = workers if kind == "worker" else started.ffmpegs({w.pid for w in workers})
            if found:
                return self.rng.choice(found)
            time.sleep(LOOK_SECONDS)
        raise Missed

    def leftovers(self) -> list[str]:
        """Files that only killed writers leave."""
        return sorted(
            str(p.relative_to(self.folder))
            for p in self.folder.rglob("*")
            if p.name.startswith((".encode-", ".montage-write-test"))
            or ".part" in p.name
            or p.name.endswith((".partial", ".work"))
        )

    def remove(self) -> None:
        """Remove the folder of the round."""
        shutil.rmtree(self.folder, ignore_errors=True)


def marked(mark: str) -> list[psutil.Process]:
    """All processes that live and have a mark, wherever they hang in the tree."""
    found = []
    wanted = f"{MARK}={mark}".encode()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                if wanted in Path(entry.path, "environ").read_bytes().split(b"\0"):
                    found.append(psutil.Process(int(entry.name)))
            except (OSError, psutil.Error):
                continue
    return found


def gone(found: Callable[[], Sequence[psutil.Process | str]]) -> list[str]:
    """What is still found a while after the end of a run: files, or processes by their commands."""
    end = time.monotonic() + GONE_SECONDS
    while (left := found()) and time.monotonic() < end:
        time.sleep(0.05)
    return [p if isinstance(p, str) else " ".join(command_of(p))[:100] for p in left]


def kill(processes: Iterable[psutil.Process]) -> None:
    """End processes at once."""
    for process in processes:
        try:
            process.send_signal(signal.SIGKILL)
        except (psutil.Error, OSError):
            continue


def command_of(process: psutil.Process) -> list[str]:
    """Its arguments; none when it is gone."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def is_worker(process: psutil.Process) -> bool:
    """Whether a nanny started it."""
    return "spawn_main" in " ".join(command_of(process))


def is_ffmpeg(process: psutil.Process) -> bool:
    """Whether it is one."""
    return "ffmpeg" in Path((command_of(process) or [""])[0]).name


class Started:
    """Finds what some processes have started. Each other process is looked at once: a small ffmpeg is soon gone."""

    def __init__(self) -> None:
        self._others: set[str] = set()

    def ffmpegs(self, parents: set[int]) -> list[psutil.Process]:
        """Those that live."""
        found = []
        for name in os.listdir("/proc"):
            if not name.isdigit() or name in self._others:
                continue
            try:
                stat = Path("/proc", name, "stat").read_text(errors="replace")
                if int(stat.rpartition(")")[2].split()[1]) not in parents:
                    self._others.add(name)
                elif is_ffmpeg(process := psutil.Process(int(name))):
                    found.append(process)
            except (OSError, psutil.Error):
                continue
        return found


def _bound_by_permissions() -> None:  # runs between fork and exec
    import ctypes

    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
