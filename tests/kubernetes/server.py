"""The test's own view of the API server, and commands that run beside the test."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobs import Done, Material, environment

from montage_dask.cluster.background import Background
from montage_dask.cluster.kube import APPS, CORE, DASK, Kube, Refused
from montage_dask.cluster.kubernetes import quiet

PART = "app.kubernetes.io/part-of=montage-dask"
BESIDE = {"tests.montage-dask/beside": "true"}
"""Label of what a test itself puts beside the clusters."""

SHORT = ("--size", "192x108", "--fps", "25", "--quality", "preview", "--duration", "4")


class Server:
    """Blocking calls to the API server."""

    def __enter__(self) -> Server:
        self._background = Background("test").__enter__()
        self.at("default")
        return self

    def __exit__(self, *error: Any) -> None:
        self._background.__exit__(None, None, None)

    def at(self, namespace: str) -> Kube:
        with quiet():
            return self.call(Kube(namespace).open())

    def call(self, work: Any) -> Any:
        return self._background.run(work)

    @contextmanager
    def namespace(self, name: str, folder: Path | None) -> Iterator[Namespace]:
        """A namespace with a claim on a folder of this machine, or without any claim."""
        whole = self.at("default")
        whole.namespace = None  # type: ignore[assignment] - the whole cluster's objects
        self.call(whole.create(CORE, "namespaces", {"metadata": {"name": name}}))
        made = Namespace(self, name, folder)
        if folder is not None:
            self._claim(whole, made, folder)
        try:
            yield made
        finally:
            made.clear()
            self.call(whole.delete(CORE, f"namespaces/{name}"))
            if folder is not None:
                self.call(whole.delete(CORE, f"persistentvolumes/{name}"))

    def _claim(self, whole: Kube, made: Namespace, folder: Path) -> None:
        name = made.name
        volume = {
            "metadata": {"name": name},
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteMany"],
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "",
                "claimRef": {"namespace": name, "name": "montage"},
                "hostPath": {"path": str(folder)},
            },
        }
        self.call(whole.create(CORE, "persistentvolumes", volume))
        claim = {
            "metadata": {"name": "montage"},
            "spec": {
                "accessModes": ["ReadWriteMany"],
                "storageClassName": "",
                "volumeName": name,
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }
        self.call(made.kube.create(CORE, "persistentvolumeclaims", claim))


class Namespace:
    """One namespace, and jobs in it."""

    def __init__(self, server: Server, name: str, folder: Path | None) -> None:
        self.server, self.name, self._folder = server, name, folder
        self.kube = server.at(name)

    @property
    def folder(self) -> Path:
        """What the claim is here and in the pods."""
        assert self._folder is not None, "a namespace without a claim"
        return self._folder

    def list(self, version: str, plural: str, **selectors: str) -> list[dict[str, Any]]:
        return self.server.call(self.kube.list(version, plural, **selectors))

    def delete(self, version: str, path: str) -> None:
        self.server.call(self.kube.delete(version, path))

    def clear(self) -> None:
        """Take away what clusters have left behind."""
        if not self.remains():
            return
        for cluster in self.list(DASK, "daskclusters"):
            self.delete(DASK, f"daskclusters/{cluster['metadata']['name']}")
        with contextlib.suppress(
            AssertionError
        ):  # the next test that looks says what is still there
            eventually(lambda: not [r for r in self.remains() if not r.startswith("secrets/")], 60)
        for name in self.certificates():
            self.delete(CORE, f"secrets/{name}")

    def pods(self, component: str = "worker") -> list[dict[str, Any]]:
        found = self.list(CORE, "pods", labelSelector=f"dask.org/component={component}")
        return [p for p in found if not p["metadata"].get("deletionTimestamp")]

    def remains(self) -> list[str]:
        """What clusters have left behind."""
        kinds = [(DASK, "daskclusters"), (DASK, "daskworkergroups"), (APPS, "deployments")]
        kinds += [(APPS, "replicasets"), (CORE, "services"), (CORE, "pods"), (self.policy, "poddisruptionbudgets")]  # fmt: skip
        found = [
            f"{plural}/{i['metadata']['name']}"
            for version, plural in kinds
            for i in self.list(version, plural)
            if not (i["metadata"].get("labels") or {}).keys() & BESIDE.keys()
        ]
        return found + [f"secrets/{name}" for name in self.certificates()]

    def certificates(self) -> list[str]:
        """Names of the Secrets of clusters."""
        found = self.list(CORE, "secrets")
        return [s["metadata"]["name"] for s in found if s["metadata"]["name"].endswith("-tls")]

    @functools.cached_property
    def policy(self) -> str:
        """The version of the API of PodDisruptionBudgets: another one before Kubernetes 1.21."""
        for version in ("policy/v1", "policy/v1beta1"):
            with contextlib.suppress(Refused):
                self.list(version, "poddisruptionbudgets")
                return version
        raise AssertionError("no PodDisruptionBudgets")

    def environment(self, **extra: str) -> dict[str, str]:
        own = {"DASK_MONTAGE__KUBERNETES_NAMESPACE": self.name}
        if self._folder is not None:
            own["DASK_MONTAGE__KUBERNETES_FOLDER"] = str(self._folder)
        return environment(**own | extra)

    def start(self, material: Material, output: Path, *more: object, **extra: str) -> Running:
        """A montage on Kubernetes, beside the test."""
        command = (
            "run", material.footage, "--music", material.music, "-o", output, "--json", "-v", *SHORT,
            "--cluster", "kubernetes", *more,
        )  # fmt: skip
        return Running(command, self.environment(**extra))

    def command(self, *words: object, **extra: str) -> Done:
        """A command, to its end."""
        return Running(words, self.environment(**extra)).done()


class Running:
    """A command that runs: what it has said on stderr so far, and its end."""

    def __init__(self, words: tuple[object, ...], variables: Mapping[str, str]) -> None:
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "montage_dask", *map(str, words)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(variables),
        )  # fmt: skip
        self.said: list[tuple[float, str]] = []
        self._stdout: list[str] = []
        self._threads = [
            threading.Thread(target=self._listen, daemon=True),
            threading.Thread(target=self._read, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append((time.monotonic() - self.began, line.rstrip()))

    def _read(self) -> None:
        assert self.process.stdout is not None
        self._stdout.append(self.process.stdout.read())

    @property
    def stderr(self) -> str:
        return "\n".join(line for _, line in self.said)

    def says(self, pattern: str, seconds: float = 90) -> float:
        """Wait until a line matches: when it did, in seconds from the start."""
        found: list[float] = []

        def look() -> bool:
            found.extend(at for at, line in list(self.said) if re.search(pattern, line))
            return bool(found) or self.process.poll() is not None

        eventually(look, seconds)
        assert found, f"never said {pattern}:\n{self.stderr}"
        return found[0]

    def done(self, seconds: float = 240) -> Done:
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"does not end:\n{self.stderr}") from None
        for thread in self._threads:
            thread.join(10)
        return Done(code, "".join(self._stdout), self.stderr)

    def result(self) -> dict[str, Any]:
        """The JSON of a command that must have succeeded."""
        done = self.done()
        assert done.code == 0, done.stderr
        return dict(done.json)


def eventually(test: Callable[[], Any], seconds: float = 60, step: float = 0.3) -> Any:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not (found := test()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {test}"
        time.sleep(step)
    return found


def kubeconfig() -> dict[str, Any]:
    """The configuration in use; JSON is YAML."""
    import yaml

    text = Path(os.environ["KUBECONFIG"].split(os.pathsep)[0]).read_text()
    return dict(yaml.safe_load(text))


def write_json(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path
