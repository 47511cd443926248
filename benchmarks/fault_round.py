"""One job that is disturbed: started as a user does, its processes found by a mark, its words timed, what it leaves counted."""

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
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

MARK = "MONTAGE_FAULT_ROUND"
"""All processes of a round have it in their environment, whoever started them."""

LOOK_SECONDS = 0.004
PATIENCE_SECONDS = 240
GONE_SECONDS = 10.0
"""So soon all processes of a job are gone when it has ended."""

JOB = (
    "--size",
    "192x108",
    "--fps",
    "25",
    "--quality",
    "preview",
    "--seed",
    "3",
    "--duration",
    "12",
)


class Missed(Exception):
    """The moment came too late: the job had ended, or had nothing of the kind."""


class Job:
    """A run of the command in a folder of its own.

    Args:
        material: with `footage/` and `track.wav`.
        folder: gets the output and all that the run makes.
        rng: decides moments and victims.
        arguments: more of the command.
        environment: variables beside ours.
    """

    def __init__(
        self,
        material: Path,
        folder: Path,
        rng: random.Random,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder, self.rng = folder, rng
        self.output = folder / "out.mp4"
        self.store = folder / ".montage"
        self.mark = secrets.token_hex(8)
        self.words: list[str] = []
        self.longest_silence_seconds = 0.0
        self._material, self._arguments = material, list(arguments)
        self._environment = {
            **os.environ,
            MARK: self.mark,
            "DASK_MONTAGE__PERFORMANCE_REPORT": "false",
            "DASK_MONTAGE__WINDOW_FRAMES": "50",
            "DASK_MONTAGE__SEGMENT_FRAMES": "25",
            **(environment or {}),
        }
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Of all processes of the round."""
        return dict(self._environment)

    def start(self, *arguments: str, drop_rights: bool = False) -> None:
        """Start the run, or start it again."""
        command = [
            sys.executable, "-m", "montage_dask", "run", str(self._material / "footage"), "--music",
            str(self._material / "track.wav"), "-o", str(self.output), "--n-workers", "2", *JOB,
            *(self._arguments or ()), *arguments,
        ]  # fmt: skip
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=self._environment,
            start_new_session=True,
            preexec_fn=_bound_by_permissions if drop_rights and os.getuid() == 0 else None,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        heard = time.monotonic()
        for line in process.stderr:
            now = time.monotonic()
            self.longest_silence_seconds = max(self.longest_silence_seconds, now - heard)
            heard = now
            self.words.append(line.rstrip())
        self.longest_silence_seconds = max(self.longest_silence_seconds, time.monotonic() - heard)

    @property
    def pid(self) -> int:
        """Of the command."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the command goes on."""
        return self._process is not None and self._process.poll() is None

    def wait(self) -> int:
        """Wait for the end of the command; its exit code."""
        assert self._process is not None
        assert self._reader is not None
        try:
            code = self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.clear()
            self._process.wait()
            raise SystemExit("a run hung:\n" + "\n".join(self.words[-20:])) from None
        self._reader.join(GONE_SECONDS)
        return code

    def sleep(self, seconds: float) -> None:
        """Let the job run for a while.

        Raises:
            Missed: it ended before.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not self.running:
                raise Missed
            time.sleep(0.01)

    def processes(self) -> list[psutil.Process]:
        """All that live of this round, wherever they hang in the tree."""
        found = []
        wanted = f"{MARK}={self.mark}".encode()
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                try:
                    if wanted in Path(entry.path, "environ").read_bytes().split(b"\0"):
                        found.append(psutil.Process(int(entry.name)))
                except (OSError, psutil.Error):
                    continue
        return found

    def workers(self) -> list[psutil.Process]:
        """The processes that nannies started."""
        return [p for p in self.processes() if "spawn_main" in " ".join(_command(p))]

    def victim(self, kind: str) -> psutil.Process:
        """A worker or an ffmpeg, by chance; waits until there is one.

        Raises:
            Missed: the job ended before.
        """
        while True:
            if kind == "worker":
                found = self.workers()
            else:
                found = [
                    p
                    for w in self.workers()
                    for p in _children(w)
                    if "ffmpeg" in Path(_command(p)[:1][0] if _command(p) else "").name
                ]
            if found:
                return self.rng.choice(found)
            if not self.running:
                raise Missed
            time.sleep(LOOK_SECONDS)

    def orphans(self) -> list[str]:
        """What still lives a while after the end."""
        end = time.monotonic() + GONE_SECONDS
        while (left := self.processes()) and time.monotonic() < end:
            time.sleep(0.1)
        return [" ".join(_command(p))[:100] for p in left]

    def leftovers(self) -> list[str]:
        """Files that only killed writers leave."""
        return sorted(
            str(p.relative_to(self.folder))
            for p in self.folder.rglob("*")
            if p.name.startswith(".encode-")
            or ".part" in p.name
            or p.name.startswith(".montage-write-test")
            or p.name.endswith(".partial")
        )

    def clear(self) -> None:
        """End all processes of this round."""
        for process in self.processes():
            try:
                process.send_signal(signal.SIGKILL)
            except (psutil.Error, OSError):
                continue

    def remove(self) -> None:
        """Remove the folder of the round."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _bound_by_permissions() -> None:  # runs between fork and exec
    import ctypes

    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
