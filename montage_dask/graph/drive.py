"""Bounded execution of requests on a Dask cluster.

Each request becomes one `dask.delayed` task, annotated with the resource tag of its placement. At most a few tasks per slot are
submitted at a time, because tasks with resources are not queued by the scheduler; so neither the client nor the
scheduler grows with the number of clips. Results are small records.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import dask
from distributed import Client, as_completed, span
from distributed.client import Future
from distributed.utils import CancelledError

from montage_dask.dashboard.state import ANNOTATION
from montage_dask.devices import DEFAULT_LIMIT_MB
from montage_dask.errors import (
    Cancelled,
    ClusterError,
    DamagedArtefact,
    MediaError,
    MontageError,
    StoreError,
    TargetFailed,
)
from montage_dask.graph.calls import Calls
from montage_dask.graph.fallback import Breaker, Routes
from montage_dask.graph.inputs import SEEN, Looks
from montage_dask.graph.mending import Makers
from montage_dask.graph.operation import STALL, Request, finished, operation
from montage_dask.graph.outcome import Outcome
from montage_dask.graph.placement import TAGS, Placement
from montage_dask.graph.remote import LineState, line_state
from montage_dask.graph.task import task
from montage_dask.graph.telling import Progress, Telling
from montage_dask.graph.waiting import next_result, outcome_of, reason_of
from montage_dask.graph.workers import Workers
from montage_dask.media.ffmpeg import STALL_SECONDS
from montage_dask.records import to_json
from montage_dask.store import Place, Store

log = logging.getLogger(__name__)

T = TypeVar("T")

_SUBMITTING = threading.Lock()
"""Dask's configuration is one for all threads: two jobs must not change it at once."""


