"""What goes wrong in the middle of a job, one function each; the moment and the victim are chosen by chance."""

from __future__ import annotations

import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import psutil

from benchmarks.fault_round import Job, Missed, begin, is_ffmpeg, is_worker, kill, marked

STALL_SECONDS = 3
ENDING_SECONDS = 15
STARTING_SECONDS = 60


@dataclass(frozen=True)
class Fault:
    """One kind of fault."""

    what: str
    """For people."""
    inject: Callable[[Job, float], None]
    """Disturbs a job that was just started; told how long one takes without any fault."""
    survives: bool = True
    """Whether the same run must make the film; else it may end, and the same command makes the film."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    own_cluster: bool = False
    """Whether the run has a process and a cluster of its own, since the fault ends them."""
    own_scheduler: bool = False
    """Whether the scheduler and the workers are started by hand."""
    own_disk: bool = False
    """Whether the job lies on a small file system of its own."""
    finished: bool = False
    """Whether the fault hits what a finished run left, and not a running one."""


def _moment(job: Job, usual_seconds: float) -> None:
    """Until some moment of the job: not before its workers are there, for then nothing could go wrong."""
    assert job.run is not None
    while job.running and not any(map(is_worker, marked(job.run.mark))):
        time.sleep(0.01)
    job.sleep(job.rng.uniform(0, 0.75) * usual_seconds)


def _signalled(kind: str, number: int) -> Callable[[Job, float], None]:
    def inject(job: Job, usual_seconds: float) -> None:
        _moment(job, usual_seconds)
        while True:
            with suppress(psutil.NoSuchProcess):  # it has just ended
                job.victim(kind).send_signal(number)
                return

    return inject


def _client(number: int, *, group: bool = False) -> Callable[[Job, float], None]:
    def inject(job: Job, usual_seconds: float) -> None:
        _moment(job, usual_seconds)
        assert job.run is not None
        with suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(job.run.pid, number)

    return inject


def _paused(job: Job, usual_seconds: float) -> None:
    """Ctrl-Z and fg: the client and its workers stop; their ffmpeg, in sessions of their own, go on."""
    _moment(job, usual_seconds)
    assert job.run is not None
    os.killpg(job.run.pid, signal.SIGSTOP)
    time.sleep(STALL_SECONDS + job.rng.uniform(0.5, 2))
    os.killpg(job.run.pid, signal.SIGCONT)


def _store_gone(job: Job, usual_seconds: float) -> None:
    _moment(job, usual_seconds)
    for _ in range(20):  # the job goes on to write into it
        with suppress(OSError):
            shutil.rmtree(job.store)
            return
    shutil.rmtree(job.store, ignore_errors=True)


def _read_only(job: Job, usual_seconds: float) -> None:
    """Nobody may write into the store any more, until the run has ended."""
    _moment(job, usual_seconds)
    while not (job.store / "files").is_dir():
        job.sleep(0.01)
    _allow(job.store, 0o555)
    job.wait()
    _allow(job.store, 0o755)


def _allow(folder: Path, mode: int) -> None:
    for parent, _, _ in os.walk(folder):
        with suppress(OSError):
            os.chmod(parent, mode)


def _disk_full(job: Job, usual_seconds: float) -> None:
    """The file system of the round is filled up, and emptied when the run has ended."""
    _moment(job, usual_seconds)
    ballast = job.folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
    job.wait()
    ballast.unlink()


def _scheduler(job: Job, usual_seconds: float) -> None:
    """SIGKILL to the scheduler; another one stands at its address some seconds later."""
    _moment(job, usual_seconds)
    hands = Hands.standing[0]
    hands.scheduler.kill()
    hands.scheduler.wait(ENDING_SECONDS)
    time.sleep(job.rng.uniform(0.5, 4))
    hands.start_scheduler()


def _damage(change: Callable[[Path, random.Random], None], pattern: str) -> Callable[[Job, float], None]:  # fmt: skip
    """One file of a finished store is damaged, and the film removed."""

    def inject(job: Job, _usual_seconds: float) -> None:
        files = sorted(p for p in job.store.glob(pattern) if p.is_file() and p.stat().st_size)
        if not files:
            raise Missed
        change(job.rng.choice(files), job.rng)
        job.output.unlink(missing_ok=True)

    return inject


def _empty(path: Path, _rng: random.Random) -> None:
    os.truncate(path, 0)


def _cut(path: Path, rng: random.Random) -> None:
    os.truncate(path, rng.randrange(path.stat().st_size))


def _flip(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(200):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


ARTEFACTS = "files/*/*/*.*"
STRIP = "files/*/*/*.zarr/**/*"

STALL = {"montage.stall-seconds": STALL_SECONDS}

FAULTS: Mapping[str, Fault] = {
    "ffmpeg-killed": Fault("SIGKILL to an ffmpeg", _signalled("ffmpeg", signal.SIGKILL)),
    "ffmpeg-stopped": Fault("SIGSTOP to an ffmpeg", _signalled("ffmpeg", signal.SIGSTOP), settings=STALL),
    "worker-killed": Fault("SIGKILL to a worker", _signalled("worker", signal.SIGKILL)),
    "worker-stopped": Fault("SIGSTOP to a worker", _signalled("worker", signal.SIGSTOP)),
    "scheduler-killed": Fault("SIGKILL to the scheduler, another comes", _scheduler, own_scheduler=True),
    "paused": Fault("Ctrl-Z and fg, longer than stall-seconds", _paused, settings=STALL),
    "client-killed": Fault("SIGKILL to the command", _client(signal.SIGKILL), survives=False, own_cluster=True),
    "all-killed": Fault("SIGKILL to the process group", _client(signal.SIGKILL, group=True), survives=False, own_cluster=True),
    "interrupted": Fault("SIGINT to the process group", _client(signal.SIGINT, group=True), survives=False, own_cluster=True),
    "terminated": Fault("SIGTERM to the command", _client(signal.SIGTERM), survives=False, own_cluster=True),
    "hung-up": Fault("SIGHUP to the process group", _client(signal.SIGHUP, group=True), survives=False, own_cluster=True),
    "store-removed": Fault("the store is removed", _store_gone, survives=False),
    "store-read-only": Fault("the store becomes read-only", _read_only, survives=False),
    "disk-full": Fault("the disk becomes full", _disk_full, survives=False, own_disk=True),
    "artefact-emptied": Fault("an artefact emptied", _damage(_empty, ARTEFACTS), finished=True),
    "artefact-cut": Fault("an artefact cut off", _damage(_cut, ARTEFACTS), finished=True),
    "artefact-flipped": Fault("200 bits of an artefact flipped", _damage(_flip, ARTEFACTS), finished=True),
    "strip-flipped": Fault("200 bits of a strip flipped", _damage(_flip, STRIP), finished=True),
}  # fmt: skip


class Hands:
    """A scheduler and two workers, started by hand; they stay from round to round.

    Args:
        scratch: folder for the workers.
        environment: variables beside ours.
    """

    standing: ClassVar[list[Hands]] = []

    def __init__(self, scratch: Path, environment: Mapping[str, str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.mark, self._environment = secrets.token_hex(8), environment
        self.address = f"tcp://127.0.0.1:{self._port}"
        self.start_scheduler()
        self._worker = self._begin(
            "montage_dask", "worker", "--scheduler", self.address, "--slots", "2", "--no-dashboard",
            "--local-directory", str(scratch),
        )  # fmt: skip
        Hands.standing = [self]
        self.whole()

    def whole(self) -> None:
        """Wait until its workers are there."""
        from distributed import Client

        with Client(self.address, timeout=ENDING_SECONDS, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=STARTING_SECONDS)

    def start_scheduler(self) -> None:
        """At the address of before, where there is one."""
        self.scheduler = self._begin(
            "dask", "scheduler", "--host", "127.0.0.1", "--port", str(self._port), "--no-dashboard"
        )

    def _begin(self, *arguments: str) -> subprocess.Popen[str]:
        return begin(["-m", *arguments], self.mark, self._environment, stderr=subprocess.DEVNULL)

    def busy(self) -> list[psutil.Process]:
        """What a job has started, and its end should have ended."""
        return [p for p in marked(self.mark) if is_ffmpeg(p)]

    def close(self) -> None:
        """End them, in good order."""
        Hands.standing = []
        for process in (self._worker, self.scheduler):
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(ENDING_SECONDS)
        kill(marked(self.mark))
