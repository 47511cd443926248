"""The queue in Redis, for several coordinators.

Every change is a transaction that Redis refuses when anybody changed the queue since it was read (WATCH, MULTI, EXEC); then it is
run again. Nothing is locked, so nobody who dies leaves a lock behind.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from montage_dask.coordinator.jobs import LAST, QueueUnavailable, T
from montage_dask.coordinator.transaction import Transaction
from montage_dask.errors import StoreError, UsageError
from montage_dask.store.places import scrubbed

if TYPE_CHECKING:
    from redis.client import Pipeline

log = logging.getLogger(__name__)

ROWS, NAMES, CHANGES = (f"{{montage-dask}}:{name}" for name in ("rows", "names", "version"))
"""Keys: values by name, the names in order, a count of changes. The braces keep them on one node of a Redis cluster."""
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
            found: dict[Any, Any] = {}
            for name in ("appendonly", "appendfsync"):
                found |= self._client.config_get(name)
        except self._refused as error:  # hosted ones hide their configuration
            log.warning("whether %s keeps what it confirms cannot be told: %s", self._name, error)
            return
        except self._errors as error:
            raise StoreError(
                f"no Redis answers at {self._name} (REDIS_URL): is it running? ({error})"
            ) from error
        if found != {"appendonly": "yes", "appendfsync": "always"}:
            raise UsageError(
                f"REDIS_URL {self._name}: this server may forget jobs that it has confirmed: start it with "
                "--appendonly yes --appendfsync always"
            )

    def transact(self, change: Callable[[Transaction], T]) -> T:
        """See `jobs.Store`."""
        try:
            for attempt in range(TRIES):
                with self._client.pipeline() as pipe:
                    pipe.watch(CHANGES)
                    rows = _Rows(pipe, self._clock() if self._clock else _now(pipe))
                    result = change(Transaction(rows))
                    try:
                        rows.commit()
                    except self._stale as error:
                        if "occurred while" in str(error):
                            raise  # the line was cut: done or not, who knows
                        time.sleep(random.random() * 0.002 * min(attempt + 1, 20))
                        continue
                    return result
        except self._errors as error:
            raise QueueUnavailable(f"the queue at {self._name} does not answer: {error}") from error
        raise QueueUnavailable(f"the queue at {self._name} is changed by too many at once")

    def close(self) -> None:
        """See `jobs.Store`."""
        self._client.close()


def _now(pipe: Pipeline) -> float:
    seconds, micros = pipe.time()
    return float(seconds) + float(micros) / 1e6


class _Rows:
    """See `jobs.Rows`. Reads at once; writes are kept, and sent together."""

    def __init__(self, pipe: Pipeline, now: float) -> None:
        self._pipe, self.now = pipe, now
        self._writes: dict[str, Any] = {}

    def commit(self) -> None:
        gone = [name for name, value in self._writes.items() if value is None]
        left: Any = {name: json.dumps(v) for name, v in self._writes.items() if v is not None}
        if not self._writes:
            return
        self._pipe.multi()
        self._pipe.incr(CHANGES)
        if gone:
            self._pipe.hdel(ROWS, *gone)
            self._pipe.zrem(NAMES, *gone)
        if left:
            self._pipe.hset(ROWS, mapping=left)
            self._pipe.zadd(NAMES, dict.fromkeys(left, 0))
        self._pipe.execute()

    def _stored(self, names: Sequence[str]) -> list[Any]:
        found: Any = self._pipe.hmget(ROWS, names) if names else []
        return [None if text is None else json.loads(text) for text in found]

    def values(self, names: Sequence[str]) -> list[Any]:
        stored = zip(names, self._stored(names), strict=True)
        return [self._writes.get(name, value) for name, value in stored]

    def scan(
        self, prefix: str, low: str = "", high: str = LAST, most: int = -1, *, down: bool = False
    ) -> list[tuple[str, Any]]:
        ends = (f"({prefix}{low}", f"({prefix}{high}")
        first, last = reversed(ends) if down else ends
        names: Any = self._pipe.zrange(
            NAMES, first, last, desc=down, bylex=True, offset=0, num=most
        )
        stored = zip(names, self._stored(names), strict=True)
        return [(name, value) for name, value in stored if value is not None]

    def write(self, name: str, value: Any) -> None:
        self._writes[name] = value
