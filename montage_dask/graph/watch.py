"""What a job notices of its workers, and tells: those that are silent, that are lost, or that die at their memory limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from dask.utils import format_bytes
from distributed import Client

from montage_dask.errors import ClusterError, printable

SILENT_SECONDS = 15.0
"""A worker says something every second or so; without a sign for this long it is named, and again as often."""

MEMORY_DEATHS = 6
"""Workers that die so often at their limit, and nothing done in between: it will not get better."""

MEMORY_TOPIC = "worker-restart-memory"
"""Under this a nanny tells the scheduler that it ends a worker for its memory."""


class Watch:
    """The signs of life of the workers of a cluster, as the scheduler hears them.

    Args:
        client: connected.
        tell: told what people should know.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        client: Client,
        tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._tell, self._clock = client, tell, clock
        self._heard: dict[str, tuple[float, float]] = {}
        """By address: the scheduler's time of the last sign, and when that was new to us: clocks may differ."""
        self._told: dict[str, float] = {}
        self._names: dict[str, str] = {}
        self._limit_bytes = 0
        self._most = 0
        self._deaths_before: int | None = None
        self._deaths = 0
        self._done_at = 0

    def see(self, workers: Mapping[str, Mapping[str, Any]]) -> None:
        """Look at the workers.

        Args:
            workers: by address, as the scheduler describes them.
        """
        if self._deaths_before is None:
            self._deaths_before = self._counted()
        now = self._clock()
        lost = [a for a in self._names if a not in workers]
        if lost:
            self._tell_lost(lost)
        for address, worker in workers.items():
            self._names[address] = _name(address, worker)
            self._limit_bytes = worker.get("memory_limit") or self._limit_bytes
            last = float(worker.get("last_seen") or 0.0)
            if address not in self._heard or self._heard[address][0] != last:
                self._heard[address] = (last, now)
                self._told.pop(address, None)
                continue
            silent = now - self._heard[address][1]
            if silent >= SILENT_SECONDS and now - self._told.get(address, -1e9) >= SILENT_SECONDS:
                self._told[address] = now
                self._tell(f"no sign of worker {self._names[address]} for {silent:.0f} s")
        self._most = max(self._most, len(workers))

    def _tell_lost(self, addresses: list[str]) -> None:
        events = self._client.get_events("all")
        expected = {
            e.get("worker")
            for _, e in events
            if isinstance(e, Mapping) and e.get("action") == "remove-worker" and e.get("expected")
        }
        self._deaths = self._counted() - (self._deaths_before or 0)
        full = {e["worker"] for _, e in self._memory_events() if "worker" in e}
        for address in addresses:
            name = self._names.pop(address)
            self._heard.pop(address, None)
            silent = self._told.pop(address, None) is not None
            if address in full:
                limit = f" of {format_bytes(self._limit_bytes)}" if self._limit_bytes else ""
                self._tell(
                    f"worker {name} ended at its memory limit{limit}; what it was at is done again"
                )
            elif silent or address not in expected:  # not one that was sent away
                self._tell(f"worker {name} is lost; what it was at is done again")

    def _memory_events(self) -> list[Any]:
        return list(self._client.get_events(MEMORY_TOPIC))

    def _counted(self) -> int:
        try:
            return len(self._memory_events())
        except (OSError, TimeoutError):  # a lost scheduler is noticed elsewhere
            return self._deaths + (self._deaths_before or 0)

    def result(self) -> None:
        """A task is done: whoever died before, it goes on."""
        self._done_at = self._deaths

    def memory(self) -> str:
        """What to say of workers that died at their memory limit since something was done; empty: none did."""
        self._deaths = self._counted() - (self._deaths_before or 0)
        count = self._deaths - self._done_at
        if count <= 0:
            return ""
        limit = f" of {format_bytes(self._limit_bytes)}" if self._limit_bytes else ""
        return (
            f"out of memory: workers ended {count} times at their memory limit{limit}; raise it "
            "(DASK_MONTAGE__MEMORY_LIMIT=3GB, or --memory-limit of `worker`), or let them do less at once (encoder-threads, "
            "n-workers)"
        )

    def check_memory(self) -> None:
        """End a job whose workers die at their memory limit again and again.

        Raises:
            ClusterError: they do, and nothing gets done.
        """
        said = self.memory()
        if said and self._deaths - self._done_at >= max(MEMORY_DEATHS, 2 * self._most):
            raise ClusterError(said)


def _name(address: str, worker: Mapping[str, Any]) -> str:
    """How people know a worker."""
    name = printable(str(worker.get("name", address)))
    return name if name == address else f"{name} ({printable(address)})"
