"""Bounded execution: few tasks at a time, the right workers, failures told apart, nothing waits for ever."""

from __future__ import annotations

import threading
import time

import pytest
from distributed import Client, LocalCluster
from distributed.comm import CommClosedError

from montage_dask.errors import ClusterError, MediaError, StoreError
from montage_dask.graph import operation as room
from montage_dask.graph import waiting, workers
from montage_dask.graph.drive import Driver
from montage_dask.graph.operation import Operation, Request, register
from montage_dask.graph.outcome import Feed
from montage_dask.graph.placement import Placement
from montage_dask.graph.telling import Silent
from montage_dask.graph.workers import capacity_of
from montage_dask.store import Store

HERE = {"work": Placement("work", "cpu", "test")}
FAILURES: dict[int, int] = {}
ACTIVE = {"now": 0, "most": 0}
STORE = {"full": False}
LOCK = threading.Lock()
ORDER: list[str] = []
GATE = threading.Event()


def _work(request, context):
    p, full = request.parameters, STORE["full"]
    with LOCK:
        ACTIVE["now"] += 1
        ACTIVE["most"] = max(ACTIVE["most"], ACTIVE["now"])
    time.sleep(p.get("sleep", 0))
    if "of" in p:
        ORDER.append(p["of"])
        GATE.wait(10)
    with LOCK:
        ACTIVE["now"] -= 1
    if full:
        raise StoreError("the disk is full")
    if p.get("bad"):
        raise MediaError("clip.mp4", "is bad")
    if FAILURES.get(p["n"], 0):
        FAILURES[p["n"]] -= 1
        raise RuntimeError("a passing trouble")
    return {"n": p["n"]}


@pytest.fixture(scope="module")
def client():
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, resources={"CPU": 1},
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster) as connected,
    ):  # fmt: skip
        yield connected


@pytest.fixture
def driver(client, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "_REGISTRY", dict(room._REGISTRY))
    register(Operation("work", "media.probe", _work))
    FAILURES.clear()
    STORE.update(full=False)
    ACTIVE.update(now=0, most=0)
    return Driver(client, Store(tmp_path), Silent(), in_flight_per_slot=2, retries=2)


def requests(count, **more):
    return [Request("work", {"n": n, **more}, label=f"clip {n}") for n in range(count)]


def test_all_are_run_once_and_then_reused(driver):
    done = list(driver.run(requests(20), HERE))
    assert sorted(o.record["n"] for o in done) == list(range(20))
    again = list(driver.run(requests(20), HERE))
    assert sorted(o.record["n"] for o in again) == list(range(20))
    (row,) = driver.tally.rows()
    assert (row["name"], row["target"], row["count"], row["reused"]) == ("work", "cpu", 20, 20)
    told = driver.told()
    assert {w["worker"] for w in told["workers"]} <= {"0", "1"}
    assert sum(w["count"] for w in told["workers"]) == 20
    assert {k: v["count"] for k, v in driver.progress.board.of("count").items()} == {
        "count/work/cpu/done": 20,
        "count/work/cpu/reused": 20,
    }


def test_few_are_in_flight_and_requests_are_drawn_lazily(driver):
    drawn = 0

    def many():
        nonlocal drawn
        for request in requests(40, sleep=0.01):
            drawn += 1
            yield request

    ahead = []
    for number, _ in enumerate(driver.run(many(), HERE), 1):
        ahead.append(drawn - number)
    assert max(ahead) <= 4  # two slots, two each
    assert ACTIVE["most"] <= 2


def test_a_job_of_a_higher_priority_does_not_wait_for_a_big_one(client, driver, tmp_path):
    """Its tasks come behind those that run, and before all that the big one has submitted."""
    ORDER.clear()
    GATE.clear()
    threads = []
    for name, count, priority in (("big", 20, 0), ("small", 2, 100)):
        one = Driver(client, Store(tmp_path / name), Silent(), in_flight_per_slot=10, priority=priority)  # fmt: skip
        asked = requests(count, of=name)
        threads.append(threading.Thread(target=lambda d, r: list(d.run(r, HERE)), args=(one, asked)))  # fmt: skip
        threads[-1].start()
        end = time.monotonic() + 10
        while sum("work" in key for key in client.cluster.scheduler.tasks) < (20, 22)[priority > 0]:
            assert time.monotonic() < end
            time.sleep(0.01)
    GATE.set()
    for thread in threads:
        thread.join()
    assert ORDER[:5] == ["big", "big", "small", "small", "big"]


