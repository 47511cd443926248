"""How a cluster on Kubernetes starts: refused early, watched while it starts, and told why when it cannot."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distributed import Security

from montage_dask.cluster.certificates import Certificates, make
from montage_dask.cluster.kube import APPS, CORE, DASK, Kube, Refused, inside, selector
from montage_dask.cluster.orphans import launcher
from montage_dask.cluster.pods import age_seconds, trouble
from montage_dask.cluster.reach import claim_for
from montage_dask.cluster.removing import sweep
from montage_dask.cluster.scaler import HOPELESS_SECONDS
from montage_dask.cluster.scaling import Group, range_of
from montage_dask.cluster.specs import Specs, Wanted, seen
from montage_dask.cluster.tls_secret import get_secret, host_names, put_secret
from montage_dask.config import Setting
from montage_dask.errors import ClusterError
from montage_dask.graph.placement import TAGS
from montage_dask.store import Place

log = logging.getLogger(__name__)

ACTED_SECONDS = 22.0
"""So soon an operator that is there has taken note of a new cluster; one that is just restarted needs 12 s on a small machine."""

RACE_SECONDS = 1.0
"""So long a cluster may be Pending although its Service is there (dask-kubernetes issue 968)."""

START_SECONDS = 180.0
HANGING_UP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Launch:
    """What `--cluster kubernetes` is to do."""

    namespace: str | None
    specs: Specs
    ranges: Mapping[str, tuple[int, int]]
    """Fewest and most workers by type, only of the types that are wanted."""
    images: Mapping[str, str | None]
    environment: Mapping[str, str]
    claim: str | None
    """None: pods without a claim."""
    folder: str
    cache_bytes: int
    """The most that the copies of objects may take in each pod."""
    keep: bool
    attach: str | None
    grace_seconds: float
    pending_seconds: float
    tls: bool
    """Whether the parts of a new cluster speak TLS; one to attach to does as it did when it started."""

    @classmethod
    def of(cls, settings: Mapping[str, Setting], places: Sequence[Place] | None = None) -> Launch:
        """From the settings.

        Args:
            settings: all of them.
            places: what a job reads and writes; None: not known yet.
        """

        def value(name: str) -> Any:
            return settings[f"kubernetes-{name}"].value

        ranges = {kind: range_of(value(f"{kind}-workers")) for kind in TAGS}
        image = value("image")
        specs = value("specs")
        return cls(
            namespace=value("namespace"),
            specs=Specs(Path(specs) if specs else None),
            ranges={k: r for k, r in ranges.items() if k == "cpu" or r[1] > 0},
            images={
                "cpu": image,
                "gpu": value("gpu-image") or image,
                "cgpu": value("cgpu-image") or image,
            },
            environment=value("env"),
            claim=claim_for(value("claim"), places),
            folder=value("folder"),
            cache_bytes=settings["cache-limit"].value,
            keep=value("keep"),
            attach=value("attach"),
            grace_seconds=value("idle-seconds"),
            pending_seconds=value("pending-seconds"),
            tls=value("tls"),
        )

    def wanted(self, name: str, tls_namespace: str | None = None) -> Wanted:
        """The objects to make under a name; with a namespace, their parts speak TLS."""
        smallest = {kind: low for kind, (low, _) in self.ranges.items()}
        return Wanted(
            name, smallest, self.images, self.environment, self.claim, self.folder, self.cache_bytes, tls_namespace,
        )  # fmt: skip

    def groups(self) -> list[Group]:
        """The groups with their bounds."""
        return [
            Group(kind, TAGS[kind], low, high, self.specs.slots(kind))
            for kind, (low, high) in self.ranges.items()
        ]


async def pods_see(kube: Kube, launch: Launch, name: str) -> dict[str, str | None]:
    """The folders that pods of a cluster share with others, and the claim behind each (see `specs.seen`).

    Raises:
        ClusterError: the cluster to attach to is not there.
    """
    if not launch.attach:
        return seen(launch.specs.cluster(launch.wanted(name)))
    there = await kube.get(DASK, f"daskclusters/{name}")
    if there is None:
        raise ClusterError(
            f"no Dask cluster {name} in namespace {kube.namespace}: `python -m montage_dask cluster status` lists them"
        )
    return seen(there)


def seen_as(launch: Launch, folders: Mapping[str, str | None]) -> Launch:
    """The launch with the claim that the pods really have."""
    claimed = {f: c for f, c in folders.items() if c is not None}
    folder = launch.folder if launch.folder in claimed else next(iter(claimed), launch.folder)
    return replace(launch, folder=folder, claim=claimed.get(folder))


async def start(kube: Kube, launch: Launch, name: str) -> Any:
    """Make a cluster (or find one), with its groups, and connect to its scheduler.

    Returns:
        The KubeCluster.

    Raises:
        ClusterError: it does not start; says why.
    """
    certificates = await _certificates(kube, launch, name)
    wanted = launch.wanted(name, kube.namespace if certificates else None)
    manifest = launch.specs.cluster(wanted)
    kept = launch.keep or launch.attach is not None
    manifest["metadata"].setdefault("annotations", {}).update(launcher(kept=kept))
    if not launch.attach:
        await sweep(kube)
        # Everything that the API server can object to, before anything is made.
        await kube.create(DASK, "daskclusters", manifest, dry_run=True)
    async with _unless_troubled(kube, name, launch):
        if certificates and not launch.attach:
            # The Secret names the cluster as its owner, so the cluster comes first: pods wait for what they mount.
            made = await kube.create(DASK, "daskclusters", manifest)
            await put_secret(kube, made, certificates)
        security = certificates.security() if certificates else None
        cluster = await _kube_cluster(kube, name, None if launch.attach else manifest, security)
    try:
        await _complete(kube, launch, wanted)
    except BaseException:
        await hang_up(cluster)
        raise
    return cluster


async def _certificates(kube: Kube, launch: Launch, name: str) -> Certificates | None:
    """New ones, those of the cluster to attach to, or None for plain TCP."""
    if not launch.attach:
        return make(host_names(name, kube.namespace)) if launch.tls else None
    found = await get_secret(kube, name)
    if found is None and launch.tls:
        log.warning("cluster %s has no Secret with certificates: plain TCP", name)
    return found


async def _kube_cluster(
    kube: Kube, name: str, manifest: dict[str, Any] | None, security: Security | None
) -> Any:
    from dask_kubernetes.operator.kubecluster.kubecluster import CreateMode, KubeCluster
    from tornado.ioloop import IOLoop

    options: dict[str, Any] = {}
    if security is not None:
        from montage_dask.cluster.encrypted import EncryptedKubeCluster

        kind, options["security"] = EncryptedKubeCluster, security
    else:
        kind = KubeCluster
    there = manifest is None or security is not None
    return await kind(
        name=name,
        namespace=kube.namespace,
        custom_cluster_spec=manifest,
        create_mode=CreateMode.CONNECT_ONLY if there else CreateMode.CREATE_ONLY,
        # Outside, names of services do not resolve; trying costs 10 s.
        port_forward_cluster_ip=not inside(),
        # Deleted by us: that is the same for a start that failed, and waits for the pods.
        shutdown_on_close=False,
        resource_timeout=int(START_SECONDS),
        asynchronous=True,
        loop=IOLoop.current(),
        quiet=True,
        **options,
    )


async def _complete(kube: Kube, launch: Launch, wanted: Wanted) -> None:
    """The groups beside the default one, and the scheduler's PodDisruptionBudget."""
    for group in launch.specs.groups(wanted):
        if await kube.get(DASK, f"daskworkergroups/{group['metadata']['name']}") is None:
            await kube.create(DASK, "daskworkergroups", group)
    if launch.attach:
        return
    owner = await kube.get(DASK, f"daskclusters/{wanted.name}")
    if owner is None:
        raise ClusterError(f"cluster {wanted.name} was deleted while it started")
    for version in ("policy/v1", "policy/v1beta1"):
        budget = launch.specs.disruption_budget(wanted.name, version)
        budget["metadata"]["ownerReferences"] = [
            {
                "apiVersion": DASK,
                "kind": "DaskCluster",
                "name": wanted.name,
                "uid": owner["metadata"]["uid"],
            }
        ]
        try:
            await kube.create(version, "poddisruptionbudgets", budget)
            return
        except Refused as error:
            if error.status != 404:
                log.info("no PodDisruptionBudget for the scheduler: %s", error)
                return


