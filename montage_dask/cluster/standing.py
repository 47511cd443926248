"""Clusters that stand on Kubernetes without a job: what the `cluster` commands do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from montage_dask.cluster.background import Background
from montage_dask.cluster.kube import CORE, DASK, Kube, selector
from montage_dask.cluster.kubernetes import new_name, quiet
from montage_dask.cluster.orphans import LAUNCHED_BY, orphaned
from montage_dask.cluster.pods import restarts, trouble
from montage_dask.cluster.removing import clusters, remove
from montage_dask.cluster.scaler import Scaler
from montage_dask.cluster.scaling import Decision, Group
from montage_dask.cluster.specs import group_name
from montage_dask.cluster.starting import Launch, hang_up, pods_see, seen_as, start
from montage_dask.config import Setting
from montage_dask.errors import ClusterError
from montage_dask.graph.placement import TAGS

SETTLE_SECONDS = 60.0
"""How long a group may take to come to its new size."""


def start_standing(settings: Mapping[str, Setting]) -> str:
    """Start a cluster with the fewest workers of each range, and leave it.

    Returns:
        Its name.

    Raises:
        ClusterError: it does not start; nothing is left of it then.
    """
    launch = replace(Launch.of(settings), attach=None, keep=True)
    name = new_name()

    async def work() -> str:
        kube = await Kube(launch.namespace).open()
        try:
            cluster = await start(kube, launch, name)
        except BaseException:
            await remove(kube, name)
            raise
        await hang_up(cluster)
        return name

    return _run(work())


def examine(settings: Mapping[str, Setting], name: str | None) -> dict[str, Any]:
    """Clusters, their groups and pods.

    Args:
        settings: the namespace.
        name: only this cluster.

    Raises:
        ClusterError: there is no such cluster.
    """

    async def work() -> dict[str, Any]:
        kube = await Kube(settings["kubernetes-namespace"].value).open()
        found = await _named(kube, name) if name else await clusters(kube)
        events = await kube.list(CORE, "events") if found else []
        return {
            "namespace": kube.namespace,
            "clusters": [await _described(kube, c, events) for c in found],
        }

    return _run(work())


async def _named(kube: Kube, name: str) -> list[dict[str, Any]]:
    found = await kube.get(DASK, f"daskclusters/{name}")
    if found is None:
        raise ClusterError(f"no Dask cluster {name} in namespace {kube.namespace}")
    return [found]


async def _described(
    kube: Kube, cluster: Mapping[str, Any], events: list[dict[str, Any]]
) -> dict[str, Any]:
    name = cluster["metadata"]["name"]
    pods = await kube.list(CORE, "pods", labelSelector=selector(name))
    groups = []
    for kind in TAGS:
        group = await kube.get(DASK, f"daskworkergroups/{group_name(name, kind)}")
        if group is None:
            continue
        mine = [
            p
            for p in pods
            if p["metadata"]["labels"].get("dask.org/workergroup-name") == group_name(name, kind)
        ]
        running = sum(p["status"].get("phase") == "Running" for p in mine)
        replicas = group["spec"]["worker"].get("replicas", 0)
        groups.append({"kind": kind, "replicas": replicas, "running": running})
    annotations = cluster["metadata"].get("annotations") or {}
    return {
        "name": name,
        "phase": cluster.get("status", {}).get("phase", "unknown"),
        "launched_by": annotations.get(LAUNCHED_BY, ""),
        "orphaned": orphaned(annotations),
        "groups": groups,
        "pods": [
            {
                "name": p["metadata"]["name"],
                "phase": "Terminating" if p["metadata"].get("deletionTimestamp") else p["status"].get("phase", "Unknown"),
                "restarts": restarts(p),
                "trouble": found.reason if (found := trouble(p, events)) else None,
            }
            for p in sorted(pods, key=lambda p: str(p["metadata"]["name"]))
        ],
    }  # fmt: skip


def scale_standing(settings: Mapping[str, Setting], kind: str, workers: int) -> int:
    """Bring a group to a size, in the order that loses nothing; idle workers go first.

    Returns:
        The size.

    Raises:
        ClusterError: there is no such cluster or group, or the operator does not act.
    """
    launch = Launch.of(settings)
    if kind not in launch.ranges:
        launch = replace(launch, ranges={**launch.ranges, kind: (0, workers)})
    name = str(launch.attach)

    async def work() -> int:
        kube = await Kube(launch.namespace).open()
        as_it_is = seen_as(launch, await pods_see(kube, launch, name))
        cluster = await start(kube, as_it_is, name)
        try:
            group = Group(kind, TAGS[kind], workers, workers, launch.specs.slots(kind))
            scaler = Scaler(
                kube, name, cluster.scheduler_comm, [group], grace_seconds=0, pending_seconds=0
            )
            deadline = time.monotonic() + SETTLE_SECONDS
            while len(there := (await scaler.deployments())[kind]) != workers:
                if time.monotonic() > deadline:
                    raise ClusterError(f"{kind} has {len(there)} workers, not {workers}: see the operator's logs")  # fmt: skip
                busy = (await scaler.load()).busy
                spare = sorted(there, key=lambda n: (busy.get(n, False), n in busy, n))
                remove_now = tuple(spare[: max(0, len(there) - workers)])
                await scaler.carry_out(group, Decision(workers, remove_now), there)
                await asyncio.sleep(0.5)
            return len(there)
        finally:
            await hang_up(cluster)

    return _run(work())


def remove_standing(settings: Mapping[str, Setting], names: Collection[str] | None) -> list[str]:
    """Remove clusters.

    Args:
        settings: the namespace.
        names: None: all of this project.

    Returns:
        What is still there.

    Raises:
        ClusterError: there is no cluster of a name.
    """

    async def work() -> list[str]:
        kube = await Kube(settings["kubernetes-namespace"].value).open()
        if names is None:
            doomed = [c["metadata"]["name"] for c in await clusters(kube)]
        else:
            doomed = [(await _named(kube, n))[0]["metadata"]["name"] for n in names]
        left = await asyncio.gather(*(remove(kube, n) for n in doomed))
        return [item for items in left for item in items]

    return _run(work())


def read_logs(
    settings: Mapping[str, Setting], name: str, prefix: str, lines: int
) -> list[tuple[str, str]]:
    """The ends of the logs of a cluster's pods.

    Returns:
        Names of pods and what they said.

    Raises:
        ClusterError: there is no such cluster or pod.
    """

    async def work() -> list[tuple[str, str]]:
        kube = await Kube(settings["kubernetes-namespace"].value).open()
        await _named(kube, name)
        pods = await kube.list(CORE, "pods", labelSelector=selector(name))
        chosen = [p["metadata"]["name"] for p in pods if p["metadata"]["name"].startswith(prefix)]
        if not chosen:
            raise ClusterError(f"cluster {name} has no pod {prefix}")
        found = []
        for pod in sorted(chosen):
            text = "(has not started)"
            with suppress(ClusterError):
                text = await kube.text(f"pods/{pod}/log", tailLines=str(lines))
            found.append((pod, text.rstrip()))
        return found

    return _run(work())


def _run(work: Any) -> Any:
    with Background("kubernetes") as background, quiet():
        return background.run(work)
