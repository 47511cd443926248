"""Where each operation runs, and why.

The cost model compares targets by expected seconds = bytes to move / bandwidth + work / speed. Only targets that the cluster
offers (its workers' resource tags) are candidates, so that no task can be placed where nothing will run it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from montage_dask.errors import ClusterError

TARGETS = ("cpu", "gpu", "cgpu")
TAGS: Mapping[str, str] = {"cpu": "CPU", "gpu": "GPU", "cgpu": "CGPU"}
GPU_START_SECONDS = 4.0
"""Loading torch and opening the device, once per worker: small jobs are done before."""

CPU_ONLY = "runs on the CPU only"

OFFER = "montage-offer"
"""Key of the scheduler's metadata under which a scaler tells what it can start: `{tag: {"most": slots, "each": of a worker}}`,
or `{tag: {"why": reason}}` for a tag that it cannot provide after all."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the workers of a cluster offer."""

    resources: Mapping[str, float] = field(default_factory=dict)
    """Sum over the workers, by tag."""
    largest: Mapping[str, float] = field(default_factory=dict)
    """The most that one worker offers, by tag: a task must fit into one worker."""
    workers: int = 0
    lacks: Mapping[str, str] = field(default_factory=dict)
    """Why a tag that was promised is not to be had, by tag."""
    tagged: bool = True
    """False: no worker carries any of the tags, as those of a plain `LocalCluster()`; their threads count as CPU, and tasks ask
    for no resource."""

    def offers(self, target: str) -> bool:
        """Whether any worker carries the tag of a target."""
        return self.largest.get(TAGS[target], 0) > 0

    def slots_of(self, target: str) -> int:
        """Tasks that can run at once on a target."""
        return max(1, int(self.resources.get(TAGS[target], 0)))

    @property
    def slots(self) -> int:
        """Tasks that can run at once."""
        return max(1, int(sum(self.resources.get(tag, 0) for tag in TAGS.values())))


def promised(there: Capacity, offer: Mapping[str, Mapping[str, Any]]) -> Capacity:
    """What a cluster has together with what its scaler can start: a group without workers counts as offered.

    Args:
        there: the workers that have joined.
        offer: the scaler's (see `OFFER`); empty without one.
    """
    resources, largest, lacks = dict(there.resources), dict(there.largest), {}
    for tag, told in offer.items():
        if "why" in told:
            if not largest.get(tag):
                lacks[tag] = str(told["why"])
            continue
        resources[tag] = max(resources.get(tag, 0), told["most"])
        largest[tag] = max(largest.get(tag, 0), told["each"])
    return Capacity(resources, largest, there.workers, lacks, there.tagged or bool(offer))


@dataclass(frozen=True, slots=True)
class Cost:
    """What is known of an operation on one target."""

    work_seconds: float
    """Time of the computation itself."""
    bytes_moved: int = 0
    bytes_per_second: float = float("inf")
    note: str = ""
    """What it was worked out from, for people."""

    @property
    def seconds(self) -> float:
        """Expected time, moving included."""
        return self.work_seconds + self.bytes_moved / self.bytes_per_second


@dataclass(frozen=True, slots=True)
class Placement:
    """The choice for one operation."""

    operation: str
    target: str
    reason: str
    fallbacks: tuple[str, ...] = ()
    """Targets to try in turn when the chosen one fails for reasons of its own."""
    fallen: bool = False
    """Whether it is itself such a target."""

    @property
    def resources(self) -> dict[str, float]:
        """The Dask resource tag of the target, for one slot."""
        return {TAGS[self.target]: 1}

    def fallback(self, why: str) -> Placement:
        """The next target in turn."""
        target, *rest = self.fallbacks
        return Placement(
            self.operation, target, f"{self.target} failed: {why}", tuple(rest), fallen=True
        )


def place(
    operation: str,
    costs: Mapping[str, Cost],
    capacity: Capacity,
    *,
    wanted: str = "auto",
    lack: str = "",
) -> Placement:
    """Choose the target of an operation.

    Args:
        operation: its name.
        costs: what each target that has code for it would cost.
        capacity: what the cluster offers.
        wanted: auto, or a target that a setting forces.
        lack: why a target that the cluster offers is not among the costs.

    Raises:
        ClusterError: no worker offers any target of this operation; names the tag and what to do.
    """
    usable = [t for t in TARGETS if t in costs and capacity.offers(t)]
    if not usable:
        tags = ", ".join(TAGS[t] for t in costs)
        known = [capacity.lacks[TAGS[t]] for t in costs if TAGS[t] in capacity.lacks]
        if known:
            raise ClusterError(f"no worker offers {tags}, which {operation} needs: {known[0]}")
        raise ClusterError(
            f"no worker offers {tags}, which {operation} needs; start workers with "
            f'`dask worker ADDRESS --resources "{TAGS[next(iter(costs))]}=1"`'
        )
    if wanted != "auto" and wanted in usable:
        return Placement(operation, wanted, "set by the user", _behind(wanted, usable))
    best = min(usable, key=lambda t: (costs[t].seconds, TARGETS.index(t)))
    besides = f"; {lack}" if lack else ""
    if wanted != "auto":
        missing = (
            f"no code for {wanted}" if wanted not in costs else f"no worker offers {TAGS[wanted]}"
        )
        return Placement(
            operation, best, f"{wanted} was asked for, but {missing}", _behind(best, usable)
        )
    if len(costs) == 1:
        return Placement(operation, best, CPU_ONLY)
    if len(usable) == 1:
        others = [TAGS[t] for t in costs if t != best]
        why = next((f": {capacity.lacks[tag]}" for tag in others if tag in capacity.lacks), "")
        return Placement(operation, best, f"no worker offers {', '.join(others)}{why}{besides}")
    compared = ", ".join(_told(t, costs[t]) for t in usable)
    return Placement(operation, best, f"cheapest: {compared}{besides}", _behind(best, usable))


def _told(target: str, cost: Cost) -> str:
    return f"{target} {cost.seconds:.1f} s" + (f" ({cost.note})" if cost.note else "")


def _behind(target: str, usable: list[str]) -> tuple[str, ...]:
    """cgpu falls back to gpu, gpu to cpu."""
    return tuple(
        t for t in reversed(TARGETS) if t in usable and TARGETS.index(t) < TARGETS.index(target)
    )


def describe(placement: Placement) -> dict[str, Any]:
    """A placement for people and for JSON."""
    return {
        "operation": placement.operation,
        "target": placement.target,
        "reason": placement.reason,
        "resources": placement.resources,
    }
