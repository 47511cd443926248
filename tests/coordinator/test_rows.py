"""What the coordinator must withstand, three small rounds of each; the full counts are `python -m benchmarks coordinator`."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from here import Here, serving
from redis_server import RedisServer

from montage_dask.coordinator import uploads
from montage_dask.coordinator.accounts import Account
from montage_dask.coordinator.child import kill_marked, marked, outcome
from montage_dask.coordinator.jobs import Job
from montage_dask.coordinator.queue import Queue
from montage_dask.coordinator.runner import LONGEST_WAIT_SECONDS, Runner
from montage_dask.coordinator.sqlite_store import SqliteStore

ROUNDS = 3


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    with serving(tmp_path / "folder") as made:
        yield made


# -- 3: a runner that was stopped past its lease ------------------------------------------------------------------------------

OWNER = """
import sys
from montage_dask.coordinator.queue import Queue
from montage_dask.coordinator.redis_store import RedisStore
queue = Queue(RedisStore(sys.argv[1]), lease_seconds=0.2)
for line in sys.stdin:
    job = queue.claim("first", "here")
    print(job.id, flush=True)
    sys.stdin.readline()
    print(queue.beat(job), queue.end(job, "failed"), flush=True)
"""


@pytest.mark.redis
def test_the_end_of_a_stopped_and_continued_runner_is_refused(redis: RedisServer):
    """A real process is stopped past its lease, and goes on when another one has the job."""
    from montage_dask.coordinator.redis_store import RedisStore

    store = RedisStore(redis.url)
    queue = Queue(store, lease_seconds=0.2)
    child = subprocess.Popen(
        [sys.executable, "-c", OWNER, redis.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    try:
        for number in range(ROUNDS):
            queue.submit(Job(f"j{number}", "a", {}, ""))
            child.stdin.write("claim\n")
            child.stdin.flush()
            assert child.stdout.readline().strip() == f"j{number}"
            child.send_signal(signal.SIGSTOP)
            end = time.monotonic() + 10
            while not queue.expire():
                assert time.monotonic() < end
                time.sleep(0.02)
            second = queue.claim("second", "here")
            child.stdin.write("end\n")
            child.stdin.flush()
            child.send_signal(signal.SIGCONT)
            assert child.stdout.readline().split() == ["None", "False"]
            assert queue.end(second, "finished")
            assert queue.find(f"j{number}").state == "finished"
    finally:
        child.kill()
        child.communicate()
        store.close()


# -- 4: Redis away ----------------------------------------------------------------------------------------------------------


@pytest.mark.redis
def test_without_redis_submitting_is_503_and_running_jobs_go_on(tmp_path, redis: RedisServer):
    from montage_dask.coordinator.redis_store import RedisStore

    (tmp_path / "clip.mp4").write_bytes(b"x")
    (tmp_path / "t.mp3").write_bytes(b"x")
    asked = {"footage": [str(tmp_path / "clip.mp4")], "music": str(tmp_path / "t.mp3")}
    with serving(tmp_path / "folder", store=RedisStore(redis.url)) as here:
        named = {"Authorization": f"Bearer {here.token}"}
        here.queue.submit(Job("j", "local", asked, ""))
        here.runner.tick()
        (work,) = here.runner._work.values()
        os.killpg(work.child.process.pid, signal.SIGSTOP)
        try:
            for _ in range(ROUNDS):
                redis.kill()
                here.runner.tick()
                assert work.child.poll() is None, "it goes on"
                status, said, headers = here.ask("POST", "/api/jobs", asked, named)
                assert (status, headers["Retry-After"]) == (503, "5")
                assert "does not answer" in said["detail"]
                assert here.ask("GET", "/readyz", headers=named)[0] == 503
                redis.start()
                here.runner.tick()
                assert here.queue.find("j").owner == here.runner.owner
            assert here.ask("POST", "/api/jobs", asked, named)[0] == 202
        finally:
            work.child.kill()


# -- 6: worker groups gone and back -----------------------------------------------------------------------------------------


def test_a_job_without_workers_waits_with_the_reason_and_goes_on(tmp_path):
    now = [1000.0]
    with closing(SqliteStore(tmp_path, lambda: now[0])) as store:
        queue = Queue(store)
        queue.submit(Job("j", "a", {}, ""))
        ending = {"error": "ClusterError", "message": "no worker offers GPU=1"}
        found = outcome(1, ending)
        assert (found.state, found.later, found.crashed) == (None, True, False)
        for _ in range(10):
            job = queue.claim("x", "here")
            wait = Runner.wait_seconds(job)
            assert wait <= LONGEST_WAIT_SECONDS
            queue.release(job, found.reason, wait, found.crashed)
            assert queue.find("j").reason == "no worker offers GPU=1"
            assert queue.claim("x", "here") is None, "not at once"
            now[0] += wait + 1
        queue.end(queue.claim("x", "here"), "finished")
        assert queue.find("j").state == "finished"


# -- 7: whoever watched is gone ---------------------------------------------------------------------------------------------


WATCHER = """
import sys
from urllib.request import Request, urlopen
url, token, last = sys.argv[1:]
for line in urlopen(Request(url, headers={"Authorization": f"Bearer {token}", "Last-Event-ID": last})):
    print(line.decode(), end="", flush=True)
