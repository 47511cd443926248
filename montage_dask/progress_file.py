"""How far a job is, as a small file in its run folder, so that another terminal can follow it.

The job only notes numbers; a thread of its own writes them, at most once a second and, as a sign of life, every few
seconds when nothing happens. A job is never slowed down or sunk by this file.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from montage_dask.errors import Cancelled, MontageError, StoreError, UsageError, printable
from montage_dask.progress_state import Told, Tracker
from montage_dask.received import read_bytes
from montage_dask.store import Place, write_json

log = logging.getLogger(__name__)

NAME = "progress.json"
EVERY_SECONDS = 1.0
"""Written at most this often."""
ALIVE_SECONDS = 10.0
"""And at least this often while the job lives."""
PROGRESS_BYTES = 64 << 20
"""The largest file that is read."""
STALE_SECONDS = 60.0
"""A file of another machine that is older means that its job is gone: clocks and shared folders are some seconds off."""

State = Literal["running", "finished", "failed", "interrupted", "stopped"]


class ProgressFile(Tracker):
    """Passes a progress on and keeps `progress.json` in the run folder up to date. Use it as a context manager.

    Args:
        run_dir: of the job.
        inner: the progress that is passed on.
        output: what the job makes, for those who look.
        every_seconds: the file is written at most this often.
    """

    def __init__(
        self, run_dir: Path, inner: Told, output: Place, every_seconds: float = EVERY_SECONDS
    ) -> None:
        super().__init__(inner)
        self._path, self._output = run_dir / NAME, output
        self._every_seconds = every_seconds
        self._ended = threading.Event()
        self._started_at, self._place = time.time(), _place()
        self._thread = threading.Thread(target=self._keep, name="montage-progress", daemon=True)

    def __enter__(self) -> Self:
        self._write("running")
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        if error is None:
            self._write("finished")
        elif isinstance(error, KeyboardInterrupt | Cancelled):
            self._write("interrupted", "what is done is kept; run the same command to go on")
        else:
            text = str(error) if isinstance(error, MontageError) else repr(error)
            self._write("failed", printable(text))

    def _keep(self) -> None:
        written = time.monotonic()
        while not self._ended.wait(self._every_seconds):
            if self._changed or time.monotonic() - written >= ALIVE_SECONDS:
                self._write("running")
                written = time.monotonic()

    def _write(self, state: State, error: str | None = None) -> None:
        content = {
            "state": state,
            "error": error,
            **self.now(),
            "output": str(self._output),
            "pid": os.getpid(),
            "process_started": _started(os.getpid()),
            "host": self._place[0],
            "processes": self._place[1],
            "started_at": round(self._started_at, 3),
            "updated_at": round(time.time(), 3),
        }
        try:
            write_json(self._path, content)
        except (StoreError, OSError) as problem:
            log.debug("no %s: %s", self._path, problem)


def read_progress(run_dir: Path) -> dict[str, Any] | None:
    """What `progress.json` says, with the state that is true now: "stopped" when it says "running" but the job is gone.

    Returns:
        None when no job has begun in this folder.

    Raises:
        UsageError: the file is not one of ours.
    """
    path = run_dir / NAME
    try:
        found = json.loads(read_bytes(path, PROGRESS_BYTES).decode("ascii"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{printable(str(path))}: cannot be read: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("updated_at"), int | float):
        raise UsageError(f"{printable(str(path))}: is not the progress of a job")
    if found.get("state") == "running" and not _alive(found):
        found["state"] = "stopped"
    return found


def _alive(found: Mapping[str, Any]) -> bool:
    """Whether the job that wrote this still runs; beside it its process is asked, elsewhere the time of its last sign."""
    pid = found.get("pid")
    if [found.get("host"), found.get("processes")] != _place() or not isinstance(pid, int):
        return bool(time.time() - found["updated_at"] < STALE_SECONDS)
    if found.get("process_started") is not None:
        return _started(pid) == found["process_started"]  # a process id may be given again
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _place() -> list[str | None]:
    """The machine, and which processes can be seen: containers share names and folders, but not processes."""
    try:
        return [socket.gethostname(), os.readlink("/proc/self/ns/pid")]
    except OSError:
        return [socket.gethostname(), None]


def _started(pid: int) -> int | None:
    """When a process began, in ticks since the machine did; None where the system does not say."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        state, *fields = line.rpartition(")")[2].split()
        return None if state == "Z" else int(fields[18])
    except (OSError, ValueError, IndexError):
        return None
