"""The specs: what the launcher makes of them is what kustomize makes of them, and they keep to the rules of a hardened pod."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from montage_dask.cluster.specs import FILES, PACKAGED, Specs, Wanted, group_name
from montage_dask.errors import UsageError

KINDS = tuple(FILES)


def pods(manifest):
    return [manifest["spec"][p]["spec"] for p in ("scheduler", "worker") if p in manifest["spec"]]


def containers(pod):
    return [*pod.get("initContainers", ()), *pod["containers"]]


def every_pod():
    specs = Specs()
    found = [p for k in KINDS for p in pods(specs.manifest(k))]
    job = yaml.safe_load((PACKAGED / "job.yaml").read_text())
    return [*found, job["spec"]["template"]["spec"]]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl, for its kustomize")
def test_the_launcher_reads_the_kustomization_as_kustomize_does(tmp_path):
    folder = tmp_path / "specs"
    shutil.copytree(PACKAGED, folder)
    text = (folder / "kustomization.yaml").read_text()
    (folder / "kustomization.yaml").write_text(text.replace("  # - ", "  - "))
    made = subprocess.run(
        ["kubectl", "kustomize", folder], capture_output=True, text=True, check=True, timeout=60
    )
    by_name = {(d["kind"], d["metadata"]["name"]): d for d in yaml.safe_load_all(made.stdout)}
    assert ("Job", "montage") in by_name
    for kind in KINDS:
        ours = Specs(folder).manifest(kind)
        theirs = by_name[ours["kind"], ours["metadata"]["name"]]
        theirs["metadata"].pop("namespace")
        assert theirs == ours


def test_commands_are_given_and_named_for_the_operator():
    """The scripts that dask-kubernetes would call are gone, and it knows a worker by its Deployment's name."""
    specs = Specs()
    scheduler, cpu = pods(specs.manifest("cpu"))
    assert scheduler["containers"][0]["args"][:2] == ["dask", "scheduler"]
    assert cpu["containers"][0]["args"][:2] == ["dask", "worker"]
    (gpu,) = pods(specs.manifest("gpu"))
    assert gpu["containers"][0]["args"][:3] == ["dask", "cuda", "worker"]
    assert gpu["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert "resources" not in scheduler or "nvidia.com/gpu" not in str(scheduler["containers"])
    for kind in KINDS:
        args = pods(specs.manifest(kind))[-1]["containers"][0]["args"]
        assert args[args.index("--name") + 1] == "$(DASK_WORKER_NAME)"
    assert [specs.slots(k) for k in KINDS] == [1, 1, 32]


def test_pods_are_hardened():
    for pod in every_pod():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        for container in containers(pod):
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"]["drop"] == ["ALL"]
            variables = {e["name"]: e.get("value") for e in container.get("env", ())}
            if container in pod["containers"]:  # what is written beside the volume goes to scratch
                assert variables["TMPDIR"] == variables["HOME"] == "/scratch"
        if pod.get("serviceAccountName") is None:
            assert pod["automountServiceAccountToken"] is False


def test_memory_leaves_room_for_ffmpeg():
    for kind in ("cpu", "gpu", "cgpu"):
        (worker,) = pods(Specs().manifest(kind))[-1]["containers"]
        (limit,) = [e["value"] for e in worker["env"] if e["name"] == "MEMORY_LIMIT"]
        units = {"MB": 10**6, "GB": 10**9, "Gi": 2**30}
        own = float(limit[:-2]) * units[limit[-2:]]
        pod = worker["resources"]["limits"]["memory"]
        assert own <= 0.6 * float(pod[:-2]) * units[pod[-2:]]


def test_each_cluster_gets_its_own_name_numbers_and_environment():
    wanted = Wanted(
        "montage-1a", {"cpu": 2, "gpu": 1}, {"cpu": "own:1"}, {"A": "b", "TMPDIR": "/x"}, "films", "/films"
    )  # fmt: skip
    specs = Specs()
    cluster = specs.cluster(wanted)
    (gpu,) = specs.groups(wanted)
    assert cluster["metadata"]["name"] == "montage-1a"
    assert cluster["spec"]["worker"]["replicas"] == 2
    selector = cluster["spec"]["scheduler"]["service"]["selector"]
    assert selector["dask.org/cluster-name"] == "montage-1a"
    assert gpu["metadata"]["name"] == group_name("montage-1a", "gpu") == "montage-1a-gpu"
    assert gpu["spec"]["cluster"] == "montage-1a"
    assert gpu["spec"]["worker"]["replicas"] == 1
    for pod in [*pods(cluster), *pods(gpu)]:
        (container,) = pod["containers"]
        variables = [(e["name"], e["value"]) for e in container["env"]]
        assert ("A", "b") in variables
        assert [v for n, v in variables if n == "TMPDIR"] == ["/x"]
        assert {"name": "montage", "mountPath": "/films"} in container["volumeMounts"]
        claims = [v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"] if "persistentVolumeClaim" in v]  # fmt: skip
        assert claims == ["films"]
    assert pods(cluster)[0]["containers"][0]["image"] == "own:1"
    assert pods(gpu)[0]["containers"][0]["image"] == "montage-dask:latest-gpu"


def test_every_part_of_an_encrypted_cluster_has_the_certificates():
    wanted = Wanted("m-1", {"cpu": 0, "gpu": 0, "cgpu": 0}, tls_namespace="films")
    specs = Specs()
    for pod in [p for m in (specs.cluster(wanted), *specs.groups(wanted)) for p in pods(m)]:
        assert {"name": "certificates", "secret": {"secretName": "m-1-tls", "defaultMode": 0o440}} in pod["volumes"]  # fmt: skip
        (container,) = pod["containers"]
        mounts = {m["name"]: m for m in container["volumeMounts"]}
        assert mounts["certificates"]["readOnly"] is True
        variables = {e["name"]: e.get("value") for e in container["env"]}
        assert len(variables) == len(container["env"])
        assert variables["DASK_SCHEDULER_ADDRESS"] == "tls://m-1-scheduler.films.svc.cluster.local:8786"  # fmt: skip
        assert variables["DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION"] == "true"
        for role in ("SCHEDULER", "WORKER", "CLIENT"):
            for what in ("CERT", "KEY"):
                path = variables[f"DASK_DISTRIBUTED__COMM__TLS__{role}__{what}"]
                assert path.startswith(mounts["certificates"]["mountPath"] + "/")


def test_without_tls_nothing_of_it_is_in_the_pods():
    assert "certificates" not in str(Specs().cluster(Wanted("m-1", {"cpu": 0})))


def test_the_colab_group_is_annotated():
    (group,) = Specs().groups(Wanted("m", {"cpu": 0, "cgpu": 1}))
    assert group["metadata"]["annotations"]["montage-dask/resource"] == "CGPU"
    assert group["spec"]["worker"]["metadata"]["annotations"]["montage-dask/resource"] == "CGPU"
    assert {"name": "cgpu", "secret": {"secretName": "montage-cgpu", "defaultMode": 0o440}} in (
        group["spec"]["worker"]["spec"]["volumes"]
    )


@pytest.mark.parametrize(
    ("broken", "what"),
    [("cluster.yaml", "no Kubernetes object"), ("kustomization.yaml", "is not YAML")],
)
def test_a_broken_copy_is_named(tmp_path: Path, broken: str, what: str):
    folder = tmp_path / "specs"
    shutil.copytree(PACKAGED, folder)
    (folder / broken).write_text("- 1\n" if "object" in what else "{a: [")
    with pytest.raises(UsageError, match=what):
        Specs(folder).manifest("cpu")


def test_a_missing_copy_is_named(tmp_path: Path):
    with pytest.raises(UsageError, match="copy the folder specs/kubernetes"):
        Specs(tmp_path)


def test_a_patch_without_a_place_is_named(tmp_path: Path):
    folder = tmp_path / "specs"
    shutil.copytree(PACKAGED, folder)
    path = folder / "kustomization.yaml"
    path.write_text(path.read_text().replace("containers/0/env/0", "containers/7/env/0"))
    with pytest.raises(UsageError, match="no place for the patch replace"):
        Specs(folder).manifest("cpu")
