"""Workers started by hand: real processes join a real scheduler with the tag of their type."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack

import pytest
from distributed import Client, LocalCluster

from montage_dask.cluster.local import CGPU_SLOTS
from montage_dask.cluster.worker import worker_command
from montage_dask.errors import UsageError


def test_workers_of_two_types_join_and_take_their_tasks():
    cluster = LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0")
    with ExitStack() as stack:
        client = Client(stack.enter_context(cluster))
        stack.enter_context(client)
        for options in (["--slots", "2"], ["--type", "cgpu", "--name", "far"]):
            command = [sys.executable, "-m", "montage_dask", "worker", "--scheduler"]
            started = subprocess.Popen(
                [*command, cluster.scheduler_address, "--no-dashboard", *options],
                stderr=subprocess.DEVNULL,
            )
            stack.callback(started.wait)
            stack.callback(started.terminate)
        client.wait_for_workers(3, timeout=60)
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        assert sorted((w["nthreads"], dict(w["resources"])) for w in workers) == [
            (1, {"CPU": 1.0}),
            (1, {"CPU": 1.0}),
            (CGPU_SLOTS, {"CGPU": float(CGPU_SLOTS)}),
        ]
        where = client.submit(
            lambda: __import__("distributed").get_worker().name, resources={"CGPU": 1}
        )
        assert where.result(timeout=30) == "far"


def test_unknown_types_are_refused():
    with pytest.raises(UsageError, match="cpu, gpu, cgpu"):
        worker_command("tpu", ["tcp://127.0.0.1:1"])


def test_a_gpu_worker_gets_one_slot_per_gpu_and_its_memory_limit():
    command = worker_command(
        "gpu", ["tcp://127.0.0.1:1"], gpu_memory_limit_mb=2048, more=["--name", "a"]
    )
    assert command[1:6] == ["-m", "dask", "cuda", "worker", "tcp://127.0.0.1:1"]
    assert command[6:] == [
        "--resources", "GPU=1", "--device-memory-limit", "2048000000", "--name", "a",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"), [([], "no scheduler"), (["--type", "tpu"], "cpu, gpu, cgpu")]
)
def test_a_worker_that_cannot_start_says_why(arguments, said, monkeypatch):
    monkeypatch.delenv("COORDINATOR_URL", raising=False)
    done = subprocess.run(
        [sys.executable, "-m", "montage_dask", "worker", *arguments], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
