"""How many workers each group should have, decided from waiting work: pure, and what the scheduler is asked for it.

dask-kubernetes scales the default group only, and shrinking one group there takes workers from all (its issues 933 and 914). So:
demand is counted per resource tag, a group grows at once and shrinks slowly, and what is taken away is chosen by name.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Group:
    """The workers of one type."""

    kind: str
    """cpu, gpu or cgpu."""
    tag: str
    """The resource tag that its workers carry."""
    minimum: int
    maximum: int
    slots: int = 1
    """Amount of the tag that one worker brings."""


@dataclass(frozen=True, slots=True)
class Load:
    """What the scheduler knows."""

    needed: Mapping[str, float] = field(default_factory=dict)
    """Amount of each resource tag that tasks use or wait for."""
    busy: Mapping[str, bool] = field(default_factory=dict)
    """Workers that have joined, by name: whether they work or hold results."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with one group."""

    replicas: int
    """How many workers it should have afterwards."""
    remove: tuple[str, ...] = ()
    """The Deployments to take away, by name; none when the group grows."""


def observe(dask_scheduler: Any) -> dict[str, Any]:
    """The load, as plain values; runs in the scheduler."""
    needed: dict[str, float] = {}
    for task in dask_scheduler.tasks.values():
        if task.state in ("processing", "no-worker", "queued") and task.resource_restrictions:
            for tag, amount in task.resource_restrictions.items():
                needed[tag] = needed.get(tag, 0.0) + amount
    busy = {
        str(w.name): bool(w.processing or w.has_what or w.long_running)
        for w in dask_scheduler.workers.values()
    }
    return {"needed": needed, "busy": busy}


def decide(
    group: Group,
    load: Load,
    deployments: Collection[str],
    idle_seconds: Mapping[str, float],
    surplus_seconds: float,
    grace_seconds: float,
) -> Decision:
    """What a group needs now.

    Args:
        group: with its bounds.
        load: of the whole cluster.
        deployments: names of the group's workers, joined or not.
        idle_seconds: how long each of them has had nothing to do.
        surplus_seconds: for how long the group has had more workers than it needs.
        grace_seconds: so long is waited before anything is taken away.

    Returns:
        Never fewer than the minimum, never more than the maximum unless busy workers are above it; no busy worker is taken away,
        and those that have not joined yet go first.
    """
    there = len(deployments)
    wanted = required(group, load)
    if wanted >= there:
        return Decision(wanted)
    if surplus_seconds < grace_seconds:
        return Decision(there)
    spare = [
        name
        for name in deployments
        if not load.busy.get(name, False) and idle_seconds.get(name, 0.0) >= grace_seconds
    ]
    pending_first = sorted(spare, key=lambda n: (n in load.busy, -idle_seconds.get(n, 0.0), n))
    remove = tuple(pending_first[: there - wanted])
    return Decision(there - len(remove), remove)


def required(group: Group, load: Load) -> int:
    """Workers that a group's work keeps busy, within its bounds."""
    needed = math.ceil(load.needed.get(group.tag, 0.0) / group.slots)
    return min(max(needed, group.minimum), group.maximum)


class Idleness:
    """How long each worker, and each group as a whole, has not been needed."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._surplus: dict[str, float] = {}

    def see(
        self, groups: Sequence[Group], deployments: Mapping[str, Collection[str]], load: Load, now: float
    ) -> None:  # fmt: skip
        """Take note of what there is at a time, in seconds of any clock that only goes forward."""
        known = {n for names in deployments.values() for n in names}
        idle = {n for n in known if not load.busy.get(n, False)}
        self._since = {n: self._since.get(n, now) for n in idle}
        over = {g.kind for g in groups if len(deployments[g.kind]) > required(g, load)}
        self._surplus = {k: self._surplus.get(k, now) for k in over}

    def seconds(self, now: float) -> dict[str, float]:
        """By worker."""
        return {n: now - since for n, since in self._since.items()}

    def surplus_seconds(self, kind: str, now: float) -> float:
        """Of a group."""
        return now - self._surplus.get(kind, now)


def range_of(text: str) -> tuple[int, int]:
    """Minimum and maximum of a checked range ("0:8")."""
    low, _, high = text.partition(":")
    return int(low), int(high)
