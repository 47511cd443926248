"""A real S3 server (moto's) in a pod, with a bucket: pods reach it by its Service, this machine by a port-forward."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from s3_server import Bucket
from server import BESIDE, Namespace, eventually

from montage_dask.cluster.kube import CORE
from montage_dask.cluster.kubernetes import quiet

PORT = 5000


@contextmanager
def bucket_in_a_pod(namespace: Namespace) -> Iterator[Bucket]:
    """While it is open, pods have its keys by the Secret, and this machine by the environment of the bucket."""
    kube, call = namespace.kube, namespace.server.call
    keys = {
        "AWS_ACCESS_KEY_ID": f"id-{secrets.token_hex(6)}",
        "AWS_SECRET_ACCESS_KEY": f"key-{secrets.token_hex(12)}",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    service = {
        "metadata": {"name": "s3", "labels": BESIDE},
        "spec": {"selector": {"app": "s3"}, "ports": [{"name": "http", "port": PORT}]},
    }
    secret = {
        "metadata": {"name": "montage-storage"},
        "stringData": {**keys, "AWS_ENDPOINT_URL": f"http://s3.{namespace.name}.svc:{PORT}"},
    }
    call(kube.create(CORE, "services", service))
    call(kube.create(CORE, "secrets", secret))
    call(kube.create(CORE, "pods", _pod()))

    def ready() -> bool:
        status = call(kube.get(CORE, "pods/s3"))["status"]
        return any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ()))  # fmt: skip

    try:
        eventually(ready, 90)
        forward = call(_forward(namespace.name))
        bucket = Bucket(
            f"films-{secrets.token_hex(4)}",
            {
                **keys,
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{forward.local_port}",
                "AWS_CONFIG_FILE": "/dev/null",
                "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
                "AWS_EC2_METADATA_DISABLED": "true",
            },
        )
        try:
            bucket._fs().mkdir(bucket.name)
            yield bucket
        finally:
            call(forward.stop())
    finally:
        for path in ("pods/s3", "services/s3", "secrets/montage-storage"):
            namespace.delete(CORE, path)
        eventually(lambda: call(kube.get(CORE, "pods/s3")) is None, 60)


def _pod() -> dict[str, Any]:
    return {
        "metadata": {"name": "s3", "labels": {"app": "s3", **BESIDE}},
        "spec": {
            "terminationGracePeriodSeconds": 2,
            "containers": [
                {
                    "name": "s3",
                    "image": "montage-dask",
                    "command": ["python", "-m", "moto.server", "-H", "0.0.0.0", "-p", str(PORT)],
                    # The name of the Service is no bucket's.
                    "env": [{"name": "S3_IGNORE_SUBDOMAIN_BUCKETNAME", "value": "true"}],
                    "ports": [{"name": "http", "containerPort": PORT}],
                    "readinessProbe": {"httpGet": {"port": "http", "path": "/moto-api/"}, "periodSeconds": 1},
                }
            ],
        },
    }  # fmt: skip


async def _forward(namespace: str) -> Any:
    from kr8s.asyncio.objects import Pod

    with quiet():
        forward = (await Pod.get("s3", namespace=namespace)).portforward(PORT, local_port="auto")
        await forward.start()
    return forward
