"""The specs on a real API server: all of them are accepted, and the Job launches its cluster with the smallest Role."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from jobs import Material, montage
from server import SHORT, Namespace, eventually

from montage_dask.cluster.kube import CORE
from montage_dask.cluster.specs import PACKAGED, Specs, Wanted
from montage_dask.render.verify import frames_hash

PLURALS = {
    "NetworkPolicy": "networkpolicies",
    "Ingress": "ingresses",
}
NO_OBJECTS = ("kustomization.yaml", "image-fields.yaml")


def objects() -> list[dict]:
    files = [f for f in sorted(PACKAGED.glob("*.yaml")) if f.name not in NO_OBJECTS]
    return [d for f in files for d in yaml.safe_load_all(f.read_text())]


def plural(manifest: dict) -> str:
    return PLURALS.get(manifest["kind"], manifest["kind"].lower() + "s")


@pytest.mark.parametrize(
    "manifest", objects(), ids=lambda m: f"{m['kind']}-{m['metadata']['name']}"
)
def test_the_server_accepts_each_object(namespace: Namespace, manifest: dict) -> None:
    if manifest["kind"] == "PersistentVolumeClaim":
        manifest = {**manifest, "metadata": {"name": "another"}}  # the tests' own has this name
    version = manifest["apiVersion"]
    if manifest["kind"] == "PodDisruptionBudget":
        version = namespace.policy
    manifest = {**manifest, "apiVersion": version}
    namespace.server.call(namespace.kube.create(version, plural(manifest), manifest, dry_run=True))


def test_each_groups_manifest_as_the_launcher_makes_it(namespace: Namespace) -> None:
    specs, wanted = Specs(), Wanted("montage-x", {"cpu": 1, "gpu": 1, "cgpu": 1})
    for manifest in (specs.cluster(wanted), *specs.groups(wanted)):
        namespace.server.call(
            namespace.kube.create(manifest["apiVersion"], plural(manifest), manifest, dry_run=True)
        )


def test_a_run_inside_the_cluster(
    namespace: Namespace, material: Material, shared: Path, tmp_path: Path
) -> None:
    """As job.yaml has it: own ServiceAccount, own specs from a ConfigMap, DNS instead of a port-forward."""
    create = namespace.kube.create
    for manifest in yaml.safe_load_all((PACKAGED / "rbac.yaml").read_text()):
        namespace.server.call(create(manifest["apiVersion"], plural(manifest), manifest))
    names = ("cluster.yaml", "workers-gpu.yaml", "workers-cgpu.yaml", "disruption-budget.yaml", "kustomization.yaml")  # fmt: skip
    data = {name: (PACKAGED / name).read_text() for name in names}
    config = {"metadata": {"name": "montage-specs"}, "data": data}
    namespace.server.call(create(CORE, "configmaps", config))
    out = shared / "inside"
    out.mkdir()
    out.chmod(0o777)
    job = yaml.safe_load((PACKAGED / "job.yaml").read_text())
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    container["args"] = [
        "python", "-m", "montage_dask", "run", str(material.footage), "--music", str(material.music),
        "-o", str(out / "out.mp4"), *SHORT, "--cluster", "kubernetes", "--cpu-workers", "0:2", "-v",
    ]  # fmt: skip
    container["env"].append({"name": "DASK_MONTAGE__KUBERNETES_FOLDER", "value": str(shared)})
    for mount in container["volumeMounts"]:
        if mount["name"] == "montage":
            mount["mountPath"] = str(shared)
    namespace.server.call(create("batch/v1", "jobs", job))
    local = montage(
        "run", material.footage, "--music", material.music, "-o", tmp_path / "out.mp4", *SHORT, "--n-workers", 1
    )  # fmt: skip
    assert local.code == 0, local.stderr

    def ended() -> dict:
        found = namespace.server.call(namespace.kube.get("batch/v1", "jobs/montage"))
        status = found.get("status", {})
        return status if status.get("succeeded") or status.get("failed") else {}

    def said() -> str:
        (one,) = namespace.list(CORE, "pods", labelSelector="job-name=montage")
        return namespace.server.call(namespace.kube.text(f"pods/{one['metadata']['name']}/log"))

    try:
        status = eventually(ended, 150)
    except AssertionError:
        raise AssertionError(said()) from None
    assert status.get("succeeded"), said()
    assert frames_hash(out / "out.mp4") == frames_hash(tmp_path / "out.mp4")
    namespace.server.call(namespace.kube.delete("batch/v1", "jobs/montage"))
    eventually(lambda: namespace.remains() == [], 60)
