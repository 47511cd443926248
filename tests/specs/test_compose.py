"""compose.yaml: valid, closed to the outside, and its commands make a montage when they run as processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from compose import COMPOSE, Processes, load
from distributed import Client, Security
from jobs import make_clip, make_track
from started import end, free_port, wait_for

from montage_dask.cluster.specs import Specs

pytestmark = pytest.mark.job

SET = {"MONTAGE_FOLDER": "/somewhere"}
LONG_RUNNING = ("scheduler", "cpu", "gpu", "cgpu", "coordinator")


def test_it_keeps_to_the_schema_of_the_compose_specification(tmp_path):
    pytest.importorskip("check_jsonschema", reason="it ships the schema")
    read = tmp_path / "compose.json"
    read.write_text(json.dumps(load(SET)))  # merge keys resolved
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    for file, wanted in ((COMPOSE, 0), (read, 0)):
        done = subprocess.run([*command, str(file)], capture_output=True, text=True, timeout=60)
        assert done.returncode == wanted, done.stdout
    wrong = load(SET)
    wrong["services"]["cpu"]["healtcheck"] = {}
    read.write_text(json.dumps(wrong))
    done = subprocess.run([*command, str(read)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, "the schema is not applied"


@pytest.mark.skipif(
    not shutil.which("docker")
    or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode != 0,
    reason="needs docker compose",
)
def test_docker_compose_reads_it_as_the_tests_do():
    done = subprocess.run(
        ["docker", "compose", "-f", str(COMPOSE), "--profile", "*", "config", "--format", "json"],
        env=os.environ | SET, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    theirs, ours = json.loads(done.stdout)["services"], load(SET)["services"]
    assert {n: s["command"] for n, s in theirs.items()} == {
        n: s["command"] for n, s in ours.items()
    }


def test_without_a_folder_it_says_what_is_missing():
    with pytest.raises(KeyError, match="footage and music"):
        load({})


def test_nothing_is_open():
    """No service is privileged, only the dashboard and the page are published, and those on this machine alone."""
    read = load(SET)
    assert read["networks"]["cluster"] == {"internal": True}
    for name, service in read["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["user"] == ("999:999" if name == "redis" else "10001:10001")
        assert not service.get("privileged")
        assert "volumes" in service
    ports = {n: s["ports"] for n, s in read["services"].items() if "ports" in s}
    assert ports == {"scheduler": ["127.0.0.1:8787:8787"], "coordinator": ["127.0.0.1:8080:8080"]}
    in_queue = {n for n, s in read["services"].items() if "queue" in s.get("networks", [])}
    assert in_queue == {"coordinator", "redis"}, "redis asks for no password"
    assert read["services"]["redis"]["networks"] == ["queue"]
    assert read["networks"]["queue"] == {"internal": True}
    for name in (*LONG_RUNNING, "montage"):
        environment = read["services"][name]["environment"]
        assert environment["DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION"] == "true", name
        assert "/somewhere:/montage" in read["services"][name]["volumes"]
        assert "tls:/tls:ro" in read["services"][name]["volumes"]
    for name in LONG_RUNNING:
        assert read["services"][name]["healthcheck"]["test"][0] == "CMD", name
    assert read["services"]["certificates"]["network_mode"] == "none"
    assert all("networks" in read["services"][n] for n in (*LONG_RUNNING, "montage"))
    outside = {n for n, s in read["services"].items() if "outside" in s.get("networks", [])}
    assert outside == {"cgpu"}
    assert "~/.config/cgpu:/cgpu:ro" in read["services"]["cgpu"]["volumes"]


def test_settings_of_the_scheduler_are_those_of_the_pods():
    pod = Specs().manifest("cpu")["spec"]["scheduler"]["spec"]["containers"][0]["env"]
    given = {e["name"]: e["value"] for e in pod if e["name"].startswith("DASK_DISTRIBUTED__SCHED")}
    ours = load(SET)["services"]["scheduler"]["environment"]
    for name in set(given) - {"DASK_DISTRIBUTED__SCHEDULER__NO_WORKERS_TIMEOUT"}:
        assert ours[name] == given[name]


@pytest.mark.redis
def test_the_coordinator_and_its_queue_start_as_it_says(tmp_path):
    shared, data = tmp_path / "shared", tmp_path / "data"
    data.mkdir()
    port, redis = (str(free_port()) for _ in range(2))
    places = {
        "/montage": str(shared), "/data": str(data), "0.0.0.0": "127.0.0.1", "//redis:6379": f"//127.0.0.1:{redis}",
        "6379": redis, "8080": port,
    }  # fmt: skip
    more = {"PYTHONPATH": str(Path(__file__).parents[2])}
    processes = Processes(load({**SET, "MONTAGE_FOLDER": str(shared)})["services"], places, more)
    with ExitStack() as stack:
        stack.callback(end, processes.start("redis"))
        wait_for(lambda: processes.healthy("redis"))
        stack.callback(end, processes.start("coordinator"))
        wait_for(lambda: processes.healthy("coordinator"))
    assert (shared / "coordinator/local.token").exists()
    assert any((data / "appendonlydir").iterdir())


def test_its_commands_make_a_montage(tmp_path):
    """Certificates, scheduler, a CPU worker and the client of the file's head, with TLS and the health checks."""
    shared, tls, scratch = (tmp_path / n for n in ("shared", "tls", "scratch"))
    for folder in (shared / "footage", tls, scratch):
        folder.mkdir(parents=True)
    make_clip(shared / "footage/one.mp4", "testsrc2=size=160x90:rate=25", 4)
    make_clip(shared / "footage/two.mp4", "mandelbrot=size=160x90:rate=25", 4)
    make_track(shared / "track.wav", seconds=5)
    port, dashboard, worker = (str(free_port()) for _ in range(3))
    services = load({**SET, "CPU_SLOTS": "1", "MONTAGE_FOLDER": str(shared)})["services"]
    places = {
        "/montage/": f"{shared}/", "/tls": str(tls), "/scratch": str(scratch), "0.0.0.0": "127.0.0.1",
        "//scheduler:8786": f"//127.0.0.1:{port}", "8786": port, "8787": dashboard, "8788": worker,
    }  # fmt: skip
    more = {"PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONUNBUFFERED": "1"}
    processes = Processes(services, places, more)
    assert processes.run("certificates").returncode == 0
    assert sorted((p.name, p.stat().st_mode & 0o777) for p in tls.iterdir()) == [
        ("ca.pem", 0o600), ("key.pem", 0o600),
    ]  # fmt: skip
    made = (tls / "ca.pem").read_bytes()
    assert processes.run("certificates").returncode == 0
    assert (tls / "ca.pem").read_bytes() == made, "a second start must not lock out what runs"
    with ExitStack() as stack:
        assert not processes.healthy("scheduler")
        stack.callback(end, processes.start("scheduler"))
        wait_for(lambda: processes.healthy("scheduler"))
        stack.callback(end, processes.start("cpu"))
        wait_for(lambda: processes.healthy("cpu"))
        run = ["python", "-m", "montage_dask", "run", "/montage/footage", "--music", "/montage/track.wav",
               "-o", "/montage/out.mp4", "--size", "160x90", "--fps", "25", "--quality", "preview"]  # fmt: skip
        done = processes.run("montage", [*run, "--cluster", "tls://scheduler:8786"])
        assert done.returncode == 0, done.stderr
        summary = json.loads((shared / "out.montage/summary.json").read_text())
        assert summary["cuts"]
        assert (shared / "out.mp4").stat().st_size > 10_000

        # Another key does not open this cluster.
        with pytest.raises(OSError, match=r"Timed out|certificate|SSL"):
            Client(f"tls://127.0.0.1:{port}", security=Security.temporary(), timeout=2)
