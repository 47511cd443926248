"""TLS on Kubernetes: every part speaks it, nobody without the certificate gets in, and the Secret goes with its cluster."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, Security
from server import Namespace
from test_scaler import GPU_WORKER

from montage_dask.cluster.certificates import make
from montage_dask.cluster.connect import connect
from montage_dask.cluster.kube import CORE, DASK
from montage_dask.cluster.tls_secret import get_secret
from montage_dask.config import resolve

GROUPS = {"cpu": "1:1", "gpu": "1:1"}


def settings(namespace: Namespace, shared: Path, **more: Any) -> Any:
    given = {
        "cluster": "kubernetes",
        "kubernetes-namespace": namespace.name,
        "kubernetes-folder": str(shared),
        "kubernetes-env": GPU_WORKER,
        **{f"kubernetes-{kind}-workers": span for kind, span in GROUPS.items()},
        **{f"kubernetes-{k.replace('_', '-')}": v for k, v in more.items()},
    }
    return resolve(given)


def only(namespace: Namespace) -> str:
    (cluster,) = namespace.list(DASK, "daskclusters")
    return str(cluster["metadata"]["name"])


def test_every_part_speaks_tls_and_strangers_are_refused(
    namespace: Namespace, shared: Path
) -> None:
    with connect(settings(namespace, shared)) as client:
        client.wait_for_workers(2, timeout=90)
        info = client.scheduler_info(n_workers=-1)
        assert {w["resources"].popitem()[0] for w in info["workers"].values()} == {"CPU", "GPU"}
        spoken = [info["address"], client.scheduler.address, *info["workers"]]
        spoken += [w["nanny"] for w in info["workers"].values()]
        assert {a.partition("://")[0] for a in spoken} == {"tls"}
        # From worker to worker, too.
        first, second = info["workers"]
        there = client.submit(bytes, 1_000_000, workers=first, pure=False)
        assert client.submit(len, there, workers=second).result(timeout=30) == 1_000_000
        modes = client.run(lambda: os.stat("/certificates/tls.key").st_mode & 0o777)
        assert set(modes.values()) == {0o440}

        name = only(namespace)
        secret = namespace.server.call(namespace.kube.get(CORE, f"secrets/{name}-tls"))
        (owner,) = secret["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"]) == ("DaskCluster", name)

        address = client.scheduler.address  # the port-forward
        with pytest.raises(OSError, match="TLS certificate does not match"):
            Client(address, security=make(()).security(), timeout=3)
        with pytest.raises(OSError, match=r"Timed out|closed"):
            Client(address.replace("tls://", "tcp://"), security=Security(), timeout=3)
        ours = namespace.server.call(get_secret(namespace.kube, name))
        with Client(address, security=ours.security(), timeout=10) as another:
            assert another.submit(sum, [1, 2], pure=False).result(timeout=30) == 3
        logs = namespace.command("cluster", "logs", name, name)
        assert ours.key.splitlines()[1] not in logs.stdout + logs.stderr
    assert namespace.remains() == []
    assert namespace.certificates() == []
