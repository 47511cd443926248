"""Whatever listens at the address of a scheduler, the answer comes soon, in one line, and says what it is."""

from __future__ import annotations

import http.server
import importlib.util
import json
import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from distributed import LocalCluster

from montage_dask.cluster import preflight
from montage_dask.cluster.connect import connect
from montage_dask.config import resolve
from montage_dask.errors import ClusterError


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """The same code with shorter time-outs."""
    monkeypatch.setattr(preflight, "CONNECT_SECONDS", 2)
    monkeypatch.setattr(preflight, "HTTP_SECONDS", 1.0)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0"
    ) as started:
        yield started


def failure(where: str) -> str:
    """What `--cluster WHERE` says."""
    began = time.monotonic()
    with pytest.raises(ClusterError) as caught, connect(resolve({"cluster": where})):
        pass
    assert time.monotonic() - began < 10
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def speaking(request) -> Iterator[str]:
    """A server that accepts, says something at once, and then nothing."""
    server, held = socket.create_server(("127.0.0.1", 0)), []

    def serve() -> None:
        while True:
            try:
                line, _ = server.accept()
            except OSError:
                return
            line.sendall(request.param)
            held.append(line)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()
    for line in held:
        line.close()


@pytest.mark.parametrize("speaking", [b""], indirect=True)
def test_a_mute_server_is_named(speaking):
    assert "does not answer as a Dask scheduler does within 2 s" in failure(speaking)


@pytest.mark.parametrize(
    "speaking",
    [b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n", b"220 mail.example ESMTP\r\n", b"\xff" * 64, bytes(64)],
    indirect=True,
)
def test_another_programs_words_are_no_scheduler(speaking):
    assert "Dask scheduler" in failure(speaking)


def test_a_web_server_is_named():
    class Quiet(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        where = f"tcp://127.0.0.1:{server.server_address[1]}"
        assert failure(where).endswith("is a web server, not a Dask scheduler")
        assert "is not the dashboard" in failure(where.replace("tcp", "http"))
        server.shutdown()


def test_a_dashboard_tells_where_its_scheduler_is(cluster):
    port = cluster.scheduler.services["dashboard"].port
    said = failure(f"tcp://127.0.0.1:{port}")
    assert "is the dashboard of a Dask cluster, not its scheduler" in said
    assert said.endswith(cluster.scheduler_address)
    assert preflight.scheduler_of(f"http://127.0.0.1:{port}/") == cluster.scheduler_address


def test_workers_and_nannies_are_no_schedulers(cluster):
    (worker,) = cluster.scheduler.workers
    (nanny,) = (n.address for n in cluster.workers.values())
    assert "is a worker of a Dask cluster" in failure(worker)
    assert "is a nanny of a Dask cluster" in failure(nanny)


def test_a_scheduler_is_taken_by_address_and_by_file(cluster, tmp_path):
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"address": cluster.scheduler_address}))
    for where in (cluster.scheduler_address, str(file)):
        with connect(resolve({"cluster": where})) as client:
            assert client.scheduler.address == cluster.scheduler_address


@pytest.mark.parametrize(
    ("content", "telling"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"tcp://127.0.0.1:8786", "it is not JSON"),
        (b"\xff\xfe\x00", "it is not JSON"),
        (b'{"address": null}', "it names no address"),
        (b'{"address": 8786}', "it names no address"),
        (b'{"address": ["tcp://127.0.0.1:1"]}', "it names no address"),
        (b'{"id": "Scheduler"}', "it names no address"),
        (b'["tcp://127.0.0.1:8786"]', "it names no address"),
        (b"null", "it names no address"),
        (b"[" * 100_000, "it is not JSON"),
    ],
)
def test_damaged_scheduler_files_are_one_line(tmp_path, content, telling):
    file = tmp_path / "scheduler.json"
    file.write_bytes(content)
    assert telling in failure(str(file))


def test_a_scheduler_file_that_cannot_be_read_is_one_line(tmp_path):
    file = tmp_path / "scheduler.json"
    file.write_text("{}")
    file.chmod(0)
    if os.access(file, os.R_OK):
        pytest.skip("root may read everything")
    assert "cannot be read" in failure(str(file))


def test_a_server_that_drips_is_not_waited_for():
    """Each byte of its head comes in time for a time-out per byte."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        line, _ = server.accept()
        with line:
            try:
                for _ in range(100):
                    line.sendall(b"H")
                    time.sleep(0.1)
            except OSError:
                return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert "is not the dashboard" in failure(f"http://127.0.0.1:{server.getsockname()[1]}")
    thread.join()
    server.close()


def test_all_of_it_is_bounded():
    fresh = importlib.util.module_from_spec(preflight.__spec__)
    preflight.__spec__.loader.exec_module(fresh)  # as it is without the shorter time-outs
    assert fresh.CONNECT_SECONDS + fresh.HTTP_SECONDS <= 20


def test_a_worker_refuses_a_dashboard_but_not_a_scheduler_to_come(cluster):
    port = cluster.scheduler.services["dashboard"].port
    with pytest.raises(ClusterError, match="is the dashboard"):
        preflight.refuse_others(f"tcp://127.0.0.1:{port}")
    with socket.create_server(("127.0.0.1", 0)) as free:
        later = free.getsockname()[1]
    preflight.refuse_others(f"tcp://127.0.0.1:{later}")
