"""Same input, same video: whatever the workers, the windows, and whoever was killed in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from jobs import SMALL, Material, environment, montage

from montage_dask.render.verify import frames_hash

JOB = (*SMALL, "--duration", "8", "--seed", "3")
SLOW = {"DASK_MONTAGE__SEGMENT_FRAMES": "20"}
"""Many small segments, so that something is always left to kill."""


def arguments(material: Material, output: Path) -> list[str]:
    return [
        "run",
        str(material.footage),
        "--music",
        str(material.music),
        "-o",
        str(output),
        "--json",
        *JOB,
    ]


@pytest.fixture(scope="module")
def reference(material: Material, tmp_path_factory: pytest.TempPathFactory) -> str:
    output = tmp_path_factory.mktemp("reference") / "out.mp4"
    done = montage(*arguments(material, output), **SLOW)
    assert done.code == 0, done.stderr
    return frames_hash(output)


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("one worker", {"WORKER_CONCURRENCY": "1"}),
        ("other windows", {"DASK_MONTAGE__WINDOW_FRAMES": "50", "WORKER_CONCURRENCY": "2"}),
    ],
)
def test_the_cluster_does_not_matter(material, tmp_path, reference, name, extra):
    done = montage(*arguments(material, tmp_path / "out.mp4"), **SLOW, **extra)
    assert done.code == 0, done.stderr
    assert frames_hash(tmp_path / "out.mp4") == reference


def start(material: Material, output: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "montage_dask", *arguments(material, output)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(**SLOW),
    )


def wait_for_segments(process: subprocess.Popen[str], store: Path, count: int) -> None:
    """Until so many segments are done, but not all."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if len(list(store.glob("records/encode/*/*.json"))) >= count:
            return
        assert process.poll() is None, "the job ended before it could be disturbed"
        time.sleep(0.02)
    pytest.fail("no segment was made in two minutes")


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children(recursive=True)
    return [c for c in children if "spawn_main" in command_of(c)]


def command_of(process):
    """Its command line; of one that ended meanwhile nothing."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def ffmpegs(folder: Path) -> list[list[str]]:
    """The commands of all ffmpegs that work in a folder: other tests may run theirs."""
    found = psutil.process_iter(["name", "cmdline"])
    commands = [p.info["cmdline"] or [] for p in found if "ffmpeg" in (p.info["name"] or "")]
    return [c for c in commands if str(folder) in " ".join(c)]


def test_a_killed_worker_costs_only_its_segments(material, tmp_path, reference):
    output = tmp_path / "out.mp4"
    process = start(material, output)
    wait_for_segments(process, tmp_path / ".montage", 2)
    victims = workers_of(process)
    assert victims
    victims[0].send_signal(signal.SIGKILL)
    process.communicate(timeout=200)
    assert process.returncode == 0
    assert frames_hash(output) == reference


def test_a_killed_client_goes_on_where_it_was(material, tmp_path, reference):
    output = tmp_path / "out.mp4"
    process = start(material, output)
    wait_for_segments(process, tmp_path / ".montage", 3)
    children = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive, "workers or ffmpeg outlived the client"
    assert not ffmpegs(tmp_path)
    assert not output.exists()
    done_before = len(list((tmp_path / ".montage").glob("records/encode/*/*.json")))
    again = montage(*arguments(material, output), **SLOW)
    assert again.code == 0, again.stderr
    encode = next(o for o in again.json["operations"] if o["name"] == "encode")
    assert encode["reused"] == done_before
    assert encode["count"] > 0
    assert not any(
        o["count"] for o in again.json["operations"] if o["name"] in ("probe", "strip", "beats")
    )
    assert frames_hash(output) == reference


def test_ctrl_c_stops_cleanly_and_keeps_what_is_done(material, tmp_path, reference):
    output = tmp_path / "out.mp4"
    process = start(material, output)
    wait_for_segments(process, tmp_path / ".montage", 2)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
    assert not output.exists()
    again = montage(*arguments(material, output), **SLOW)
    assert again.code == 0
    assert next(o for o in again.json["operations"] if o["name"] == "encode")["reused"] >= 2
    assert frames_hash(output) == reference
