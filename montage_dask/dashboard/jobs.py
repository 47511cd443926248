"""The jobs that a scheduler shows: their boards, and what they add up to; old ones are dropped."""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from montage_dask.dashboard.state import Board, check

JOBS = 20
"""Jobs that are kept; more only while more run."""
DROPPED = 1000
"""Dropped jobs that are known again when they come back."""
SILENT_SECONDS = 60.0
"""A running job that was not heard of for longer is gone."""


class Jobs:
    """The boards of the newest jobs, and totals over all there ever were."""

    def __init__(self) -> None:
        self.epoch = secrets.token_hex(4)
        """Another one: the scheduler was started anew, and revisions count from 0 again."""
        self._boards: dict[str, Board] = {}
        self._clients: dict[str, str] = {}
        self._heard: dict[str, float] = {}
        self._dropped: dict[str, dict[str, Any]] = {}
        """What adds up of dropped jobs: one that was only silent may come back, and tells no more than what changed."""
        self._before: dict[tuple[str, ...], list[float]] = defaultdict(lambda: [0, 0, 0, 0])
        self._left_before = 0

    def tell(
        self,
        job: str,
        client: str,
        items: Mapping[str, Any],
        pictures: Sequence[tuple[int, bytes]],
    ) -> None:
        """Take over what changed in a job.

        Raises:
            ValueError: that is not what a job tells.
        """
        check(items)
        self._clients[job], self._heard[job] = client, time.monotonic()
        if job not in self._boards:
            self._boards[job] = Board()
            self._boards[job].apply(self._dropped.pop(job, {}), {})
            self._drop()
        self._boards[job].apply(items, dict(pictures))

    def _drop(self) -> None:
        """Forget the oldest jobs that do not run; their counts stay in the totals."""
        ended = [j for j in self._boards if self.state(j) != "running"]
        for job in ended[: max(0, len(self._boards) - JOBS)]:
            board = self._boards.pop(job)
            self._dropped[job] = {"job": board.get("job", {}), **board.of("count")}
            del self._clients[job], self._heard[job]
        while len(self._dropped) > DROPPED:
            items = self._dropped.pop(next(iter(self._dropped)))
            self._left_before += items["job"].get("left", 0)
            _add(self._before, items)

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
        for items in (*self._dropped.values(), *(b.of("count") for b in self._boards.values())):
            _add(totals, items)
        return totals

    def left_out(self) -> int:
        """Files that were skipped, in all jobs there were."""
        told = [items["job"] for items in self._dropped.values()]
        told += [board.get("job", {}) for board in self._boards.values()]
        return self._left_before + sum(job.get("left", 0) for job in told)

    def running(self) -> Iterator[Board]:
        """The boards of the jobs that run."""
        return (b for j, b in self._boards.items() if self.state(j) == "running")


def _add(totals: dict[tuple[str, ...], list[float]], items: Mapping[str, Any]) -> None:
    """Add the counts among the items of a job."""
    for key, told in items.items():
        if key.startswith("count/"):
            of = (told["operation"], told["target"], told["outcome"])
            more = (told["count"], told["seconds"], told["media_seconds"], told["bytes"])
            totals[of] = [a + b for a, b in zip(totals[of], more, strict=True)]
