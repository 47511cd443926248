"""Targets that fail for reasons of their own: the work goes on elsewhere, and says why."""

from __future__ import annotations

import threading
import time

import pytest
from distributed import Client, Scheduler, SpecCluster, Worker

from montage_dask.devices import failure_of
from montage_dask.errors import ClusterError, MediaError, TargetFailed
from montage_dask.graph import operation as room
from montage_dask.graph import workers
from montage_dask.graph.drive import Driver
from montage_dask.graph.fallback import BREAK_AFTER
from montage_dask.graph.operation import Operation, Request, register
from montage_dask.graph.placement import Placement
from montage_dask.graph.telling import Silent
from montage_dask.store import Store

ON_GPU = {"work": Placement("work", "gpu", "test", ("cpu",))}
SEEN: list[tuple[int, str]] = []
TROUBLE = "CUDA error: an illegal memory access was encountered"


def _work(request, context):
    p = request.parameters
    SEEN.append((p["n"], context.device))
    if context.device == "cuda" and p.get("hold"):
        p["hold"].wait(20) if isinstance(p["hold"], threading.Event) else time.sleep(p["hold"])
    if context.device == "cuda" and p["n"] in p.get("fails", ()):
        raise RuntimeError(TROUBLE)
    if p.get("bad"):
        raise MediaError("clip.mp4", "is bad: libcuda in its name must not matter")
    return {"n": p["n"], "device": context.device}


@pytest.fixture
def cluster():
    def worker(**resources):
        options = {"nthreads": 1, "resources": resources, "dashboard_address": "127.0.0.1:0"}
        return {"cls": Worker, "options": options}

    with SpecCluster(
        workers={"cpu": worker(CPU=1), "gpu": worker(GPU=1)},
        scheduler={"cls": Scheduler, "options": {"dashboard_address": "127.0.0.1:0"}},
    ) as made:
        yield made


@pytest.fixture
def driver(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "_REGISTRY", dict(room._REGISTRY))
    register(Operation("work", "media.probe", _work))
    SEEN.clear()
    with Client(cluster) as client:
        client.wait_for_workers(2)
        yield Driver(client, Store(tmp_path), Silent(), retries=1)


def requests(count, **more):
    return [Request("work", {"n": n, **more}, label=f"clip {n}") for n in range(count)]


def test_what_a_gpu_cannot_do_the_cpu_does(driver):
    done = list(driver.run(requests(4, fails=[2]), ON_GPU))
    assert {o.record["n"]: o.record["device"] for o in done} == {
        0: "cuda",
        1: "cuda",
        2: "cpu",
        3: "cuda",
    }
    (told,) = driver.breaker.fallbacks
    assert (told.operation, told.label) == ("work", "clip 2")
    assert (told.from_target, told.to_target) == ("gpu", "cpu")
    assert TROUBLE in told.reason
    rows = {r["target"]: r["count"] for r in driver.tally.rows()}
    assert rows == {"gpu": 3, "cpu": 1}


def test_a_dead_gpu_is_soon_left_alone(driver):
    done = list(driver.run(requests(20, fails=list(range(20))), ON_GPU))
    assert {o.record["device"] for o in done} == {"cpu"}
    tried = sum(device == "cuda" for _, device in SEEN)
    assert BREAK_AFTER <= tried <= BREAK_AFTER + 4  # what was in flight when it was found out
    list(driver.run(requests(5, more=True), ON_GPU))  # the next stage knows it, too
    assert sum(device == "cuda" for _, device in SEEN) == tried


def test_a_bad_clip_is_not_the_gpus_fault(driver):
    (outcome,) = driver.run(requests(1, bad=True), ON_GPU)
    assert isinstance(outcome.error, MediaError)
    assert not driver.breaker.fallbacks


def test_without_a_target_behind_it_the_failure_is_the_result(driver):
    alone = {"work": Placement("work", "gpu", "test")}
    (outcome,) = driver.run(requests(1, fails=[0]), alone)
    assert isinstance(outcome.error, TargetFailed)


def test_a_gpu_worker_that_goes_away_loses_no_work(driver, cluster, monkeypatch):
    monkeypatch.setattr(workers, "CAPACITY_SECONDS", 0.0)
    run = driver.run(requests(12, hold=0.3), ON_GPU)
    done = [next(run)]
    assert done[0].record["device"] == "cuda"
    cluster.worker_spec.pop("gpu")
    cluster.sync(cluster._correct_state)
    monkeypatch.setattr(workers, "FALLBACK_WAIT_SECONDS", 0.5)
    done += run
    assert sorted(o.record["n"] for o in done) == list(range(12))
    assert {o.record["device"] for o in done} == {"cuda", "cpu"}
    assert any("GPU" in f.reason for f in driver.breaker.fallbacks)


def test_no_worker_at_all_is_an_error(driver, cluster, monkeypatch):
    monkeypatch.setattr(workers, "CAPACITY_SECONDS", 0.0)
    monkeypatch.setattr(workers, "FALLBACK_WAIT_SECONDS", 0.3)
    monkeypatch.setattr(workers, "WORKER_WAIT_SECONDS", 0.3)
    cluster.worker_spec.clear()
    cluster.sync(cluster._correct_state)
    with pytest.raises(ClusterError, match="CPU"):
        list(driver.run(requests(2), ON_GPU))


@pytest.mark.parametrize(
    ("error", "gpus"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (AssertionError("Torch not compiled with CUDA enabled"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"), True),
        (OSError("libcuda.so.1: cannot open shared object file"), True),
        (RuntimeError("shape '[3]' is invalid for input of size 4"), False),
        (OSError(28, "No space left on device"), False),
    ],
)
def test_whose_fault_an_error_is(error, gpus):
    assert (failure_of(error) is not None) == gpus


def test_a_file_never_mixes_encoders(driver, tmp_path, monkeypatch):
    """The GPU's encoder passes its trial and then fails: all windows are encoded again in software."""
    from makers import film

    from montage_dask.config import resolve
    from montage_dask.graph import batch, converting, encoding
    from montage_dask.graph.survey import Settings
    from montage_dask.media import encoders

    monkeypatch.setattr(encoding, "working_encoder", lambda codec: ("h264_nvenc", ""))
    refusals = iter([False, True, True, True, True])
    # The first window is done by an "NVENC" that is x264 underneath, the next one is refused.
    usual = encoders.encoding

    def trial(codec, quality, *, encoder=None, **more):
        if encoder and next(refusals):
            raise TargetFailed("OpenEncodeSessionEx failed: out of memory (10)")
        return usual(codec, quality, **more)

    monkeypatch.setattr(encoders, "encoding", trial)
    clip = tmp_path / "clip.mp4"
    film(clip, "-c:v", "libx264", "-preset", "ultrafast", frames=60, size="64x64")
    how = converting.Transcoding("h264", "preview", None, None, "none", 20, 1)
    settings = Settings.of(resolve({"placement": {"transcode": "gpu"}}))
    written = batch.transcode(driver, settings, [str(clip)], tmp_path / "out", how)
    assert [o["frames"] for o in written.outputs] == [60]
    records = [
        driver.store.load("transcode", p.stem) for p in tmp_path.glob("records/transcode/*/*.json")
    ]
    by_target = sorted(r["target"] for r in records)
    assert by_target.count("cpu") == 4  # 60 frames in four equal windows: all of the file
    assert by_target.count("gpu") >= 1  # done, and not used
