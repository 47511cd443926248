"""What the coordinator withstands, in full counts, and what load does to it. Real processes, real kills, real Redis.

Each round is one case of a row of the issue; it says what went wrong, or nothing. Rounds are kept in a file as they end: a
benchmark that was interrupted goes on where it was. A round is told by its row and its seed.

    accepted   202, then kill -9 of the coordinator at once: the job is there, once (both stores, in turns)
    killed     coordinator, job process, one of its workers or Redis killed at a random moment of a job: the same pictures
    workers    a cluster without workers: the job waits with the reason, and ends when they come
    cancelled  a job is cancelled at a random moment: no process of it after 10 s, no half output
    upload     a file cut at 20 random places, the coordinator killed twice: the same bytes
    load       1,000 waiting jobs, 50 open pages, 20 uploads: p95 against an idle one, memory, and a disk without room
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks.measure import say, table
from montage_dask.coordinator.child import ENDING, ENDING_VARIABLE, marked
from montage_dask.coordinator.client import Coordinator, CoordinatorError
from montage_dask.media.demo import make_demo
from montage_dask.render.verify import frames_hash

COUNTS = {"accepted": 100, "killed": 30, "workers": 3, "cancelled": 10, "upload": 3, "load": 1}
OPTIONS = {"size": "160x90", "fps": "25", "quality": "preview", "duration": 4, "allow": ["all"]}
PATIENCE_SECONDS = 240.0


def main(arguments: Sequence[str]) -> int:
    """Run rounds, and print a markdown table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks coordinator", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--rows", default=",".join(COUNTS))
    parser.add_argument("--rounds", type=int, help="of each row; default: the full counts")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no round after")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "montage-coordinator"))  # fmt: skip
    options = parser.parse_args(arguments)
    end = time.monotonic() + options.minutes * 60
    options.folder.mkdir(parents=True, exist_ok=True)
    kept = options.folder / "results.json"
    results: dict[str, dict[str, Any]] = json.loads(kept.read_text()) if kept.exists() else {}
    media = make_demo(options.folder / "media")
    asked = {"footage": [str(p) for p in media.footage], "music": str(media.music), "options": OPTIONS}  # fmt: skip
    for row in options.rows.split(","):
        for seed in range(options.rounds or COUNTS[row]):
            if f"{row} {seed}" in results or time.monotonic() > end:
                continue
            begun = time.monotonic()
            with tempfile.TemporaryDirectory(dir=options.folder) as folder, ExitStack() as stack:
                round_ = Round(Path(folder), options.folder, seed, asked, stack)
                try:
                    wrong, figures = None, ROWS[row](round_)
                except (AssertionError, CoordinatorError, TimeoutError) as error:
                    wrong, figures = f"{type(error).__name__}: {error}", {}
            seconds = round(time.monotonic() - begun, 1)
            results[f"{row} {seed}"] = {"wrong": wrong, "seconds": seconds, **(figures or {})}
            kept.write_text(json.dumps(results, indent=1))
            say(f"{row} {seed}: {wrong or 'green'} {figures or ''} ({seconds} s)")
    print(_table(results))
    return int(any(r["wrong"] for r in results.values()))


def _table(results: dict[str, dict[str, Any]]) -> str:
    rows = []
    for row, count in COUNTS.items():
        found = {k: r for k, r in results.items() if k.startswith(f"{row} ")}
        wrong = [f"{k.split()[1]}: {r['wrong']}" for k, r in found.items() if r["wrong"]]
        said = ("wrong", "seconds", "hit")
        figures = [f"{k} {v}" for r in found.values() for k, v in r.items() if k not in said]
        green = f"{len(found) - len(wrong)} of {len(found)}"
        rows.append((row, str(count), green, "; ".join([*wrong, *figures][:8])))
    return table(("row", "in full", "green", "what"), rows)