class Driver:
    """Runs requests on one cluster for one job.

    Args:
        client: connected.
        store: where artefacts stand; the workers must see the same folder.
        progress: told about every finished request; `driver.progress` tells it, and the dashboard more.
        in_flight_per_slot: tasks submitted per slot of the cluster.
        priority: of all tasks, among those of other jobs.
        retries: of a task that failed in an unforeseen way.
        gpu_memory_limit_mb: what a GPU worker may take of its GPU.
        stall_seconds: an ffmpeg without progress for this long is killed.
        where: the cluster, for people; "": the address of its scheduler.
    """

    def __init__(
        self,
        client: Client,
        store: Store,
        progress: Progress,
        *,
        in_flight_per_slot: int = 2,
        priority: int = 0,
        retries: int = 2,
        gpu_memory_limit_mb: int = DEFAULT_LIMIT_MB,
        stall_seconds: float = STALL_SECONDS,
        where: str = "",
    ) -> None:
        self.client = client
        self.where = where or (str(client.scheduler.address) if client is not None else "")
        self.store = store
        self.progress = Telling(progress)
        self.tally = self.progress.tally
        self.workers = Workers(client, self.progress.note)
        self.breaker = Breaker()
        self._in_flight_per_slot = in_flight_per_slot
        self._priority = priority
        self._retries = retries
        self._gpu_memory_limit_mb = gpu_memory_limit_mb
        self._stall_seconds = stall_seconds
        self._line: LineState | None = None
        self._cancelled = threading.Event()
        self._in_flight: Mapping[Future, Any] = {}
        self._named: dict[str, int] = defaultdict(int)
        self.calls = Calls(client, self.workers, retries, self._go_on)
        self._makers = Makers(store)
        self._looks = Looks(store)
        self._placed: dict[str, Placement] = {}

    def can_make(self, requests: Callable[[], Iterable[Request]]) -> None:
        """Requests that need not be run, but can be when what they have made is damaged; drawn only then."""
        self._makers.can_make(requests)

    def look_at(self, places: Iterable[Place]) -> None:
        """Files that must stay what they are now: those that the job names."""
        for place in places:
            if isinstance(place, Path):
                self._looks.first(str(place))

    def cancel(self) -> None:
        """Stop: from any thread, and for good. Tasks that wait are taken back; those that run end by themselves, and are kept."""
        self._cancelled.set()
        # A look at what is waited for now; what comes later is stopped before it is submitted.
        for future in list(self._in_flight):
            future.cancel()

    def _go_on(self) -> None:
        """Raises `Cancelled` when the job was called off."""
        if self._cancelled.is_set():
            raise Cancelled("cancelled: what is done is kept")

    def told(self) -> dict[str, Any]:
        """What ran where, what went on with another target, and what had to be done again; ready for JSON."""
        return {
            "operations": self.tally.rows(),
            "workers": self.tally.workers(),
            "stages": self.progress.stages(),
            "fallbacks": [to_json(f) for f in self.breaker.fallbacks],
            "troubles": self.tally.troubles(),
            "wall_seconds": round(time.monotonic() - self.tally.began, 1),
        }

    def line(self) -> LineState:
        """What a cgpu worker knows of its line; asked once for a job.

        Raises:
            ClusterError: there is no cgpu worker.
        """
        if self._line is None:
            self._line = self.calls.answer(Placement("line", "cgpu", ""), line_state)
            self.progress.line(self._line)
        return self._line

    def run(
        self,
        requests: Iterable[Request],
        placements: Mapping[str, Placement],
        *,
        media_seconds: Callable[[Request], float] = lambda _: 0.0,
        priority: int = 0,
    ) -> Iterator[Outcome]:
        """Run requests and yield their outcomes as they come.

        Finished work is taken from the store without a task. Requests are drawn lazily, and again after every outcome even
        when there were none left: the caller may add to a `Feed` what an outcome made possible.

        Args:
            requests: of any operations.
            placements: where each of these operations runs.
            media_seconds: of video or music in a request, for the speed that people see.
            priority: of the tasks, higher first.

        Raises:
            ClusterError: no worker offers what a placement needs, or the workers went away.
        """
        waiting: dict[Future, tuple[Request, Placement]] = {}
        try:
            yield from self._outcomes(requests, placements, waiting, media_seconds, priority)
        finally:
            # After an error: what has not begun goes, and a later job on this cluster gets none of these results.
            for future in waiting:
                future.release()

    def _outcomes(
        self,
        requests: Iterable[Request],
        placements: Mapping[str, Placement],
        waiting: dict[Future, tuple[Request, Placement]],
        media_seconds: Callable[[Request], float],
        priority: int,
    ) -> Iterator[Outcome]:
        self._placed.update(placements)
        routes = Routes(placements, self.breaker)
        self._in_flight = waiting
        attempts: dict[tuple[str, str], int] = defaultdict(int)
        again: deque[Request] = deque()
        source = iter(requests)
        # Results are fetched as they come, many at once: one at a time, a large cluster waits for the client.
        completed = as_completed(loop=self.client.loop, with_results=True, raise_errors=False)
        while True:
            self._go_on()
            limit = self.workers.capacity().slots * self._in_flight_per_slot
            while len(waiting) < limit:
                request = again.popleft() if again else next(source, None)
                if request is None:
                    break
                self._makers.saw(request)
                known = self.store.had(request.operation, request.key)
                done = finished(request, self.store) if known else None
                if done is not None:
                    self.progress.ran(request, done.get("target", "cpu"), "reused", done)
                    yield self._told(Outcome(request, done), media_seconds)
                    continue
                placement = self._reachable(routes, request)
                attempt = attempts[request.key, placement.target]
                future = self._submit(request, placement, priority, attempt)
                waiting[future] = (request, placement)
                completed.add(future)
            if not waiting:
                return
            found = next_result(self.workers, self.progress, waiting, completed)
            self._go_on()
            if found is None:
                again.extend(self._recalled(waiting, routes))
                continue
            future, result = found
            request, placement = waiting.pop(future)
            outcome, failure, worker = outcome_of(future, result, request)
            if isinstance(failure, CancelledError):
                # Not its fault: the way to the scheduler broke, or a new scheduler knows nothing of it.
                again.append(request)
                self.workers.reconnected(failure)
                continue
            if outcome is None:
                self.workers.look_again()
                attempts[request.key, placement.target] += 1
                tries = attempts[request.key, placement.target]
                if tries > self._retries and not self._moved(
                    routes, request, placement, repr(failure)
                ):
                    raise ClusterError(
                        f"{request.operation} of {request.label} failed {tries} times: {reason_of(failure, self.workers)}"
                    )
                if tries <= self._retries:
                    self.progress.note(f"{request.operation} of {request.label} is tried again")
                again.append(request)
                continue
            if isinstance(outcome.error, StoreError) and not isinstance(
                outcome.error, DamagedArtefact
            ):
                # Once more: a task that an earlier job on this cluster has left may answer, with what was wrong then.
                attempts[request.key, placement.target] += 1
                if attempts[request.key, placement.target] == 1:
                    again.append(request)
                    continue
            if isinstance(outcome.error, TargetFailed) and self._moved(
                routes, request, placement, str(outcome.error)
            ):
                again.append(request)
                continue
            self.workers.watch.result()
            if isinstance(outcome.error, DamagedArtefact):
                unmended = self._mended(outcome.error)
                if unmended is None:
                    again.append(request)
                    continue
                outcome = Outcome(request, None, unmended)
            if outcome.record is not None:
                routes.worked(placement)
                self.store.has_now(request.operation, request.key)
            self.progress.ran(
                request,
                placement.target,
                "failed" if outcome.record is None else "done",
                outcome.record or {},
                media_seconds(request),
                worker,
            )
            yield self._told(outcome, media_seconds)

    def _mended(self, damage: DamagedArtefact) -> MontageError | None:
        """Have a damaged artefact made again; the error when that cannot be."""
        maker = self._makers.of(damage)
        if maker is None:
            return damage
        self.progress.note(f"{maker.operation} of {maker.label} is done again: {damage.brief}")
        place = self._placed.get(maker.operation) or Placement(maker.operation, "cpu", "damaged")
        others = self._in_flight
        try:
            return next(self.run([maker], {maker.operation: place})).error
        finally:
            self._in_flight = others

    def _moved(self, routes: Routes, request: Request, placement: Placement, why: str) -> bool:
        """Whether a request whose target failed can go on with another one."""
        behind = routes.move(request, placement, why)
        if behind is not None:
            self.progress.moved(request, self.breaker.fallbacks[-1])
        return behind is not None

    def _reachable(self, routes: Routes, request: Request) -> Placement:
        """A placement of a request that some worker can take.

        Raises:
            ClusterError: no worker is left for it, nor for any target behind it.
        """
        while True:
            placement = routes.of(request)
            try:
                self.workers.check(placement)
                return placement
            except ClusterError as error:
                if not placement.fallbacks:
                    raise
                routes.gone(placement, str(error))
                self._moved(routes, request, placement, str(error))

    def _recalled(
        self, waiting: dict[Future, tuple[Request, Placement]], routes: Routes
    ) -> list[Request]:
        """Take back the requests that wait for workers that went away; they go to another target."""
        back = []
        for future, (request, placement) in list(waiting.items()):
            if placement.fallbacks and self.workers.lacking(placement):
                why = self.workers.capacity_for(request.operation).lacks.get(
                    TAGS[placement.target], f"no {TAGS[placement.target]} worker is left"
                )
                routes.gone(placement, why)
                self._moved(routes, request, placement, why)
                future.cancel()
                del waiting[future]
                back.append(request)
        return back

    def ask(self, placement: Placement, function: Callable[..., T], *arguments: Any) -> T:
        """See `Calls.ask`."""
        return self.calls.ask(placement, function, *arguments)

    def only(self, request: Request, placement: Placement) -> dict[str, Any]:
        """Run one request.

        Raises:
            MontageError: as the operation does.
        """
        (outcome,) = self.run([request], {request.operation: placement})
        if outcome.record is None:
            raise outcome.error or MontageError(f"{request.operation} gave no result")
        return outcome.record

    def _submit(
        self, request: Request, placement: Placement, priority: int, attempt: int
    ) -> Future:
        self.progress.placed(placement)
        name = request.task_name if not attempt else f"{request.task_name}-{attempt}"
        if placement.fallen:
            name += f"-{placement.target}"
        # Where the same is asked for once more, Dask must not answer with what it still remembers.
        self._named[name] += 1
        if self._named[name] > 1:
            name += f"-again{self._named[name] - 1}"
        # Both fusions drop or mix annotations, so that a task would run in the wrong place.
        unfused = {"optimization.fuse.active": False, "optimization.fuse.delayed": False}
        more = {STALL: self._stall_seconds, SEEN: self._looks.of(request)}
        patient = replace(request, paths={**request.paths, **more})
        with _SUBMITTING, dask.config.set(unfused):
            threads = operation(request.operation).threads
            resources = {t: threads if t == "CPU" else n for t, n in placement.resources.items()}
            wanted: dict[str, Any] = {}
            if self.workers.capacity().tagged:
                wanted["resources"] = resources
            able = self.workers.able(request.operation)
            if able is not None:
                wanted["workers"] = able
            about = self.progress.about(request)
            priority += self._priority
            with (
                span(request.operation),
                dask.annotate(**wanted, priority=priority, **{ANNOTATION: about}),
            ):
                delayed = dask.delayed(task, pure=False)(
                    patient,
                    str(self.store.root),
                    placement.target,
                    self._gpu_memory_limit_mb,
                    dask_key_name=name,
                )
                return self.client.compute(delayed, optimize_graph=False)

    def _told(self, outcome: Outcome, media_seconds: Callable[[Request], float]) -> Outcome:
        request = outcome.request
        self.progress.step(request.operation, request.label, media_seconds(request))
        if isinstance(outcome.error, MediaError):
            log.info("%s", outcome.error)
        return outcome
