"""Waiting for what is in flight: the next result, whatever happens to the workers meanwhile, and what it means."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Mapping
from typing import Any

from distributed import as_completed
from distributed.client import Future
from distributed.scheduler import KilledWorker
from distributed.utils import CancelledError

from montage_dask.errors import MontageError
from montage_dask.graph.operation import Request
from montage_dask.graph.outcome import Outcome
from montage_dask.graph.placement import Placement
from montage_dask.graph.telling import Telling
from montage_dask.graph.workers import Workers

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""Without a result for so long, a job looks whether there is still somebody to wait for."""

WORD_SECONDS = 25.0
"""And for so long, it says what it waits for."""


def next_result(
    workers: Workers,
    progress: Telling,
    waiting: Mapping[Future, tuple[Request, Placement]],
    completed: as_completed,
) -> tuple[Future, Any] | None:
    """A finished future and its result; None when requests wait for a target without workers, and others can take them."""
    ended: set[Future] = set()
    began = told = time.monotonic()
    while True:
        try:
            # Its own `next` has no timeout; `wait` would start a coroutine for every future each time.
            future, result = completed.queue.get(timeout=LOOK_SECONDS)
            if future in waiting:  # not one that was called back
                return future, result
        except queue.Empty:
            workers.watch.check_memory()
            now = time.monotonic()
            if now - told >= WORD_SECONDS:
                told = now
                names = ", ".join(sorted({f"{r.operation} of {r.label}" for r, _ in waiting.values()})[:3])  # fmt: skip
                progress.say(f"still waiting for {names} ({now - began:.0f} s)")
            # When the way to the scheduler breaks while a result is on it, `as_completed` forgets that future.
            before, ended = ended, {f for f in waiting if f.done()}
            for future in ended & before:
                return future, CancelledError(future.key, "its result was lost on the way")
            for placement in {p for _, p in waiting.values()}:
                if placement.fallbacks and workers.lacking(placement):
                    return None
                workers.check(placement)


def outcome_of(
    future: Future, result: Any, request: Request
) -> tuple[Outcome | None, BaseException | None, str]:
    """The outcome, or the unforeseen failure, which is worth another try; and the worker."""
    try:
        if isinstance(result, Mapping):
            outcome = Outcome(request, result.get("record"), result.get("error"))
            return outcome, None, result["worker"]
        # What `as_completed` gives for a task that raised: type, error, traceback.
        failure = result[1] if isinstance(result, tuple) else result
        log.warning("%s: %r", request.task_name, failure)
        return None, failure, ""
    finally:
        future.release()


def reason_of(failure: BaseException | None, workers: Workers) -> str:
    """Why a request failed in an unforeseen way, for people."""
    if isinstance(failure, KilledWorker):
        return workers.watch.memory() or "the worker that was at it died each time"
    if isinstance(failure, MontageError):
        return str(failure)
    return repr(failure)
