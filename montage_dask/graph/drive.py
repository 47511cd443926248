"""Bounded execution of requests on a Dask cluster.

Each request becomes one `dask.delayed` task, annotated with the resource tag of its placement. At most a few tasks per slot are
submitted at a time, because tasks with resources are not queued by the scheduler; so neither the client nor the
scheduler grows with the number of clips. Results are small records.
"""

from __future__ import annotations

import logging
import queue
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar, cast

import dask
from distributed import Client, as_completed, get_worker, span
from distributed.client import Future
from distributed.utils import CancelledError

from montage_dask.devices import DEFAULT_LIMIT_MB, limit_memory
from montage_dask.errors import ClusterError, MediaError, MontageError, TargetFailed
from montage_dask.graph.fallback import Breaker, Routes
from montage_dask.graph.operation import Request, finished, operation, perform
from montage_dask.graph.placement import OFFER, TAGS, Capacity, Placement, promised
from montage_dask.graph.remote import LineState, ask_remotely, line_state, perform_remotely
from montage_dask.graph.staging import perform_staged
from montage_dask.records import to_json
from montage_dask.store import Store, place_of

log = logging.getLogger(__name__)

T = TypeVar("T")

DEVICES = {"cpu": "cpu", "gpu": "cuda"}
"""What torch calls a target."""

CAPACITY_SECONDS = 1.0
"""How long a look at the workers counts: asking costs the scheduler a message."""

CAPACITY_SHARE = 0.05
"""And no more than this share of the time goes into looking: hundreds of workers have a lot to tell."""

JOINING_SECONDS = 20.0
"""Workers of a cluster that was just started may still be on their way."""

WORKER_WAIT_SECONDS = 60.0
"""How long a job waits for a lost worker to come back before it gives up."""

SCHEDULER_WAIT_SECONDS = 60.0
"""How long a scheduler that does not answer may take to come back."""

FALLBACK_WAIT_SECONDS = 10.0
"""How long it waits where another target can do the work."""


class Progress(Protocol):
    """Where a job tells how far it is."""

    def stage(self, name: str, total: int, unit: str = "") -> None:
        """A stage begins; `total` steps are known so far."""

    def step(self, name: str, label: str, media_seconds: float = 0.0) -> None:
        """One step of a stage is done; `media_seconds` of video or music went through."""

    def note(self, message: str) -> None:
        """Something that people should know."""


