"""CPU workers and real dask-cuda workers in one cluster. No GPU is needed for that: dask-cuda has a switch for such tests."""

from __future__ import annotations

import pytest
from freed_pages import PAGES, looking

from montage_dask import devices
from montage_dask.cluster import local as room
from montage_dask.cluster.connect import connect
from montage_dask.cluster.local import CGPU_SLOTS
from montage_dask.config import resolve
from montage_dask.graph.workers import capacity_of


@pytest.fixture
def no_device(monkeypatch):
    """dask-cuda asks nothing of the device that is not there."""
    monkeypatch.setenv("DASK_CUDA_TEST_DISABLE_DEVICE_SPECIFIC", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")


def settings(**more):
    return resolve({"n-workers": 1, **more})


def test_a_gpu_worker_stands_beside_the_cpu_workers(no_device):
    with connect(settings(**{"gpu-workers": 1, "n-workers": 2})) as client:
        capacity = capacity_of(client)
        workers = client.scheduler_info(n_workers=-1)["workers"]
        resources = sorted(tuple(w["resources"].items()) for w in workers.values())
        assert resources == [(("CPU", 1),), (("CPU", 1),), (("GPU", 1),)]
        assert {w["nthreads"] for w in workers.values()} == {1}
        assert capacity.offers("gpu")
        assert capacity.slots == 3
        (on_gpu,) = [a for a, w in workers.items() if "GPU" in w["resources"]]
        visible = client.run(lambda: __import__("os").environ.get("CUDA_VISIBLE_DEVICES"))
        assert visible[on_gpu] == "0"


@pytest.mark.parametrize("wanted", [None, 0])
def test_without_a_gpu_nothing_changes(monkeypatch, wanted):
    monkeypatch.setattr(devices, "count_gpus", lambda: 0)
    with connect(settings(**{"gpu-workers": wanted})) as client:
        assert dict(capacity_of(client).resources) == {"CPU": 1}
        assert (
            client.cluster.scheduler.worker_ttl == 30
        )  # a worker that hangs is not waited for longer


def test_a_gpu_that_does_not_start_is_no_failure(monkeypatch, caplog):
    # A driver that is not there: the real error of NVML.
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if devices.count_gpus():
        pytest.skip("there is a GPU, and it starts")
    with connect(settings(**{"gpu-workers": 1})) as client:
        assert dict(capacity_of(client).resources) == {"CPU": 1}
    assert "GPU workers did not start" in caplog.text


def test_without_dask_cuda_the_cpu_workers_are_alone(monkeypatch, caplog):
    monkeypatch.setitem(__import__("sys").modules, "dask_cuda", None)
    with connect(settings(**{"gpu-workers": 1})) as client:
        assert dict(capacity_of(client).resources) == {"CPU": 1}
    assert "montage-dask[gpu]" in caplog.text


@pytest.mark.parametrize("visible", ["", "-1"])
def test_hidden_gpus_do_not_count(monkeypatch, visible):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices.count_gpus() == 0


def test_cores_that_may_be_used_are_counted():
    assert 1 <= room.usable_cores() <= 4096


def test_a_cgpu_worker_stands_beside_them_when_it_is_wanted():
    with connect(settings(**{"cgpu-enabled": "true", "cgpu-encode-threshold": 7})) as client:
        client.wait_for_workers(2, timeout=60)
        capacity = capacity_of(client)
        assert dict(capacity.resources) == {"CPU": 1, "CGPU": CGPU_SLOTS}
        said = client.submit(
            lambda: (
                __import__("montage_dask.config").config.resolve()["cgpu-encode-threshold"].value,
                __import__("distributed").get_worker().state.nthreads,
            ),
            resources={"CGPU": 1},
        )
        assert said.result(timeout=30) == (7.0, CGPU_SLOTS)


def test_workers_keep_the_memory_of_arrays_for_the_next_ones():
    with connect(settings()) as client:
        assert client.submit(looking(), pure=False).result() < 4 * PAGES
