"""Workers that hang, die or have too little memory, and schedulers that go away: told soon, by their right name, and got over."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

from montage_dask.cluster import connect as room
from montage_dask.cluster.connect import attach
from montage_dask.cluster.local import close
from montage_dask.errors import ClusterError
from montage_dask.graph import watch, workers
from montage_dask.graph.drive import Driver
from montage_dask.graph.operation import Request
from montage_dask.graph.placement import Placement
from montage_dask.graph.telling import Silent
from montage_dask.graph.watch import Watch
from montage_dask.store import Store

pytestmark = pytest.mark.job

HERE = Placement("line", "cpu", "test")


class Heard(Silent):
    """Remembers what people are told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def until(true: Callable[[], bool], seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def napping(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def greedy() -> int:
    held = [bytearray(1 << 22) for _ in range(200)]
    time.sleep(5)
    return len(held)


@contextmanager
def several(count: int, **options: object) -> Iterator[tuple[Client, LocalCluster]]:
    cluster = LocalCluster(
        n_workers=count, threads_per_worker=1, resources={"CPU": 1}, host="127.0.0.1",
        dashboard_address="127.0.0.1:0", silence_logs=50, **options,
    )  # fmt: skip
    try:
        with Client(cluster, set_as_default=False) as client:
            yield client, cluster
    finally:
        close(cluster)


def test_a_worker_that_is_stopped_is_named_and_its_work_done_by_another(tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "SILENT_SECONDS", 2.0)
    monkeypatch.setitem(room.CONFIGURATION, "distributed.scheduler.worker-ttl", "5s")
    heard = Heard()
    with room.configured(), several(2) as (client, _):
        driver = Driver(client, Store(tmp_path), heard)
        pids = client.run(os.getpid)
        stopped = next(iter(pids))
        os.kill(pids[stopped], signal.SIGSTOP)
        try:
            future = client.submit(napping, 0.1, workers=[stopped], allow_other_workers=True)
            result = driver.calls.result(future, HERE)
        finally:
            with suppress(ProcessLookupError):  # its nanny has ended it
                os.kill(pids[stopped], signal.SIGCONT)
        assert result != pids[stopped]
        assert any(n.startswith("no sign of worker ") and stopped in n for n in heard.notes)
        assert until(lambda: driver.workers.capacity() and any("is lost" in n for n in heard.notes))


def test_signs_are_counted_by_our_own_clock():
    """The scheduler's clock may be years off; a worker that is heard of is not named."""
    now, told = [0.0], []

    class Nothing:
        def get_events(self, _topic: str) -> tuple[object, ...]:
            return ()

    eyes = Watch(Nothing(), told.append, clock=lambda: now[0])
    for second in range(0, 61):
        now[0] = float(second)
        good = {"name": "good", "last_seen": -1e9 + second, "memory_limit": 0}
        hung = {"name": "hung", "last_seen": 7e9, "memory_limit": 0}
        eyes.see({"tcp://a:1": good, "tcp://b:2": hung})
    times = [t.rpartition("for ")[2] for t in told]
    assert times == ["15 s", "30 s", "45 s", "60 s"]  # never more than 30 s without a word
    assert all("hung (tcp://b:2)" in t for t in told)


def test_a_lost_worker_is_told_but_not_one_that_was_sent_away(tmp_path):
    heard = Heard()
    with several(3) as (client, _):
        driver = Driver(client, Store(tmp_path), heard)
        driver.workers.capacity()
        pids = client.run(os.getpid)
        away, killed, _ = pids
        client.retire_workers([away])
        assert until(lambda: away not in client.scheduler_info(n_workers=-1)["workers"])
        os.kill(pids[killed], signal.SIGKILL)
        assert until(lambda: driver.workers.capacity() and heard.notes != [])
        assert [n for n in heard.notes if killed in n and "is lost" in n]
        assert not [n for n in heard.notes if away in n]


def waited_for(driver: Driver) -> None:
    """As a job waits for what its workers do."""
    end = time.monotonic() + 100
    while time.monotonic() < end:
        driver.workers.check(HERE)
        driver.workers.watch.check_memory()
        time.sleep(0.2)


def test_workers_that_die_of_memory_end_the_job_with_that_word(tmp_path):
    heard = Heard()
    with (
        room.configured(),
        several(1, memory_limit="300MiB") as (client, _),
    ):
        driver = Driver(client, Store(tmp_path), heard)
        driver.workers.capacity()
        future = client.submit(greedy, pure=False)
        with pytest.raises(ClusterError, match=r"ended \d+ times.*300.00 MiB.*MEMORY_LIMIT"):
            waited_for(driver)
        future.cancel()
    assert any("ended at its memory limit of 300.00 MiB" in n for n in heard.notes)


def test_a_worker_too_small_for_anything_is_a_matter_of_memory(tmp_path, monkeypatch):
    """It does not live long enough to take a task: nobody offers CPU, but that is not the news."""
    monkeypatch.setattr(watch, "MEMORY_DEATHS", 2)
    with several(1, memory_limit="40MiB") as (client, _):
        driver = Driver(client, Store(tmp_path), Silent())
        with pytest.raises(ClusterError, match="out of memory"):
            waited_for(driver)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def by_hand(folder: Path) -> Iterator[tuple[str, Callable[[], subprocess.Popen[bytes]]]]:
    """A worker of ours that waits for a scheduler; the address, and what starts one there."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}  # fmt: skip
    with ExitStack() as stack:

        def start(*command: str) -> subprocess.Popen[bytes]:
            process = subprocess.Popen([sys.executable, "-m", *command], **quiet)
            stack.callback(process.wait, 40)
            stack.callback(process.terminate)
            return process

        def scheduler() -> subprocess.Popen[bytes]:
            return start("dask", "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")  # fmt: skip

        start(
            "montage_dask", "worker", "--scheduler", address, "--slots", "1", "--no-dashboard",
            "--local-directory", str(folder),
        )  # fmt: skip
        yield address, scheduler


def test_a_lost_scheduler_is_waited_for_and_its_workers_come_back(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "WORD_SECONDS", 1.0)
    heard = Heard()
    with by_hand(tmp_path) as (address, start):
        scheduler = start()
        with attach(address) as client:
            driver = Driver(client, Store(tmp_path), heard)
            client.wait_for_workers(1, timeout=60)
            first = driver.calls.answer(HERE, os.getpid)
            scheduler.kill()
            scheduler.wait()
            assert until(lambda: client.status != "running")
            time.sleep(3)
            start()
            # The same worker command: its process is new, its nanny is not.
            assert driver.calls.answer(HERE, os.getpid) != first
        words = [n for n in heard.notes if n.startswith("the scheduler does not answer")]
        assert words
        assert words[0].endswith("of 60 s")


def test_a_scheduler_that_ends_in_good_order_ends_its_workers(tmp_path):
    """Waiting for another one is for schedulers that were lost."""
    with by_hand(tmp_path) as (address, start):
        scheduler = start()
        with attach(address) as client:
            client.wait_for_workers(1, timeout=60)
            (pid,) = client.run(os.getppid).values()
        scheduler.terminate()
        scheduler.wait(30)
        assert until(lambda: not Path(f"/proc/{pid}").exists() or Path(f"/proc/{pid}/cmdline").read_bytes() == b"")  # fmt: skip


def test_a_plain_cluster_counts_its_threads(tmp_path):
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=2, host="127.0.0.1", dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        driver = Driver(client, Store(tmp_path), Silent())
        capacity = driver.workers.expect("cpu")
        assert (dict(capacity.resources), capacity.slots, capacity.tagged) == ({"CPU": 4}, 4, False)
        sent = Request("probe", {"path": "/nowhere.mp4"}, {"path": "/nowhere.mp4"}, "nowhere")
        (outcome,) = driver.run([sent], {"probe": Placement("probe", "cpu", "test")})
        assert "No such file" in str(outcome.error) or "does not exist" in str(outcome.error)


def test_one_tag_makes_tags_count(tmp_path):
    """Beside a worker that says what it is for, one that says nothing gets nothing."""
    offered = workers.offered(
        [{"resources": {"GPU": 1}, "nthreads": 1}, {"resources": {}, "nthreads": 8}], {}
    )
    assert (dict(offered.resources), offered.tagged) == ({"GPU": 1}, True)
    assert workers.offered([], {}).tagged
    assert dict(workers.offered([{"resources": {"x": 1}, "nthreads": 3}], {}).resources) == {
        "CPU": 3
    }
