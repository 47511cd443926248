"""`cluster up`, `status`, `scale`, `logs` and `down`, and a run that attaches: with CPU, GPU and cgpu workers in one cluster."""

from __future__ import annotations

import json
from pathlib import Path

from distributed import Client
from jobs import Material
from pod_colab import colab_in_a_pod
from server import Namespace, eventually
from test_scaler import GPU_WORKER, group_of

from montage_dask.cluster.connect import connect
from montage_dask.cluster.standing import examine, scale_standing
from montage_dask.config import resolve
from montage_dask.render.verify import frames_hash

GROUPS = {"cpu": "default", "gpu": "gpu", "cgpu": "cgpu"}
"""How the names of a target's workers go on behind the cluster's."""

PLACEMENT = {"strip": "gpu", "beats": "cgpu", "encode": "cgpu"}


def ran_where(client: Client) -> dict[str, set[str]]:
    """Groups of workers by name of the task, of all tasks that were done."""
    names = {a: w["name"] for a, w in client.scheduler_info(n_workers=-1)["workers"].items()}
    found: dict[str, set[str]] = {}
    for row in client.get_task_stream():
        if row["worker"] in names:
            found.setdefault(row["key"], set()).add(group_of(names[row["worker"]]))
    return found


def test_a_standing_cluster_of_three_groups(
    namespace: Namespace, material: Material, out: Path, reference: str
) -> None:
    with colab_in_a_pod(namespace) as specs:
        environment = {
            "DASK_MONTAGE__KUBERNETES_ENV": repr(GPU_WORKER),
            "DASK_MONTAGE__KUBERNETES_SPECS": str(specs),
        }
        words = [w for kind in GROUPS for w in (f"--{kind}-workers", "1:1")]
        up = namespace.command("cluster", "up", *words[:4], **environment)
        assert up.code == 0, up.stderr
        name = up.stdout.strip()
        assert namespace.certificates() == [f"{name}-tls"]

        (told,) = namespace.command("cluster", "status", "--json").json["clusters"]
        assert told["name"] == name
        assert not told["orphaned"]

        def examined() -> dict:
            (one,) = examine(resolve({"kubernetes-namespace": namespace.name}), name)["clusters"]
            return one

        eventually(lambda: all(p["phase"] == "Running" for p in examined()["pods"]), 90)
        assert {g["kind"]: g["replicas"] for g in examined()["groups"]} == {"cpu": 1, "gpu": 1}

        settings = resolve(
            {
                "cluster": "kubernetes",
                "kubernetes-namespace": namespace.name,
                "kubernetes-folder": str(namespace.folder),
                "kubernetes-attach": name,
                "kubernetes-specs": str(specs),
                # What started with TLS keeps to it, whatever the client would like.
                "kubernetes-tls": False,
                **{f"kubernetes-{kind}-workers": "1:1" for kind in GROUPS},
            }
        )
        with connect(settings) as client:
            # The group that this client has added, too.
            client.wait_for_workers(3, timeout=90)
            info = client.scheduler_info(n_workers=-1)
            spoken = {a.partition("://")[0] for a in (info["address"], *info["workers"])}
            assert spoken == {"tls"}
            client.get_task_stream()  # from here on
            run = namespace.start(
                material, out, "--attach", name, *words,
                DASK_MONTAGE__PLACEMENT=json.dumps(PLACEMENT), LOCAL_GPU_ENCODE="false", **environment,
            )  # fmt: skip
            result = run.result()
            where = ran_where(client)
        assert frames_hash(out) == reference
        each_ran_where_its_tag_says(result, where, out.parent)

        # Down to nothing and up again, without touching the other groups.
        others = [p["name"] for p in examined()["pods"] if "-default-" not in p["name"]]
        assert namespace.command("cluster", "scale", name, "cpu", 0).code == 0
        eventually(lambda: not [p for p in examined()["pods"] if "-default-" in p["name"]], 60)
        assert scale_standing(settings, "cpu", 2) == 2
        eventually(lambda: examined()["groups"][0]["running"] == 2, 90)
        assert [p["name"] for p in examined()["pods"] if "-default-" not in p["name"]] == others

        logs = namespace.command("cluster", "logs", name, name + "-scheduler")
        assert logs.code == 0
        assert "distributed.scheduler" in logs.stdout
        # What is asked every second is no news.
        assert "observe" not in logs.stdout
        down = namespace.command("cluster", "down", name)
        assert down.code == 0, down.stderr
        assert namespace.remains() == []
    gone = namespace.command("cluster", "status", name)
    assert gone.code == 1
    assert "no Dask cluster" in gone.stderr


def each_ran_where_its_tag_says(result: dict, where: dict[str, set[str]], folder: Path) -> None:
    targets = {p["operation"]: p["target"] for p in result["placement"]}
    assert targets.items() >= PLACEMENT.items()
    # What the workers tell the scheduler of each task.
    for key, groups in where.items():
        target = targets.get(key.split("-")[0])
        if target is not None:
            fallen = key.endswith("-cpu")
            assert groups == {GROUPS["cpu" if fallen else target]}, key
    assert {"probe", *PLACEMENT} <= {k.split("-")[0] for k in where}
    # There is no GPU behind the tag: what was tried there went on with the CPU, and nothing else did.
    assert {(f["operation"], f["from_target"]) for f in result["fallbacks"]} == {("strip", "gpu")}
    # What they noted with their results.
    records = folder / ".montage" / "records"
    noted = {
        kind: {json.loads(f.read_text())["target"] for f in (records / kind).rglob("*.json")}
        for kind in ("probe", *PLACEMENT)
    }
    assert noted == {"probe": {"cpu"}, "strip": {"cpu"}, "beats": {"cgpu"}, "encode": {"cgpu"}}
