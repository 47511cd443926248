"""How far a stage of a job is: steps, seconds of media, speed, time left. The progress file and the dashboard tell the same."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class StageCount:
    """Steps of one stage, and how fast they are."""

    total: int
    unit: str
    started: float = field(default_factory=time.monotonic)
    done: int = 0
    media_seconds: float = 0.0
    seconds: float = 0.0
    """From its begin to its last step."""

    def step(self, media_seconds: float = 0.0) -> None:
        """One more is done."""
        self.done += 1
        self.total = max(self.total, self.done)
        self.media_seconds += media_seconds
        self.seconds = time.monotonic() - self.started

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