class Round:
    """A coordinator in a process of its own, with a folder, a port and a queue."""

    def __init__(
        self, folder: Path, shared: Path, seed: int, asked: dict[str, Any], stack: ExitStack
    ) -> None:
        self.folder, self.shared, self.seed = folder, shared, seed
        self.asked, self.stack = asked, stack
        self.chance = random.Random(seed)
        self.port = free_port()
        self.variables = {"DASK_MONTAGE__N_WORKERS": "1", "DASK_MONTAGE__PERFORMANCE_REPORT": "no"}
        self.redis: subprocess.Popen[bytes] | None = None
        self.redis_port = free_port()
        self.process: subprocess.Popen[str] | None = None
        stack.callback(self.kill)

    def start_redis(self) -> None:
        """A Redis that keeps what it confirms."""
        (self.folder / "redis").mkdir(exist_ok=True)
        self.redis = subprocess.Popen(
            ["redis-server", "--port", str(self.redis_port), "--dir", str(self.folder / "redis"), "--save", "",
             "--appendonly", "yes", "--appendfsync", "always"],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        self.stack.callback(end_process, self.redis)
        self.variables["REDIS_URL"] = f"redis://127.0.0.1:{self.redis_port}"
        until(lambda: reaches(self.redis_port), "redis does not answer")

    def start(self, *options: str) -> Coordinator:
        """The coordinator, once it listens."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "montage_dask", "coordinator", "--port", str(self.port), "--folder", str(self.folder / "c"),
             "--read", str(self.shared), *options],
            stderr=subprocess.PIPE, text=True, env={**os.environ, **self.variables},
        )  # fmt: skip
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        assert re.search(r"http://127.0.0.1:\d+/", line), line + self.process.stderr.read()
        return Coordinator(f"http://127.0.0.1:{self.port}", folder=self.folder / "c")

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            end_process(self.process)

    def mark(self, job: str) -> str:
        """What all processes of a job have in their environment."""
        return f"{ENDING_VARIABLE}={self.output(job).with_name(ENDING)}"

    def output(self, job: str) -> Path:
        """Its montage."""
        return self.folder / "c/users/local/jobs" / job / "montage.mp4"

    def wait(self, there: Coordinator, job: str, *states: str) -> dict[str, Any]:
        """Until a job is in one of these states."""
        found: dict[str, Any] = {}

        def there_yet() -> bool:
            nonlocal found
            with suppress(CoordinatorError):
                found = there.call("GET", f"/api/jobs/{job}")
            return found.get("state") in states

        until(there_yet, f"the job is not {' or '.join(states)}: {found}")
        return found


def free_port() -> int:
    """One that nobody listens at."""
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def reaches(port: int) -> bool:
    """Whether somebody listens."""
    with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), 1)):
        return True
    return False


def end_process(process: subprocess.Popen[Any]) -> None:
    """SIGKILL, and wait."""
    process.kill()
    process.communicate()


def until(found: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for something.

    Raises:
        TimeoutError: it does not come.
    """
    end = time.monotonic() + seconds
    while not found():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.02)


def accepted(r: Round) -> None:
    """Row 1."""
    if r.seed % 2:
        r.start_redis()
    there = r.start()
    there.call("PUT", "/api/drain?on=true")
    job = there.submit(r.asked)
    assert r.process is not None
    r.process.send_signal(signal.SIGKILL)
    r.kill()
    if r.redis is not None:
        end_process(r.redis)
        r.start_redis()
    there = r.start()
    found = [j["id"] for j in there.call("GET", "/api/jobs")["jobs"]]
    assert found == [job["id"]], found


def killed(r: Round) -> dict[str, Any]:
    """Rows 2 and 4: in turns, by the seed."""
    wanted = r.shared / "undisturbed.json"
    what = ("nothing", "coordinator", "child", "worker", "redis")[r.seed % 5 if wanted.exists() else 0]  # fmt: skip
    if what == "redis":
        r.start_redis()
    there = r.start()
    job = there.submit(r.asked)["id"]
    most = 0
    if what != "nothing":
        until(lambda: marked(r.mark(job)), "it does not begin")
        time.sleep(r.chance.uniform(0, json.loads(wanted.read_text())["seconds"]))
        pids = sorted(marked(r.mark(job)))
        if what == "coordinator":
            r.kill()
            there = r.start()
        elif what == "redis":
            assert r.redis is not None
            end_process(r.redis)
            time.sleep(r.chance.uniform(0, 4))
            r.start_redis()
        elif pids:
            with suppress(ProcessLookupError):
                os.kill(pids[0] if what == "child" else r.chance.choice(pids), signal.SIGKILL)
        most = writers(r.mark(job))
    begun = time.monotonic()
    found = r.wait(there, job, "finished", "failed", "cancelled")
    assert found["state"] == "finished", found["reason"]
    assert most <= 1, f"{most} processes made one montage"
    same = frames_hash(r.output(job))
    if not wanted.exists():
        wanted.write_text(json.dumps({"hash": same, "seconds": time.monotonic() - begun}))
    assert json.loads(wanted.read_text())["hash"] == same, "other pictures"
    until(lambda: not marked(r.mark(job)), "processes of it are left", 10)
    return {"hit": what}


def writers(mark: str) -> int:
    """Processes that make the montage of one job at this moment."""
    count = 0
    for pid in marked(mark):
        with suppress(psutil.Error):
            count += "job.yaml" in psutil.Process(pid).cmdline()
    return count


