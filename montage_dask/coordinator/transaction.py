"""What a change of the queue sees, and the steps that all changes are made of. Nobody else sees what it wrote until its end."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from montage_dask.coordinator.jobs import ENDED, HELD, LAST, Event, Job, QueueError, Rows, State

MOST_CRASHES = 5
"""A job whose process was killed so often is not begun again by itself."""
USED = "used"
"""Note: seconds used, by user."""


class Transaction:
    """Jobs, their events and notes, as rows of a store."""

    def __init__(self, rows: Rows) -> None:
        self._rows, self.now = rows, rows.now

    def _load(self, ids: Sequence[str]) -> list[Job]:
        found = self._rows.values([f"job/{i}" for i in ids])
        return [Job.load(content) for content in found if content is not None]

    def job(self, job_id: str | None) -> Job | None:
        """One job."""
        return next(iter(self._load([job_id])), None) if job_id else None

    def find(self, job_id: str, user: str | None) -> Job:
        """A job, if it is this user's.

        Raises:
            QueueError: there is none, or it is somebody else's, which is the same to whom it does not belong.
        """
        job = self.job(job_id)
        if job is None or (user is not None and job.user != user):
            raise QueueError("there is no such job", 404)
        return job

    def owned(self, claimed: Job) -> Job | None:
        """What a claimed job is now, if its owner's word on it counts. A lease that ran out and that nobody took is still its
        owner's."""
        job = self.job(claimed.id)
        mine = (
            job and job.state in HELD and (job.owner, job.fence) == (claimed.owner, claimed.fence)
        )
        return job if mine else None

    def jobs(self, states: Collection[State]) -> list[Job]:
        """Those in these states, by number."""
        ids = [i for state in states for _, i in self._rows.scan(f"state/{state}/")]
        return sorted(self._load(ids), key=lambda j: j.number)

    def of_user(self, user: str, before: int | None, most: int) -> list[Job]:
        """Jobs of a user, the youngest first, with numbers below `before`."""
        high = LAST if before is None else _place(before)
        found = self._rows.scan(f"user/{user}/", high=high, most=most, down=True)
        return self._load([i for _, i in found])

    def events(self, job_id: str, after: int = 0, most: int = -1) -> list[Event]:
        """Events of a job behind the one with number `after`."""
        found = self._rows.scan(f"event/{job_id}/", low=_place(after), most=most)
        return [Event(*content) for _, content in found]

    def note(self, name: str) -> Any:
        """A small JSON value beside the jobs; None when there is none."""
        return self._rows.values([f"note/{name}"])[0]

    def write(self, name: str, value: Any) -> None:
        """Set such a value; None removes it."""
        self._rows.write(f"note/{name}", value)

    def put(self, job: Job, **changed: Any) -> Job:
        """Add a job, or write what became of it."""
        job = replace(job, **changed)
        self._index(self.job(job.id), None)
        self._rows.write(f"job/{job.id}", asdict(job))
        self._index(job, job.id)
        return job

    def _index(self, job: Job | None, value: str | None) -> None:
        for name in () if job is None else (f"state/{job.state}", f"user/{job.user}"):
            self._rows.write(f"{name}/{_place(job.number)}", value)  # type: ignore[union-attr]

    def remove(self, job: Job) -> None:
        """Forget a job with its events."""
        self._index(job, None)
        events = [name for name, _ in self._rows.scan(f"event/{job.id}/")]
        for name in (f"job/{job.id}", f"note/hook/{job.id}", *events):
            self._rows.write(name, None)

    def tell(self, job: Job, kind: str = "state", **changed: Any) -> Job:
        """Write what became of a job, with the event that says so."""
        job = self.put(job, event=job.event + 1, **changed)
        state = {"state": job.state, "reason": job.reason, "pausing": job.pausing}
        data = state if kind == "state" else job.progress
        content = [job.event, self.now, kind, data]
        self._rows.write(f"event/{job.id}/{_place(job.event)}", content)
        if kind == "state" and job.webhook is not None:
            self.write(f"hook/{job.id}", [self.now, 0] if job.state in ENDED else None)
        return job

    def hooks(self) -> list[tuple[str, float, int]]:
        """Ended jobs that are to be told: id, not before when, and how often that was tried."""
        found = self._rows.scan("note/hook/")
        return [(name.rpartition("/")[2], *content) for name, content in found]

    def stop(self, job: Job, state: State, reason: str, **changed: Any) -> Job:
        """A job has its process no more, whose time goes on its user's account. Its owner stays named, so that what it says
        twice is known."""
        seconds = job.running_seconds(self.now)
        used = self.note(USED) or {}
        self.write(USED, {**used, job.user: used.get(job.user, 0.0) + seconds})
        return self.tell(
            job, state=state, reason=reason, begun_at=None, pausing=False, used_seconds=job.used_seconds + seconds,
            ended_at=self.now if state in ENDED else None, **changed,
        )  # fmt: skip

    def give_back(self, job: Job, reason: str, after_seconds: float, crashed: bool) -> Job:
        """The process of a job stopped without an end."""
        if job.state == "cancelling":
            return self.stop(job, "cancelled", "")
        if job.pausing:
            return self.stop(job, "paused", job.reason)
        crashes = job.crashes + crashed
        if crashed and crashes >= MOST_CRASHES:
            said = f"killed {crashes} times; at last: {reason}"
            return self.stop(job, "failed", said, crashes=crashes)
        later = self.now + after_seconds
        return self.stop(
            job, "waiting", reason, crashes=crashes, tries=job.tries + 1, not_before=later
        )

    def may_begin(self, job: Job) -> bool:
        """Whether a waiting job may have its turn now. One whose quick version came to nothing is called off."""
        first = self.job(job.after)
        if first is not None and first.state in ("failed", "cancelled"):
            reason = f"its quick version is {first.state}"
            self.tell(job, state="cancelled", ended_at=self.now, reason=reason)
            return False
        return (first is None or first.state in ENDED) and job.not_before <= self.now

    def shares(self, held: Sequence[Job]) -> tuple[Mapping[str, int], dict[str, float]]:
        """Jobs under way and seconds used, by user."""
        used = dict(self.note(USED) or {})
        for job in held:
            used[job.user] = used.get(job.user, 0.0) + job.running_seconds(self.now)
        return Counter(job.user for job in held), used


def _place(number: int) -> str:
    return f"{number:015}"


def digest(value: Any) -> str:
    """What tells a JSON value from others."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
