"""Workers started by hand: real processes join a real scheduler with the tag of their type."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from distributed import Client, LocalCluster
from freed_pages import PAGES, looking

from montage_dask.cluster.local import CGPU_SLOTS, HOSTS
from montage_dask.cluster.worker import worker_command
from montage_dask.errors import UsageError

Workers = dict[str, subprocess.Popen[bytes]]


@pytest.fixture(scope="module")
def joined() -> Iterator[tuple[Client, Workers]]:
    """A scheduler and three worker commands: two slots, one slot, cgpu."""
    cluster = LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0")
    started: Workers = {}
    with ExitStack() as stack:
        client = Client(stack.enter_context(cluster))
        stack.enter_context(client)
        for options in (["--slots", "2"], ["--slots", "1"], ["--type", "cgpu"]):
            name = "-".join(options[-2:]).strip("-")
            command = [sys.executable, "-m", "montage_dask", "worker", "--scheduler"]
            process = subprocess.Popen(
                [*command, cluster.scheduler_address, "--no-dashboard", "--name", name, *options],
                stderr=subprocess.DEVNULL,
            )
            started[name] = process
            stack.callback(process.wait)
            stack.callback(process.terminate)
        client.wait_for_workers(4, timeout=90)
        yield client, started


def test_workers_of_two_types_join_and_take_their_tasks(joined: tuple[Client, Workers]):
    client, _ = joined
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    assert sorted((w["nthreads"], dict(w["resources"])) for w in workers) == [
        *[(1, {"CPU": 1.0})] * 3,
        (CGPU_SLOTS, {"CGPU": float(CGPU_SLOTS)}),
    ]
    where = client.submit(
        lambda: __import__("distributed").get_worker().name, resources={"CGPU": 1}
    )
    assert where.result(timeout=30) == "type-cgpu"


def test_workers_keep_the_memory_of_arrays_for_the_next_ones(joined: tuple[Client, Workers]):
    client, _ = joined
    task = client.submit(looking(), pure=False, resources={"CPU": 1})
    assert task.result(timeout=30) < 4 * PAGES


def test_a_worker_that_is_told_to_go_finishes_what_it_runs_and_hands_back_the_rest(
    joined: tuple[Client, Workers], tmp_path: Path
):
    client, started = joined

    def work(number: int, folder: str) -> str:
        """Two seconds, noted at its begin and its end."""
        import os
        import time

        from distributed import get_worker

        name = str(get_worker().name)
        for what in ("begun", "done"):
            with open(os.path.join(folder, what), "a") as file:
                file.write(f"{number} {name}\n")
            time.sleep(2 if what == "begun" else 0)
        return name

    def noted(what: str) -> list[tuple[str, str]]:
        file = tmp_path / what
        lines = file.read_text().splitlines() if file.exists() else []
        return [(number, name) for number, name in map(str.split, lines)]

    # Two for each slot: one runs, one waits behind it.
    tasks = client.map(work, range(6), folder=str(tmp_path), resources={"CPU": 1}, pure=False)
    deadline = time.monotonic() + 30
    while "slots-1" not in {name for _, name in noted("begun")}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    leaving = started["slots-1"]
    leaving.terminate()
    names = client.gather(tasks)
    assert leaving.wait(30) == 0
    # What had begun was finished there, nothing was begun twice, and the rest was done by the others.
    assert names.count("slots-1") == 1
    assert len(noted("begun")) == 6
    assert sorted(noted("begun")) == sorted(noted("done"))
    # Its result outlived it.
    assert client.gather(tasks) == names
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    assert "slots-1" not in {w["name"] for w in workers}


def test_workers_of_a_scheduler_on_loopback_listen_there_only(joined: tuple[Client, Workers]):
    client, started = joined
    families = [
        p for process in started.values() if process.poll() is None for p in _family(process.pid)
    ]
    listening = {
        c.laddr.ip for p in families for c in p.net_connections() if c.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}
    # Their HTTP servers know which names are theirs.
    for address, port in client.run(lambda dask_worker: dask_worker.http_server.port).items():
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/metrics", headers={"Host": "evil.example"}
        )
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(request, timeout=30)
        assert address.startswith("tcp://127.0.0.1:")


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def test_unknown_types_are_refused():
    with pytest.raises(UsageError, match="cpu, gpu, cgpu"):
        worker_command("tpu", ["tcp://127.0.0.1:1"])


def test_a_gpu_worker_gets_one_slot_per_gpu_and_its_memory_limit():
    command = worker_command(
        "gpu", ["tcp://127.0.0.1:1"], gpu_memory_limit_mb=2048, more=["--name", "a"]
    )
    assert command[1:7] == ["-P", "-m", "dask", "cuda", "worker", "tcp://127.0.0.1:1"]
    assert command[7:] == [
        "--resources", "GPU=1", "--device-memory-limit", "2048000000", "--preload", HOSTS, "--name", "a",
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


def test_a_gpu_worker_without_a_gpu_says_so():
    done = subprocess.run(
        [sys.executable, "-m", "montage_dask", "worker", "--type", "gpu", "--scheduler", "tcp://127.0.0.1:1"],
        capture_output=True, text=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == 1
    assert "no NVIDIA GPU" in done.stderr
    assert len(done.stderr.splitlines()) == 1