def workers(r: Round) -> None:
    """Row 6."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    scheduler = subprocess.Popen(
        [sys.executable, "-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    r.stack.callback(end_process, scheduler)
    until(lambda: reaches(port), "no scheduler")
    there = r.start("--cluster", address)
    job = there.submit(r.asked)["id"]
    until(lambda: there.call("GET", f"/api/jobs/{job}")["reason"], "it gives no reason")
    found = there.call("GET", f"/api/jobs/{job}")
    assert found["state"] == "waiting", found
    assert "worker" in found["reason"], found["reason"]
    one = subprocess.Popen(
        [sys.executable, "-m", "montage_dask", "worker", "--scheduler", address, "--slots", "1"],
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    r.stack.callback(lambda: os.killpg(one.pid, signal.SIGKILL))
    assert r.wait(there, job, "finished", "failed")["state"] == "finished"


def cancelled(r: Round) -> None:
    """Row 9."""
    there = r.start()
    job = there.submit(r.asked)["id"]
    until(lambda: marked(r.mark(job)), "it does not begin")
    time.sleep(r.chance.uniform(0, 10))
    there.call("POST", f"/api/jobs/{job}/cancel")
    until(lambda: not marked(r.mark(job)), "processes of it are left", 10)
    found = r.wait(there, job, "cancelled", "finished")
    assert (found["state"] == "finished") == r.output(job).exists(), "half an output"


def upload(r: Round) -> None:
    """Row 11."""
    there = r.start()
    data = r.chance.randbytes(20 << 20)
    token = (r.folder / "c/local.token").read_text().strip()
    made = there.call("POST", "/api/uploads", None, {"Upload-Length": str(len(data))})
    place = "/api/uploads/" + made["location"].rpartition("/")[2]
    kills = set(r.chance.sample(range(20), 2))
    for number in range(20):
        offset = int(there.call("HEAD", place)["upload-offset"])
        cut = data[offset : offset + r.chance.randint(1, (len(data) - offset) // 4)]
        with closing(socket.create_connection(("127.0.0.1", r.port))) as line:
            head = (
                f"PATCH {place} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nUpload-Offset: {offset}\r\n"
                f"Content-Type: application/offset+octet-stream\r\nContent-Length: {len(data) - offset}\r\n\r\n"
            )
            line.sendall(head.encode() + cut)
            if number in kills:
                r.kill()
        if number in kills:
            there = r.start()
    rest = {"Content-Type": "application/offset+octet-stream"}
    until(lambda: "upload-path" in _last(there, place, data, rest), "it never ends")
    stored = (r.folder / "c/users/local" / there.call("HEAD", place)["upload-path"]).read_bytes()
    assert hashlib.sha256(stored).digest() == hashlib.sha256(data).digest(), "other bytes"


def _last(there: Coordinator, place: str, data: bytes, headers: dict[str, str]) -> Any:
    said = there.call("HEAD", place)
    if "upload-path" in said:
        return said
    offset = said["upload-offset"]
    with suppress(CoordinatorError):  # what was cut is still being put away
        return there._once("PATCH", place, data[int(offset) :], {**headers, "Upload-Offset": offset})  # fmt: skip
    return {}


def load(r: Round) -> dict[str, Any]:
    """Row 16."""
    there = r.start()
    there.call("PUT", "/api/drain?on=true")
    idle = p95(there)
    jobs = [there.submit(r.asked)["id"] for _ in range(1000)]
    waiting = p95(there)
    assert r.process is not None
    seen = psutil.Process(r.process.pid)
    before = seen.memory_info().rss
    with busy(r, there, jobs):
        loaded = p95(there)
    free = shutil.disk_usage(r.folder).free
    status = 201
    try:
        there.call("POST", "/api/uploads", None, {"Upload-Length": str(free)})
    except CoordinatorError as error:
        status = error.status
    assert status == 507, f"an upload larger than the disk: {status}"
    there.submit(r.asked)
    return {
        "p95 ms idle": round(1000 * idle, 1), "with 1000 jobs": round(1000 * waiting, 1),
        "and 50 pages, 20 uploads": round(1000 * loaded, 1),
        "MB before": before >> 20, "MB after": seen.memory_info().rss >> 20,
    }  # fmt: skip


@contextmanager
def busy(r: Round, there: Coordinator, jobs: Sequence[str]) -> Iterator[None]:
    """50 pages look at jobs, and 20 files come."""
    ending, source = threading.Event(), r.folder / "file.bin"
    source.write_bytes(secrets.token_bytes(8 << 20))

    def look(job: str) -> None:
        with suppress(CoordinatorError, OSError):
            for _ in there.events(job):
                if ending.is_set():
                    return

    def send() -> None:
        with suppress(CoordinatorError):
            while not ending.is_set():
                there.upload(source, "load")

    threads = [threading.Thread(target=look, args=(j,), daemon=True) for j in jobs[:50]]
    threads += [threading.Thread(target=send, daemon=True) for _ in range(20)]
    for thread in threads:
        thread.start()
    time.sleep(3)
    yield
    ending.set()


def p95(there: Coordinator, count: int = 100) -> float:
    """Seconds of a page's list of jobs, and of a job's state."""
    took = []
    for _ in range(count):
        begun = time.monotonic()
        there.call("GET", "/api/jobs?most=50")
        took.append(time.monotonic() - begun)
    return statistics.quantiles(took, n=20)[-1]


ROWS: dict[str, Callable[[Round], dict[str, Any] | None]] = {
    "accepted": accepted, "killed": killed, "workers": workers, "cancelled": cancelled, "upload": upload, "load": load,
}  # fmt: skip
