"""The specs on a real API server: all of them are accepted, and the Job launches its cluster with the smallest Role."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import yaml
from faults import Unreachable, main_process
from inside import launched_inside, plural
from jobs import Material
from server import Namespace, eventually

from montage_dask.cluster.pods import restarts
from montage_dask.cluster.specs import PACKAGED, Specs, Wanted
from montage_dask.render.verify import frames_hash

NO_OBJECTS = ("kustomization.yaml", "image-fields.yaml")


def objects() -> list[dict]:
    files = [f for f in sorted(PACKAGED.glob("*.yaml")) if f.name not in NO_OBJECTS]
    return [d for f in files for d in yaml.safe_load_all(f.read_text())]


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


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")
def test_kubectl_applies_the_kustomization_and_makes_of_it_what_the_launcher_makes(
    namespace: Namespace, tmp_path: Path
) -> None:
    specs = tmp_path / "specs"
    shutil.copytree(PACKAGED, specs)
    sizes = specs / "kustomization.yaml"
    everything = sizes.read_text().replace("\n  # - ", "\n  - ")
    sizes.write_text(everything.replace("namespace: montage ", f"namespace: {namespace.name} "))

    def kubectl(*words: str) -> str:
        command = ["kubectl", *words, str(specs)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    made = list(yaml.safe_load_all(kubectl("kustomize")))
    assert {m["metadata"]["namespace"] for m in made} == {namespace.name}
    dask = {m["metadata"]["name"]: m for m in made if m["kind"].startswith("Dask")}
    for kind, name in (("cpu", "montage"), ("gpu", "montage-gpu"), ("cgpu", "montage-cgpu")):
        assert dask[name]["spec"] == Specs(specs).manifest(kind)["spec"]
    sizes.write_text(
        sizes.read_text().replace("  - storage.yaml\n", "")
    )  # the tests have their own
    told = kubectl("apply", "--dry-run=server", "-k").splitlines()
    assert len(told) == len(made) - 1 >= 10
    assert all(line.endswith("created (server dry run)") for line in told)


def test_a_run_inside_the_cluster_whose_client_is_killed_on_the_way(
    namespace: Namespace, material: Material, out: Path, reference: str
) -> None:
    with launched_inside(namespace, material, out, "--cpu-workers", "0:2") as job:
        records = out.parent / ".montage" / "records" / "probe"
        eventually(lambda: list(records.rglob("*.json")), 120)
        try:
            process = main_process(job.client())
        except Unreachable as error:
            pytest.skip(str(error))
        assert process is not None
        os.kill(process, signal.SIGKILL)
        # Its pod starts it again, it removes what it has left behind, and goes on.
        job.succeed()
        assert restarts(job.client()) == 1
        assert "has lost its client" in job.said()
        assert frames_hash(out) == reference
    eventually(lambda: namespace.remains() == [], 60)
