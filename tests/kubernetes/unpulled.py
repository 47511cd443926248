"""A node whose kubelet can pull no image: it says of every pod what a kubelet says then, and lets it go when it is deleted.

The test control plane's own node pulls no images at all; on any other cluster this one behaves the same.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from server import Namespace

from montage_dask.cluster.kube import CORE


@contextmanager
def node_without_images(namespace: Namespace) -> Iterator[str]:
    """The name of the node. Pods come to it by `nodeName`, so no Node object is needed."""
    name = f"no-images-{secrets.token_hex(3)}"
    over = threading.Event()
    thread = threading.Thread(target=_kubelet, args=(namespace, name, over), daemon=True)
    thread.start()
    try:
        yield name
    finally:
        over.set()
        thread.join(30)


def _kubelet(namespace: Namespace, node: str, over: threading.Event) -> None:
    kube, call = namespace.kube, namespace.server.call
    while not over.wait(0.3):
        for pod in namespace.list(CORE, "pods", fieldSelector=f"spec.nodeName={node}"):
            path = f"pods/{pod['metadata']['name']}"
            if pod["metadata"].get("deletionTimestamp"):
                # As a kubelet tells that a pod has ended; the product never does.
                call(kube._request("DELETE", CORE, path, {"gracePeriodSeconds": 0}, missing=None))
            elif "containerStatuses" not in pod["status"]:
                states = [_unpulled(c) for c in pod["spec"]["containers"]]
                call(kube.patch(CORE, f"{path}/status", {"status": {"containerStatuses": states}}))


def _unpulled(container: dict[str, Any]) -> dict[str, Any]:
    image = container["image"]
    message = (
        f'rpc error: code = NotFound desc = failed to pull and unpack image "{image}": failed to resolve reference "{image}": '
        f"{image}: not found"
    )
    return {
        "name": container["name"],
        "image": image,
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": {"waiting": {"reason": "ErrImagePull", "message": message}},
    }
