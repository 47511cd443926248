"""The jobs that a scheduler shows: their boards, and what they add up to; old ones are dropped."""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from montage_dask.dashboard.state import Board, check

JOBS = 20
"""Jobs that are kept, unless more of them run."""
DROPPED = 1000
"""Dropped jobs whose counts are known, should they come back."""
SILENT_SECONDS = 60.0
"""A running job that was not heard of for longer is gone."""


@dataclass(frozen=True, slots=True)
class _Counted:
    requests: dict[tuple[str, ...], list[float]]
    left: int


class Jobs:
    """The boards of the newest jobs, and totals over all there ever were."""

    def __init__(self) -> None:
        self.epoch = secrets.token_hex(4)
        """Another one: the scheduler was started anew, and revisions count from 0 again."""
        self._boards: dict[str, Board] = {}
        self._clients: dict[str, str] = {}
        self._heard: dict[str, float] = {}
        self._before: dict[tuple[str, ...], list[float]] = defaultdict(lambda: [0, 0, 0, 0])
        self._left_before = 0
        self._dropped: dict[str, _Counted] = {}
        """What dropped jobs that nobody saw end put into the totals: they may come back."""

    def tell(
        self,
        job: str,
        client: str,
        items: Mapping[str, Any],
        pictures: Sequence[tuple[int, bytes]],
        *,
        whole: bool = True,
    ) -> None:
        """Take over what changed in a job, or (`whole`) all of it.

        Raises:
            ValueError: that is not what a job tells, or it is not known: all of it must be told.
        """
        check(items)
        if job not in self._boards:
            if not whole:
                raise ValueError(f"job {job} is not known here")
            self._count(self._dropped.pop(job, _Counted({}, 0)), -1)
            self._boards[job] = Board()
        self._clients[job], self._heard[job] = client, time.monotonic()
        self._boards[job].apply(items, dict(pictures))
        self._make_room()

    def _make_room(self) -> None:
        """Forget the oldest jobs that no longer run; their counts stay in the totals."""
        still = [j for j in self._boards if self.state(j) != "running"]
        for job in still[: max(0, len(self._boards) - JOBS)]:
            counted = _Counted(dict(_counts(self._boards[job])), _left(self._boards[job]))
            self._count(counted, 1)
            if self.state(job) == "stopped":
                self._dropped[job] = counted
            for kept in (self._boards, self._clients, self._heard):
                kept.pop(job, None)
        for job in list(self._dropped)[:-DROPPED]:
            del self._dropped[job]

    def _count(self, counted: _Counted, times: int) -> None:
        for key, values in counted.requests.items():
            before = self._before[key]
            self._before[key] = [a + times * b for a, b in zip(before, values, strict=True)]
        self._left_before += times * counted.left

    def gone(self, client: str) -> None:
        """A client has left: what it still ran has stopped."""
        for job, owner in self._clients.items():
            if owner == client:
                self._heard[job] = float("-inf")

    def state(self, job: str) -> str:
        """running, finished, failed, interrupted, or stopped when nobody told how it ended."""
        state = str(self._boards[job].get("job", {}).get("state", "running"))
        silent = time.monotonic() - self._heard.get(job, 0.0) > SILENT_SECONDS
        return "stopped" if state == "running" and silent else state

    def board(self, job: str) -> Board | None:
        """The board of a job."""
        return self._boards.get(job)

    def newest(self) -> str | None:
        """The job that people want to see: the newest that runs, or the newest."""
        running = [j for j in self._boards if self.state(j) == "running"]
        return next(reversed(running or list(self._boards)), None)

    def overview(self) -> list[dict[str, Any]]:
        """A row for each job, newest first."""
        rows = []
        for job, board in reversed(self._boards.items()):
            told = board.get("job", {})
            going = [s for s in board.of("stage").values() if s["done"] < s["total"]]
            row = {k: told.get(k) for k in ("kind", "title", "started_at", "ended_at")}
            row |= {"id": job, "state": self.state(job), "left": told.get("left", 0)}
            row["stage"] = {k: going[-1][k] for k in ("name", "done", "total")} if going else None
            rows.append(row)
        return rows

    def states(self) -> Iterator[str]:
        """The states of all jobs."""
        return map(self.state, self._boards)

    def totals(self) -> dict[tuple[str, ...], list[float]]:
        """Requests, seconds, seconds of media and bytes by (operation, target, outcome), of all jobs there were."""
        totals = defaultdict(lambda: [0.0, 0.0, 0.0, 0.0], {k: list(v) for k, v in self._before.items()})  # fmt: skip
        for board in self._boards.values():
            for key, values in _counts(board):
                totals[key] = [a + b for a, b in zip(totals[key], values, strict=True)]
        return totals

    def left_out(self) -> int:
        """Files that were skipped, in all jobs there were."""
        return self._left_before + sum(map(_left, self._boards.values()))

    def running(self) -> Iterator[Board]:
        """The boards of the jobs that run."""
        return (b for j, b in self._boards.items() if self.state(j) == "running")


def _left(board: Board) -> int:
    return int(board.get("job", {}).get("left", 0))


def _counts(board: Board) -> Iterator[tuple[tuple[str, ...], list[float]]]:
    for told in board.of("count").values():
        key = (told["operation"], told["target"], told["outcome"])
        yield key, [told["count"], told["seconds"], told["media_seconds"], told["bytes"]]
