"""The queue in Redis, for several coordinators.

Every change is a transaction that Redis refuses when anybody changed the queue since it was read (WATCH, MULTI, EXEC); then it is
run again. Nothing is locked, so nobody who dies leaves a lock behind.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from montage_dask.coordinator.jobs import (
    STATES,
    Event,
    Job,
    QueueUnavailable,
    State,
    T,
    Transaction,
)
from montage_dask.errors import StoreError, UsageError
from montage_dask.store.places import scrubbed

if TYPE_CHECKING:
    from redis.client import Pipeline

log = logging.getLogger(__name__)

PREFIX = "{montage-dask}:"
"""Of all our keys; the braces keep them on one node of a Redis cluster."""
TRIES = 100
"""Of one change, while others change the queue at the same moment."""
ANSWER_SECONDS = 5.0


class RedisStore:
    """See `jobs.Store`.

    Args:
        url: redis://host:port/number, rediss://… for TLS, unix://….
        clock: seconds since 1970; None: by the server, one clock for all who share it.

    Raises:
        UsageError: no redis-py, a URL that is none, or a server that forgets what it has confirmed.
        StoreError: nobody answers there.
    """

    def __init__(self, url: str, clock: Callable[[], float] | None = None) -> None:
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError as error:
            raise UsageError(
                "REDIS_URL needs redis-py: pip install 'montage-dask[redis]'"
            ) from error
        self._errors = (redis.exceptions.RedisError, OSError)
        self._stale, self._refused = redis.exceptions.WatchError, redis.exceptions.ResponseError
        self._clock, self._name = clock, scrubbed(url)
        try:
            # Who does not know whether a change was done must say so, and not do it again.
            self._client = redis.Redis.from_url(
                url, decode_responses=True, socket_timeout=ANSWER_SECONDS,
                socket_connect_timeout=ANSWER_SECONDS, retry=Retry(NoBackoff(), 0),
            )  # fmt: skip
        except ValueError as error:
            raise UsageError(f"REDIS_URL {self._name}: {error}") from error
        self._check()

    def _check(self) -> None:
        """Refuse a server that answers before a change is on its disk."""
        try:
            found = {
                k: v
                for name in ("appendonly", "appendfsync")
                for k, v in self._client.config_get(name).items()
            }
        except self._refused as error:  # hosted ones hide their configuration
            log.warning("whether %s keeps what it confirms cannot be told: %s", self._name, error)
            return
        except self._errors as error:
            raise StoreError(
                f"no Redis answers at {self._name} (REDIS_URL): is it running? ({error})"
            ) from error
        if (found.get("appendonly"), found.get("appendfsync")) != ("yes", "always"):
            raise UsageError(
                f"REDIS_URL {self._name}: this server may forget jobs that it has confirmed: start it with "
                "--appendonly yes --appendfsync always"
            )

    def transact(self, change: Callable[[Transaction], T]) -> T:
        """See `jobs.Store`."""
        try:
            for attempt in range(TRIES):
                with self._client.pipeline() as pipe:
                    pipe.watch(PREFIX + "version")
                    tx = _Transaction(pipe, self._now(pipe))
                    result = change(tx)
                    try:
                        tx.commit()
                    except self._stale as error:
                        if "occurred while" in str(
                            error
                        ):  # the line was cut: done or not, who knows
                            raise
                        time.sleep(random.random() * 0.002 * min(attempt + 1, 20))
                        continue
                    return result
        except self._errors as error:
            raise QueueUnavailable(f"the queue at {self._name} does not answer: {error}") from error
        raise QueueUnavailable(f"the queue at {self._name} is changed by too many at once")

    def _now(self, pipe: Pipeline) -> float:
        if self._clock is not None:
            return self._clock()
        seconds, micros = pipe.time()
        return float(seconds) + float(micros) / 1e6

    def of_user(self, user: str, before: int | None, most: int) -> list[Job]:
        """See `jobs.Store`."""
        top = "+inf" if before is None else f"({before}"
        try:
            ids: Any = self._client.zrange(
                f"{PREFIX}user:{user}", top, "-inf", desc=True, byscore=True, offset=0, num=most
            )
            found = self._client.hmget(PREFIX + "jobs", ids) if ids else []
        except self._errors as error:
            raise QueueUnavailable(f"the queue at {self._name} does not answer: {error}") from error
        return [Job.load(json.loads(text)) for text in found if text is not None]

    def events(self, job_id: str, after: int, most: int) -> Sequence[Event]:
        """See `jobs.Store`."""
        try:
            found: Any = self._client.zrange(
                f"{PREFIX}events:{job_id}", f"({after}", "+inf", byscore=True, offset=0, num=most
            )
        except self._errors as error:
            raise QueueUnavailable(f"the queue at {self._name} does not answer: {error}") from error
        return [Event(*json.loads(text)) for text in found]

    def close(self) -> None:
        """See `jobs.Store`."""
        self._client.close()


class _Transaction:
    """See `jobs.Transaction`. Reads at once; writes are kept, and sent together."""

    def __init__(self, pipe: Pipeline, now: float) -> None:
        self._pipe, self.now = pipe, now
        self._writes: list[tuple[Any, ...]] = []
        self._notes: dict[str, Any] = {}

    def commit(self) -> None:
        if not self._writes and not self._notes:
            return
        self._pipe.multi()
        self._pipe.incr(PREFIX + "version")
        for command in self._writes:
            self._pipe.execute_command(*command)
        for name, value in self._notes.items():
            if value is None:
                self._pipe.hdel(PREFIX + "notes", name)
            else:
                self._pipe.hset(PREFIX + "notes", name, json.dumps(value))
        self._pipe.execute()

    def job(self, job_id: str) -> Job | None:
        text = self._pipe.hget(PREFIX + "jobs", job_id)
        return None if text is None else Job.load(json.loads(text))

    def jobs(self, states: Collection[State]) -> list[Job]:
        ids: Any = [i for s in states for i in self._pipe.zrange(f"{PREFIX}state:{s}", 0, -1)]
        found = self._pipe.hmget(PREFIX + "jobs", ids) if ids else []
        jobs = [Job.load(json.loads(text)) for text in found if text is not None]
        return sorted(jobs, key=lambda j: j.number)

    def put(self, job: Job) -> None:
        self._leave(job, *(s for s in STATES if s != job.state))
        self._writes += [
            ("HSET", PREFIX + "jobs", job.id, json.dumps(job.dump())),
            ("ZADD", f"{PREFIX}state:{job.state}", job.number, job.id),
            ("ZADD", f"{PREFIX}user:{job.user}", job.number, job.id),
        ]

    def _leave(self, job: Job, *states: State) -> None:
        self._writes += [("ZREM", f"{PREFIX}state:{state}", job.id) for state in states]

    def remove(self, job: Job) -> None:
        self._leave(job, *STATES)
        self._writes += [
            ("HDEL", PREFIX + "jobs", job.id),
            ("ZREM", f"{PREFIX}user:{job.user}", job.id),
            ("DEL", f"{PREFIX}events:{job.id}"),
        ]

    def tell(self, job_id: str, event: Event) -> None:
        text = json.dumps([event.number, event.at, event.kind, event.data])
        self._writes.append(("ZADD", f"{PREFIX}events:{job_id}", event.number, text))

    def note(self, name: str) -> Any:
        if name in self._notes:
            return self._notes[name]
        text = self._pipe.hget(PREFIX + "notes", name)
        return None if text is None else json.loads(text)

    def write(self, name: str, value: Any) -> None:
        self._notes[name] = value
