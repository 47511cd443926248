"""A montage as a Job, from job.yaml: own ServiceAccount, own specs from a ConfigMap, DNS instead of a port-forward."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from jobs import Material
from server import SHORT, Namespace, eventually

from montage_dask.cluster.kube import CORE
from montage_dask.cluster.specs import PACKAGED

PLURALS = {"NetworkPolicy": "networkpolicies", "Ingress": "ingresses"}


def plural(manifest: Mapping[str, Any]) -> str:
    """What the API server calls objects of a manifest's kind."""
    return PLURALS.get(manifest["kind"], manifest["kind"].lower() + "s")


class Inside:
    """The Job."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace

    def client(self) -> dict[str, Any]:
        """Its pod."""
        (one,) = self._namespace.list(CORE, "pods", labelSelector="job-name=montage")
        return one

    def said(self) -> str:
        """What its present container has said."""
        path = f"pods/{self.client()['metadata']['name']}/log"
        return str(self._namespace.server.call(self._namespace.kube.text(path)))

    def succeed(self, seconds: float = 240) -> None:
        """Wait until it has."""
        try:
            status = eventually(self._ended, seconds)
        except AssertionError:
            raise AssertionError(self.said()) from None
        assert status.get("succeeded"), self.said()

    def _ended(self) -> dict[str, Any]:
        kube = self._namespace.kube
        status = self._namespace.server.call(kube.get("batch/v1", "jobs/montage")).get("status", {})
        return dict(status) if status.get("succeeded") or status.get("failed") else {}


@contextmanager
def launched_inside(
    namespace: Namespace,
    material: Material,
    out: Path,
    *words: str,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Inside]:
    """A Job that makes a montage; it is deleted at the end."""
    kube, call = namespace.kube, namespace.server.call
    names = ("cluster.yaml", "workers-gpu.yaml", "workers-cgpu.yaml", "disruption-budget.yaml", "kustomization.yaml")  # fmt: skip
    specs = {
        "apiVersion": CORE,
        "kind": "ConfigMap",
        "metadata": {"name": "montage-specs"},
        "data": {name: (PACKAGED / name).read_text() for name in names},
    }
    made = [*yaml.safe_load_all((PACKAGED / "rbac.yaml").read_text()), specs]
    for manifest in made:
        call(kube.create(manifest["apiVersion"], plural(manifest), manifest))
    job = yaml.safe_load((PACKAGED / "job.yaml").read_text())
    (container,) = job["spec"]["template"]["spec"]["containers"]
    container["args"] = [
        "python", "-m", "montage_dask", "run", str(material.footage), "--music", str(material.music),
        "-o", str(out), *SHORT, "--cluster", "kubernetes", "-v", *words,
    ]  # fmt: skip
    own = {"DASK_MONTAGE__KUBERNETES_FOLDER": str(namespace.folder), **(environment or {})}
    container["env"] += [{"name": k, "value": v} for k, v in own.items()]
    for mount in container["volumeMounts"]:
        if mount["name"] == "montage":
            mount["mountPath"] = str(namespace.folder)
    call(kube.create("batch/v1", "jobs", job))
    try:
        yield Inside(namespace)
    finally:
        for manifest in (job, *reversed(made)):
            path = f"{plural(manifest)}/{manifest['metadata']['name']}"
            namespace.delete(manifest["apiVersion"], path)
