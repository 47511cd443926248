"""The Secret with the certificates of a cluster: made beside it, owned by it, read by those who attach."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from montage_dask.cluster.certificates import Certificates
from montage_dask.cluster.kube import CORE, DASK, Kube
from montage_dask.cluster.specs import secret_name


def host_names(cluster: str, namespace: str) -> tuple[str, ...]:
    """What the scheduler's Service is called, from the shortest name to the longest."""
    service = f"{cluster}-scheduler"
    tails = ("", f".{namespace}", f".{namespace}.svc", f".{namespace}.svc.cluster.local")
    return tuple(service + tail for tail in tails)


async def put_secret(kube: Kube, cluster: Mapping[str, Any], certificates: Certificates) -> None:
    """Give a cluster its certificates. The Secret is the DaskCluster's own, and goes when that goes.

    Args:
        kube: the namespace.
        cluster: the DaskCluster, as the API server gave it.
        certificates: for all its parts.

    Raises:
        ClusterError: it is refused; says by what.
    """
    name = cluster["metadata"]["name"]
    owner = {
        "apiVersion": DASK,
        "kind": "DaskCluster",
        "name": name,
        "uid": cluster["metadata"]["uid"],
    }
    manifest = {
        "apiVersion": CORE,
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {
            "name": secret_name(name),
            "labels": {"dask.org/cluster-name": name},
            "ownerReferences": [owner],
        },
        "stringData": certificates.files(),
    }
    await kube.create(CORE, "secrets", manifest)


async def get_secret(kube: Kube, cluster: str) -> Certificates | None:
    """The certificates of a cluster; None: it has none, and speaks plain TCP.

    Raises:
        ClusterError: they may not be read, or are of no use.
    """
    path = f"secrets/{secret_name(cluster)}"
    found = await kube.get(CORE, path)
    if found is None:
        return None
    files: dict[str, str] = {}
    for name, value in (found.get("data") or {}).items():
        try:
            files[name] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue  # reported as missing, should it be one of ours
    return Certificates.of(files, f"{path} in namespace {kube.namespace}")
