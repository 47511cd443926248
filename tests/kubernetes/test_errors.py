"""What is wrong with the cluster is said in one line, within half a minute, and nothing is left of the attempt."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path

import pytest
import yaml
from jobs import Material
from server import Namespace, Running, eventually, kubeconfig, write_json
from unpulled import node_without_images

from montage_dask.cluster.kube import APPS, CORE, Kube
from montage_dask.cluster.scaler import HOPELESS_SECONDS
from montage_dask.cluster.specs import PACKAGED
from montage_dask.cluster.starting import ACTED_SECONDS
from montage_dask.config import resolve

PROMISED_SECONDS = 30.0
"""From asking for a cluster to its error; cleaning up comes behind that, and starting Python before it."""

PATIENCE_SECONDS = 3.0
"""These tests do not wait as long as users do, whose patience is the setting's default; what comes on top is the same."""


def failure(run: Running, waits: float = 0.0) -> str:
    """The one line of a failure, which is said in time.

    Args:
        run: a command that is bound to fail.
        waits: how much longer it would wait with the default settings, in seconds.
    """
    done = run.done()
    assert done.code == 1, done.stderr
    assert "Traceback (most recent call last)" not in done.stdout
    ((at, line),) = [(at, text) for at, text in run.said if text.startswith("error: ")]
    told = [at for at, text in run.said if line.removeprefix("error: ") in text]
    asked = [at for at, text in run.said if "is asked for in namespace" in text]
    # What fails before a cluster is asked for waits for nothing.
    assert not asked or min(told) - asked[0] + waits <= PROMISED_SECONDS, done.stderr
    assert asked or at <= PROMISED_SECONDS
    return line


def test_the_waits_of_the_default_settings_leave_time_for_the_rest():
    default = resolve({})["kubernetes-pending-seconds"].value
    assert max(default, ACTED_SECONDS, HOPELESS_SECONDS) <= PROMISED_SECONDS - 8


def test_what_kubernetes_refuses(namespace: Namespace, material: Material, shared: Path) -> None:
    out = [shared / f"never-{n}.mp4" for n in range(3)]
    config = kubeconfig()
    config["users"][0]["user"] = {"token": stranger(namespace)}
    path = write_json(shared / "kubeconfig", config)
    runs = {
        "create namespace nowhere": namespace.start(material, out[0], "--namespace", "nowhere"),
        "bind the Role in rbac.yaml": namespace.start(material, out[1], KUBECONFIG=str(path)),
        "set KUBECONFIG": namespace.start(material, out[2], KUBECONFIG="/nowhere"),
    }
    for what, run in runs.items():
        assert what in failure(run)
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

    def token() -> str:
        found = namespace.server.call(namespace.kube.get(CORE, f"secrets/{name}"))
        return base64.b64decode(found.get("data", {}).get("token", "")).decode()

    return str(eventually(token, 30))


def test_what_does_not_start(namespace: Namespace, material: Material, shared: Path) -> None:
    pending = resolve({})["kubernetes-pending-seconds"].value - PATIENCE_SECONDS

    def start(name: str, op: str, path: str, value: object, *more: str, **variables: str) -> Running:  # fmt: skip
        operation = {"op": op, "path": f"/spec/scheduler/spec/{path}", "value": value}
        specs = patched(shared / f"specs-{name}", operation)
        return namespace.start(
            material, shared / f"never-{name}.mp4", *more,
            DASK_MONTAGE__KUBERNETES_SPECS=str(specs),
            DASK_MONTAGE__KUBERNETES_PENDING_SECONDS=f"{PATIENCE_SECONDS:.0f}",
            **variables,
        )  # fmt: skip

    image = "registry.invalid/montage-dask:none"
    first = "containers/0"
    with node_without_images(namespace) as node:
        runs = {
            'persistentvolumeclaim "none" not found; apply storage.yaml': (
                start("claim", "add", "volumes/1/persistentVolumeClaim/claimName", "none"), pending,
            ),
            "Insufficient cpu; no node is large or free enough": (
                start("cpu", "replace", f"{first}/resources/requests/cpu", "9k"), pending,
            ),
            f'failed to pull and unpack image "{image}"': (
                start("image", "add", "nodeName", node, "--image", image), 0.0,
            ),
            "Read-only file system; mount it read-write": (
                start("read-only", "add", f"{first}/volumeMounts/1/readOnly", True), 0.0,
            ),
        }  # fmt: skip
        lines = {what: failure(*given) for what, given in runs.items()}
        assert namespace.remains() == []
    for what, line in lines.items():
        assert what in line
        assert "pod montage-" in line or "the pods cannot write" in line
    assert sum("ErrImagePull: " in line and "; check --image" in line for line in lines.values()) == 1  # fmt: skip


def patched(folder: Path, operation: dict[str, object]) -> Path:
    """A copy of the specs whose DaskCluster has one patch more."""
    shutil.copytree(PACKAGED, folder)
    sizes = folder / "kustomization.yaml"
    whole = yaml.safe_load(sizes.read_text())
    whole["patches"].append(
        {"target": {"kind": "DaskCluster"}, "patch": yaml.safe_dump([operation])}
    )
    sizes.write_text(yaml.safe_dump(whole))
    return folder


def test_another_folder_than_the_pods_see(
    namespace: Namespace, material: Material, tmp_path: Path
) -> None:
    run = namespace.start(
        material, tmp_path / "out.mp4", DASK_MONTAGE__KUBERNETES_FOLDER="/nowhere/montage"
    )
    assert "mount the same storage at the same place" in failure(run)
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
        run = namespace.start(material, shared / "never.mp4")
        assert "no Dask operator looks after namespace" in failure(run)
    finally:
        replicas(1)
    eventually(lambda: namespace.remains() == [], 60)


def ready(namespace: Namespace, operator: Kube) -> int:
    pods = namespace.server.call(operator.list(CORE, "pods"))
    return sum(c["ready"] for p in pods for c in p["status"].get("containerStatuses", []))
