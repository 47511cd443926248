"""Nobody speaks to a scheduler that anybody may be: open lines beyond this machine are refused, and job files name none."""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from distributed import Scheduler
from makers import write_wav

from montage_dask.cluster.connect import connect
from montage_dask.cluster.openness import listening_here, refuse_open
from montage_dask.config import resolve
from montage_dask.errors import ClusterError

BEYOND = "beyond this machine"


@pytest.mark.parametrize(
    "address",
    ["tcp://192.0.2.1:8786", "192.0.2.1:8786", "tcp://[2001:db8::1]:8786", "ws://192.0.2.1:80", "ucx://192.0.2.1:1",
        "tcp://0.0.0.0:8786", "tcp://[::]:8786", "tcp://no-such-host.invalid:8786", "tcp://localhost.invalid:1", "tcp://",
        "tcp://127.0.0.1@192.0.2.1:8786", "tcp://user:pw@192.0.2.1:1", "unknown://127.0.0.1.evil.example:1", "TCP://192.0.2.1:1"],
)  # fmt: skip
def test_open_addresses_beyond_this_machine_are_refused(address):
    with pytest.raises(ClusterError, match=BEYOND) as caught:
        refuse_open(address, insecure=False)
    assert "\n" not in str(caught.value)
    refuse_open(address, insecure=True)


@pytest.mark.parametrize(
    "address",
    ["tls://192.0.2.1:8786", "tcp://127.0.0.1:8786", "tcp://localhost:8786", "tcp://[::1]:8786", "tcp://127.9.9.9:1",
        "inproc://192.0.2.1/1/1", "127.0.0.1:8786", "wss://192.0.2.1:1"],
)  # fmt: skip
def test_encrypted_lines_and_loopback_are_not(address):
    refuse_open(address, insecure=False)


def test_names_count_by_their_addresses(monkeypatch):
    def found(*addresses: str):
        families = [socket.AF_INET6 if ":" in a else socket.AF_INET for a in addresses]
        return lambda *_, **__: [
            (f, socket.SOCK_STREAM, 6, "", (a, 0)) for f, a in zip(families, addresses, strict=True)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", found("127.0.0.1", "::1"))
    refuse_open("tcp://mine:1", insecure=False)
    monkeypatch.setattr(socket, "getaddrinfo", found("127.0.0.1", "192.0.2.1"))
    with pytest.raises(ClusterError, match=BEYOND):
        refuse_open("tcp://mine:1", insecure=False)


def serving(body: bytes) -> Iterator[str]:
    """A web server on loopback that says the same to all."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def liar() -> Iterator[str]:
    """A dashboard that says that its scheduler is elsewhere."""
    yield from serving(b'{"address": "tcp://192.0.2.1:8786"}')


def test_files_and_dashboards_lead_to_no_open_address(tmp_path, liar):
    file = tmp_path / "scheduler.json"
    file.write_text('{"address": "tcp://192.0.2.1:8786"}')
    for where in ("tcp://192.0.2.1:8786", str(file), liar):
        with pytest.raises(ClusterError, match=BEYOND), connect(resolve({"cluster": where})):
            pass


def run(*arguments: object, folder: Path | None = None, **environment: str):
    own = {k: v for k, v in os.environ.items() if k != "COORDINATOR_URL"}
    return subprocess.run(
        [sys.executable, "-P", "-m", "montage_dask", *map(str, arguments)],
        capture_output=True, text=True, timeout=100, env={**own, **environment}, cwd=folder, check=False,
    )  # fmt: skip


def test_workers_join_no_open_address(tmp_path, liar):
    file = tmp_path / "scheduler.json"
    file.write_text('{"address": "tcp://192.0.2.1:8786"}')
    for given in (
        ["--scheduler", "tcp://192.0.2.1:8786"], ["--scheduler", "192.0.2.1:8786"], ["--scheduler", liar],
        ["--scheduler-file", file],
    ):  # fmt: skip
        done = run("worker", *given)
        assert (done.returncode, BEYOND in done.stderr) == (1, True), (given, done.stderr)
        assert len(done.stderr.splitlines()) == 1
    done = run("worker", DASK_SCHEDULER_ADDRESS="tcp://192.0.2.1:8786")
    assert BEYOND in done.stderr


def test_the_ports_of_a_worker_are_its_own():
    here, there = "tcp://127.0.0.1:8786", "tls://192.0.2.1:8786"
    inside = ["--dashboard-address", "127.0.0.1:0"]
    assert listening_here(here, []) == [*inside, "--host", "127.0.0.1"]
    assert listening_here(there, []) == inside
    assert listening_here("tcp://192.0.2.1:8786", []) == inside
    assert listening_here(here, ["--dashboard-address=:8788", "--host", "10.0.0.1"]) == []
    assert listening_here(here, ["--interface", "lo"]) == inside


class Payload:
    """What unpickling it does."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def attacker(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A scheduler whose answers run code in its clients."""
    mark, told = tmp_path / "code-ran", threading.Event()
    address: list[str] = []
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with Scheduler(
            host="127.0.0.1", port=0, dashboard_address="127.0.0.1:0"
        ) as scheduler:

            async def versions(*_: object, **__: object) -> Payload:
                return Payload(mark)

            scheduler.handlers["versions"] = versions
            address.append(scheduler.address)
            told.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert told.wait(30)
    yield address[0], mark
    loop.call_soon_threadsafe(stop.set)
    thread.join(30)


def test_a_received_job_file_runs_nobodys_code(attacker, tmp_path):
    address, mark = attacker
    (tmp_path / "a.mp4").write_bytes(b"x")
    write_wav(tmp_path / "t.wav", np.zeros(22_050))
    job = tmp_path / "job.yaml"
    job.write_text(json.dumps({"footage": "a.mp4", "music": "t.wav", "cluster": address}))
    for command in ("run", "plan"):
        done = run(command, job, folder=tmp_path)
        assert done.returncode == 2
        assert "cluster cannot be set by a job file" in done.stderr
        assert not mark.exists()
    # It is a real attack: who says that the file is his own is in its hands.
    command = [sys.executable, "-P", "-m", "montage_dask", "run", str(job), "--trust-job", "-q"]
    fallen = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not mark.exists() and fallen.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        fallen.kill()
        fallen.wait()
    assert mark.exists()
