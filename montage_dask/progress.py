"""How a job tells people how far it is: rich bars on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self

PLAIN_SECONDS = 5.0
"""A plain line at most this often per stage."""


class Bars:
    """Progress on a terminal: one bar per stage, with speed in × real time and time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._console = Console(stderr=True)
        self._bars = RichProgress(
            TextColumn("[bold]{task.description:>9}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[label]}", markup=True),
            console=self._console,
        )
        self._tasks: dict[str, Any] = {}
        self._media: dict[str, float] = {}
        self._started: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def stage(self, name: str, total: int, unit: str = "") -> None:
        """A stage begins."""
        self._started[name], self._media[name] = time.monotonic(), 0.0
        if name in self._tasks:
            self._bars.reset(self._tasks[name], total=total)
        else:
            self._tasks[name] = self._bars.add_task(
                name, total=total, unit=unit, speed="", label=""
            )

    def step(self, name: str, label: str, media_seconds: float = 0.0) -> None:
        """One step of a stage is done."""
        from rich.markup import escape

        from montage_dask.errors import printable

        self._media[name] += media_seconds
        self._bars.update(
            self._tasks[name],
            advance=1,
            label=escape(printable(label)[:40]),
            speed=speed(self._media[name], time.monotonic() - self._started[name]),
        )

    def note(self, message: str) -> None:
        """Something that people should know."""
        from rich.markup import escape

        from montage_dask.errors import printable

        self._console.print(escape(printable(message)), style="yellow")


class Lines:
    """Progress without a terminal: a plain line when a stage begins and ends, and now and then between."""

    def __init__(self, every_seconds: float = PLAIN_SECONDS) -> None:
        self._every_seconds = every_seconds
        self._stages: dict[str, list[float]] = {}  # total, done, media seconds, started, last line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def stage(self, name: str, total: int, unit: str = "") -> None:
        """A stage begins."""
        now = time.monotonic()
        self._stages[name] = [total, 0, 0.0, now, now]
        if total > 1:
            self._say(f"{name}: {total} {unit}".rstrip())

    def step(self, name: str, label: str, media_seconds: float = 0.0) -> None:
        """One step of a stage is done."""
        from montage_dask.errors import printable

        state = self._stages[name]
        state[1] += 1
        state[2] += media_seconds
        now = time.monotonic()
        done = state[1] >= state[0]
        if not done and now - state[4] < self._every_seconds:
            return
        state[4] = now
        took = now - state[3]
        left = "" if done or not took else f", {took / state[1] * (state[0] - state[1]):.0f} s left"
        fast = speed(state[2], took)
        parts = [
            f"{name}: {state[1]:.0f}/{state[0]:.0f} in {took:.1f} s{left}",
            fast,
            printable(label)[:60],
        ]
        self._say("  ".join(p for p in parts if p))

    def note(self, message: str) -> None:
        """Something that people should know."""
        from montage_dask.errors import printable

        self._say(printable(message))

    def _say(self, message: str) -> None:
        print(message, file=sys.stderr, flush=True)


def speed(media_seconds: float, wall_seconds: float) -> str:
    """Speed as a multiple of real time, or nothing when no media went through."""
    return f"{media_seconds / wall_seconds:.1f}×" if media_seconds and wall_seconds > 0.05 else ""
