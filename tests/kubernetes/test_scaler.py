"""The scaler on a real cluster: groups grow with their own work and shrink when it ends, never at the cost of another group."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from distributed import Client
from server import Namespace, eventually

from montage_dask.cluster.connect import connect
from montage_dask.cluster.specs import PACKAGED
from montage_dask.config import resolve
from montage_dask.graph.workers import capacity_of

GPU_WORKER = {"DASK_CUDA_TEST_DISABLE_DEVICE_SPECIFIC": "1", "CUDA_VISIBLE_DEVICES": "0"}


@contextmanager
def launched(namespace: Namespace, **more: object) -> Iterator[Client]:
    """A cluster of this process, with short times."""
    settings = {
        "cluster": "kubernetes",
        "kubernetes-namespace": namespace.name,
        "kubernetes-folder": str(namespace.folder),
        "kubernetes-env": GPU_WORKER,
        "kubernetes-idle-seconds": 2,
        **more,
    }
    with connect(resolve(settings)) as client:
        yield client


def make_sleepy() -> Callable[[float], str]:
    """Pods know the package, not the tests: a function within a function travels whole."""

    def sleepy(seconds: float) -> str:
        import time

        from distributed import get_worker

        time.sleep(seconds)
        return str(get_worker().name)

    return sleepy


sleepy = make_sleepy()


def group_of(worker: str) -> str:
    return worker.rsplit("-worker-", 1)[0].rsplit("-", 1)[1]


def sizes(client: Client) -> Callable[[], dict[str, int]]:
    def look() -> dict[str, int]:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        names = [group_of(w["name"]) for w in workers]
        return {g: names.count(g) for g in ("default", "gpu")}

    return look


def test_groups_follow_their_own_work(namespace: Namespace) -> None:
    ranges = {"kubernetes-cpu-workers": "0:2", "kubernetes-gpu-workers": "0:1"}
    with launched(namespace, **ranges) as client:
        look = sizes(client)
        assert look() == {"default": 0, "gpu": 0}
        offered = capacity_of(client)
        assert offered.offers("gpu")  # though no worker is there yet
        assert dict(offered.resources) == {"CPU": 2, "GPU": 1}
        # A long GPU task, beside CPU work that ends: dask-kubernetes' own `scale` would take the GPU worker away here.
        long = client.submit(sleepy, 25, resources={"GPU": 1}, pure=False)
        short = [client.submit(sleepy, 1, resources={"CPU": 1}, pure=False) for _ in range(6)]
        assert {group_of(n) for n in client.gather(short)} == {"default"}
        assert look()["default"] >= 1
        del short
        eventually(lambda: look()["gpu"] == 1, 40)
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        (gpu,) = [w["name"] for w in workers if "GPU" in w["resources"]]
        eventually(lambda: look() == {"default": 0, "gpu": 1}, 40)
        assert long.result(60) == gpu
        del long
        eventually(lambda: look() == {"default": 0, "gpu": 0}, 40)
        # Nothing is lost when the next work begins at nothing.
        again = client.submit(sleepy, 0, resources={"CPU": 1}, pure=False)
        assert group_of(again.result(60)) == "default"
    assert namespace.remains() == []


def test_results_survive_shrinking(namespace: Namespace) -> None:
    with launched(namespace, **{"kubernetes-cpu-workers": "1:3"}) as client:
        look = sizes(client)
        held = [client.submit(sleepy, 3, resources={"CPU": 1}, pure=False) for _ in range(6)]
        names = client.gather(held)
        assert len(set(names)) >= 2
        time.sleep(6)  # idle for longer than the grace: but who holds a result stays
        assert client.gather(held) == names
        assert look()["default"] >= 2
        del held
        eventually(lambda: look()["default"] == 1, 40)
        assert client.submit(sleepy, 0, resources={"CPU": 1}, pure=False).result(30)


def test_a_group_that_cannot_start_says_why(namespace: Namespace, tmp_path: Path) -> None:
    specs = tmp_path / "specs"
    shutil.copytree(PACKAGED, specs)
    sizes = specs / "kustomization.yaml"
    huge = sizes.read_text().replace("memory: 6Gi", "memory: 600Ti")
    sizes.write_text(huge.replace("memory: 8Gi", "memory: 600Ti"))
    more = {
        "kubernetes-cpu-workers": "0:1",
        "kubernetes-gpu-workers": "1:1",
        "kubernetes-pending-seconds": 4,
        "kubernetes-specs": str(specs),
    }
    with launched(namespace, **more) as client:
        lacking = eventually(lambda: capacity_of(client).lacks, 60)
        assert "Insufficient memory" in lacking["GPU"]
        assert "add nodes" in lacking["GPU"]
        assert not capacity_of(client).offers("gpu")
        assert capacity_of(client).offers("cpu")