@asynccontextmanager
async def _unless_troubled(kube: Kube, name: str, launch: Launch) -> AsyncIterator[None]:
    """Watch a starting cluster beside the block: what cannot start ends the block with the reason."""
    block = asyncio.current_task()
    assert block is not None
    found: list[ClusterError] = []

    async def look() -> None:
        try:
            await _watch(kube, name, launch)
        except ClusterError as error:
            found.append(error)
            block.cancel()

    watching = asyncio.create_task(look())
    try:
        yield
    except (Exception, asyncio.CancelledError) as error:
        if found:
            raise found[0] from None
        if isinstance(error, asyncio.CancelledError | ClusterError):
            raise
        # KubeCluster's own errors: several bases, several lines.
        raise ClusterError(f"cluster {name} does not start: {' '.join(str(error).split())[:300]}") from error  # fmt: skip
    finally:
        watching.cancel()


async def _watch(kube: Kube, name: str, launch: Launch) -> None:
    """Help a cluster that starts, and say why when it cannot.

    Raises:
        ClusterError: it cannot.
    """
    began = time.monotonic()
    pending_since: float | None = None
    while True:
        await asyncio.sleep(0.5)
        waited = time.monotonic() - began
        cluster = await kube.get(DASK, f"daskclusters/{name}")
        if cluster is None:
            continue
        phase = cluster.get("status", {}).get("phase")
        if phase is None and waited > ACTED_SECONDS:
            raise ClusterError(
                f"no Dask operator looks after namespace {kube.namespace}: install it (helm install --repo https://helm.dask.org "
                "--create-namespace -n dask-operator --generate-name dask-kubernetes-operator), or see its logs"
            )
        if phase == "Error":
            raise ClusterError(f"the Dask operator refuses cluster {name}: see its logs")
        if phase == "Pending":
            pending_since = pending_since or time.monotonic()
            late = time.monotonic() - pending_since > RACE_SECONDS
            if late and await kube.get(CORE, f"services/{name}-scheduler") is not None:
                log.debug("%s stays Pending with its Service there: set to Running", name)
                await kube.patch(DASK, f"daskclusters/{name}", {"status": {"phase": "Running"}})
        pods = await kube.list(CORE, "pods", labelSelector=selector(name, component="scheduler"))
        events = await kube.list(CORE, "events") if pods else []
        for pod in pods:
            what = trouble(pod, events)
            patience = HOPELESS_SECONDS if what and what.hopeless else launch.pending_seconds
            if what and age_seconds(pod) > patience and not what.nodes_coming:
                raise ClusterError(f"the scheduler does not start: {what}")
        if not pods and waited > launch.pending_seconds:
            await _no_pod(kube, name)
        if waited > START_SECONDS:
            raise ClusterError(f"cluster {name} did not start within {START_SECONDS:.0f} s")


async def _no_pod(kube: Kube, name: str) -> None:
    """Quotas and admission speak through the Deployment."""
    deployment = await kube.get(APPS, f"deployments/{name}-scheduler")
    for condition in (deployment or {}).get("status", {}).get("conditions") or ():
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            raise ClusterError(f"the scheduler's pod is refused: {condition.get('message')}")


async def hang_up(cluster: Any) -> None:
    """End the connections to the scheduler before it ends, so that nothing tries them again."""
    try:
        await asyncio.wait_for(cluster.close(), HANGING_UP_SECONDS)
    except Exception:  # it must not keep the cluster from being removed
        log.debug("closing the KubeCluster", exc_info=True)
