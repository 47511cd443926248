"""`cluster up`, `status`, `scale`, `logs` and `down`, and a run that attaches."""

from __future__ import annotations

from pathlib import Path

from distributed import Client
from jobs import Material
from server import Namespace, eventually
from test_scaler import GPU_WORKER, group_of

from montage_dask.cluster.connect import connect
from montage_dask.cluster.standing import examine
from montage_dask.config import resolve

ENVIRONMENT = {"DASK_MONTAGE__KUBERNETES_ENV": repr(GPU_WORKER)}


def ran_where(client: Client) -> dict[str, set[str]]:
    """Groups of workers by name of the task, of all tasks that were done."""
    names = {a: w["name"] for a, w in client.scheduler_info(n_workers=-1)["workers"].items()}
    found: dict[str, set[str]] = {}
    for row in client.get_task_stream():
        if row["worker"] in names:
            found.setdefault(row["key"], set()).add(group_of(names[row["worker"]]))
    return found


def test_a_standing_cluster(namespace: Namespace, material: Material, shared: Path) -> None:
    up = namespace.command("cluster", "up", "--cpu-workers", "1:1", "--gpu-workers", "1:1", **ENVIRONMENT)  # fmt: skip
    assert up.code == 0, up.stderr
    name = up.stdout.strip()

    (told,) = namespace.command("cluster", "status", "--json").json["clusters"]
    assert told["name"] == name
    assert not told["orphaned"]

    def examined():
        (one,) = examine(resolve({"kubernetes-namespace": namespace.name}), name)["clusters"]
        return one

    eventually(lambda: all(p["phase"] == "Running" for p in examined()["pods"]), 60)
    assert {g["kind"]: g["replicas"] for g in examined()["groups"]} == {"cpu": 1, "gpu": 1}

    out = shared / "attached"
    out.mkdir()
    out.chmod(0o777)
    settings = resolve(
        {
            "cluster": "kubernetes",
            "kubernetes-namespace": namespace.name,
            "kubernetes-folder": str(shared),
            "kubernetes-attach": name,
            "kubernetes-cpu-workers": "1:1",
            "kubernetes-gpu-workers": "1:1",
        }
    )
    with connect(settings) as client:
        client.get_task_stream()  # from here on
        result = namespace.start(
            material, out / "out.mp4", "--attach", name, "--cpu-workers", "1:1", "--gpu-workers", "1:1",
            DASK_MONTAGE__PLACEMENT="{strip: gpu, beats: gpu}", LOCAL_GPU_ENCODE="false", **ENVIRONMENT,
        ).result()  # fmt: skip
        where = ran_where(client)
    targets = {p["operation"]: p["target"] for p in result["placement"]}
    assert targets["strip"] == "gpu"
    for key, groups in where.items():
        target = targets.get(key.split("-")[0])
        if target is not None:
            on_gpu = target == "gpu" and not key.endswith("-cpu")
            assert groups == {"gpu" if on_gpu else "default"}, key
    assert {"strip", "probe"} <= {k.split("-")[0] for k in where}
    # There is no GPU behind the tag: what was tried there went on with the CPU.
    assert {f["from_target"] for f in result["fallbacks"]} == {"gpu"}

    # Down to nothing and up again, without touching the other group.
    gpu_before = [p["name"] for p in examined()["pods"] if "-gpu-" in p["name"]]
    assert namespace.command("cluster", "scale", name, "cpu", 0).code == 0
    eventually(lambda: not [p for p in examined()["pods"] if "-default-" in p["name"]], 60)
    assert namespace.command("cluster", "scale", name, "cpu", 2).code == 0
    eventually(lambda: examined()["groups"][0]["running"] == 2, 60)
    assert [p["name"] for p in examined()["pods"] if "-gpu-" in p["name"]] == gpu_before

    logs = namespace.command("cluster", "logs", name, name + "-scheduler")
    assert logs.code == 0
    assert "distributed.scheduler" in logs.stdout
    down = namespace.command("cluster", "down", name)
    assert down.code == 0, down.stderr
    assert namespace.remains() == []
    gone = namespace.command("cluster", "status", name)
    assert gone.code == 1
    assert "no Dask cluster" in gone.stderr
