"""The scaler of a cluster on Kubernetes: looks at the work every second, adds and takes away workers group by group."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from montage_dask.cluster.kube import APPS, CORE, DASK, Kube, selector
from montage_dask.cluster.pods import Trouble, age_seconds, pending, trouble
from montage_dask.cluster.scaling import Decision, Group, Idleness, Load, decide, observe
from montage_dask.cluster.specs import group_name
from montage_dask.errors import ClusterError
from montage_dask.graph.placement import OFFER

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
ASK_SECONDS = 20.0
"""How long the scheduler may take to answer."""

HOPELESS_SECONDS = 8.0
"""How long an image that cannot be pulled, or a container that ends again and again, gets the benefit of the doubt."""

NODE_SECONDS = 900.0
"""How long a machine that is being added may take."""

REPAIR_SECONDS = 15.0
"""So soon the operator has made what it was asked for, or it never will."""

STOP_SECONDS = 10.0

CAPPED_SECONDS = 60.0
"""For so long a group is not grown beyond what the nodes could hold."""


class Scaler:
    """Keeps the groups of one cluster at the size of their work.

    Args:
        kube: the namespace.
        cluster: its name.
        scheduler: its RPC (`KubeCluster.scheduler_comm`).
        groups: that there are.
        grace_seconds: how long a worker must be idle before it goes.
        pending_seconds: how long pods may stay Pending before their group counts as not to be had.
    """

    def __init__(
        self,
        kube: Kube,
        cluster: str,
        scheduler: Any,
        groups: Sequence[Group],
        *,
        grace_seconds: float,
        pending_seconds: float,
    ) -> None:
        self.groups = list(groups)
        self._kube = kube
        self._cluster = cluster
        self._scheduler = scheduler
        self._grace_seconds = grace_seconds
        self._pending_seconds = pending_seconds
        self._idleness = Idleness()
        self._lacks: dict[str, str] = {}
        self._caps: dict[str, tuple[float, int]] = {}
        self._asked: dict[str, float] = {}
        self._ending = asyncio.Event()

    async def run(self) -> None:
        """Scale until `stop`. What fails is tried again: neither the API server nor the scheduler must be there all the time."""
        while not self._ending.is_set():
            try:
                await self.step(self._grace_seconds)
            except (ClusterError, OSError, TimeoutError) as error:
                log.info("scaler: %s", error)
            except Exception:  # a scaler that dies would leave the job waiting without a word
                log.exception("scaler")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), TICK_SECONDS)

    async def stop(self, running: concurrent.futures.Future[None]) -> None:
        """End `run` between two steps: half a step would leave a group at odds with its number.

        Raises:
            TimeoutError: the step does not end.
        """
        self._ending.set()
        try:
            await asyncio.wait_for(asyncio.wrap_future(running), STOP_SECONDS)
        finally:
            running.cancel()

    async def step(self, grace_seconds: float) -> None:
        """Look once, and act."""
        load = await self.load()
        deployments = await self.deployments()
        self._idleness.see(self.groups, deployments, load, time.monotonic())
        if any(n not in load.busy for names in deployments.values() for n in names):
            await self._examine(deployments, load)
        for group in self.groups:
            now = time.monotonic()
            decision = decide(
                self._capped(group),
                load,
                deployments[group.kind],
                self._idleness.seconds(now),
                self._idleness.surplus_seconds(group.kind, now),
                grace_seconds,
            )
            await self.carry_out(group, decision, deployments[group.kind])

    async def load(self) -> Load:
        """What the scheduler has to do."""
        seen = await self._on_scheduler(observe)
        return Load(seen["needed"], seen["busy"])

    async def offer(self) -> None:
        """Tell all clients, through the scheduler, what the groups can grow to; placements count on it."""
        offers: dict[str, Any] = {}
        for group in self.groups:
            if group.kind in self._lacks:
                offers[group.tag] = {"why": self._lacks[group.kind]}
            elif group.maximum:
                offers[group.tag] = {"most": group.maximum * group.slots, "each": group.slots}
        await self._say(offers)

    async def withdraw(self) -> None:
        """Nobody scales any more: only the workers that are there count."""
        await self._say({})

    async def deployments(self) -> dict[str, list[str]]:
        """The names of the workers of each group: those of their Deployments."""
        found = await self._kube.list(
            APPS, "deployments", labelSelector=selector(self._cluster, component="worker")
        )
        names: dict[str, list[str]] = {g.kind: [] for g in self.groups}
        by_group = {group_name(self._cluster, g.kind): g.kind for g in self.groups}
        for item in found:
            kind = by_group.get(item["metadata"]["labels"].get("dask.org/workergroup-name", ""))
            if kind is not None and not item["metadata"].get("deletionTimestamp"):
                names[kind].append(item["metadata"]["name"])
        return names

    async def carry_out(
        self, group: Group, decision: Decision, deployments: Collection[str]
    ) -> None:
        """Bring a group to a size.

        Shrinking goes in this order, because the operator, told of fewer replicas first, takes workers of any group: retire by
        name (work and results move), delete their Deployments, and only then lower the number, when it has nothing left to do.
        """
        there = len(deployments)
        if not decision.remove and decision.replicas <= there:
            return
        path = f"daskworkergroups/{group_name(self._cluster, group.kind)}"
        found = await self._kube.get(DASK, path)
        if found is None:
            raise ClusterError(f"{path} is gone")
        told = found["spec"]["worker"].get("replicas", 0)
        settled = self._settled(group, told == there)
        if decision.remove and settled:
            log.info("%s: taking away %s", group.kind, ", ".join(decision.remove))
            async with asyncio.timeout(ASK_SECONDS):
                await self._scheduler.retire_workers(
                    names=list(decision.remove), close_workers=True, remove=True
                )
            for name in decision.remove:
                await self._kube.delete(APPS, f"deployments/{name}")
            await self._set_replicas(group, decision.replicas)
        elif told < decision.replicas:
            log.info("%s: %d → %d workers", group.kind, there, decision.replicas)
            await self._set_replicas(group, decision.replicas)
        elif settled and decision.replicas > there:
            # A Deployment was deleted behind the operator's back, which acts only on a number that changes. Only upwards: it must
            # never find a reason to take workers away itself.
            log.info("%s: %d of %d workers are gone: replaced", group.kind, told - there, told)
            await self._set_replicas(group, told + 1)

    def _settled(self, group: Group, equal: bool) -> bool:
        """Whether the operator has done what it was told: there are as many as that, or nothing more comes."""
        if equal:
            self._asked.pop(group.kind, None)
            return True
        since = self._asked.setdefault(group.kind, time.monotonic())
        return time.monotonic() - since > REPAIR_SECONDS

    async def _set_replicas(self, group: Group, replicas: int) -> None:
        path = f"daskworkergroups/{group_name(self._cluster, group.kind)}"
        await self._kube.patch(DASK, path, {"spec": {"worker": {"replicas": replicas}}})
        self._asked.pop(group.kind, None)

    def _capped(self, group: Group) -> Group:
        until, most = self._caps.get(group.kind, (0.0, group.maximum))
        if group.kind in self._lacks:
            return Group(group.kind, group.tag, 0, 0, group.slots)
        if time.monotonic() >= until:
            return group
        most = min(most, group.maximum)
        return Group(group.kind, group.tag, min(group.minimum, most), most, group.slots)

    async def _examine(self, deployments: Mapping[str, Collection[str]], load: Load) -> None:
        """Workers that do not come: say why, and stop counting on them."""
        listed = await self._kube.list(
            CORE, "pods", labelSelector=selector(self._cluster, component="worker")
        )
        waiting = [p for p in listed if pending(p) or _restarting(p)]
        if not waiting:
            return
        events = await self._kube.list(CORE, "events") if any(map(pending, waiting)) else []
        for group in self.groups:
            mine = group_name(self._cluster, group.kind)
            stuck = [
                found
                for pod in waiting
                if pod["metadata"]["labels"].get("dask.org/workergroup-name") == mine
                and (found := trouble(pod, events)) is not None
                and age_seconds(pod) > self._patience(found)
            ]
            if not stuck:
                continue
            joined = sum(n in load.busy for n in deployments[group.kind])
            if joined:
                log.info("%s: stays at %d workers: %s", group.kind, joined, stuck[0])
                self._caps[group.kind] = (time.monotonic() + CAPPED_SECONDS, joined)
            elif group.kind not in self._lacks:
                self._lacks[group.kind] = str(stuck[0])
                log.warning("%s workers do not start: %s", group.kind, stuck[0])
                await self.offer()

    def _patience(self, found: Trouble) -> float:
        if found.hopeless:
            return min(HOPELESS_SECONDS, self._pending_seconds)
        return NODE_SECONDS if found.nodes_coming else self._pending_seconds

    async def _say(self, offers: Mapping[str, Any]) -> None:
        async with asyncio.timeout(ASK_SECONDS):
            await self._scheduler.set_metadata(keys=[OFFER], value=dict(offers))

    async def _on_scheduler(self, function: Any) -> Any:
        from distributed.core import clean_exception
        from distributed.protocol.pickle import dumps

        async with asyncio.timeout(ASK_SECONDS):
            answer = await self._scheduler.run_function(function=dumps(function))
        if answer["status"] == "error":
            _, error, traceback = clean_exception(**answer)
            assert error is not None
            raise error.with_traceback(traceback)
        return answer["result"]


def _restarting(pod: Mapping[str, Any]) -> bool:
    states = pod.get("status", {}).get("containerStatuses") or ()
    return any("waiting" in s.get("state", {}) for s in states)
