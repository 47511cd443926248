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
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self

from montage_dask.errors import MontageError, StoreError, UsageError, printable
from montage_dask.store import Place, write_json

log = logging.getLogger(__name__)

NAME = "progress.json"
EVERY_SECONDS = 1.0
"""Written at most this often."""
ALIVE_SECONDS = 10.0
"""And at least this often while the job lives."""
STALE_SECONDS = 60.0
"""A file of another machine that is older means that its job is gone: clocks and shared folders are some seconds off."""
KEPT_NOTES = 20

State = Literal["running", "finished", "failed", "interrupted", "stopped"]


class Told(Protocol):
    """A progress that is told as well (see `graph.drive.Progress`)."""

    def stage(self, name: str, total: int, unit: str = "") -> None: ...
    def step(self, name: str, label: str, media_seconds: float = 0.0) -> None: ...
    def note(self, message: str) -> None: ...


@dataclass(slots=True)
class _Stage:
    total: int
    unit: str
    started: float = field(default_factory=time.monotonic)
    done: int = 0
    media_seconds: float = 0.0
    seconds: float = 0.0
    """From its begin to its last step."""

    def told(self, name: str) -> dict[str, Any]:
        """The stage as JSON; speed is × real time, and left out where nothing is to be told."""
        going = self.done < self.total
        took = time.monotonic() - self.started if going else self.seconds
        fast = self.media_seconds / took if self.media_seconds and took > 0.05 else None
        # From the time of the steps that are done: it does not fall while a long one runs.
        left = self.seconds / self.done * (self.total - self.done) if self.done and going else None
        return {
            "name": name,
            "unit": self.unit,
            "done": self.done,
            "total": self.total,
            "seconds": round(took, 1),
            "media_seconds": round(self.media_seconds, 3),
            "speed": None if fast is None else round(fast, 2),
            "eta_seconds": None if left is None else round(left, 1),
        }


class ProgressFile:
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
        self._path, self._inner, self._output = run_dir / NAME, inner, output
        self._every_seconds = every_seconds
        self._stages: dict[str, _Stage] = {}
        self._stage, self._label = "", ""
        self._notes: list[str] = []
        self._noted = 0
        self._lock = threading.Lock()
        self._changed, self._ended = True, threading.Event()
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
        elif isinstance(error, KeyboardInterrupt):
            self._write("interrupted", "what is done is kept; run the same command to go on")
        else:
            text = str(error) if isinstance(error, MontageError) else repr(error)
            self._write("failed", printable(text))

    def stage(self, name: str, total: int, unit: str = "") -> None:
        """A stage begins."""
        with self._lock:
            self._stages[name] = _Stage(total, unit)
            self._stage, self._label, self._changed = name, "", True
        self._inner.stage(name, total, unit)

    def step(self, name: str, label: str, media_seconds: float = 0.0) -> None:
        """One step of a stage is done."""
        with self._lock:
            stage = self._stages.setdefault(name, _Stage(0, ""))
            stage.done += 1
            stage.total = max(stage.total, stage.done)
            stage.media_seconds += media_seconds
            stage.seconds = time.monotonic() - stage.started
            self._stage, self._label, self._changed = name, label, True
        self._inner.step(name, label, media_seconds)

    def note(self, message: str) -> None:
        """Something that people should know."""
        with self._lock:
            self._notes = [*self._notes, printable(message)][-KEPT_NOTES:]
            self._noted += 1
            self._changed = True
        self._inner.note(message)

    def _current(self) -> str:
        """The stage that was last heard of, or one that still goes on when that one is done: some run side by side."""
        going = [name for name, stage in self._stages.items() if stage.done < stage.total]
        return self._stage if self._stage in going or not going else going[-1]

    def _keep(self) -> None:
        written = time.monotonic()
        while not self._ended.wait(self._every_seconds):
            if self._changed or time.monotonic() - written >= ALIVE_SECONDS:
                self._write("running")
                written = time.monotonic()

    def _write(self, state: State, error: str | None = None) -> None:
        with self._lock:
            self._changed = False
            stages = {name: stage.told(name) for name, stage in self._stages.items()}
            name = self._current()
            now = stages.get(name, {})
            content = {
                "state": state,
                "error": error,
                "stage": name,
                "label": printable(self._label) if name == self._stage else "",
                **{k: now.get(k) for k in ("done", "total", "unit", "speed", "eta_seconds")},
                "stages": list(stages.values()),
                "notes": list(self._notes),
                "noted": self._noted,
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
        found = json.loads(path.read_text(encoding="ascii"))
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