def test_a_bad_clip_is_a_result_and_the_rest_goes_on(driver):
    mixed = [*requests(3), Request("work", {"n": 9, "bad": True}, label="bad"), *requests(6)]
    outcomes = list(driver.run(mixed, HERE))
    (bad,) = [o for o in outcomes if o.error is not None]
    assert bad.request.label == "bad"
    assert bad.error.reason == "is bad"
    assert len(outcomes) == 10


def test_a_passing_trouble_is_tried_again(driver):
    FAILURES[1] = 2
    assert len(list(driver.run(requests(3), HERE))) == 3


def test_a_lasting_trouble_ends_the_job_and_says_what_it_was(driver):
    FAILURES[1] = 99
    with pytest.raises(ClusterError, match=r"work of clip 1 failed 3 times.*passing trouble"):
        list(driver.run(requests(3), HERE))


def test_a_full_disk_of_before_is_no_answer(client, driver, tmp_path):
    """A job that ended with an error leaves tasks on a cluster that stays; the same job again asks anew."""
    STORE["full"] = True
    first = driver.run(requests(4, sleep=0.3), HERE)
    outcome = next(first)
    assert isinstance(outcome.error, StoreError)
    first.close()
    # One of them is still at it, and will say that the disk is full.
    STORE["full"] = False
    again = Driver(client, Store(tmp_path), Silent())
    assert all(o.record for o in again.run(requests(4, sleep=0.3), HERE))


def test_what_an_outcome_makes_possible_can_be_added(driver):
    feed = Feed(requests(2))
    seen = []
    for outcome in driver.run(feed, HERE):
        seen.append(outcome.record["n"])
        if outcome.record["n"] < 5:
            feed.push(Request("work", {"n": outcome.record["n"] + 5}))
    assert sorted(seen) == [0, 1, 5, 6]


def test_a_resource_that_nobody_offers_is_an_error_and_no_hang(driver, monkeypatch):
    monkeypatch.setattr(workers, "WORKER_WAIT_SECONDS", 0.5)
    with pytest.raises(ClusterError, match="no worker offers GPU, which work needs"):
        list(driver.run(requests(1), {"work": Placement("work", "gpu", "test")}))


def test_tasks_carry_the_tag_and_the_name_of_their_stage(driver, client):
    """Caught while it runs: the scheduler knows the restriction, the stage of the task, and what it is about."""
    (request,) = requests(1, sleep=1.0)
    caught = {}

    def look(dask_scheduler):
        for key, state in dask_scheduler.tasks.items():
            about = (state.annotations or {}).get("montage")
            yield str(key), dict(state.resource_restrictions or {}), state.prefix.name, about

    def watch():
        for _ in range(40):
            for name, resources, prefix, about in client.run_on_scheduler(
                lambda dask_scheduler: list(look(dask_scheduler))
            ):
                caught[name] = (resources, prefix, about)
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    list(driver.run([request], HERE))
    watcher.join()
    about = {"job": driver.progress.job, "operation": "work", "label": "clip 0"}
    assert caught[request.task_name] == ({"CPU": 1}, "work", about)


def test_a_result_that_is_lost_on_the_way_is_fetched_again(driver, client, monkeypatch):
    """As when the line breaks while it is on it: `as_completed` never tells of that task then."""
    fetch, broken = Client._gather_remote, [2]

    async def breaking(self, direct, local_worker):
        if broken[0]:
            broken[0] -= 1
            self._gather_keys = self._gather_future = None
            raise CommClosedError("in ConnectionPool.gather: Stream is closed")
        return await fetch(self, direct, local_worker)

    monkeypatch.setattr(Client, "_gather_remote", breaking)
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.2)
    done = list(driver.run(requests(8), HERE))
    assert sorted(o.record["n"] for o in done) == list(range(8))
    broken[0] = 2
    assert driver.ask(HERE["work"], abs, -3) == 3
    assert broken == [0]


def test_what_the_cluster_offers_is_known(client):
    found = capacity_of(client)
    assert (found.workers, found.slots, dict(found.resources)) == (2, 2, {"CPU": 2.0})
