"""What breaks in the middle of a job costs time, not the job: the video is that of a quiet run, and nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jobs import Material
from server import Namespace, Running, eventually, kubeconfig, write_json

from montage_dask.cluster.kube import APPS, CORE, DASK
from montage_dask.render.verify import frames_hash


def finish(run: Running, namespace: Namespace, out: Path, reference: str) -> None:
    run.result()
    assert frames_hash(out) == reference
    assert namespace.remains() == []


def ready(namespace: Namespace) -> list[dict[str, Any]]:
    """Workers whose process runs."""
    return [p for p in namespace.pods() if p["status"].get("phase") == "Running"]


def kill_worker_process(namespace: Namespace) -> str:
    """SIGKILL to the worker below a pod's nanny, as the kernel does without memory."""
    for pod in ready(namespace):
        for state in pod["status"].get("containerStatuses", ()):
            kind, _, main = state.get("containerID", "").partition("://")
            if kind == "proc":
                children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
                for child in children:
                    os.kill(int(child), signal.SIGKILL)
                if children:
                    return str(pod["metadata"]["name"])
            elif kind:
                pytest.skip("processes of pods cannot be reached on this cluster")
    return ""


def test_pods_processes_groups_and_the_operator(
    namespace: Namespace, material: Material, out: Path, reference: str
) -> None:
    run = namespace.start(material, out, "--cpu-workers", "2:2")
    run.says(r"^probe: 3 clips")
    eventually(lambda: kill_worker_process(namespace), 60)
    run.says(r"^strip: \d+ windows")
    (cluster,) = namespace.list(DASK, "daskclusters")
    name = cluster["metadata"]["name"]
    victim = namespace.pods()[0]["metadata"]["name"]
    namespace.delete(CORE, f"pods/{victim}")
    operator = namespace.server.at("dask-operator")
    for pod in namespace.server.call(operator.list(CORE, "pods")):
        namespace.server.call(operator.delete(CORE, f"pods/{pod['metadata']['name']}"))
    # The whole group, behind everybody's back: the scaler brings it back.
    for deployment in namespace.list(APPS, "deployments", labelSelector=f"dask.org/workergroup-name={name}-default"):  # fmt: skip
        namespace.delete(APPS, f"deployments/{deployment['metadata']['name']}")
    finish(run, namespace, out, reference)


def test_a_killed_client(
    namespace: Namespace, material: Material, out: Path, reference: str
) -> None:
    run = namespace.start(material, out, "--cpu-workers", "1:1")
    run.says(r"^probe: 3/3")
    run.process.kill()
    run.process.wait()
    assert namespace.list(DASK, "daskclusters")
    again = namespace.start(material, out, "--cpu-workers", "1:1")
    again.says("has lost its client")
    result = again.result()
    assert frames_hash(out) == reference
    probe = next(o for o in result["operations"] if o["name"] == "probe")
    assert probe["reused"] == 3
    eventually(lambda: namespace.remains() == [], 60)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_client_cleans_up(
    namespace: Namespace, material: Material, out: Path, sign: signal.Signals
) -> None:
    run = namespace.start(material, out, "--cpu-workers", "1:1")
    run.says(r"^probe: 3 clips")
    run.process.send_signal(sign)
    done = run.done(60)
    assert done.code == 130
    assert "interrupted" in done.stderr
    assert namespace.remains() == []


def test_a_lost_scheduler(
    namespace: Namespace, material: Material, out: Path, reference: str
) -> None:
    run = namespace.start(material, out, "--cpu-workers", "1:1")
    run.says(r"^probe: 3/3")
    (scheduler,) = namespace.pods("scheduler")
    namespace.delete(CORE, f"pods/{scheduler['metadata']['name']}")
    done = run.done()
    if done.code != 0:  # said so, and goes on when run again
        assert "run the same command again" in done.stderr
        assert namespace.remains() == []
        run = namespace.start(material, out, "--cpu-workers", "1:1")
    finish(run, namespace, out, reference)


class Gate:
    """A way to the API server that can be closed."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._open = True
        self._pairs: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if not self._open:
                near.close()
                continue
            far = socket.create_connection(self._target)
            self._pairs += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(1 << 16):
                sink.sendall(data)
        except OSError:
            pass
        finally:
            source.close()
            sink.close()

    def shut(self, seconds: float) -> None:
        self._open = False
        for end in self._pairs:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._pairs.clear()
        time.sleep(seconds)
        self._open = True

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def gate() -> Iterator[Gate]:
    server = kubeconfig()["clusters"][0]["cluster"]["server"]
    host, _, port = server.partition("://")[2].partition(":")
    if host != "127.0.0.1":
        pytest.skip("the API server's certificate does not fit a gate on loopback")
    made = Gate(host, int(port or 443))
    yield made
    made.close()


def test_an_api_server_that_is_away_for_20_seconds(
    namespace: Namespace, material: Material, out: Path, reference: str, gate: Gate, tmp_path: Path
) -> None:
    """Outside the cluster the way to the scheduler leads through it, too."""
    config = kubeconfig()
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{gate.port}"
    path = write_json(tmp_path / "kubeconfig", config)
    run = namespace.start(material, out, "--cpu-workers", "1:1", KUBECONFIG=str(path))
    run.says(r"^probe: 3 clips")
    eventually(lambda: ready(namespace), 60)
    gate.shut(20)
    finish(run, namespace, out, reference)
