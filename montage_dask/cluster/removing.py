"""How a cluster on Kubernetes goes: with all that it owns, also when its client could not see to it."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any

from montage_dask.cluster.kube import APPS, CORE, DASK, Kube, Refused, selector
from montage_dask.cluster.orphans import SIGN_SECONDS, alive, orphaned
from montage_dask.cluster.specs import PART_OF, secret_name
from montage_dask.errors import ClusterError

log = logging.getLogger(__name__)

LEAVING_SECONDS = 6.0
"""How long workers get to say goodbye to their scheduler."""

GONE_SECONDS = 90.0
"""How long the pods of a deleted cluster may take to end."""


async def remove(kube: Kube, name: str) -> list[str]:
    """Delete a cluster with all that it owns, and wait until its pods have ended.

    Workers go first: one whose scheduler stops at the same moment hangs until it is killed.

    Returns:
        What is still there behind `GONE_SECONDS`.
    """
    workers = selector(name, component="worker")
    for deployment in await kube.list(APPS, "deployments", labelSelector=workers):
        await kube.delete(APPS, f"deployments/{deployment['metadata']['name']}")
    patience = time.monotonic() + LEAVING_SECONDS
    while time.monotonic() < patience and await kube.list(CORE, "pods", labelSelector=workers):
        await asyncio.sleep(0.5)
    await kube.delete(DASK, f"daskclusters/{name}")
    deadline = time.monotonic() + GONE_SECONDS
    while left := await remains(kube, name):
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(0.5)
    return left


async def remains(kube: Kube, name: str) -> list[str]:
    """The objects of a cluster that exist, as kind/name."""
    found = []
    if await kube.get(DASK, f"daskclusters/{name}") is not None:
        found.append(f"daskclusters/{name}")
    # A Role that may not see Secrets has made none.
    with suppress(Refused):
        if await kube.get(CORE, f"secrets/{secret_name(name)}") is not None:
            found.append(f"secrets/{secret_name(name)}")
    for version, plural in ((APPS, "deployments"), (CORE, "services"), (CORE, "pods"), (DASK, "daskworkergroups")):  # fmt: skip
        items = await kube.list(version, plural, labelSelector=selector(name))
        found += [f"{plural}/{i['metadata']['name']}" for i in items]
    return found


async def tidy(kube: Kube, name: str) -> None:
    """Remove a cluster; what stands in the way must not hide what became of the job."""
    try:
        left = await remove(kube, name)
    except ClusterError as error:
        log.warning("cluster %s could not be removed: %s", name, error)
    else:
        if left:
            log.warning("still there of cluster %s: %s", name, ", ".join(left))


async def sweep(kube: Kube) -> None:
    """Remove the clusters of this project whose client was killed; failures are not ours to report."""
    try:
        for cluster in await clusters(kube):
            name = cluster["metadata"]["name"]
            if orphaned(cluster["metadata"].get("annotations") or {}):
                log.info("cluster %s has lost its client: removed", name)
                await kube.delete(DASK, f"daskclusters/{name}")
    except ClusterError as error:
        log.info("clusters without a client are not looked for: %s", error)


async def keep_alive(kube: Kube, name: str) -> None:
    """Say again and again that a cluster's client lives."""
    while True:
        await asyncio.sleep(SIGN_SECONDS)
        with suppress(ClusterError):
            await kube.patch(DASK, f"daskclusters/{name}", {"metadata": {"annotations": alive()}})


async def clusters(kube: Kube) -> list[dict[str, Any]]:
    """The clusters of this project in the namespace."""
    return await kube.list(DASK, "daskclusters", labelSelector=f"{PART_OF}=montage-dask")
