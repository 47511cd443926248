"""`--cluster kubernetes`: KubeCluster of dask-kubernetes, from our specs, scaled by work, removed when the job is done."""

from __future__ import annotations

import logging
import secrets
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from distributed import Client, Security

from montage_dask.cluster.background import Background
from montage_dask.cluster.kube import Kube
from montage_dask.cluster.reach import check_buckets, check_places
from montage_dask.cluster.removing import keep_alive, tidy
from montage_dask.cluster.scaler import Scaler
from montage_dask.cluster.shared_folder import check_folder
from montage_dask.cluster.starting import Launch, hang_up, pods_see, seen_as, start
from montage_dask.config import Setting
from montage_dask.errors import ClusterError
from montage_dask.store import Place

log = logging.getLogger(__name__)

RECONNECT_SECONDS = 60
"""How long a client whose way to the scheduler broke tries to find it again."""


@contextmanager
def kubernetes(
    settings: Mapping[str, Setting], places: Sequence[Place] | None = None
) -> Iterator[Client]:
    """A client of a new cluster, or of the one to attach to; a new one is removed, however the block ends, unless it is kept.

    Args:
        settings: all of them.
        places: what the job reads and writes; None: not known yet.

    Raises:
        ClusterError: the cluster cannot be had; says why and what to do. Nothing is left behind then.
    """
    launch = Launch.of(settings, places)
    with Background("kubernetes") as background, quiet():
        kube = background.run(Kube(launch.namespace).open())
        name = launch.attach or new_name()
        folders = background.run(pods_see(kube, launch, name))
        launch = seen_as(launch, folders)
        check_places(places, folders, launch.folder)
        cluster = None
        log.info("cluster %s is asked for in namespace %s", name, kube.namespace)
        try:
            cluster = background.run(start(kube, launch, name))
            log.info("cluster %s in namespace %s: %s", name, kube.namespace, cluster.dashboard_link)
            if not launch.attach:
                background.start(keep_alive(kube, name))
            scaler = Scaler(
                kube,
                name,
                cluster.scheduler_comm,
                launch.groups(),
                grace_seconds=launch.grace_seconds,
                pending_seconds=launch.pending_seconds,
            )
            security = getattr(cluster, "security", None)
            with _client(cluster.scheduler_address, name, security) as client:
                if launch.claim and (places is None or any(isinstance(p, Path) for p in places)):
                    check_folder(client, launch.folder, launch.claim)
                check_buckets(client, places)
                background.run(scaler.offer())
                scaling = background.start(scaler.run())
                try:
                    yield client
                finally:
                    with suppress(TimeoutError):
                        background.run(scaler.stop(scaling))
                    if launch.keep or launch.attach:
                        background.run(_leave(scaler))
        except ClusterError as error:
            # Told again when all is cleaned up; that may take a while.
            log.info("cluster %s: %s", name, error)
            raise
        finally:
            if cluster is not None:
                background.run(hang_up(cluster))
            if launch.keep and cluster is not None and not launch.attach:
                log.warning("cluster %s is kept; `cluster down %s` removes it", name, name)
            elif not launch.attach:
                background.run(tidy(kube, name))


def new_name() -> str:
    """The name of a cluster that no other launch in the namespace has."""
    return f"montage-{secrets.token_hex(4)}"


@contextmanager
def quiet() -> Iterator[None]:
    """kr8s names versions of Kubernetes that it was not tried with; httpx tells of every request."""
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Kubernetes version")
        yield


@contextmanager
def _client(address: str, name: str, security: Security | None) -> Iterator[Client]:
    try:
        client = Client(
            address,
            timeout=RECONNECT_SECONDS,
            name="montage-dask",
            security=security,
            set_as_default=False,
        )
    except (OSError, TimeoutError) as error:
        raise ClusterError(f"the scheduler of {name} does not answer: {error}") from error
    with client:
        try:
            client.get_versions(check=True)
        except ValueError as error:
            raise ClusterError(
                f"{name}: client and image differ in versions, build the image from this version: {error}"
            ) from error
        yield client


async def _leave(scaler: Scaler) -> None:
    """A cluster that stays has no scaler: what is idle goes, and nothing is promised any more."""
    with suppress(ClusterError, OSError, TimeoutError):
        await scaler.step(0.0)
        await scaler.withdraw()
