"""The workers of a cluster as a job sees them: what they offer, and how long it waits for those that are not there."""

from __future__ import annotations

import time
from collections import defaultdict

from distributed import Client

from montage_dask.errors import ClusterError
from montage_dask.graph.placement import OFFER, Capacity, Placement, promised

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


class Workers:
    """What a cluster offers now, and waiting for what it should offer.

    Args:
        client: connected.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._seen = Capacity()
        self._seen_until = float("-inf")

    def capacity(self) -> Capacity:
        """What the workers offer, as of a moment ago."""
        if time.monotonic() > self._seen_until:
            while True:
                began = time.monotonic()
                try:
                    self._seen = capacity_of(self._client)
                    break
                except (OSError, TimeoutError) as error:
                    self.reconnected(error)
            took = time.monotonic() - began
            counts_seconds = max(CAPACITY_SECONDS, took / CAPACITY_SHARE)
            self._seen_until = began + min(FALLBACK_WAIT_SECONDS, counts_seconds)
        return self._seen

    def reconnected(self, error: BaseException | None = None) -> None:
        """Wait until the client, which tries by itself, has its scheduler again.

        Raises:
            ClusterError: it did not come back.
        """
        deadline = time.monotonic() + SCHEDULER_WAIT_SECONDS
        time.sleep(0.2)
        while self._client.status != "running":
            if self._client.status in ("closed", "closing") or time.monotonic() > deadline:
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

    def lacking(self, placement: Placement) -> list[str]:
        """The tags of a placement that no worker offers now."""
        largest = self.capacity().largest
        return [t for t, n in placement.resources.items() if largest.get(t, 0) < n]

    def check(self, placement: Placement) -> None:
        """Never submit a task that cannot run: Dask would wait in silence."""
        # Another target can take it at once; the last one is worth waiting for.
        patience = FALLBACK_WAIT_SECONDS if placement.fallbacks else WORKER_WAIT_SECONDS
        deadline = time.monotonic() + patience
        while lacking := self.lacking(placement):
            known = [w for t, w in self.capacity().lacks.items() if t in lacking]
            if known or time.monotonic() > deadline:
                what = f"no worker offers {', '.join(lacking)}, which {placement.operation} needs"
                raise ClusterError(": ".join([what, *known[:1]]))
            time.sleep(0.2)
