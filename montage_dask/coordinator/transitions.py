"""What becomes of a job: the steps that the changes of the queue are made of."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from montage_dask.coordinator.jobs import ENDED, HELD, Event, Job, QueueError, State, Transaction

MOST_CRASHES = 5
"""A job whose process was killed so often is not begun again by itself."""

USED, BEGUN, NUMBER = "used", "begun", "number"
"""Notes: seconds used and when a job was last begun, by user; the number of the last job."""


def found(tx: Transaction, job_id: str, user: str | None) -> Job:
    """A job, if it is this user's.

    Raises:
        QueueError: there is none, or it is somebody else's, which is the same to whom it does not belong.
    """
    job = tx.job(job_id)
    if job is None or (user is not None and job.user != user):
        raise QueueError("there is no such job", 404)
    return job


def owned(tx: Transaction, job_id: str, owner: str, fence: int) -> Job | None:
    """The job, if what this owner says of it counts. A lease that ran out and that nobody took is still its owner's."""
    job = tx.job(job_id)
    mine = job is not None and job.state in HELD and (job.owner, job.fence) == (owner, fence)
    return job if mine else None


def may_begin(tx: Transaction, job: Job) -> bool:
    """Whether a waiting job may have its turn now. One whose quick version came to nothing is called off."""
    first = None if job.after is None else tx.job(job.after)
    if first is not None and first.state in ("failed", "cancelled"):
        reason = f"its quick version is {first.state}"
        told(tx, replace(job, state="cancelled", ended_at=tx.now, reason=reason))
        return False
    made = first is None or first.state in ("finished", "partly")
    return made and job.not_before <= tx.now


def put(tx: Transaction, job: Job) -> Job:
    """Write a job."""
    tx.put(job)
    return job


def told(tx: Transaction, job: Job) -> Job:
    """Write a job whose state changed, with the event that says so."""
    job = replace(job, event=job.event + 1)
    data = {"state": job.state, "reason": job.reason, "pausing": job.pausing}
    tx.tell(job.id, Event(job.event, tx.now, "state", data))
    return put(tx, job)


def stopped(tx: Transaction, job: Job, state: State, reason: str) -> Job:
    """A job without its process; its owner stays named, so that what it says twice is known."""
    seconds = job.used_seconds + _running_seconds(tx, job)
    return replace(
        job, state=state, reason=reason, begun_at=None, pausing=False, used_seconds=seconds,
        ended_at=tx.now if state in ENDED else None,
    )  # fmt: skip


def given_back(tx: Transaction, job: Job, reason: str, after_seconds: float, crashed: bool) -> Job:
    """A job whose process stopped without an end."""
    if job.state == "cancelling":
        return stopped(tx, job, "cancelled", "")
    if job.pausing:
        return stopped(tx, job, "paused", job.reason)
    crashes = job.crashes + crashed
    if crashed and crashes >= MOST_CRASHES:
        job = stopped(tx, job, "failed", f"killed {crashes} times; at last: {reason}")
        return replace(job, crashes=crashes)
    return replace(
        stopped(tx, job, "waiting", reason),
        crashes=crashes, tries=job.tries + 1, not_before=tx.now + after_seconds,
    )  # fmt: skip


def _running_seconds(tx: Transaction, job: Job) -> float:
    return 0.0 if job.begun_at is None else max(0.0, tx.now - job.begun_at)


def charge(tx: Transaction, job: Job) -> None:
    """The time of a process goes on its user's account."""
    used = tx.note(USED) or {}
    used[job.user] = used.get(job.user, 0.0) + _running_seconds(tx, job)
    tx.write(USED, used)


def shares(tx: Transaction, held: Sequence[Job]) -> tuple[Mapping[str, int], dict[str, float]]:
    """Jobs under way and seconds used, by user."""
    used = dict(tx.note(USED) or {})
    for job in held:
        used[job.user] = used.get(job.user, 0.0) + _running_seconds(tx, job)
    return Counter(job.user for job in held), used


def digest(value: Any) -> str:
    """What tells a JSON value from others."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
