"""Single calls in a worker: questions of a job, whose answers are not kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from distributed import Client
from distributed.client import Future
from distributed.comm import CommClosedError
from distributed.utils import CancelledError

from montage_dask.graph.placement import Placement
from montage_dask.graph.remote import ask_remotely
from montage_dask.graph.waiting import LOOK_SECONDS
from montage_dask.graph.workers import Workers

T = TypeVar("T")


class Calls:
    """Calls functions in the workers of one cluster.

    Args:
        client: connected.
        workers: those of the cluster.
        retries: of a call that failed in an unforeseen way.
        go_on: raises when the job was called off.
    """

    def __init__(
        self, client: Client, workers: Workers, retries: int, go_on: Callable[[], None]
    ) -> None:
        self._client = client
        self._workers = workers
        self._retries = retries
        self._go_on = go_on

    def ask(self, placement: Placement, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function in a worker of a target, for cgpu on the machine behind it; nothing of it is kept.

        Raises:
            ClusterError: no worker offers what the placement needs.
            MontageError: as the function does.
        """
        self._workers.check(placement)
        called: tuple[Callable[..., Any], ...] = (function,)
        if placement.target == "cgpu":
            called = (ask_remotely, function)
        return cast(T, self.answer(placement, *called, *arguments))

    def answer(self, placement: Placement, *call: Any) -> Any:
        """What a call gives in a worker, as long as its target has or may get one; made again when the way there broke."""
        while True:
            resources = placement.resources if self._workers.capacity().tagged else None
            future = self._client.submit(
                *call, resources=resources, pure=False, retries=self._retries
            )
            try:
                return self.result(future, placement)
            except (CommClosedError, CancelledError) as error:
                self._go_on()
                self._workers.reconnected(error)
            finally:
                future.release()

    def result(self, future: Future, placement: Placement) -> Any:
        """The result of a future, as long as its target has or may get a worker."""
        while True:
            try:
                return future.result(timeout=LOOK_SECONDS)
            except TimeoutError:
                if future.done():
                    # The task's own, or its answer came in the very moment of the time-out.
                    return future.result()
                self._workers.check(placement)
