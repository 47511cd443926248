"""Works on the queue: claims jobs, has one process each, and says what becomes of them."""

from __future__ import annotations

import errno
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from montage_dask.coordinator.accounts import Accounts
from montage_dask.coordinator.child import Child, Outcome
from montage_dask.coordinator.jobs import HELD, Job, QueueUnavailable
from montage_dask.coordinator.queue import Queue

log = logging.getLogger(__name__)

TICK_SECONDS = 0.5
BEAT_SECONDS = 4.0
"""Between two signs of life, of which the lease allows three to be missed."""
TELL_SECONDS = 2.0
"""Between two words on how far a job is."""
CHORE_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 300.0
STOP_SECONDS = 9.0


@dataclass(slots=True)
class _Work:
    """A job that this runner has."""

    child: Child
    beaten_at: float
    outcome: Outcome | None = None
    """What came of its process, until the queue knows it."""
    lost: bool = False
    """Another owner has the job."""

    @property
    def job(self) -> Job:
        return self.child.job


class Runner:
    """One owner of jobs: a thread that never waits for anything long.

    Args:
        queue: of jobs.
        accounts: where users' files lie.
        cluster: which one jobs run on: what is told `run` as --cluster.
        options: further options of `run`.
        at_once: so many jobs under way.
        alone: nobody else works on this queue, so that jobs in somebody's hands are in dead ones.
        chore: called once a minute.
    """

    def __init__(
        self,
        queue: Queue,
        accounts: Accounts,
        cluster: str,
        *,
        options: Sequence[str] = (),
        at_once: int = 1,
        alone: bool = True,
        chore: Callable[[], None] = lambda: None,
    ) -> None:
        self.owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self.cluster = cluster
        self._queue, self._accounts, self._at_once = queue, accounts, at_once
        self._options = ["--cluster", cluster, *options]
        self._alone, self._chore, self._chored_at = alone, chore, 0.0
        self._work: dict[str, _Work] = {}
        self._reached_since: float | None = None
        self._ticked_at = time.monotonic()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="montage-runner", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """End all processes and give their jobs back; they go on elsewhere, or when a coordinator is here again."""
        self._ending.set()
        self._thread.join(2 * STOP_SECONDS)

    @property
    def works(self) -> bool:
        """Whether it lives and reaches the queue."""
        quick = time.monotonic() - self._ticked_at < 30
        return self._thread.is_alive() and quick and self._reached_since is not None

    @property
    def running(self) -> int:
        """Processes under way."""
        return len(self._work)

    def _run(self) -> None:
        while not self._ending.wait(TICK_SECONDS):
            try:
                self.tick()
            except Exception:
                # Whatever it is, the jobs of others go on.
                log.exception("the runner stumbled")
        self._wind_up()

    def tick(self) -> None:
        """One look at everything."""
        self._ticked_at = now = time.monotonic()
        for work in self._work.values():
            work.outcome = work.outcome or work.child.poll()
        try:
            held = {j.id: j for j in self._queue.in_states(HELD)}
            for work in list(self._work.values()):
                self._speak(work, held.get(work.job.id), now)
            self._reached_since = self._reached_since or now
            self._take_from_the_dead(now)
            while len(self._work) < self._at_once and self._claim(now):
                pass
            if now - self._chored_at >= CHORE_SECONDS:
                self._chored_at = now
                self._chore()
        except QueueUnavailable as error:
            if self._reached_since is not None:
                log.warning("%s; running jobs go on", error)
            self._reached_since = None

    def _speak(self, work: _Work, held: Job | None, now: float) -> None:
        """Tell the queue of a job, and do as it says."""
        job = work.job
        if held is not None and (held.owner, held.fence) != (self.owner, job.fence):
            held = None
        if work.outcome is not None:
            if held is not None:
                self._finish(work, work.outcome)
            del self._work[job.id]
        elif held is None:
            # Its end may have been said already, with the answer lost: then there is an outcome.
            if not work.lost:
                log.warning("job %s has another owner: its process here is ended", job.id)
                work.lost = True
            work.child.kill()
        else:
            if held.state == "cancelling" or held.pausing:
                work.child.ask_to_stop()
            since = now - work.beaten_at
            told = work.child.progress() if since >= TELL_SECONDS else None
            if since >= BEAT_SECONDS or told not in (None, held.progress):
                self._queue.beat(job, told)
                work.beaten_at = now

    def _finish(self, work: _Work, outcome: Outcome) -> None:
        job = work.job
        self._queue.beat(job, work.child.progress())
        if outcome.state is not None:
            self._queue.end(job, outcome.state, outcome.reason)
        else:
            wait = self.wait_seconds(job) if outcome.later else 0.0
            self._queue.release(job, outcome.reason, wait, outcome.crashed)
        log.info("job %s: %s %s", job.id, outcome.state or "goes on later", outcome.reason)

    def _take_from_the_dead(self, now: float) -> None:
        if self._alone:
            # Whoever had jobs before has died: the store has one owner at a time.
            self._queue.expire(all_of_them=True)
            self._alone = False
        # While the queue was away nobody could say that he lives.
        elif self._reached_since and now - self._reached_since >= self._queue.lease_seconds:
            for job in self._queue.expire():
                log.warning("job %s was taken from %s, which is gone", job.id, job.owner)

    def _claim(self, now: float) -> bool:
        job = self._queue.claim(self.owner, self.cluster)
        if job is None:
            return False
        account = self._accounts.account(job.user)
        if account is None:
            self._queue.end(job, "failed", "its user is no longer known")
            return True
        try:
            self._work[job.id] = _Work(Child(job, account, self._options), now)
        except BlockingIOError:
            self._queue.release(job, "its former process still works in its folder", 5.0)
        except (OSError, ValueError) as error:
            said = f"its process cannot be begun: {error}"
            if isinstance(error, ValueError) or error.errno == errno.E2BIG:  # nor ever will
                self._queue.end(job, "failed", said)
            else:
                self._queue.release(job, said, self.wait_seconds(job))
        return True

    def _wind_up(self) -> None:
        self._at_once = 0
        for work in self._work.values():
            work.child.ask_to_stop()
        end = time.monotonic() + STOP_SECONDS
        while self._work and time.monotonic() < end:
            self.tick()
            time.sleep(0.05)
        for work in self._work.values():
            work.child.kill()
            # If the queue is away, the lease ends by itself.
            with suppress(QueueUnavailable):
                self._queue.release(work.job, "its coordinator was stopped")

    @staticmethod
    def wait_seconds(job: Job) -> float:
        """Until a job is tried again that could not begin: longer each time."""
        return float(min(LONGEST_WAIT_SECONDS, 5.0 * 2 ** min(job.tries, 10)))
