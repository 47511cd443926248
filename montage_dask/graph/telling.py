"""What a job tells of itself while it runs, to people and for its summary."""

from __future__ import annotations

import secrets
import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from montage_dask.dashboard.drawn import drawn, grouped
from montage_dask.dashboard.public import Public
from montage_dask.dashboard.state import LIMITS, NAME, PICTURES, Board, short
from montage_dask.graph.fallback import Fallback
from montage_dask.graph.operation import Request
from montage_dask.graph.placement import Placement
from montage_dask.graph.remote import LineState
from montage_dask.records import Timeline
from montage_dask.stages import StageCount


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
    by_worker: dict[tuple[str, str], dict[str, list[float]]] = field(default_factory=dict)
    """Requests and seconds by operation, by worker and target."""
    reused: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    began: float = field(default_factory=time.monotonic)
    _troubles: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))

    def add(self, name: str, target: str, record: Mapping[str, Any], worker: str = "") -> None:
        """One operation ran in a worker and gave a record."""
        spent = self.by_worker.setdefault((worker, target), {}).setdefault(name, [0, 0.0])
        spent[0] += 1
        spent[1] += record.get("seconds", 0.0)
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

    def workers(self) -> list[dict[str, Any]]:
        """What each worker did, busiest first."""
        rows = [
            {
                "worker": worker,
                "target": target,
                "count": sum(int(n) for n, _ in spent.values()),
                "seconds": round(sum(s for _, s in spent.values()), 3),
                "operations": {name: round(s, 3) for name, (_, s) in sorted(spent.items())},
            }
            for (worker, target), spent in self.by_worker.items()
        ]
        return sorted(rows, key=lambda r: (-r["seconds"], r["worker"]))

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


