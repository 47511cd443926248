"""The workers of a cluster as a job sees them: what they offer, and how long it waits for those that are not there."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from distributed import Client

from montage_dask import plugins
from montage_dask.errors import ClusterError
from montage_dask.graph.installed import Installed, lack_of
from montage_dask.graph.operation import distribution_of
from montage_dask.graph.placement import OFFER, TAGS, Capacity, Placement, promised
from montage_dask.graph.watch import Watch

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


WORD_SECONDS = 10.0
"""While a job waits for a scheduler, it says so this often."""


def capacity_of(client: Client) -> Capacity:
    """The resource tags of all workers, as the scheduler knows them now, and of those that a scaler would start."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    return offered(workers.values(), client.get_metadata([OFFER], {}))


def offered(
    workers: Collection[Mapping[str, Any]], offer: Mapping[str, Mapping[str, Any]]
) -> Capacity:
    """What workers offer together with what a scaler would start (see `OFFER`).

    Args:
        workers: as the scheduler describes them.
        offer: empty without a scaler.
    """
    tags = set(TAGS.values())
    tagged = bool(offer) or not workers or any(tags & w["resources"].keys() for w in workers)
    return promised(_sum(workers, tagged), offer)


def _sum(workers: Collection[Mapping[str, Any]], tagged: bool) -> Capacity:
    total: dict[str, float] = defaultdict(float)
    largest: dict[str, float] = defaultdict(float)
    for worker in workers:
        own = worker["resources"] if tagged else {TAGS["cpu"]: worker["nthreads"]}
        for tag, amount in own.items():
            total[tag] += amount
            largest[tag] = max(largest[tag], amount)
    return Capacity(dict(total), dict(largest), len(workers), tagged=tagged)


def offered_to(
    workers: Mapping[str, Mapping[str, Any]],
    offer: Mapping[str, Mapping[str, Any]],
    lacking: Collection[str],
    why: str,
) -> Capacity:
    """What those workers offer that have what an operation needs.

    Args:
        workers: all, by address.
        offer: of a scaler. What it would start counts where no worker is there yet: those of one tag have one image.
        lacking: addresses of the workers that do not have it.
        why: what to say of them.
    """
    tagged = offered(workers.values(), offer).tagged
    there = _sum(workers.values(), tagged).largest
    having = _sum([w for address, w in workers.items() if address not in lacking], tagged)
    found = promised(having, {tag: told for tag, told in offer.items() if not there.get(tag)})
    lacks = {tag: why for tag in there if not found.largest.get(tag)}
    return replace(found, lacks={**found.lacks, **lacks}, tagged=tagged)


