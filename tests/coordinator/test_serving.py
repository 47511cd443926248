"""A coordinator as a program: real processes, real jobs, real kills."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jobs import SMALL, Material, environment, make_clip, make_track

from montage_dask.coordinator.child import ENDING, ENDING_VARIABLE, marked
from montage_dask.coordinator.client import Coordinator, CoordinatorError
from montage_dask.media.ffmpeg import binary
from montage_dask.render.verify import frames_hash

pytestmark = pytest.mark.job

OPTIONS = {"size": "160x90", "fps": "25", "quality": "preview", "duration": 3, "allow": ["all"]}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Material:
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "footage").mkdir()
    make_clip(folder / "footage/a.mp4", "testsrc2=size=160x90:rate=25", 4)
    make_clip(folder / "footage/b.mp4", "mandelbrot=size=160x90:rate=25", 4)
    return Material(folder / "footage", folder / "t.wav", make_track(folder / "t.wav", 6))


class Served:
    """A coordinator in a process of its own."""

    def __init__(self, folder: Path, reads: Path, **extra: str) -> None:
        self.folder, self.reads, self.extra = (
            folder,
            reads,
            {"DASK_MONTAGE__N_WORKERS": "1", **extra},
        )
        self.process: subprocess.Popen[str] | None = None
        self.port = 0

    def start(self, **more: str) -> Coordinator:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "montage_dask", "coordinator", "--port", str(self.port), "--folder", str(self.folder),
             "--read", str(self.reads)],
            stderr=subprocess.PIPE, text=True, env=environment(**self.extra, **more),
        )  # fmt: skip
        line = self.process.stderr.readline()
        found = re.search(r"http://127.0.0.1:(\d+)/", line)
        assert found, line + self.process.stderr.read()
        self.port = int(found[1])
        return Coordinator(f"http://127.0.0.1:{self.port}", folder=self.folder)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()

    def mark(self, job_id: str) -> str:
        return f"{ENDING_VARIABLE}={self.folder / 'users/local/jobs' / job_id / ENDING}"

    def output(self, job_id: str) -> Path:
        return self.folder / "users/local/jobs" / job_id / "montage.mp4"


@pytest.fixture
def served(tmp_path, tiny) -> Iterator[Served]:
    made = Served(tmp_path / "coordinator", tiny.footage.parent)
    yield made
    made.kill()


def request(tiny: Material, **options: Any) -> dict[str, Any]:
    return {"footage": [str(tiny.footage)], "music": str(tiny.music), "options": {**OPTIONS, **options}}  # fmt: skip


def wait_for(there: Coordinator, job_id: str, *states: str, seconds: float = 120) -> dict[str, Any]:
    end = time.monotonic() + seconds
    while True:
        job = there.call("GET", f"/api/jobs/{job_id}")
        if job["state"] in states:
            return job
        assert time.monotonic() < end, job
        time.sleep(0.1)


@pytest.fixture
def slow(tmp_path) -> str:
    """An ffmpeg that waits before it begins."""
    script = tmp_path / "slow-ffmpeg"
    script.write_text(f'#!/bin/sh\nsleep 60\nexec {binary()} "$@"\n')
    script.chmod(0o755)
    return str(script)


def test_a_job_ends_whatever_is_killed_and_is_the_same(served, tiny, tmp_path):
    """Submitted, the coordinator killed at once; its process killed in mid-job; the coordinator killed in mid-job: the frames of
    an undisturbed job, and no process is left of any."""
    there = served.start()
    undisturbed = there.submit(request(tiny))
    assert wait_for(there, undisturbed["id"], "finished", "failed")["state"] == "finished"
    job = there.submit(request(tiny, seed=0))
    served.kill()
    there = served.start()
    wait_for(there, job["id"], "running")
    end = time.monotonic() + 60
    while not (pids := marked(served.mark(job["id"]))):
        assert time.monotonic() < end
        time.sleep(0.02)
    os.kill(min(pids), signal.SIGKILL)
    end = time.monotonic() + 60
    while not marked(served.mark(job["id"])):
        assert time.monotonic() < end
        time.sleep(0.02)
    served.kill()
    end = time.monotonic() + 20
    while marked(served.mark(job["id"])):
        assert time.monotonic() < end, "its processes outlive the coordinator"
        time.sleep(0.05)
    there = served.start()
    kinds = [(kind, data) for kind, data in there.events(job["id"])]
    assert kinds[-1][1]["state"] == "finished", kinds[-1]
    assert frames_hash(served.output(job["id"])) == frames_hash(served.output(undisturbed["id"]))
    assert not marked(served.mark(job["id"]))


def test_cancel_and_pause_leave_no_process(served, tiny, slow):
    there = served.start(MONTAGE_FFMPEG=slow)
    job = there.submit(request(tiny))
    wait_for(there, job["id"], "running")
    there.call("POST", f"/api/jobs/{job['id']}/pause")
    assert wait_for(there, job["id"], "paused", seconds=20)["reason"] == "paused by local"
    assert not marked(served.mark(job["id"]))
    there.call("POST", f"/api/jobs/{job['id']}/resume")
    wait_for(there, job["id"], "running")
    time.sleep(1)
    begun = time.monotonic()
    there.call("POST", f"/api/jobs/{job['id']}/cancel")
    wait_for(there, job["id"], "cancelled", seconds=20)
    assert time.monotonic() - begun < 12
    assert not marked(served.mark(job["id"]))
    assert not served.output(job["id"]).exists()


def test_what_is_refused(served, tiny, tmp_path):
    """Foreign names, tokens, paths, links, URLs and settings; what is B's is not there for A."""
    there = served.start()
    job = there.submit(request(tiny))
    (served.folder / "users/local/link").symlink_to("/etc")
    wrong = (
        {"footage": ["/etc/passwd"]}, {"footage": ["../../../etc"]}, {"footage": ["link"]}, {"music": "s3://bucket/x.mp3"},
        {"options": {"cluster": "tcp://evil:1"}}, {"options": {"store": "/tmp/x"}}, {"options": {"fps": "0"}},
        {"options": {"grade": "/etc/x.cube"}}, {"extra": 1}, {"parent": "none"},
    )  # fmt: skip
    for more in wrong:
        with pytest.raises(CoordinatorError) as refused:
            there.submit({**request(tiny), **more})
        assert refused.value.status in (404, 422), more
    made = subprocess.run(
        [sys.executable, "-m", "montage_dask", "token", "add", "other", "--folder", str(served.folder)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    other = Coordinator(there.url, token=made.stdout.strip())
    assert other.call("GET", "/api/jobs")["jobs"] == []
    for method, path in (
        ("GET", ""), ("GET", "/files"), ("GET", "/files/log.txt"), ("POST", "/cancel"), ("GET", "/log"), ("GET", "/events"),
    ):  # fmt: skip
        with pytest.raises(CoordinatorError) as refused:
            other.call(method, f"/api/jobs/{job['id']}{path}")
        assert refused.value.status == 404, path
    token = (served.folder / "local.token").read_text().strip()
    for path in ("../../../accounts.json", "%2e%2e/%2e%2e/store", "/etc/passwd", "."):
        line = http.client.HTTPConnection("127.0.0.1", served.port)  # sends it as it stands
        named = {"Authorization": f"Bearer {token}"}
        line.request("GET", f"/api/jobs/{job['id']}/files/{path}", headers=named)
        assert line.getresponse().status == 404, path
    with pytest.raises(CoordinatorError) as refused:
        Coordinator(there.url, token="wrong").call("GET", "/api/jobs")
    assert refused.value.status == 401
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        line = http.client.HTTPConnection("127.0.0.1", served.port)
        line.request("GET", "/healthz", headers=headers)
        assert line.getresponse().status == 403, headers
    there.call("POST", f"/api/jobs/{job['id']}/cancel")


def test_uploads_and_ranges(served, tiny, tmp_path):
    """A file in pieces, the coordinator killed between: what was told is there; a part of a file by its range."""
    there = served.start()
    data = os.urandom(300_000)
    made = there.call(
        "POST", "/api/uploads", None, {"Upload-Length": str(len(data)), "Upload-Metadata": "filename Li4vLi4vYS5tcDQ="},
    )  # fmt: skip
    place = "/api/uploads/" + {k.lower(): v for k, v in made.items()}["location"].rpartition("/")[2]
    token = (served.folder / "local.token").read_text().strip()
    offset, path = 0, None
    while path is None:
        line = http.client.HTTPConnection("127.0.0.1", served.port)
        line.request(
            "PATCH", place, data[offset : offset + 100_000],
            {"Authorization": f"Bearer {token}", "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"},
        )  # fmt: skip
        answer = line.getresponse()
        assert answer.status == 204
        served.kill()
        there = served.start()
        told = {k.lower(): v for k, v in there.call("HEAD", place).items()}
        assert int(told["upload-offset"]) == int(answer.headers["Upload-Offset"])
        offset, path = int(told["upload-offset"]), told.get("upload-path")
    assert path == "uploads/a.mp4"
    assert (served.folder / "users/local" / path).read_bytes() == data
    job = there.submit(request(tiny))
    there.call("POST", f"/api/jobs/{job['id']}/cancel")
    wait_for(there, job["id"], "cancelled", "finished")
    folder = served.output(job["id"]).parent
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "x.bin").write_bytes(data)
    line = http.client.HTTPConnection("127.0.0.1", served.port)
    line.request(
        "GET", f"/api/jobs/{job['id']}/files/x.bin", headers={"Authorization": f"Bearer {token}", "Range": "bytes=10-19"}
    )  # fmt: skip
    answer = line.getresponse()
    assert (answer.status, answer.read()) == (206, data[10:20])


def test_commands(served, tiny, tmp_path):
    """`run` with COORDINATOR_URL submits, follows and brings the montage; `jobs` lists it."""
    there = served.start()
    token = (served.folder / "local.token").read_text().strip()
    output = tmp_path / "mine.mp4"
    env = environment(COORDINATOR_URL=there.url, COORDINATOR_TOKEN=token)
    done = subprocess.run(
        [sys.executable, "-m", "montage_dask", "run", str(tiny.footage), "--music", str(tiny.music), "-o", str(output),
         *SMALL, "--duration", "3", "--allow", "all"],
        capture_output=True, text=True, env=env, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(output)
    assert output.stat().st_size > 1000
    listed = subprocess.run(
        [sys.executable, "-m", "montage_dask", "jobs", "list", "--json"], capture_output=True, text=True, env=env,
    )  # fmt: skip
    assert [j["state"] for j in json.loads(listed.stdout)["jobs"]] == ["finished"]
