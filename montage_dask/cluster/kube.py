"""The Kubernetes API server, as far as this project needs it: plain JSON, errors as one line, short outages waited out."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import os
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from montage_dask.errors import ClusterError, UsageError

log = logging.getLogger(__name__)

OUTAGE_SECONDS = 60.0
"""How long the API server may be away before a request gives up."""

RETRY_SECONDS = 1.0
REQUEST_SECONDS = 20.0

MERGE = "application/merge-patch+json"

DASK = "kubernetes.dask.org/v1"
APPS = "apps/v1"
CORE = "v1"

Object = dict[str, Any]


ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes puts the token of a pod's account, and the name of its namespace."""


def inside() -> bool:
    """Whether this process is in a pod: then names of services resolve, and no port-forward is needed."""
    return "KUBERNETES_SERVICE_HOST" in os.environ and (ACCOUNT / "token").exists()


class Kube:
    """One namespace of one API server. Used within one event loop.

    Args:
        namespace: None: that of the current context or, inside, of the pod.
        outage_seconds: how long the API server may be away.
    """

    def __init__(self, namespace: str | None, outage_seconds: float = OUTAGE_SECONDS) -> None:
        self._wanted = namespace
        self._outage_seconds = outage_seconds
        self._api: Any = None
        self.namespace = namespace or ""

    async def open(self) -> Kube:
        """Find the API server.

        Raises:
            UsageError: its client is not installed.
            ClusterError: there is no configuration, or it is refused.
        """
        if importlib.util.find_spec("dask_kubernetes") is None:
            raise UsageError("Kubernetes needs its clients: pip install 'montage-dask[kubernetes]'")
        import kr8s

        try:
            with warnings.catch_warnings():
                # Works with the versions that it does not name, too.
                warnings.filterwarnings("ignore", message="Kubernetes version")
                self._api = await asyncio.wait_for(kr8s.asyncio.api(), REQUEST_SECONDS)
        except Exception as error:  # kr8s has no common base, and reads files and starts programs
            raise ClusterError(
                f"no Kubernetes cluster: {_line(error)}; set KUBECONFIG, or log in to your cluster (`kubectl get pods` must work)"
            ) from error
        self.namespace = self._wanted or str(self._api.namespace)
        own = ACCOUNT / "namespace"
        if not self._wanted and inside() and "KUBECONFIG" not in os.environ and own.exists():
            self.namespace = own.read_text().strip()  # kr8s takes `default` here
        return self

    async def get(self, version: str, path: str) -> Object | None:
        """An object of the namespace ("pods/x"), or None."""
        return await self._request("GET", version, path, missing=None)

    async def list(self, version: str, plural: str, **selectors: str) -> list[Object]:
        """Objects of the namespace.

        Args:
            version: as in `apiVersion`.
            plural: such as pods.
            **selectors: labelSelector, fieldSelector.
        """
        found = await self._request("GET", version, plural, params=selectors)
        assert found is not None
        return list(found["items"])

    async def create(
        self, version: str, plural: str, manifest: Object, *, dry_run: bool = False
    ) -> Object:
        """Make an object.

        Raises:
            ClusterError: it is refused; says by what.
        """
        params = {"dryRun": "All"} if dry_run else {}
        made = await self._request("POST", version, plural, manifest, params=params)
        assert made is not None
        return made

    async def patch(self, version: str, path: str, change: Object) -> Object | None:
        """Merge a change into an object; None when it is gone."""
        return await self._request("PATCH", version, path, change, missing=None)

    async def delete(self, version: str, path: str) -> None:
        """Remove an object and what it owns; one that is gone is no error."""
        options = {"propagationPolicy": "Background"}
        await self._request("DELETE", version, path, options, missing=None)

    async def text(self, path: str, **params: str) -> str:
        """Something that is no JSON: logs."""
        async with self._api.call_api(
            "GET", version=CORE, namespace=self.namespace, url=path, params=params
        ) as answer:
            return str(answer.text)

    async def _request(
        self,
        method: str,
        version: str,
        path: str,
        body: Object | None = None,
        *,
        params: Mapping[str, str] | None = None,
        missing: Any = ...,
    ) -> Object | None:
        import httpx
        import kr8s

        options: dict[str, Any] = {"params": dict(params or {}), "timeout": REQUEST_SECONDS}
        if body is not None:
            options["content"] = json.dumps(body)
            kind = MERGE if method == "PATCH" else "application/json"
            options["headers"] = {"Content-Type": kind}
        deadline = time.monotonic() + self._outage_seconds
        while True:
            try:
                async with self._api.call_api(
                    method, version=version, namespace=self.namespace, url=path, **options
                ) as answer:
                    return dict(answer.json())
            except kr8s.ServerError as error:
                status = error.response.status_code if error.response is not None else 0
                if status == 404 and missing is not ...:
                    return None
                # Too many requests, or a server that starts or stops: worth waiting for.
                if status != 429 and status < 500:
                    raise refused(status, str(error), self.namespace, path) from error
                failure: Exception = error
            except (httpx.TransportError, kr8s.APITimeoutError, OSError) as error:
                failure = error
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"the Kubernetes API server did not answer for {self._outage_seconds:.0f} s: {_line(failure)}"
                ) from failure
            log.debug("API server: %r", failure)
            await asyncio.sleep(RETRY_SECONDS)


class Refused(ClusterError):
    """The API server said no.

    Args:
        message: for people.
        status: of HTTP.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.args = (message, status)
        self.status = status

    def __str__(self) -> str:
        return str(self.args[0])


def refused(status: int, message: str, namespace: str, path: str) -> Refused:
    """What to do about an answer of the API server."""
    what = path.split("/")[0]
    if status in (401, 403):
        advice = f"Kubernetes does not let you: {message}; bind the Role in rbac.yaml to your account in namespace {namespace}"
    elif status == 404 and "namespace" in message:
        advice = f"{message}: create namespace {namespace}, or name another by --namespace"
    elif status == 404 and what.startswith("dask"):
        advice = (
            "Kubernetes does not know Dask clusters: install the operator (helm install --repo https://helm.dask.org "
            "--create-namespace -n dask-operator --generate-name dask-kubernetes-operator)"
        )
    else:
        advice = f"Kubernetes refuses {what}: {message}"
    return Refused(" ".join(advice.split()), status)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def selector(cluster: str, **more: str) -> str:
    """The label selector of a cluster's objects.

    Args:
        cluster: its name.
        **more: component (scheduler, worker), `workergroup_name`.
    """
    labels = {"cluster-name": cluster, **{k.replace("_", "-"): v for k, v in more.items()}}
    return ",".join(f"dask.org/{k}={v}" for k, v in labels.items())
