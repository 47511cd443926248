"""A worker without the training is no target for its operations, and the job says so."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager

import pytest
from distributed import Client, LocalCluster

from montage_dask import plugins
from montage_dask.errors import ClusterError
from montage_dask.graph.drive import Driver
from montage_dask.graph.operation import Request
from montage_dask.graph.placement import Cost, Placement, place
from montage_dask.graph.targets import Targets, place_on
from montage_dask.graph.workers import offered_to
from montage_dask.store import Store
from montage_dask_training.recipes import recipe_named

HERE = {"resources": {"CPU": 1}, "nthreads": 1}
GPU = {"resources": {"GPU": 1}, "nthreads": 1}
WHY = "it is missing"


def test_only_what_has_it_counts():
    there = {"a": HERE, "b": HERE, "c": GPU}
    found = offered_to(there, {}, {"b"}, WHY)
    assert (dict(found.resources), dict(found.lacks)) == ({"CPU": 1, "GPU": 1}, {})
    found = offered_to(there, {}, {"c"}, WHY)
    assert (dict(found.resources), dict(found.lacks)) == ({"CPU": 2}, {"GPU": WHY})
    placed = place("train", {"cpu": Cost(9), "gpu": Cost(1)}, found)
    assert (placed.target, placed.reason) == ("cpu", f"no worker offers GPU: {WHY}")
    found = offered_to(there, {}, set(there), WHY)
    assert not found.largest
    with pytest.raises(ClusterError, match=f"no worker offers CPU, which train needs: {WHY}"):
        place("train", {"cpu": Cost(1)}, found)


def test_tags_and_promises_stay_what_they_are():
    plain = {"resources": {}, "nthreads": 4}
    assert dict(offered_to({"a": plain, "b": plain}, {}, {"b"}, WHY).resources) == {"CPU": 4}
    # Beside one with a tag, one without offers nothing, whoever has it.
    assert not offered_to({"a": plain, "b": HERE}, {}, {"b"}, WHY).largest
    # What a scaler would start is as those of its tag that are there; where none is, it is believed.
    offer = {"CPU": {"most": 4, "each": 1}, "GPU": {"most": 2, "each": 1}}
    found = offered_to({"a": HERE}, offer, {"a"}, WHY)
    assert (dict(found.resources), dict(found.lacks)) == ({"GPU": 2}, {"CPU": WHY})


WITHOUT = """
import sys
from importlib import metadata
from distributed.cli.dask_worker import main

found = metadata.Distribution.discover
named = lambda d: (d.metadata["Name"] or "").lower()
hidden = lambda *a, **k: (d for d in found(*a, **k) if named(d) != "montage-dask-training")
metadata.Distribution.discover = staticmethod(hidden)
sys.modules["montage_dask_training"] = None
main()
"""
"""A worker in whose installation the distribution is not."""


@contextmanager
def worker_without(address: str):
    options = ["--no-nanny", "--no-dashboard", "--nthreads", "1", "--resources", "CPU=1", "--name", "bare"]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-c", WITHOUT, address, *options], stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


class Heard:
    def __init__(self):
        self.notes = []

    def stage(self, *_):
        pass

    def step(self, *_):
        pass

    def note(self, text):
        self.notes.append(text)


@pytest.mark.job
def test_a_real_worker_without_it_gets_nothing_of_it(tmp_path):
    heard = Heard()
    requests = [
        Request(
            "synthesise",
            {"recipe": "scenes", "part": {**part.parameters, "sequences": 1}, "inputs": [], "n": n},
            {"inputs": {}},
            f"part {n}",
        )
        for n, part in enumerate(recipe_named("scenes").parts(0, "tiny", ())[:1] * 2)
    ]
    with (
        LocalCluster(
            n_workers=0, resources={"CPU": 1}, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
        worker_without(cluster.scheduler_address),
    ):
        client.wait_for_workers(1, timeout=60)
        driver = Driver(client, Store(tmp_path), heard)
        with pytest.raises(ClusterError) as caught:
            place_on(driver, "synthesise", Targets())
        said = (
            f"montage-dask-training {plugins.version_of(plugins.TRAINING)} is missing on all 1 workers: "
            "`pip install ./training` in the folder of montage-dask's sources, there"
        )
        assert str(caught.value) == f"no worker offers CPU, which synthesise needs: {said}"
        # The package's own operations go there.
        assert place_on(driver, "probe", Targets()).target == "cpu"
        # A task that got there all the same comes back.
        ours = Placement("synthesise", "cpu", "test")
        able, driver.workers.able = driver.workers.able, lambda operation: None
        checked, driver.workers.check = driver.workers.check, lambda placement: None
        with pytest.raises(ClusterError, match="a worker has no synthesise: synthesise needs montage-dask-training"):  # fmt: skip
            list(driver.run(requests[:1], {"synthesise": ours}))
        driver.workers.able, driver.workers.check = able, checked

        cluster.scale(1)
        client.wait_for_workers(2, timeout=60)
        driver = Driver(client, Store(tmp_path), heard)
        placed = {"synthesise": place_on(driver, "synthesise", Targets())}
        outcomes = list(driver.run(requests, placed))
        assert [o.error for o in outcomes] == [None] * 2
        assert "bare" not in str(driver.told()["workers"])
    assert any("is missing on 1 of 2 workers" in note for note in heard.notes)
