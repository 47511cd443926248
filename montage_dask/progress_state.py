"""How far a piece of work is: what it told so far, as numbers that any thread may look at."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from montage_dask.errors import printable

KEPT_NOTES = 20


class Told(Protocol):
    """A progress that is told as well (see `graph.telling.Progress`)."""

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


class Tracker:
    """A progress that remembers what it was told, and passes it on.

    Args:
        inner: told as well.
    """

    def __init__(self, inner: Told) -> None:
        self._inner = inner
        self._stages: dict[str, _Stage] = {}
        self._stage, self._label = "", ""
        self._notes: list[str] = []
        self._noted = 0
        self._lock = threading.Lock()
        self._changed = True

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

    def now(self) -> dict[str, Any]:
        """How it stands, ready for JSON: the current stage with its numbers, all `stages`, the last `notes`, and how many
        there were."""
        with self._lock:
            self._changed = False
            stages = {name: stage.told(name) for name, stage in self._stages.items()}
            name = self._current()
            current = stages.get(name, {})
            return {
                "stage": name,
                "label": printable(self._label) if name == self._stage else "",
                **{k: current.get(k) for k in ("done", "total", "unit", "speed", "eta_seconds")},
                "stages": list(stages.values()),
                "notes": list(self._notes),
                "noted": self._noted,
            }