class Silent:
    """A progress that tells nobody."""

    def stage(self, name: str, total: int, unit: str = "") -> None: ...
    def step(self, name: str, label: str, media_seconds: float = 0.0) -> None: ...
    def note(self, message: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request: a record, or the error that the operation raised."""

    request: Request
    record: dict[str, Any] | None
    error: MontageError | None = None


@dataclass(slots=True)
class Tally:
    """What ran, for the summary: counts and seconds by operation and target."""

    counts: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    seconds: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    cpu_seconds: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    reused: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    began: float = field(default_factory=time.monotonic)
    _troubles: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))

    def add(self, name: str, target: str, record: Mapping[str, Any]) -> None:
        """One operation ran and gave a record."""
        self.counts[name, target] += 1
        self.seconds[name, target] += record.get("seconds", 0.0)
        self.cpu_seconds[name, target] += record.get("cpu_seconds", 0.0)
        for reason in record.get("troubles", ()):
            self._troubles[name, reason] += 1

    def troubles(self) -> list[dict[str, Any]]:
        """What went wrong on the way to a result, most frequent first."""
        return [
            {"operation": name, "reason": reason, "count": count}
            for (name, reason), count in sorted(self._troubles.items(), key=lambda t: (-t[1], t[0]))
        ]

    def rows(self) -> list[dict[str, Any]]:
        """The `operations` of the JSON contract; work that was reused counts under its own key."""
        names = sorted({*self.counts, *((n, "cpu") for n in self.reused)})
        return [
            {
                "name": name,
                "target": target,
                "count": self.counts.get((name, target), 0),
                "seconds": round(self.seconds.get((name, target), 0.0), 3),
                "cpu_seconds": round(self.cpu_seconds.get((name, target), 0.0), 3),
                "reused": self.reused.get(name, 0),
            }
            for name, target in names
        ]


class Feed:
    """Requests that may grow while they run: what was pushed comes first, then the rest.

    Args:
        rest: drawn lazily.
    """

    def __init__(self, rest: Iterable[Request]) -> None:
        self._pushed: deque[Request] = deque()
        self._rest = iter(rest)

    def push(self, request: Request) -> None:
        """Run this next."""
        self._pushed.append(request)

    def __iter__(self) -> Iterator[Request]:
        return self

    def __next__(self) -> Request:
        return self._pushed.popleft() if self._pushed else next(self._rest)


def capacity_of(client: Client) -> Capacity:
    """The resource tags of all workers, as the scheduler knows them now, and of those that a scaler would start."""
    total: dict[str, float] = defaultdict(float)
    largest: dict[str, float] = defaultdict(float)
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    for worker in workers:
        for tag, amount in worker["resources"].items():
            total[tag] += amount
            largest[tag] = max(largest[tag], amount)
    there = Capacity(dict(total), dict(largest), len(workers))
    return promised(there, client.get_metadata([OFFER], {}))


def task(
    request: Request, store_root: str, target: str, gpu_memory_limit_mb: int
) -> dict[str, Any]:
    """What runs in a worker. Errors of the media are results: Dask must not retry them."""
    tag = TAGS[target]
    offered = get_worker().state.total_resources
    if (
        tag not in offered
    ):  # pragma: no cover - a wrong graph; says so instead of running in the wrong place
        raise ClusterError(f"{request.operation} was sent to a worker without {tag}")
    limit_memory(gpu_memory_limit_mb)
    run = perform_remotely if target == "cgpu" else partial(perform, device=DEVICES[target])
    try:
        return {"record": perform_staged(request, Store(place_of(store_root)), run)}
    except MontageError as error:
        return {"error": error}


class Driver:
    """Runs requests on one cluster for one job.

    Args:
        client: connected.
        store: where artefacts stand; the workers must see the same folder.
        progress: told about every finished request.
        in_flight_per_slot: tasks submitted per slot of the cluster.
        retries: of a task that failed in an unforeseen way.
        gpu_memory_limit_mb: what a GPU worker may take of its GPU.
    """

    def __init__(
        self,
        client: Client,
        store: Store,
        progress: Progress,
        *,
        in_flight_per_slot: int = 2,
        retries: int = 2,
        gpu_memory_limit_mb: int = DEFAULT_LIMIT_MB,
    ) -> None:
        self.client = client
        self.store = store
        self.progress = progress
        self.tally = Tally()
        self.breaker = Breaker()
        self._in_flight_per_slot = in_flight_per_slot
        self._retries = retries
        self._gpu_memory_limit_mb = gpu_memory_limit_mb
        self._line: LineState | None = None
        self._seen = Capacity()
        self._seen_until = float("-inf")

    def capacity(self) -> Capacity:
        """What the workers offer, as of a moment ago."""
        if time.monotonic() > self._seen_until:
            while True:
                began = time.monotonic()
                try:
                    self._seen = capacity_of(self.client)
                    break
                except (OSError, TimeoutError) as error:
                    self._reconnected(error)
            took = time.monotonic() - began
            self._seen_until = began + min(
                WORKER_WAIT_SECONDS / 6, max(CAPACITY_SECONDS, took / CAPACITY_SHARE)
            )
        return self._seen

    def _reconnected(self, error: BaseException | None = None) -> None:
        """Wait until the client, which tries by itself, has its scheduler again.

        Raises:
            ClusterError: it did not come back.
        """
        deadline = time.monotonic() + SCHEDULER_WAIT_SECONDS
        time.sleep(0.2)
        while self.client.status != "running":
            if self.client.status in ("closed", "closing") or time.monotonic() > deadline:
                raise ClusterError(
                    "the scheduler was lost and did not come back; what is done is kept: run the same command again to go on"
                ) from error
            time.sleep(0.2)

    def expect(self, target: str) -> Capacity:
        """What the cluster offers, as soon as a worker of a target is there, or after `JOINING_SECONDS` without one."""
        deadline = time.monotonic() + JOINING_SECONDS
        while not self.capacity().offers(target) and time.monotonic() < deadline:
            time.sleep(0.2)
        return self.capacity()

    def told(self) -> dict[str, Any]:
        """What ran where, what went on with another target, and what had to be done again; ready for JSON."""
        return {
            "operations": self.tally.rows(),
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
            future = self.client.submit(line_state, resources={TAGS["cgpu"]: 1}, pure=False)
            self._line = self._answer(future, Placement("line", "cgpu", ""))
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
        routes = Routes(placements, self.breaker)
        waiting: dict[Future, tuple[Request, Placement]] = {}
        attempts: dict[tuple[str, str], int] = defaultdict(int)
        again: deque[Request] = deque()
        source = iter(requests)
        # Results are fetched as they come, many at once: one at a time, a large cluster waits for the client.
        completed = as_completed(loop=self.client.loop, with_results=True, raise_errors=False)
        while True:
            limit = self.capacity().slots * self._in_flight_per_slot
            while len(waiting) < limit:
                request = again.popleft() if again else next(source, None)
                if request is None:
                    break
                done = finished(request, self.store)
                if done is not None:
                    self.tally.reused[request.operation] += 1
                    yield self._told(Outcome(request, done), media_seconds)
                    continue
                placement = self._reachable(routes, request)
                attempt = attempts[request.key, placement.target]
                future = self._submit(request, placement, priority, attempt)
                waiting[future] = (request, placement)
                completed.add(future)
            if not waiting:
                return
            found = self._next(waiting, completed)
            if found is None:
                again.extend(self._recalled(waiting, routes))
                continue
            future, result = found
            request, placement = waiting.pop(future)
            outcome, failure = self._outcome(future, result, request)
            if isinstance(failure, CancelledError):
                # Not its fault: the way to the scheduler broke, or a new scheduler knows nothing of it.
                again.append(request)
                self._reconnected(failure)
                continue
            if outcome is None:
                attempts[request.key, placement.target] += 1
                tries = attempts[request.key, placement.target]
                if tries > self._retries and not self._moved(
                    routes, request, placement, repr(failure)
                ):
                    raise ClusterError(
                        f"{request.operation} of {request.label} failed {tries} times: {failure!r}"
                    )
                if tries <= self._retries:
                    self.progress.note(f"{request.operation} of {request.label} is tried again")
                again.append(request)
                continue
            if isinstance(outcome.error, TargetFailed) and self._moved(
                routes, request, placement, str(outcome.error)
            ):
                again.append(request)
                continue
            if outcome.record is not None:
                routes.worked(placement)
                self.tally.add(request.operation, placement.target, outcome.record)
            yield self._told(outcome, media_seconds)

    def _moved(self, routes: Routes, request: Request, placement: Placement, why: str) -> bool:
        """Whether a request whose target failed can go on with another one."""
        behind = routes.move(request, placement, why)
        if behind is not None:
            self.progress.note(
                f"{request.operation} of {request.label} goes on with {behind.target}: {why}"
            )
        return behind is not None

    def _reachable(self, routes: Routes, request: Request) -> Placement:
        """A placement of a request that some worker can take.

        Raises:
            ClusterError: no worker is left for it, nor for any target behind it.
        """
        while True:
            placement = routes.of(request)
            try:
                self._check(placement)
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
            if placement.fallbacks and self._lacking(placement):
                why = self.capacity().lacks.get(
                    TAGS[placement.target], f"no {TAGS[placement.target]} worker is left"
                )
                routes.gone(placement, why)
                self._moved(routes, request, placement, why)
                future.cancel()
                del waiting[future]
                back.append(request)
        return back

    def ask(self, placement: Placement, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function in a worker of a target, for cgpu on the machine behind it; nothing of it is kept.

        Raises:
            ClusterError: no worker offers what the placement needs.
            MontageError: as the function does.
        """
        self._check(placement)
        called: tuple[Callable[..., Any], ...] = (function,)
        if placement.target == "cgpu":
            called = (ask_remotely, function)
        future = self.client.submit(
            *called, *arguments, resources=placement.resources, pure=False, retries=self._retries
        )
        return cast(T, self._answer(future, placement))

    def _answer(self, future: Future, placement: Placement) -> Any:
        """The result of a task, as long as its target has or may get a worker."""
        try:
            while True:
                try:
                    return future.result(timeout=5)
                except TimeoutError:
                    if future.done():
                        raise
                    self._check(placement)
        finally:
            future.release()

    def only(self, request: Request, placement: Placement) -> dict[str, Any]:
        """Run one request.

        Raises:
            MontageError: as the operation does.
        """
        (outcome,) = self.run([request], {request.operation: placement})
        if outcome.record is None:
            raise outcome.error or MontageError(f"{request.operation} gave no result")
        return outcome.record

    def _lacking(self, placement: Placement) -> list[str]:
        """The tags of a placement that no worker offers now."""
        largest = self.capacity().largest
        return [t for t, n in placement.resources.items() if largest.get(t, 0) < n]

    def _check(self, placement: Placement) -> None:
        """Never submit a task that cannot run: Dask would wait in silence."""
        # Another target can take it at once; the last one is worth waiting for.
        patience = FALLBACK_WAIT_SECONDS if placement.fallbacks else WORKER_WAIT_SECONDS
        deadline = time.monotonic() + patience
        while lacking := self._lacking(placement):
            known = [w for t, w in self.capacity().lacks.items() if t in lacking]
            if known or time.monotonic() > deadline:
                what = f"no worker offers {', '.join(lacking)}, which {placement.operation} needs"
                raise ClusterError(": ".join([what, *known[:1]]))
            time.sleep(0.2)

    def _submit(
        self, request: Request, placement: Placement, priority: int, attempt: int
    ) -> Future:
        name = request.task_name if not attempt else f"{request.task_name}-{attempt}"
        if placement.fallen:
            name += f"-{placement.target}"
        # Both fusions drop or mix annotations, so that a task would run in the wrong place.
        with dask.config.set(
            {"optimization.fuse.active": False, "optimization.fuse.delayed": False}
        ):
            threads = operation(request.operation).threads
            resources = {t: threads if t == "CPU" else n for t, n in placement.resources.items()}
            with span(request.operation), dask.annotate(resources=resources, priority=priority):
                delayed = dask.delayed(task, pure=False)(
                    request,
                    str(self.store.root),
                    placement.target,
                    self._gpu_memory_limit_mb,
                    dask_key_name=name,
                )
                return self.client.compute(delayed, optimize_graph=False)

    def _next(
        self, waiting: Mapping[Future, tuple[Request, Placement]], completed: as_completed
    ) -> tuple[Future, Any] | None:
        """A finished future and its result; None when requests wait for a target without workers, and others can take them."""
        while True:
            try:
                # Its own `next` has no timeout; `wait` would start a coroutine for every future each time.
                future, result = completed.queue.get(timeout=5)
                if future in waiting:  # not one that was called back
                    return future, result
            except queue.Empty:
                for placement in {p for _, p in waiting.values()}:
                    if placement.fallbacks and self._lacking(placement):
                        return None
                    self._check(placement)

    def _outcome(
        self, future: Future, result: Any, request: Request
    ) -> tuple[Outcome | None, BaseException | None]:
        """The outcome, or the unforeseen failure, which is worth another try."""
        try:
            if isinstance(result, Mapping):
                return Outcome(request, result.get("record"), result.get("error")), None
            # What `as_completed` gives for a task that raised: type, error, traceback.
            failure = result[1] if isinstance(result, tuple) else result
            log.warning("%s: %r", request.task_name, failure)
            return None, failure
        finally:
            future.release()

    def _told(self, outcome: Outcome, media_seconds: Callable[[Request], float]) -> Outcome:
        request = outcome.request
        self.progress.step(request.operation, request.label, media_seconds(request))
        if isinstance(outcome.error, MediaError):
            log.info("%s", outcome.error)
        return outcome
