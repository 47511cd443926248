"""What a job tells of itself while it runs, to people and for its summary."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class Progress(Protocol):
    """Where a job tells how far it is."""

    def stage(self, name: str, total: int, unit: str = "") -> None:
        """A stage begins; `total` steps are known so far."""

    def step(self, name: str, label: str, media_seconds: float = 0.0) -> None:
        """One step of a stage is done; `media_seconds` of video or music went through."""

    def note(self, message: str) -> None:
        """Something that people should know."""


class Silent:
    """A progress that tells nobody."""

    def stage(self, name: str, total: int, unit: str = "") -> None: ...
    def step(self, name: str, label: str, media_seconds: float = 0.0) -> None: ...
    def note(self, message: str) -> None: ...


@dataclass(slots=True)
class Tally:
    """What ran, for the summary: counts and seconds by operation and target."""

    counts: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    seconds: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    cpu_seconds: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    reused: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    began: float = field(default_factory=time.monotonic)
    _troubles: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))

    def add(self, name: str, target: str, record: Mapping[str, Any]) -> None:
        """One operation ran and gave a record."""
        self.counts[name, target] += 1
        self.seconds[name, target] += record.get("seconds", 0.0)
        self.cpu_seconds[name, target] += record.get("cpu_seconds", 0.0)
        for reason in record.get("troubles", ()):
            self._troubles[name, reason] += 1

    def troubles(self) -> list[dict[str, Any]]:
        """What went wrong on the way to a result, most frequent first."""
        return [
            {"operation": name, "reason": reason, "count": count}
            for (name, reason), count in sorted(self._troubles.items(), key=lambda t: (-t[1], t[0]))
        ]

    def rows(self) -> list[dict[str, Any]]:
        """The `operations` of the JSON contract; work that was reused counts under its own key."""
        names = sorted({*self.counts, *((n, "cpu") for n in self.reused)})
        return [
            {
                "name": name,
                "target": target,
                "count": self.counts.get((name, target), 0),
                "seconds": round(self.seconds.get((name, target), 0.0), 3),
                "cpu_seconds": round(self.cpu_seconds.get((name, target), 0.0), 3),
                "reused": self.reused.get(name, 0),
            }
            for name, target in names
        ]