class Workers:
    """What a cluster offers now, and waiting for what it should offer.

    Args:
        client: connected.
        tell: told what people should know of them.
    """

    def __init__(self, client: Client, tell: Callable[[str], None] = lambda _: None) -> None:
        self._client, self._tell = client, tell
        self.watch = Watch(client, tell)
        self._seen = Capacity()
        self._seen_until = float("-inf")
        self._there: Mapping[str, Mapping[str, Any]] = {}
        self._offer: Mapping[str, Mapping[str, Any]] = {}
        self._installed = Installed(client)
        self._told: set[str] = set()

    def look_again(self) -> None:
        """What was seen of the workers does not count any more."""
        self._seen_until = float("-inf")

    def capacity(self) -> Capacity:
        """What the workers offer, as of a moment ago."""
        if time.monotonic() > self._seen_until:
            while True:
                began = time.monotonic()
                try:
                    if self._client.status != "running":
                        raise OSError("the connection to the scheduler is broken")
                    workers = self._client.scheduler_info(n_workers=-1)["workers"]
                    self._there, self._offer = workers, self._client.get_metadata([OFFER], {})
                    self._seen = offered(workers.values(), self._offer)
                    self.watch.see(workers)
                    break
                except (OSError, TimeoutError) as error:
                    self.reconnected(error)
            took = time.monotonic() - began
            counts_seconds = max(CAPACITY_SECONDS, took / CAPACITY_SHARE)
            self._seen_until = began + min(FALLBACK_WAIT_SECONDS, counts_seconds)
        return self._seen

    def capacity_for(self, operation: str) -> Capacity:
        """What those workers offer, as of a moment ago, that have the distribution that an operation is of."""
        capacity, lacking = self.capacity(), self._lacking(operation)
        if not lacking:
            return capacity
        why = lack_of(distribution_of(operation), len(lacking), len(self._there))
        return offered_to(self._there, self._offer, lacking, why)

    def able(self, operation: str) -> list[str] | None:
        """The addresses of those workers; None: all."""
        self.capacity()
        lacking = self._lacking(operation)
        return sorted(self._there.keys() - lacking) if lacking else None

    def _lacking(self, operation: str) -> frozenset[str]:
        distribution = distribution_of(operation)
        if distribution == plugins.OWN:
            return frozenset()
        while True:
            try:
                lacking = self._installed.lacking(distribution, self._there.keys())
                break
            except (OSError, TimeoutError) as error:
                self.reconnected(error)
        if lacking:
            said = lack_of(distribution, len(lacking), len(self._there))
            if said not in self._told:
                self._told.add(said)
                self._tell(said)
        return lacking

    def reconnected(self, error: BaseException | None = None) -> None:
        """Wait until the client, which tries by itself, has its scheduler again.

        Raises:
            ClusterError: it did not come back.
        """
        began = told = time.monotonic()
        time.sleep(0.2)
        while self._client.status != "running":
            now = time.monotonic()
            if now - told >= WORD_SECONDS or told == began:
                told = now
                self._tell(
                    f"the scheduler does not answer: waiting for it, {now - began:.0f} of {SCHEDULER_WAIT_SECONDS:.0f} s"
                )
            if self._client.status in ("closed", "closing") or now - began > SCHEDULER_WAIT_SECONDS:
                raise ClusterError(
                    "the scheduler was lost and did not come back; what is done is kept: run the same command again to go on"
                ) from error
            time.sleep(0.2)

    def expect(self, target: str, operation: str = "") -> Capacity:
        """What the cluster offers an operation, once a worker of a target is there, or after `JOINING_SECONDS` without one."""
        deadline = time.monotonic() + JOINING_SECONDS
        while not self.capacity().offers(target) and time.monotonic() < deadline:
            self.watch.check_memory()
            time.sleep(0.2)
        return self.capacity_for(operation)

    def lacking(self, placement: Placement) -> list[str]:
        """The tags of a placement that no worker offers now which has what the operation needs."""
        largest = self.capacity_for(placement.operation).largest
        return [t for t, n in placement.resources.items() if largest.get(t, 0) < n]

    def check(self, placement: Placement) -> None:
        """Never submit a task that cannot run: Dask would wait in silence.

        Raises:
            ClusterError: no worker offers what a placement needs, or those that do die at their memory limit.
        """
        # Another target can take it at once; the last one is worth waiting for.
        patience = FALLBACK_WAIT_SECONDS if placement.fallbacks else WORKER_WAIT_SECONDS
        deadline = time.monotonic() + patience
        told = time.monotonic()
        while lacking := self.lacking(placement):
            self.watch.check_memory()
            if time.monotonic() - told >= WORD_SECONDS:
                told = time.monotonic()
                self._tell(f"no worker offers {', '.join(lacking)}: waiting for one")
            lacks = self.capacity_for(placement.operation).lacks
            known = [w for t, w in lacks.items() if t in lacking]
            if known or time.monotonic() > deadline:
                what = f"no worker offers {', '.join(lacking)}, which {placement.operation} needs"
                why = known[:1] or [m for m in (self.watch.memory(),) if m]
                raise ClusterError(": ".join([what, *why]))
            time.sleep(0.2)
