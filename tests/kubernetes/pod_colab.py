"""A loopback Colab in a pod behind a Service, and what the cgpu group needs to reach it: a Secret, and a copy of the specs."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from server import BESIDE, Namespace, eventually

from montage_dask.cluster.kube import CORE
from montage_dask.cluster.specs import PACKAGED

PORT = 8080
CODE = Path(__file__).parents[1] / "cgpu"


@contextmanager
def colab_in_a_pod(namespace: Namespace) -> Iterator[Path]:
    """While it is open, cgpu workers of the specs in the yielded folder are signed in to it."""
    folder = namespace.folder / "colab"
    shutil.copytree(CODE, folder / "code", ignore=shutil.ignore_patterns("test_*", "__pycache__"))
    folder.chmod(0o777)
    binary = folder / "cgpu"
    binary.write_text(f'#!/bin/sh\nexec python3 -IS {folder}/code/cgpu_stand_in.py "$@"\n')
    binary.chmod(0o755)
    kube, call = namespace.kube, namespace.server.call
    service = {
        "metadata": {"name": "colab", "labels": BESIDE},
        "spec": {"selector": {"app": "colab"}, "ports": [{"name": "http", "port": PORT}]},
    }
    address = call(kube.create(CORE, "services", service))["spec"]["clusterIP"]
    url = f"http://{address}:{PORT}"
    try:
        call(kube.create(CORE, "pods", _pod(namespace, folder, url)))
        told = folder / "colab.json"
        eventually(told.exists, 90)
        call(kube.create(CORE, "secrets", _secret(folder / "config")))
        yield _specs(folder, url, json.loads(told.read_text())["runtime"])
    finally:
        for path in ("pods/colab", "services/colab", "secrets/montage-cgpu"):
            namespace.delete(CORE, path)
        eventually(lambda: call(kube.get(CORE, "pods/colab")) is None, 60)


def _pod(namespace: Namespace, folder: Path, url: str) -> dict[str, Any]:
    command = ["python3", f"{folder}/code/serve_colab.py", str(PORT), url, str(folder)]
    return {
        "metadata": {"name": "colab", "labels": {"app": "colab", **BESIDE}},
        "spec": {
            "terminationGracePeriodSeconds": 5,
            "containers": [
                {
                    "name": "colab",
                    "image": "montage-dask",
                    "command": command,
                    "ports": [{"name": "http", "containerPort": PORT}],
                    "volumeMounts": [{"name": "montage", "mountPath": str(namespace.folder)}],
                }
            ],
            "volumes": [{"name": "montage", "persistentVolumeClaim": {"claimName": "montage"}}],
        },
    }


def _secret(config: Path) -> dict[str, Any]:
    """As `kubectl create secret generic montage-cgpu --from-file=… --from-file=…` makes it."""
    files = (config / "config.json", config / "state" / "session.json")
    data = {f.name: base64.b64encode(f.read_bytes()).decode() for f in files}
    return {"metadata": {"name": "montage-cgpu"}, "type": "Opaque", "data": data}


def _specs(folder: Path, url: str, runtime: str) -> Path:
    """The specs with one patch more, as a user makes it: environment of the cgpu workers alone."""
    specs = folder / "specs"
    shutil.copytree(PACKAGED, specs)
    variables = {
        "CGPU_BIN": str(folder / "cgpu"),
        "NODE_EXTRA_CA_CERTS": str(folder / "authority.pem"),
        "HTTPS_PROXY": url,
        "https_proxy": url,
        "DASK_MONTAGE__CGPU_FOLDER": f"{runtime}/montage-dask",
        "DASK_MONTAGE__CGPU_PYTHON": "python3",
        "DASK_MONTAGE__CGPU_INSTALL": "off",
    }
    path = "/spec/worker/spec/containers/0/env/-"
    patch = [
        {"op": "add", "path": path, "value": {"name": k, "value": v}} for k, v in variables.items()
    ]
    target = {"kind": "DaskWorkerGroup", "name": "montage-cgpu"}
    sizes = specs / "kustomization.yaml"
    whole = yaml.safe_load(sizes.read_text())
    whole["patches"].append({"target": target, "patch": yaml.safe_dump(patch)})
    sizes.write_text(yaml.safe_dump(whole))
    return specs
