"""The queue on both stores: against a plain model, and what it promises by name."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis_server import RedisServer
from stores import STORES, open_store

from montage_dask.coordinator.jobs import Job, QueueError, QueueUnavailable
from montage_dask.coordinator.queue import LEASE_SECONDS, Queue
from montage_dask.coordinator.transaction import MOST_CRASHES
from montage_dask.errors import UsageError


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Held:
    """A queue with its clock."""

    queue: Queue
    clock: Clock

    def submit(self, name: str, user: str = "a", **more) -> None:
        self.queue.submit(Job(name, user, {"footage": [name]}, name, **more))

    def state(self, name: str) -> str:
        return self.queue.find(name).state


@pytest.fixture(params=STORES)
def held(request, tmp_path) -> Iterator[Held]:
    clock = Clock()
    with open_store(request, tmp_path, clock) as store:
        yield Held(Queue(store), clock)


# -- against a model --------------------------------------------------------------------------------------------------------

USERS, NAMES, OWNERS = ("a", "b"), ("j0", "j1", "j2", "j3"), ("x", "y")
ENDS = ("finished", "failed")
STEPS = st.one_of(
    st.tuples(st.just("submit"), st.sampled_from(NAMES), st.sampled_from(USERS), st.integers(-1, 1)),
    st.tuples(st.sampled_from(["cancel", "pause", "resume", "retry"]), st.sampled_from(NAMES)),
    st.tuples(st.just("claim"), st.sampled_from(OWNERS)),
    st.tuples(st.sampled_from(["beat", "crash", "release"]), st.sampled_from(NAMES), st.sampled_from(OWNERS), st.integers(1, 2)),
    st.tuples(st.just("end"), st.sampled_from(NAMES), st.sampled_from(OWNERS), st.integers(1, 2), st.sampled_from(ENDS)),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 7.0, LEASE_SECONDS + 1])),
    st.tuples(st.just("expire")),
    st.tuples(st.just("drain"), st.booleans()),
)  # fmt: skip


@dataclass
class Plain:
    """A job of the model."""

    user: str
    priority: int
    number: int
    state: str = "waiting"
    owner: str = ""
    fence: int = 0
    crashes: int = 0
    lease: float = 0
    begun: float = 0
    pausing: bool = False

    @property
    def held(self) -> bool:
        return self.state in ("running", "cancelling")


@dataclass
class Model:
    """What the queue is to do, in the plainest words."""

    jobs: dict[str, Plain] = field(default_factory=dict)
    used: dict[str, float] = field(default_factory=dict)
    begun: dict[str, float] = field(default_factory=dict)
    drained: bool = False
    now: float = 1000.0

    def account(self) -> dict[str, float]:
        total = dict(self.used)
        for job in self.jobs.values():
            if job.held:
                total[job.user] = total.get(job.user, 0) + self.now - job.begun
        return total

    def submit(self, name: str, user: str, priority: int) -> None:
        if name in self.jobs:
            return
        there = {j.user for j in self.jobs.values() if j.held or j.state == "waiting"}
        if user not in there:
            account = self.account()
            floor = (
                min(account.get(u, 0) for u in there) if there else max(account.values(), default=0)
            )
            self.used[user] = max(self.used.get(user, 0), floor)
        self.jobs[name] = Plain(user, priority, len(self.jobs) + 1)

    def cancel(self, name: str) -> None:
        job = self.jobs[name]
        if job.state in ("waiting", "paused"):
            job.state = "cancelled"
        elif job.state == "running":
            job.state, job.pausing = "cancelling", False

    def pause(self, name: str) -> None:
        job = self.jobs[name]
        if job.state == "running":
            job.pausing = True
        elif job.state == "waiting":
            job.state = "paused"

    def resume(self, name: str) -> None:
        job = self.jobs[name]
        if job.state == "paused":
            job.state = "waiting"
        elif job.state == "running":
            job.pausing = False

    def retry(self, name: str) -> None:
        job = self.jobs[name]
        if job.state in ("failed", "cancelled", "partly"):
            job.state, job.crashes = "waiting", 0

    def claim(self, owner: str) -> str | None:
        if self.drained:
            return None
        account = self.account()
        running = [j.user for j in self.jobs.values() if j.held]
        order = sorted(
            (
                -j.priority,
                running.count(j.user),
                account.get(j.user, 0),
                self.begun.get(j.user, 0),
                j.number,
                n,
            )
            for n, j in self.jobs.items()
            if j.state == "waiting"
        )
        if not order:
            return None
        job = self.jobs[order[0][-1]]
        job.state, job.owner, job.begun, job.pausing = "running", owner, self.now, False
        job.fence += 1
        job.lease = self.now + LEASE_SECONDS
        self.begun[job.user] = self.now
        return order[0][-1]

    def mine(self, name: str, owner: str, fence: int) -> bool:
        job = self.jobs[name]
        return job.held and (job.owner, job.fence) == (owner, fence)

    def stop(self, job: Plain, state: str) -> None:
        self.used[job.user] = self.used.get(job.user, 0) + self.now - job.begun
        job.state, job.pausing = state, False

    def give_back(self, job: Plain, crashed: bool) -> None:
        if job.state == "cancelling":
            self.stop(job, "cancelled")
        elif job.pausing:
            self.stop(job, "paused")
        else:
            job.crashes += crashed
            self.stop(job, "failed" if crashed and job.crashes >= MOST_CRASHES else "waiting")


def both(model: Model, queue: Queue, clock: Clock, step: tuple) -> None:
    """One step of the model and of the queue: the same comes of it."""
    kind, *rest = step
    if kind == "wait":
        clock.now += rest[0]
        model.now = clock.now
    elif kind == "submit":
        name, user, priority = rest
        queue.submit(Job(name, user, {}, "", priority=priority))
        model.submit(name, user, priority)
    elif kind == "drain":
        queue.drain("here", "somebody" if rest[0] else None)
        model.drained = rest[0]
    elif kind == "claim":
        got = queue.claim(rest[0], "here")
        assert (got and got.id) == model.claim(rest[0])
    elif kind == "expire":
        dead = {n for n, j in model.jobs.items() if j.held and j.lease < model.now}
        assert {j.id for j in queue.expire()} == dead
        for name in dead:
            model.give_back(model.jobs[name], crashed=True)
    elif rest[0] not in model.jobs:
        with pytest.raises(QueueError):
            queue.find(rest[0])
    elif kind in ("cancel", "pause", "resume", "retry"):
        try:
            getattr(queue, kind)(rest[0])
        except QueueError:
            before = model.jobs[rest[0]].state
            getattr(model, kind)(rest[0])
            assert model.jobs[rest[0]].state == before
        else:
            getattr(model, kind)(rest[0])
    else:
        name, owner, fence, *state = rest
        job, mine = model.jobs[name], model.mine(name, owner, fence)
        claimed = replace(queue.find(name), owner=owner, fence=fence)
        if kind == "beat":
            assert (queue.beat(claimed) is not None) == mine
            if mine:
                job.lease = model.now + LEASE_SECONDS
        elif kind == "end":
            said_before = (job.owner, job.fence, job.state) == (owner, fence, state[0])
            assert queue.end(claimed, state[0]) == (mine or said_before)
            if mine:
                model.stop(job, state[0])
        else:
            crashed = kind == "crash"
            assert (queue.release(claimed, "", crashed=crashed) is not None) == mine
            if mine:
                model.give_back(job, crashed)


@pytest.mark.parametrize("kind", STORES)
def test_the_queue_does_as_a_plain_model(kind, request, tmp_path_factory):
    @given(st.lists(STEPS, max_size=40))
    @settings(max_examples=40, database=None)
    def check(steps):
        clock = Clock()
        folder = tmp_path_factory.mktemp("queue")
        with open_store(request, folder, clock, kind) as store:
            queue, model = Queue(store), Model()
            for step in steps:
                both(model, queue, clock, step)
            for name, job in model.jobs.items():
                found = queue.find(name)
                assert (found.state, found.fence, found.pausing) == (job.state, job.fence, job.pausing)  # fmt: skip
                events = queue.events(name)
                assert [e.number for e in events] == list(range(1, len(events) + 1))
                assert [e for e in events if e.kind == "state"][-1].data["state"] == job.state
            listed = [j.id for u in USERS for j in queue.of_user(u)]
            assert sorted(listed) == sorted(model.jobs)

    check()


# -- by name ----------------------------------------------------------------------------------------------------------------


def test_one_key_is_one_job(held: Held):
    """20 at once; another body is refused; another user's key is another key."""
    made: list[tuple[str, bool]] = []

    def send(number: int) -> None:
        job, new = held.queue.submit(Job(f"n{number}", "a", {"footage": ["x"]}, "", key="k"))
        made.append((job.id, new))

    threads = [threading.Thread(target=send, args=(n,)) for n in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len({name for name, _ in made}) == 1
    assert [new for _, new in made].count(True) == 1
    with pytest.raises(QueueError) as refused:
        held.queue.submit(Job("other", "a", {"footage": ["y"]}, "", key="k"))
    assert refused.value.status == 422
    assert held.queue.submit(Job("bs", "b", {"footage": ["y"]}, "", key="k"))[1]
    assert [j.id for j in held.queue.of_user("a")] == [made[0][0]]


def test_the_end_of_a_former_owner_is_refused(held: Held):
    """Its lease ran out, another has the job: nothing that it says counts, also when both are one program."""
    held.submit("j")
    first = held.queue.claim("x", "here")
    held.clock.now += LEASE_SECONDS + 1
    assert [j.id for j in held.queue.expire()] == ["j"]
    second = held.queue.claim("x", "here")
    assert second.fence == first.fence + 1
    assert held.queue.beat(first) is None
    assert not held.queue.end(first, "failed")
    assert held.queue.release(first, "") is None
    assert held.queue.end(second, "finished")
    assert held.queue.end(second, "finished"), "said twice, as after a lost answer"
    assert not held.queue.end(second, "failed")
    assert held.state("j") == "finished"


def test_a_late_owner_whose_job_nobody_took_keeps_it(held: Held):
    held.submit("j")
    job = held.queue.claim("x", "here")
    held.clock.now += 10 * LEASE_SECONDS
    assert held.queue.beat(job) is not None
    assert held.queue.expire() == []


def test_the_user_with_least_is_next(held: Held):
    """A has 100 jobs, B one: B's is next, also when A's have waited for longer, and A is not held up for what was before."""
    for n in range(100):
        held.submit(f"a{n}", "a")
    job = held.queue.claim("x", "here")
    held.clock.now += 50
    held.submit("b0", "b")
    held.queue.end(job, "finished")
    b0 = held.queue.claim("x", "here")
    assert b0.id == "b0"
    held.queue.end(b0, "finished")
    assert held.queue.claim("x", "here").user == "a"


def test_rest_gives_no_credit(held: Held):
    """B was away while A worked for hours: they take turns from now on, and B is not served alone for hours."""
    held.submit("a0", "a")
    job = held.queue.claim("x", "here")
    held.clock.now += 10_000
    for n in range(3):
        held.submit(f"a{n + 1}", "a")
        held.submit(f"b{n}", "b")
    held.queue.end(job, "finished")
    served = []
    while (job := held.queue.claim("x", "here")) is not None:
        served.append(job.user)
        held.clock.now += 100
        held.queue.end(job, "finished")
    assert "".join(served).count("ab") + "".join(served).count("ba") >= 4, served


def test_what_waits_is_listed_while_it_is_drained_and_drain_holds(request, tmp_path, redis_or_none):
    for kind in ("sqlite", *(["redis"] if redis_or_none else [])):
        with open_store(request, tmp_path, Clock(), kind) as store:
            queue = Queue(store)
            queue.submit(Job("j", "a", {}, ""))
            queue.drain("here", "anna")
        with open_store(request, tmp_path, Clock(), kind, keep=True) as store:
            queue = Queue(store)
            assert queue.claim("x", "here") is None
            assert queue.drained("here")["by"] == "anna"
            assert [j.id for j in queue.of_user("a")] == ["j"]
            assert queue.drained("there") is None
            queue.drain("here", None)
            assert queue.claim("x", "here").id == "j"


def test_a_job_that_kills_its_process_is_begun_so_often_and_no_more(held: Held):
    held.submit("j")
    for _ in range(MOST_CRASHES):
        job = held.queue.claim("x", "here")
        held.queue.release(job, "SIGKILL", crashed=True)
    assert held.state("j") == "failed"
    assert "SIGKILL" in held.queue.find("j").reason
    assert held.queue.claim("x", "here") is None
    held.queue.retry("j")
    assert held.queue.claim("x", "here").id == "j"


def test_a_parent_is_of_the_same_user(held: Held):
    held.submit("mine", "a")
    held.submit("child", "a", parent="mine")
    assert held.queue.find("child").parent == "mine"
    with pytest.raises(QueueError, match="no such parent"):
        held.submit("theirs", "b", parent="mine")
    with pytest.raises(QueueError, match="no such job"):
        held.queue.find("mine", "b")


def test_a_job_waits_for_its_quick_version(held: Held):
    for name, end in (("a", "finished"), ("b", "failed")):
        held.submit(f"{name}-quick")
        held.submit(f"{name}-full", after=f"{name}-quick", parent=f"{name}-quick", priority=1)
        quick = held.queue.claim("x", "here")
        assert quick.id == f"{name}-quick"
        assert held.queue.claim("y", "here") is None
        held.queue.end(quick, end)
        full = held.queue.claim("x", "here")
        if full is not None:
            held.queue.end(full, "finished")
    assert held.state("a-full") == "finished"
    assert held.state("b-full") == "cancelled"
    assert held.queue.find("b-full").reason == "its quick version is failed"


def test_what_is_removed_leaves_nothing(held: Held):
    held.submit("j", key="k")
    held.queue.remove("j")
    assert held.state("j") == "waiting", "what has not ended is not removed"
    held.queue.cancel("j")
    held.queue.remove("j")
    assert held.queue.events("j") == []
    assert held.queue.of_user("a") == []
    assert held.queue.submit(Job("again", "a", {"other": 1}, "", key="k"))[1]


def test_a_second_coordinator_on_one_folder_is_refused(tmp_path):
    from montage_dask.coordinator.sqlite_store import SqliteStore

    first = SqliteStore(tmp_path)
    with pytest.raises(UsageError, match="another coordinator works in"):
        SqliteStore(tmp_path)
    first.close()
    SqliteStore(tmp_path).close()


@pytest.mark.redis
def test_a_redis_that_may_forget_is_refused(tmp_path):
    from montage_dask.coordinator.redis_store import RedisStore

    server = RedisServer(tmp_path, "--appendonly", "yes", "--appendfsync", "everysec")
    server.start()
    try:
        with pytest.raises(UsageError, match="--appendfsync always"):
            RedisStore(server.url)
    finally:
        server.kill()


@pytest.mark.redis
def test_redis_away_is_said_and_nothing_is_lost(redis: RedisServer):
    from montage_dask.coordinator.redis_store import RedisStore

    queue = Queue(RedisStore(redis.url))
    queue.submit(Job("j", "a", {}, ""))
    job = queue.claim("x", "here")
    redis.kill()
    for call in (
        lambda: queue.submit(Job("k", "a", {}, "")),
        lambda: queue.beat(job),
        lambda: queue.events("j"),
        lambda: queue.of_user("a"),
    ):
        with pytest.raises(QueueUnavailable):
            call()
    redis.start()
    assert queue.beat(job) is not None
    assert [e.data["state"] for e in queue.events("j")] == ["waiting", "running"]
    queue.store.close()


@pytest.mark.redis
def test_two_coordinators_on_one_redis_begin_each_job_once(redis: RedisServer):
    """200 jobs, two claimants at once; every change of one is refused when the other changed the queue meanwhile."""
    from montage_dask.coordinator.redis_store import RedisStore

    with ExitStack() as stack:
        stores = [RedisStore(redis.url) for _ in range(2)]
        for store in stores:
            stack.callback(store.close)
        for n in range(200):
            Queue(stores[0]).submit(Job(f"j{n}", "a", {}, ""))
        claimed: list[str] = []

        def work(name: str, queue: Queue) -> None:
            while (job := queue.claim(name, "here")) is not None:
                claimed.append(job.id)
                assert queue.end(job, "finished")

        threads = [threading.Thread(target=work, args=(f"o{n}", Queue(s))) for n, s in enumerate(stores)]  # fmt: skip
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert sorted(claimed) == sorted(f"j{n}" for n in range(200))


SUBMITTER = """
import sys, time
from pathlib import Path
from montage_dask.coordinator.jobs import Job
from montage_dask.coordinator.queue import Queue
kind, place, first = sys.argv[1:]
if kind == "sqlite":
    from montage_dask.coordinator.sqlite_store import SqliteStore as Store
else:
    from montage_dask.coordinator.redis_store import RedisStore as Store
queue = Queue(Store(Path(place) if kind == "sqlite" else place))
for n in range(int(first), 10**9):
    queue.submit(Job(f"j{n}", "a", {}, "", key=str(n)))
    print(n, flush=True)
"""


@pytest.mark.parametrize("kind", STORES)
def test_what_was_confirmed_survives_kill_9(kind, request, tmp_path):
    """The submitter – and Redis – are killed right behind a confirmation: all that was confirmed is there, once."""
    redis = request.getfixturevalue("redis") if kind == "redis" else None
    first = 0
    for _ in range(3):
        place = redis.url if redis else str(tmp_path)
        child = subprocess.Popen(
            [sys.executable, "-c", SUBMITTER, kind, place, str(first)], stdout=subprocess.PIPE, text=True
        )  # fmt: skip
        lines = [child.stdout.readline() for _ in range(5)]
        child.kill()
        if redis:
            redis.kill()
            redis.start()
        confirmed = [int(line) for line in (*lines, *child.communicate()[0].splitlines())]
        with open_store(request, tmp_path, Clock(), kind, keep=True) as store:
            found = sorted(int(j.id[1:]) for j in Queue(store).of_user("a", None, 10**6))
        # One more may be there, whose confirmation nobody read.
        assert found in (list(range(confirmed[-1] + 1)), list(range(confirmed[-1] + 2)))
        first = len(found)