"""


def test_events_come_without_a_gap_to_who_was_gone(here):
    """A watcher dies in the middle of the stream; the next one goes on behind what it saw."""
    here.queue.submit(Job("0a", "local", {}, ""))
    here.queue.claim("x", "local")
    seen: list[int] = []
    for _ in range(ROUNDS):
        watched = subprocess.Popen(
            [sys.executable, "-c", WATCHER, f"{here.url}/api/jobs/0a/events", here.token, str(len(seen))],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        job = here.queue.find("0a")
        here.queue.beat(job, {"done": len(seen)})
        for line in watched.stdout:
            if line.startswith("id: "):
                seen.append(int(line[4:]))
                if seen[-1] == job.event + 1:
                    break
        watched.kill()
        watched.communicate()
        here.queue.beat(job, {"done": -len(seen)})
    here.queue.end(here.queue.find("0a"), "finished")
    seen += [e.number for e in here.queue.events("0a", len(seen))]
    assert seen == list(range(1, len(seen) + 1))


# -- 9: cancel --------------------------------------------------------------------------------------------------------------

FAMILY = """
import subprocess, sys, time
deaf = (
    "import os, signal, time; signal.signal(15, signal.SIG_IGN);"
    "open(os.environ['MONTAGE_ENDING'] + '.up', 'w').close(); time.sleep(60)"
)
subprocess.Popen([sys.executable, "-c", deaf], start_new_session=True)
time.sleep(60)
"""


def test_no_process_is_left_that_bears_the_mark_of_a_job(tmp_path):
    """Also those that ignore SIGTERM, and left their group and their parent."""
    for number in range(ROUNDS):
        mark = f"MONTAGE_ENDING={tmp_path / str(number)}"
        name, _, value = mark.partition("=")
        parent = subprocess.Popen([sys.executable, "-c", FAMILY], env={**os.environ, name: value})
        end = time.monotonic() + 10
        while not Path(f"{value}.up").exists():
            assert time.monotonic() < end
            time.sleep(0.01)
        parent.kill()
        parent.wait()
        assert marked(mark), "its child outlives it"
        kill_marked(mark)
        assert not marked(mark)


# -- 11: uploads ------------------------------------------------------------------------------------------------------------


class Cut(Exception):
    """Of a line."""


async def sent(data: bytes, offset: int, cut: int, chance: random.Random) -> AsyncIterator[bytes]:
    while offset < cut:
        step = min(chance.randint(1, 9000), cut - offset)
        yield data[offset : offset + step]
        offset += step
    if cut < len(data):
        raise Cut


def receive(account: Account, name: str, data: bytes, most: int, chance: random.Random) -> Any:
    at = uploads.find(account, name).offset
    stream = sent(data, at, min(at + most, len(data)), chance)
    return asyncio.run(uploads.receive(account, name, at, stream))


def test_an_upload_that_is_cut_twenty_times_is_the_same(tmp_path):
    account = Account("a", tmp_path)
    for seed in range(ROUNDS):
        chance = random.Random(seed)
        data = chance.randbytes(300_000)
        upload = uploads.create(account, len(data), {"filename": "../a.mp4"})

        for _ in range(20):
            with pytest.raises(Cut):
                receive(account, upload.id, data, chance.randint(0, 14_000), chance)
        upload = receive(account, upload.id, data, len(data), chance)
        stored = (account.root / upload.path).read_bytes()
        assert hashlib.sha256(stored).digest() == hashlib.sha256(data).digest()
        assert Path(upload.path).name == ("a.mp4", "a-2.mp4", "a-3.mp4")[seed]


def test_an_upload_of_a_version_before_goes_on(tmp_path):
    account = Account("a", tmp_path)
    upload = uploads.create(account, 10, {"filename": "a.mp4"})
    old = {"length": 10, "name": "a.mp4", "offset": 4, "path": None}
    upload.part.with_suffix(".json").write_text(json.dumps(old))
    upload.part.write_bytes(b"0123")
    chance = random.Random(0)
    found = receive(account, upload.id, b"0123456789", 10, chance)
    assert (account.root / found.path).read_bytes() == b"0123456789"


# -- 12: what is B's --------------------------------------------------------------------------------------------------------


def test_nothing_of_one_user_is_seen_by_another(here):
    """All routes that name a job or an upload, as the API describes them."""
    _, token = here.accounts.add("other")
    root = here.accounts.account("local").root
    here.queue.submit(Job("0a", "local", {"footage": [str(root / "uploads/mine.mp4")]}, "mine"))
    (root / "jobs/0a/montage.montage").mkdir(parents=True)
    (root / "jobs/0a/montage.montage/timeline.otio").write_text("{}")
    upload = uploads.create(here.accounts.account("local"), 10, {"filename": "mine.mp4"})
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()}
    paths = here.client.call("GET", "/openapi.json")["paths"]
    tried = 0
    for path, methods in paths.items():
        for method in methods:
            named = path.replace("{job_id}", "0a").replace("{upload_id}", upload.id)
            named = named.replace("{verb}", "cancel").replace(
                "{path}", "montage.montage/timeline.otio"
            )
            named = named.replace("{source}", "0").replace("{frame}", "0")
            if named == path:
                continue
            body = {"priority": "high"} if path.endswith("priority") else {"ops": []}
            asked = {"Authorization": f"Bearer {token}", "Upload-Offset": "0"}
            if "upload" in path:
                asked["Content-Type"] = "application/offset+octet-stream"
            status, said, _ = here.ask(method.upper(), named, body if method != "get" else None, asked)  # fmt: skip
            assert status == 404, (method, path, status)
            assert "mine" not in json.dumps(said, default=repr)
            tried += 1
    assert tried >= 12
    for path in ("/api/jobs", "/api/uploads"):
        _, said, _ = here.ask("GET", path, headers={"Authorization": f"Bearer {token}"})
        assert "mine" not in json.dumps(said)
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()} == before
    assert here.queue.find("0a").state == "waiting"


# -- 13: quota and retention stand in test_api; 14: drain in test_queue --------------------------------------------------------


@pytest.mark.redis
def test_a_drain_and_a_pause_survive_a_killed_redis(redis: RedisServer):
    from montage_dask.coordinator.redis_store import RedisStore

    store = RedisStore(redis.url)
    queue = Queue(store)
    for number in range(ROUNDS):
        queue.submit(Job(f"j{number}", "a", {}, ""))
        queue.pause(f"j{number}")
        queue.drain("here", f"anna {number}")
        redis.kill()
        redis.start()
        assert queue.drained("here")["by"] == f"anna {number}"
        assert queue.find(f"j{number}").state == "paused"
        assert queue.claim("x", "here") is None
    store.close()


def test_many_submit_and_claim_at_once_and_each_is_begun_once(here):
    """As over HTTP, on SQLite: four senders and two owners."""
    claimed: list[str] = []

    def send(name: int) -> None:
        for number in range(10):
            here.queue.submit(Job(f"{name}-{number}", f"u{name}", {}, ""))

    def work(owner: str) -> None:
        end = time.monotonic() + 20
        while len(claimed) < 40 and time.monotonic() < end:
            job = here.queue.claim(owner, "local")
            if job is not None:
                claimed.append(job.id)
                assert here.queue.end(job, "finished")

    threads = [threading.Thread(target=send, args=(n,)) for n in range(4)]
    threads += [threading.Thread(target=work, args=(o,)) for o in ("x", "y")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == sorted(f"{n}-{k}" for n in range(4) for k in range(10))
