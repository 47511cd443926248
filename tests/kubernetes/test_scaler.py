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
from montage_dask.graph.drive import capacity_of

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


def make_functions() -> tuple[Callable[[float], str], Callable[[str], str]]:
    """Pods know the package, not the tests: a function within a function travels whole."""

    def sleepy(seconds: float) -> str:
        """The worker's name, after a while."""
        import time

        from distributed import get_worker

        time.sleep(seconds)
        return str(get_worker().name)

    def until(path: str) -> str:
        """The same, when a file has appeared."""
        import os
        import time

        from distributed import get_worker

        while not os.path.exists(path):
            time.sleep(0.1)
        return str(get_worker().name)

    return sleepy, until


sleepy, until = make_functions()


def group_of(worker: str) -> str:
    return worker.rsplit("-worker-", 1)[0].rsplit("-", 1)[1]


def sizes(client: Client) -> Callable[[], dict[str, int]]:
    def look() -> dict[str, int]:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        names = [group_of(w["name"]) for w in workers]
        return {g: names.count(g) for g in ("default", "gpu")}

    return look


def test_groups_follow_their_own_work(namespace: Namespace, shared: Path) -> None:
    ranges = {"kubernetes-cpu-workers": "0:2", "kubernetes-gpu-workers": "0:1"}
    with launched(namespace, **ranges) as client:
        look = sizes(client)
        assert look() == {"default": 0, "gpu": 0}
        offered = capacity_of(client)
        assert offered.offers("gpu")  # though no worker is there yet
        assert dict(offered.resources) == {"CPU": 2, "GPU": 1}
        # A long GPU task, beside CPU work that ends: dask-kubernetes' own `scale` would take the GPU worker away here.
        over = shared / "over"
        long = client.submit(until, str(over), resources={"GPU": 1}, pure=False)
        short = [client.submit(sleepy, 2, resources={"CPU": 1}, pure=False) for _ in range(6)]
        names = client.gather(short)
        assert {group_of(n) for n in names} == {"default"}
        eventually(lambda: look()["gpu"] == 1, 90)
        # Idle for longer than the grace: but who holds a result stays.
        time.sleep(4)
        eventually(lambda: look()["default"] == len(set(names)), 60)
        assert client.gather(short) == names
        del short
        eventually(lambda: look() == {"default": 0, "gpu": 1}, 90)
        over.touch()
        assert group_of(long.result(60)) == "gpu"
        del long
        eventually(lambda: look() == {"default": 0, "gpu": 0}, 90)
        # Nothing is lost when the next work begins at nothing.
        again = client.submit(sleepy, 0, resources={"CPU": 1}, pure=False)
        assert group_of(again.result(90)) == "default"
    assert namespace.remains() == []


def test_a_group_that_finds_no_gpu_says_why_and_the_others_work(
    namespace: Namespace, tmp_path: Path
) -> None:
    specs = tmp_path / "specs"
    shutil.copytree(PACKAGED, specs)
    sizes = specs / "kustomization.yaml"
    sizes.write_text(sizes.read_text().replace('nvidia.com/gpu: "1"', 'nvidia.com/gpu: "99"'))
    more = {
        "kubernetes-cpu-workers": "0:1",
        "kubernetes-gpu-workers": "1:1",
        "kubernetes-pending-seconds": 3,
        "kubernetes-specs": str(specs),
    }
    with launched(namespace, **more) as client:
        lacking = eventually(lambda: capacity_of(client).lacks, 60)
        assert "Insufficient nvidia.com/gpu; no node has a free GPU: lower --gpu-workers" in lacking["GPU"]  # fmt: skip
        assert not capacity_of(client).offers("gpu")
        assert capacity_of(client).offers("cpu")
    assert namespace.remains() == []
