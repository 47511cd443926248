"""What goes wrong in the middle of a job: to pods, processes, groups, the operator, and the way to the API server."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

from server import Namespace, kubeconfig

from montage_dask.cluster.kube import APPS, CORE, DASK
from montage_dask.cluster.specs import group_name


class Unreachable(Exception):
    """This cluster gives a test no way to do that."""


def only_cluster(namespace: Namespace) -> str:
    (cluster,) = namespace.list(DASK, "daskclusters")
    return str(cluster["metadata"]["name"])


def ready(namespace: Namespace) -> list[dict[str, Any]]:
    """Worker pods whose process runs."""
    return [p for p in namespace.pods() if p["status"].get("phase") == "Running"]


def main_process(pod: dict[str, Any]) -> int | None:
    """The process of a pod's container, by its number on this machine; None: it does not run.

    Raises:
        Unreachable: its node is not this machine.
    """
    for state in pod["status"].get("containerStatuses", ()):
        kind, _, pid = state.get("containerID", "").partition("://")
        if kind == "proc" and "running" in state.get("state", {}):
            return int(pid)
        if kind and kind != "proc":
            raise Unreachable("processes of pods cannot be reached on this cluster")
    return None


def kill_worker_process(namespace: Namespace) -> bool:
    """SIGKILL to the worker below a pod's nanny, as the kernel does without memory; whether there was one."""
    for pod in ready(namespace):
        main = main_process(pod)
        children = Path(f"/proc/{main}/task/{main}/children")
        found = children.read_text().split() if main else []
        for child in found:
            os.kill(int(child), signal.SIGKILL)
        if found:
            return True
    return False


def delete_worker_pod(namespace: Namespace) -> None:
    """An eviction: SIGTERM, the grace period, gone."""
    namespace.delete(CORE, f"pods/{ready(namespace)[0]['metadata']['name']}")


def delete_scheduler_pod(namespace: Namespace) -> None:
    (scheduler,) = namespace.pods("scheduler")
    namespace.delete(CORE, f"pods/{scheduler['metadata']['name']}")


def restart_operator(namespace: Namespace) -> None:
    """Its pod is deleted; the Deployment makes another."""
    operator = namespace.server.at("dask-operator")
    for pod in namespace.server.call(operator.list(CORE, "pods")):
        namespace.server.call(operator.delete(CORE, f"pods/{pod['metadata']['name']}"))


def delete_group_deployments(namespace: Namespace) -> None:
    """All workers of the CPU group, behind everybody's back."""
    label = f"dask.org/workergroup-name={group_name(only_cluster(namespace), 'cpu')}"
    for deployment in namespace.list(APPS, "deployments", labelSelector=label):
        namespace.delete(APPS, f"deployments/{deployment['metadata']['name']}")


def scale_group_to_zero(namespace: Namespace) -> None:
    """As `kubectl scale daskworkergroup … --replicas 0`, by somebody who does not know of the job."""
    path = f"daskworkergroups/{group_name(only_cluster(namespace), 'cpu')}"
    change = {"spec": {"worker": {"replicas": 0}}}
    namespace.server.call(namespace.kube.patch(DASK, path, change))


class Gate:
    """A way to the API server that can be closed.

    Raises:
        Unreachable: the server's certificate does not fit loopback.
    """

    def __init__(self) -> None:
        self._config = kubeconfig()
        server = self._config["clusters"][0]["cluster"]["server"]
        host, _, port = server.partition("://")[2].partition(":")
        if host != "127.0.0.1":
            raise Unreachable("the API server's certificate does not fit a gate on loopback")
        self._target = host, int(port or 443)
        self._open = True
        self._pairs: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def kubeconfig(self) -> dict[str, Any]:
        """The configuration of a client that goes through it."""
        self._config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{self._port}"
        return self._config

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
