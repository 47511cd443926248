"""Every change of the queue, once for all stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from montage_dask.coordinator.fair import level_seconds, pick
from montage_dask.coordinator.jobs import (
    ENDED,
    HELD,
    Event,
    Job,
    QueueError,
    State,
    Store,
    Transaction,
)
from montage_dask.coordinator.transitions import (
    BEGUN,
    NUMBER,
    USED,
    charge,
    digest,
    found,
    given_back,
    may_begin,
    owned,
    put,
    shares,
    stopped,
    told,
)

LEASE_SECONDS = 15.0
"""An owner that was not heard of for so long is dead."""
MOST_WAITING = 5000
"""Of one user."""


class Queue:
    """The durable queue of jobs.

    Args:
        store: where it stands.
        lease_seconds: see `LEASE_SECONDS`.
    """

    def __init__(self, store: Store, lease_seconds: float = LEASE_SECONDS) -> None:
        self.store = store
        self.lease_seconds = lease_seconds

    # -- by users ---------------------------------------------------------------------------------------------------------

    def submit(
        self,
        job_id: str,
        user: str,
        request: Mapping[str, Any],
        *,
        title: str,
        key: str | None = None,
        priority: int = 0,
        parent: str | None = None,
        after: str | None = None,
    ) -> tuple[Job, bool]:
        """Add a job; it is durable when this returns.

        Returns:
            The job, and whether it is a new one: the same request under the same key is the job that it was.

        Raises:
            QueueError: another request came under that key, the user has too many jobs waiting, or there is no such parent.
        """
        body = digest([request, priority, parent, after])
        name = None if key is None else f"key/{user}/{digest(key)}"

        def change(tx: Transaction) -> tuple[Job, bool]:
            known = tx.job(job_id)
            if known is not None:
                return known, True  # the answer to our own first try was lost
            kept = None if name is None else tx.note(name)
            if kept is not None:
                first = tx.job(kept["job"])
                if kept["body"] != body:
                    raise QueueError("another job was sent under this Idempotency-Key", 422)
                if first is not None:
                    return first, False
            if parent is not None:
                above = tx.job(parent)
                if above is None or above.user != user:
                    raise QueueError("there is no such parent job", 404)
            waiting, held = tx.jobs(["waiting"]), tx.jobs(HELD)
            if sum(j.user == user for j in waiting) >= MOST_WAITING:
                raise QueueError(f"{MOST_WAITING} jobs of yours wait already", 429)
            present = {j.user for j in (*waiting, *held)}
            if user not in present:
                _, used = shares(tx, held)
                stored = tx.note(USED) or {}
                stored[user] = max(stored.get(user, 0.0), level_seconds(used, present))
                tx.write(USED, stored)
            number = int(tx.note(NUMBER) or 0) + 1
            tx.write(NUMBER, number)
            job = Job(
                job_id, user, request, number, title,
                priority=priority, parent=parent, after=after, key=key, submitted_at=tx.now,
                reason="its quick version comes first" if after else "",
            )  # fmt: skip
            if name is not None:
                tx.write(name, {"job": job_id, "body": body})
            return told(tx, job), True

        return self.store.transact(change)

    def find(self, job_id: str, user: str | None = None) -> Job:
        """A job.

        Args:
            job_id: its id.
            user: whose it must be; None: anybody's.

        Raises:
            QueueError: there is none, or it is somebody else's, which is the same to whom it does not belong.
        """
        return self.store.transact(lambda tx: found(tx, job_id, user))

    def cancel(self, job_id: str, user: str | None = None) -> Job:
        """Stop a job for good; one that has ended stays as it is."""

        def change(tx: Transaction) -> Job:
            job = found(tx, job_id, user)
            if job.state == "running":
                return told(tx, replace(job, state="cancelling", pausing=False))
            if job.state in ("waiting", "paused"):
                return told(tx, replace(job, state="cancelled", ended_at=tx.now, reason=""))
            return job

        return self.store.transact(change)

    def pause(self, job_id: str, user: str | None = None, *, by: str = "") -> Job:
        """Stop a job's process, if it has one; what is done is kept, and `resume` goes on from there."""

        def change(tx: Transaction) -> Job:
            job = found(tx, job_id, user)
            reason = f"paused by {by or job.user}"
            if job.state == "running" and not job.pausing:
                return told(tx, replace(job, pausing=True, reason=reason))
            if job.state == "waiting":
                return told(tx, replace(job, state="paused", reason=reason))
            if job.state in ENDED or job.state == "cancelling":
                raise QueueError(f"the job is {job.state}: there is nothing to pause")
            return job

        return self.store.transact(change)

    def resume(self, job_id: str, user: str | None = None) -> Job:
        """Let a paused job wait for its turn again."""

        def change(tx: Transaction) -> Job:
            job = found(tx, job_id, user)
            if job.state == "running" and job.pausing:
                return told(tx, replace(job, pausing=False, reason=""))
            if job.state == "paused":
                return told(tx, replace(job, state="waiting", reason="", not_before=0.0))
            if job.state in ("waiting", "running"):
                return job
            raise QueueError(f"the job is {job.state}: only a paused one is resumed")

        return self.store.transact(change)

    def retry(self, job_id: str, user: str | None = None) -> Job:
        """Begin an ended job again; what it made is not made again."""

        def change(tx: Transaction) -> Job:
            job = found(tx, job_id, user)
            if job.state in ("failed", "cancelled", "partly"):
                return told(
                    tx,
                    replace(
                        job, state="waiting", reason="", not_before=0.0, tries=0, crashes=0,
                        ended_at=None, progress={},
                    ),
                )  # fmt: skip
            if job.state == "waiting":
                return put(tx, replace(job, not_before=0.0))
            raise QueueError(f"the job is {job.state}: it is not tried again")

        return self.store.transact(change)

    def prioritise(self, job_id: str, priority: int, user: str | None = None) -> Job:
        """Move a job to another band."""

        def change(tx: Transaction) -> Job:
            return put(tx, replace(found(tx, job_id, user), priority=priority))

        return self.store.transact(change)

    def events(self, job_id: str, after: int = 0, most: int = 1000) -> Sequence[Event]:
        """What happened to a job since its event number `after`."""
        return self.store.transact(lambda tx: tx.events(job_id, after, most))

    def of_user(self, user: str, before: int | None = None, most: int = 100) -> list[Job]:
        """Jobs of a user, the youngest first."""
        return self.store.transact(lambda tx: tx.of_user(user, before, most))

    def in_states(self, states: Sequence[State]) -> list[Job]:
        """Everybody's jobs in these states."""
        return self.store.transact(lambda tx: tx.jobs(states))

    def remove(self, job_id: str) -> None:
        """Forget a job that has ended, with its events and its key."""

        def change(tx: Transaction) -> None:
            job = tx.job(job_id)
            if job is not None and job.state in ENDED:
                if job.key is not None:
                    tx.write(f"key/{job.user}/{digest(job.key)}", None)
                tx.remove(job)

        self.store.transact(change)

    # -- by operators -----------------------------------------------------------------------------------------------------

    def drain(self, cluster: str, by: str | None) -> None:
        """Begin no more jobs on a cluster, or (None) begin them again. It holds until it is taken back, whatever restarts."""

        def change(tx: Transaction) -> None:
            tx.write(f"drain/{cluster}", None if by is None else {"by": by, "since": tx.now})

        self.store.transact(change)

    def drained(self, cluster: str) -> Mapping[str, Any] | None:
        """Who drains a cluster, and since when; None when nobody does."""
        return self.store.transact(lambda tx: tx.note(f"drain/{cluster}"))

    # -- by owners --------------------------------------------------------------------------------------------------------

    def claim(self, owner: str, cluster: str) -> Job | None:
        """The job whose turn it is, now this owner's; None when none may begin."""

        def change(tx: Transaction) -> Job | None:
            if tx.note(f"drain/{cluster}") is not None:
                return None
            held = tx.jobs(HELD)
            running, used = shares(tx, held)
            ready = [j for j in tx.jobs(["waiting"]) if may_begin(tx, j)]
            begun = tx.note(BEGUN) or {}
            job = pick(ready, running, used, begun)
            if job is None:
                return None
            tx.write(BEGUN, {**begun, job.user: tx.now})
            return told(
                tx,
                replace(
                    job, state="running", owner=owner, fence=job.fence + 1, begun_at=tx.now,
                    lease_until=tx.now + self.lease_seconds, pausing=False, reason="",
                ),
            )  # fmt: skip

        return self.store.transact(change)

    def beat(
        self, job_id: str, owner: str, fence: int, progress: Mapping[str, Any] | None = None
    ) -> Job | None:
        """Say that the owner lives, and how far the job is.

        Returns:
            The job, which may ask to be stopped; None: it is no longer this owner's, whose process must end.
        """

        def change(tx: Transaction) -> Job | None:
            job = owned(tx, job_id, owner, fence)
            if job is None:
                return None
            job = replace(job, lease_until=tx.now + self.lease_seconds)
            if progress is not None and progress != job.progress:
                job = replace(job, progress=progress, event=job.event + 1)
                tx.tell(job_id, Event(job.event, tx.now, "progress", progress))
            return put(tx, job)

        return self.store.transact(change)

    def end(self, job_id: str, owner: str, fence: int, state: State, reason: str = "") -> bool:
        """Say how a job ended.

        Returns:
            Whether it counts: not when the job has another owner by now.
        """

        def change(tx: Transaction) -> bool:
            job = owned(tx, job_id, owner, fence)
            if job is None:
                now = tx.job(job_id)  # the answer to our own first try may have been lost
                return now is not None and (now.owner, now.fence, now.state) == (
                    owner,
                    fence,
                    state,
                )
            charge(tx, job)
            told(tx, stopped(tx, job, state, reason))
            return True

        return self.store.transact(change)

    def release(
        self,
        job_id: str,
        owner: str,
        fence: int,
        reason: str,
        *,
        after_seconds: float = 0.0,
        crashed: bool = False,
    ) -> Job | None:
        """Give a job back whose process has stopped without an end: it waits, unless it was to be cancelled or paused, or
        was killed too often.

        Returns:
            The job; None: it is no longer this owner's.
        """

        def change(tx: Transaction) -> Job | None:
            job = owned(tx, job_id, owner, fence)
            if job is None:
                return None
            charge(tx, job)
            return told(tx, given_back(tx, job, reason, after_seconds, crashed))

        return self.store.transact(change)

    def expire(self, *, all_of_them: bool = False) -> list[Job]:
        """Take the jobs of dead owners from them.

        Args:
            all_of_them: whoever had jobs is known to be dead.
        """

        def change(tx: Transaction) -> list[Job]:
            dead = [j for j in tx.jobs(HELD) if all_of_them or j.lease_until < tx.now]
            for job in dead:
                charge(tx, job)
            reason = "its coordinator is gone"
            return [told(tx, given_back(tx, j, reason, 0.0, crashed=True)) for j in dead]

        return self.store.transact(change)
