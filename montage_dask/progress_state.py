"""How far a piece of work is: what it told so far, as numbers that any thread may look at."""

from __future__ import annotations

import threading
from typing import Any, Protocol

from montage_dask.errors import printable
from montage_dask.stages import StageCount

KEPT_NOTES = 20


class Told(Protocol):
    """A progress that is told as well (see `graph.telling.Progress`)."""

    def stage(self, name: str, total: int, unit: str = "") -> None: ...
    def step(self, name: str, label: str, media_seconds: float = 0.0) -> None: ...
    def note(self, message: str) -> None: ...


class Tracker:
    """A progress that remembers what it was told, and passes it on.

    Args:
        inner: told as well.
    """

    def __init__(self, inner: Told) -> None:
        self._inner = inner
        self._stages: dict[str, StageCount] = {}
        self._stage, self._label = "", ""
        self._notes: list[str] = []
        self._noted = 0
        self._lock = threading.Lock()
        self._changed = True

    def stage(self, name: str, total: int, unit: str = "") -> None:
        """A stage begins."""
        with self._lock:
            self._stages[name] = StageCount(total, unit)
            self._stage, self._label, self._changed = name, "", True
        self._inner.stage(name, total, unit)

    def step(self, name: str, label: str, media_seconds: float = 0.0) -> None:
        """One step of a stage is done."""
        with self._lock:
            self._stages.setdefault(name, StageCount(0, "")).step(media_seconds)
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
