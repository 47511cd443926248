"""The plug-in of the scheduler: takes in what jobs tell, sees what runs where, and serves page and metrics."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from distributed import Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin

from montage_dask.dashboard.jobs import Jobs
from montage_dask.dashboard.state import ANNOTATION, NAME, short

log = logging.getLogger(__name__)

GROUPS: Mapping[str, str] = {"CPU": "cpu", "GPU": "gpu", "CGPU": "cgpu"}
"""Worker groups by resource tag."""

SHOWN_TASKS = 60
"""Running tasks that the page lists."""
LOOK_SECONDS = 0.5
"""How long a look at the workers counts, however many people watch."""


class MontagePlugin(SchedulerPlugin):
    """Page `/montage` and metrics `montage_*` of one scheduler."""

    name = "montage"
    idempotent = True

    def __init__(self) -> None:
        self.jobs = Jobs()
        self._scheduler: Scheduler | None = None
        self._seen: tuple[float, dict[str, Any]] = (float("-inf"), {})

    async def start(self, scheduler: Scheduler) -> None:
        """Begin to listen and to serve."""
        from montage_dask.dashboard.metrics import watch
        from montage_dask.dashboard.pages import add_pages

        self._scheduler = scheduler
        scheduler.handlers["montage_tell"] = self.tell
        add_pages(scheduler, self)
        watch(self)

    async def close(self) -> None:
        """The scheduler ends."""
        from montage_dask.dashboard.metrics import unwatch

        unwatch(self)

    def tell(
        self,
        job: str,
        client: str,
        items: Mapping[str, Any],
        pictures: Sequence[tuple[int, bytes]],
    ) -> None:
        """What a client sends (see `publish`)."""
        self.jobs.tell(job, client, items, pictures)

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Jobs end with their client."""
        self.jobs.gone(client)

    def workers(self) -> dict[str, Any]:
        """What the groups of workers do now: slots, and the tasks of jobs that run or wait in them.

        Returns:
            `groups` by name, and `tasks`: the first `SHOWN_TASKS` that run, longest first.
        """
        now = time.monotonic()
        if now - self._seen[0] > LOOK_SECONDS:
            self._seen = (now, self._look())
        return self._seen[1]

    def _look(self) -> dict[str, Any]:
        groups: dict[str, dict[str, float]] = {}
        tasks = []
        assert self._scheduler is not None
        for worker in list(self._scheduler.workers.values()):
            tag = next((t for t in GROUPS if worker.resources.get(t)), None)
            name = GROUPS[tag] if tag else "other"
            group = groups.setdefault(name, {"workers": 0, "slots": 0, "running": 0, "waiting": 0})
            group["workers"] += 1
            group["slots"] += worker.resources[tag] if tag else worker.nthreads
            ours = {t for t in worker.processing if ANNOTATION in (t.annotations or ())}
            running = [(s, t) for t, s in worker.executing.items() if t in ours]
            group["running"] += len(running)
            group["waiting"] += len(ours) - len(running)
            tasks += [(s, t.annotations[ANNOTATION], worker.name, name) for s, t in running]
        tasks.sort(key=lambda t: -t[0])
        return {
            "groups": groups,
            "unplaced": len(self._scheduler.unrunnable),
            "tasks": [
                {
                    "job": told.get("job"),
                    "operation": told.get("operation"),
                    "label": told.get("label"),
                    "worker": short(str(worker).rpartition("://")[2], NAME),
                    "group": name,
                    "seconds": round(seconds, 1),
                }
                for seconds, told, worker, name in tasks[:SHOWN_TASKS]
            ],
        }

    def view(self, job: str | None, since: int, epoch: str) -> dict[str, Any]:
        """What a browser needs.

        Args:
            job: that it shows; None: the one that is most worth it.
            since: revision of that job's board that the browser has.
            epoch: of the scheduler that the revision is of.
        """
        found = self.jobs.board(job) if job else None
        if found is None:
            job, since = self.jobs.newest(), 0
            found = self.jobs.board(job) if job else None
        elif epoch != self.jobs.epoch or since > found.revision:
            since = 0
        return {
            "epoch": self.jobs.epoch,
            "now": round(time.time(), 3),
            "jobs": self.jobs.overview(),
            "job": job,
            "state": self.jobs.state(job) if job else None,
            "whole": since == 0,
            "revision": found.revision if found else 0,
            "items": found.since(since) if found else {},
            "workers": self.workers(),
        }
