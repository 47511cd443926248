"""What is wrong with the cluster is said in one line, within half a minute, and nothing is left of the attempt."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from jobs import Done, Material
from server import Namespace, eventually, kubeconfig, write_json

from montage_dask.cluster.kube import APPS, CORE, Kube
from montage_dask.cluster.specs import PACKAGED

SECONDS = 60
"""The promise is 30; two launches at once on a busy machine may take longer to begin."""


def failed(done: Done) -> str:
    """The one line of a failure."""
    assert done.code == 1, done.stderr
    assert "Traceback (most recent call last)" not in done.stdout
    (line,) = [text for text in done.stderr.splitlines() if text.startswith("error: ")]
    return line


def test_what_kubernetes_refuses(namespace: Namespace, material: Material, shared: Path) -> None:
    out = shared / "never.mp4"
    config = kubeconfig()
    config["users"][0]["user"] = {"token": stranger(namespace)}
    path = write_json(shared / "kubeconfig", config)
    runs = {
        "create namespace nowhere": namespace.start(material, out, "--namespace", "nowhere"),
        "bind the Role in rbac.yaml": namespace.start(material, out, KUBECONFIG=str(path)),
        "set KUBECONFIG": namespace.start(material, out, KUBECONFIG="/nowhere"),
    }
    for what, run in runs.items():
        assert what in failed(run.done(SECONDS))
    assert namespace.remains() == []


def stranger(namespace: Namespace) -> str:
    """The token of an account that may do nothing."""
    name = "stranger"
    namespace.server.call(namespace.kube.create(CORE, "serviceaccounts", {"metadata": {"name": name}}))  # fmt: skip
    secret = {
        "metadata": {"name": name, "annotations": {"kubernetes.io/service-account.name": name}},
        "type": "kubernetes.io/service-account-token",
    }
    namespace.server.call(namespace.kube.create(CORE, "secrets", secret))
    import base64

    def token() -> str:
        found = namespace.server.call(namespace.kube.get(CORE, f"secrets/{name}"))
        return base64.b64decode(found.get("data", {}).get("token", "")).decode()

    return str(eventually(token, 30))


def test_what_does_not_start(namespace: Namespace, material: Material, shared: Path) -> None:
    out = shared / "never.mp4"
    specs = shared / "huge-specs"
    specs.mkdir()
    for file in PACKAGED.glob("*.yaml"):
        text = file.read_text().replace("cpu: 500m, memory: 1Gi", "cpu: 9k, memory: 1Gi")
        (specs / file.name).write_text(text)
    runs = {
        "apply storage.yaml": namespace.start(
            material, out, DASK_MONTAGE__KUBERNETES_CLAIM="no-such-claim"
        ),
        "Insufficient cpu": namespace.start(
            material, out, DASK_MONTAGE__KUBERNETES_SPECS=str(specs)
        ),
    }
    for what, run in runs.items():
        line = failed(run.done(SECONDS + 30))
        assert what in line
        assert "pod montage-" in line
    assert namespace.remains() == []


def test_another_folder_than_the_pods_see(
    namespace: Namespace, material: Material, tmp_path: Path
) -> None:
    run = namespace.start(
        material, tmp_path / "out.mp4", DASK_MONTAGE__KUBERNETES_FOLDER="/nowhere/montage"
    )
    assert "mount the same storage at the same place" in failed(run.done(SECONDS))
    assert namespace.remains() == []


@pytest.mark.alone
def test_no_operator(namespace: Namespace, material: Material, shared: Path) -> None:
    operator = namespace.server.at("dask-operator")
    (deployment,) = namespace.server.call(operator.list(APPS, "deployments"))
    path = f"deployments/{deployment['metadata']['name']}"

    def replicas(count: int) -> None:
        namespace.server.call(operator.patch(APPS, path, {"spec": {"replicas": count}}))
        eventually(lambda: ready(namespace, operator) == count, 60)

    replicas(0)
    try:
        began = time.monotonic()
        run = namespace.start(material, shared / "never.mp4")
        run.says("^error: ", SECONDS)
        line = next(text for _, text in run.said if text.startswith("error: "))
        assert "no Dask operator looks after namespace" in line
        assert time.monotonic() - began < SECONDS
    finally:
        replicas(1)
    run.done()
    eventually(lambda: namespace.remains() == [], 60)


def ready(namespace: Namespace, operator: Kube) -> int:
    pods = namespace.server.call(operator.list(CORE, "pods"))
    return sum(c["ready"] for p in pods for c in p["status"].get("containerStatuses", []))
