"""Every change of the queue, once for all stores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from montage_dask.coordinator.fair import level_seconds, pick
from montage_dask.coordinator.jobs import ENDED, HELD, Event, Job, QueueError, State, Store
from montage_dask.coordinator.transaction import USED, Transaction, digest

HOOKED = "hooked"
"""The note of when the receivers of each user were told last."""

LEASE_SECONDS = 15.0
"""An owner that was not heard of for so long is dead."""
MOST_WAITING = 5000
"""Of one user."""
BEGUN, NUMBER = "begun", "number"
"""Notes: when a job was last begun, by user; the number of the last job."""

T = TypeVar("T")
P = ParamSpec("P")


def transaction(
    change: Callable[Concatenate[Queue, Transaction, P], T],
) -> Callable[Concatenate[Queue, P], T]:
    """A method that is one change of the store."""

    @wraps(change)
    def run(queue: Queue, /, *given: P.args, **named: P.kwargs) -> T:
        return queue.store.transact(lambda tx: change(queue, tx, *given, **named))

    return run


class Queue:
    """The durable queue of jobs. What a method has changed is on the disk when it returns. With `user`, a job must be this one's.

    Args:
        store: where it stands.
        lease_seconds: see `LEASE_SECONDS`.
    """

    def __init__(self, store: Store, lease_seconds: float = LEASE_SECONDS) -> None:
        self.store, self.lease_seconds = store, lease_seconds

    # -- by users ---------------------------------------------------------------------------------------------------------

    @transaction
    def submit(self, tx: Transaction, job: Job) -> tuple[Job, bool]:
        """Add a job.

        Returns:
            The job, and whether it is a new one: the same request under the same key is the job that it was.

        Raises:
            QueueError: another request came under that key, the user has too many jobs waiting, or there is no such parent.
        """
        known = tx.job(job.id)
        if known is not None:
            return known, True  # the answer to our own first try was lost
        hook = [] if job.webhook is None else [job.webhook]
        body = digest([job.request, job.priority, job.parent, job.after, *hook])
        name = _key(job)
        kept = None if job.key is None else tx.note(name)
        if kept is not None:
            if kept["body"] != body:
                raise QueueError("another job was sent under this Idempotency-Key", 422)
            first = tx.job(kept["job"])
            if first is not None:
                return first, False
        above = tx.job(job.parent)
        if job.parent is not None and (above is None or above.user != job.user):
            raise QueueError("there is no such parent job", 404)
        waiting, held = tx.jobs(["waiting"]), tx.jobs(HELD)
        if sum(j.user == job.user for j in waiting) >= MOST_WAITING:
            raise QueueError(f"{MOST_WAITING} jobs of yours wait already", 429)
        present = {j.user for j in (*waiting, *held)}
        if job.user not in present:
            level = level_seconds(tx.shares(held)[1], present)
            used = tx.note(USED) or {}
            tx.write(USED, {**used, job.user: max(used.get(job.user, 0.0), level)})
        number = int(tx.note(NUMBER) or 0) + 1
        tx.write(NUMBER, number)
        if job.key is not None:
            tx.write(name, {"job": job.id, "body": body})
        reason = "its quick version comes first" if job.after else ""
        return tx.tell(job, number=number, submitted_at=tx.now, reason=reason), True

    @transaction
    def find(self, tx: Transaction, job_id: str, user: str | None = None) -> Job:
        """A job.

        Raises:
            QueueError: there is none.
        """
        return tx.find(job_id, user)

    @transaction
    def cancel(self, tx: Transaction, job_id: str, user: str | None = None) -> Job:
        """Stop a job for good; one that has ended stays as it is."""
        job = tx.find(job_id, user)
        if job.state == "running":
            return tx.tell(job, state="cancelling", pausing=False)
        if job.state in ("waiting", "paused"):
            return tx.tell(job, state="cancelled", ended_at=tx.now, reason="")
        return job

    @transaction
    def pause(self, tx: Transaction, job_id: str, user: str | None = None) -> Job:
        """Stop a job's process, if it has one; what is done is kept, and `resume` goes on from there."""
        job = tx.find(job_id, user)
        reason = f"paused by {job.user}"
        if job.state == "running" and not job.pausing:
            return tx.tell(job, pausing=True, reason=reason)
        if job.state == "waiting":
            return tx.tell(job, state="paused", reason=reason)
        if job.state in ENDED or job.state == "cancelling":
            raise QueueError(f"the job is {job.state}: there is nothing to pause")
        return job

    @transaction
    def resume(self, tx: Transaction, job_id: str, user: str | None = None) -> Job:
        """Let a paused job wait for its turn again."""
        job = tx.find(job_id, user)
        if job.state == "running" and job.pausing:
            return tx.tell(job, pausing=False, reason="")
        if job.state == "paused":
            return tx.tell(job, state="waiting", reason="", not_before=0.0)
        if job.state in ("waiting", "running"):
            return job
        raise QueueError(f"the job is {job.state}: only a paused one is resumed")

    @transaction
    def retry(self, tx: Transaction, job_id: str, user: str | None = None) -> Job:
        """Begin an ended job again; what it made is not made again."""
        job = tx.find(job_id, user)
        if job.state in ("failed", "cancelled", "partly"):
            return tx.tell(
                job, state="waiting", reason="", not_before=0.0, tries=0, crashes=0, ended_at=None, progress={},
            )  # fmt: skip
        if job.state == "waiting":
            return tx.put(job, not_before=0.0)
        raise QueueError(f"the job is {job.state}: it is not tried again")

    @transaction
    def prioritise(
        self, tx: Transaction, job_id: str, priority: int, user: str | None = None
    ) -> Job:
        """Move a job to another band."""
        return tx.put(tx.find(job_id, user), priority=priority)

    @transaction
    def events(self, tx: Transaction, job_id: str, after: int = 0, most: int = 1000) -> list[Event]:
        """What happened to a job since its event number `after`."""
        return tx.events(job_id, after, most)

    @transaction
    def of_user(
        self, tx: Transaction, user: str, before: int | None = None, most: int = 100
    ) -> list[Job]:
        """Jobs of a user, the youngest first."""
        return tx.of_user(user, before, most)

    @transaction
    def in_states(self, tx: Transaction, states: Sequence[State]) -> list[Job]:
        """Everybody's jobs in these states."""
        return tx.jobs(states)

    @transaction
    def remove(self, tx: Transaction, job_id: str) -> None:
        """Forget a job that has ended, with its events and its key."""
        job = tx.job(job_id)
        if job is not None and job.state in ENDED:
            if job.key is not None:
                tx.write(_key(job), None)
            tx.remove(job)

    # -- by operators -----------------------------------------------------------------------------------------------------

    @transaction
    def drain(self, tx: Transaction, cluster: str, by: str | None) -> None:
        """Begin no more jobs on a cluster, or (None) begin them again. It holds until it is taken back, whatever restarts."""
        tx.write(f"drain/{cluster}", None if by is None else {"by": by, "since": tx.now})

    @transaction
    def drained(self, tx: Transaction, cluster: str) -> Mapping[str, Any] | None:
        """Who drains a cluster, and since when; None when nobody does."""
        found: Mapping[str, Any] | None = tx.note(f"drain/{cluster}")
        return found

    # -- by owners --------------------------------------------------------------------------------------------------------

    @transaction
    def claim(self, tx: Transaction, owner: str, cluster: str) -> Job | None:
        """The job whose turn it is, now this owner's; None when none may begin."""
        if tx.note(f"drain/{cluster}") is not None:
            return None
        begun = tx.note(BEGUN) or {}
        ready = [j for j in tx.jobs(["waiting"]) if tx.may_begin(j)]
        job = pick(ready, *tx.shares(tx.jobs(HELD)), begun)
        if job is None:
            return None
        tx.write(BEGUN, {**begun, job.user: tx.now})
        return tx.tell(
            job, state="running", owner=owner, fence=job.fence + 1, begun_at=tx.now,
            lease_until=tx.now + self.lease_seconds, pausing=False, reason="",
        )  # fmt: skip

    @transaction
    def beat(
        self, tx: Transaction, claimed: Job, progress: Mapping[str, Any] | None = None
    ) -> Job | None:
        """Say that the owner lives, and how far the job is.

        Returns:
            The job, which may ask to be stopped; None: it is no longer this owner's, whose process must end.
        """
        job = tx.owned(claimed)
        if job is None:
            return None
        lease = tx.now + self.lease_seconds
        if progress is None or progress == job.progress:
            return tx.put(job, lease_until=lease)
        return tx.tell(job, "progress", lease_until=lease, progress=progress)

    @transaction
    def end(self, tx: Transaction, claimed: Job, state: State, reason: str = "") -> bool:
        """Say how a job ended.

        Returns:
            Whether it counts: not when the job has another owner by now.
        """
        job = tx.owned(claimed)
        if job is None:
            now = tx.job(claimed.id)  # the answer to our own first try may have been lost
            said = now and (now.owner, now.fence, now.state)
            return said == (claimed.owner, claimed.fence, state)
        tx.stop(job, state, reason)
        return True

    @transaction
    def release(
        self,
        tx: Transaction,
        claimed: Job,
        reason: str,
        after_seconds: float = 0.0,
        crashed: bool = False,
    ) -> Job | None:
        """Give a job back whose process has stopped without an end: it waits, unless it was to be cancelled or paused, or
        was killed too often.

        Returns:
            The job; None: it is no longer this owner's.
        """
        job = tx.owned(claimed)
        return None if job is None else tx.give_back(job, reason, after_seconds, crashed)

    @transaction
    def expire(self, tx: Transaction, *, all_of_them: bool = False) -> list[Job]:
        """Take the jobs of dead owners from them.

        Args:
            all_of_them: whoever had jobs is known to be dead.
        """
        dead = [j for j in tx.jobs(HELD) if all_of_them or j.lease_until < tx.now]
        return [tx.give_back(j, "its coordinator is gone", 0.0, crashed=True) for j in dead]

    # -- webhooks ---------------------------------------------------------------------------------------------------------

    @transaction
    def next_hook(self, tx: Transaction, within_seconds: float) -> tuple[Job, int] | None:
        """An ended job whose webhook is due, and how often that was tried: for so long, nobody else gets it."""
        told = tx.note(HOOKED) or {}
        due: list[tuple[float, float, Job, int]] = []
        for job_id, since, tries in tx.hooks():
            if since > tx.now:
                continue
            job = tx.job(job_id)
            if job is None:
                tx.write(f"hook/{job_id}", None)
            else:
                due.append((told.get(job.user, 0.0), since, job, tries))
        if not due:
            return None
        # Whose receivers are slow waits himself: next is who was told longest ago.
        _, _, job, tries = min(due, key=lambda d: d[:2])
        waiting = {d[2].user for d in due}
        tx.write(HOOKED, {**{u: t for u, t in told.items() if u in waiting}, job.user: tx.now})
        tx.write(f"hook/{job.id}", [tx.now + within_seconds, tries + 1])
        return job, tries

    @transaction
    def told_hook(self, tx: Transaction, job_id: str, tries: int, wait: float | None) -> None:
        """What came of it: it is due again after so many seconds, or (None) no more."""
        note = tx.note(f"hook/{job_id}")
        if note is not None and note[1] == tries + 1:  # else it has ended once more since
            tx.write(f"hook/{job_id}", None if wait is None else [tx.now + wait, note[1]])


def _key(job: Job) -> str:
    return f"key/{job.user}/{digest(job.key)}"