class Telling:
    """Where a job tells everything: people on a terminal, the dashboard's page, and the summary at the end.

    Args:
        progress: of the people; gets stages, steps and notes.
    """

    def __init__(self, progress: Progress) -> None:
        self.tally = Tally()
        self.board = Board()
        """What the dashboard's page shows of this job; nothing reads it unless it is published."""
        self.public = Public()
        """Makes texts fit for those who may only watch."""
        self.job = secrets.token_hex(8)
        """Tells this job from others on the scheduler."""
        self.fresh: deque[tuple[int, Path]] = deque(maxlen=PICTURES)
        """Segments that were made, of which the page may show a picture."""
        self.people = progress
        self._stages: dict[str, StageCount] = {}
        self._media: dict[tuple[str, str, str], list[float]] = defaultdict(lambda: [0, 0, 0, 0])
        self._segments: list[bool] = []

    def stage(self, name: str, total: int, unit: str = "") -> None:
        """See `Progress.stage`."""
        self._stages[name] = StageCount(total, unit)
        self._stage_told(name)
        self.people.stage(name, total, unit)

    def step(self, name: str, label: str, media_seconds: float = 0.0) -> None:
        """See `Progress.step`."""
        self._stages.setdefault(name, StageCount(0, "")).step(media_seconds)
        self._stage_told(name)
        self.people.step(name, label, media_seconds)

    def note(self, message: str) -> None:
        """See `Progress.note`."""
        kept = [*(n["text"] for n in self.board.of("note").values()), self.public(message)]
        for number, text in enumerate(kept[-LIMITS["note"] :]):
            self.board.put(f"note/{number}", {"text": short(text)})
        self.people.note(message)

    def say(self, message: str) -> None:
        """Something for people, not for the page."""
        self.people.note(message)

    def stages(self) -> list[dict[str, Any]]:
        """Steps, seconds and speed of each stage so far."""
        return [stage.told(name) for name, stage in self._stages.items()]

    def placed(self, placement: Placement) -> None:
        """Where an operation runs, and why."""
        self.board.put(
            f"place/{placement.operation}/{placement.target}",
            {
                "operation": placement.operation,
                "target": placement.target,
                "reason": short(self.public(placement.reason)),
            },
        )

    def about(self, request: Request) -> dict[str, str]:
        """What the task of a request carries, so that the page can say what a worker does."""
        label = short(self.public(request.label), NAME)
        return {"job": self.job, "operation": request.operation, "label": label}

    def ran(
        self,
        request: Request,
        target: str,
        outcome: str,
        record: Mapping[str, Any],
        media_seconds: float = 0.0,
        worker: str = "",
    ) -> None:
        """What became of a request.

        Args:
            request: the one.
            target: where it ran; the home of its record when it was reused.
            outcome: done, reused, failed, or moved to another target.
            record: what it gave; empty when it failed.
            media_seconds: of video or music in it.
            worker: that ran it.
        """
        if outcome == "done":
            self.tally.add(request.operation, target, record, worker)
        elif outcome == "reused":
            self.tally.reused[request.operation] += 1
        count = self._media[request.operation, target, outcome]
        done = outcome == "done"
        more = (1, record.get("seconds", 0.0) * done, media_seconds, record.get("moved_bytes", 0) * done)  # fmt: skip
        count[:] = [a + b for a, b in zip(count, more, strict=True)]
        self.board.put(
            f"count/{request.operation}/{target}/{outcome}",
            {
                "operation": request.operation, "target": target, "outcome": outcome, "count": count[0],
                "seconds": round(count[1], 3), "media_seconds": round(count[2], 3), "bytes": count[3],
            },
        )  # fmt: skip

    def moved(self, request: Request, fallback: Fallback) -> None:
        """A request goes on with another target."""
        self.ran(request, fallback.from_target, "moved", {})
        self.say(
            f"{fallback.operation} of {fallback.label} goes on with {fallback.to_target}: {fallback.reason}"
        )
        number = self._counted("moved")
        self.board.put(
            f"moved/{number}",
            {
                "operation": fallback.operation,
                "label": short(self.public(fallback.label), NAME),
                "from": fallback.from_target,
                "to": fallback.to_target,
                "reason": short(self.public(fallback.reason)),
            },
        )

    def left_out(self, path: str, reason: str) -> None:
        """A file is skipped."""
        number = self._counted("left")
        told = {"name": short(self.public.path(path), NAME), "reason": short(self.public(reason))}
        self.board.put(f"left/{number}", told)

    def line(self, line: LineState) -> None:
        """What is known of the way to the runtime behind cgpu."""
        told = {
            "ready": line.ready, "warm": line.warm, "bytes_per_second": round(line.bytes_per_second),
            "lack": short(self.public(line.lack)),
        }  # fmt: skip
        self.board.put("line", told)

    def composed(
        self, timeline: Timeline, names: Mapping[str, str], segments: Sequence[tuple[int, int]]
    ) -> None:
        """What the montage will be: its events and the segments in which they are rendered.

        Args:
            timeline: the edit.
            names: of the sources, by identity.
            segments: [start, stop) in frames of the output.
        """
        self._segments = [False] * len(segments)
        self.fresh.clear()
        self.board.keep_pictures(())
        self.board.put("timeline", drawn(timeline, names, segments))
        self._segments_told()

    def rendered(self, number: int, file: Path) -> None:
        """A segment is there."""
        self._segments[number] = True
        self._segments_told()
        # A long montage has more segments than there is room for pictures: the first of every second group, or third.
        group = grouped(len(self._segments))
        if number % (group * max(1, -(-len(self._segments) // (group * PICTURES)))) == 0:
            self.fresh.append((number, file))

    def _segments_told(self) -> None:
        group = grouped(len(self._segments))
        groups = (self._segments[n : n + group] for n in range(0, len(self._segments), group))
        told = {
            "ready": sum(self._segments), "total": len(self._segments),
            "made": "".join("1" if all(g) else "0" for g in groups),
        }  # fmt: skip
        self.board.put("segments", told)

    def _stage_told(self, name: str) -> None:
        stage = self._stages[name]
        began = round(time.time() - (time.monotonic() - stage.started), 1)
        told = {**stage.told(name), "began": began, "order": list(self._stages).index(name)}
        self.board.put(f"stage/{name}", told)

    def _counted(self, kind: str) -> int:
        """The number of the next one of a kind; the board tells how many there were, kept or not."""
        job = self.board.get("job", {})
        self.board.put("job", {**job, kind: job.get(kind, 0) + 1})
        return int(job.get(kind, 0))
