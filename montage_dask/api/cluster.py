"""`Cluster`: workers that stay while several jobs use them."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import weakref
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar, Self

from distributed import Client

from montage_dask.cluster.connect import attach, connect
from montage_dask.config import cluster_of, resolve
from montage_dask.errors import ClusterError, UsageError
from montage_dask.graph.placement import Capacity
from montage_dask.graph.workers import capacity_of

KUBERNETES_NAMES = ("namespace", "image", "cpu_workers", "gpu_workers", "cgpu_workers", "keep", "attach")  # fmt: skip
"""Options of a Kubernetes cluster that may be given without `kubernetes_` before them, as on the command line."""


@contextmanager
def around(what: Any) -> Iterator[Client]:
    """A synchronous client of an open `Cluster`, of a Dask client (sync or async), or of a Dask cluster.

    Raises:
        UsageError: it is none of them, or not open.
        ClusterError: its scheduler does not answer.
    """
    if isinstance(what, Cluster):
        yield what.client
    elif isinstance(what, Client) and not what.asynchronous:
        yield what
    elif isinstance(what, Client):
        # The work runs in threads of its own, so that it never holds up the event loop of that client.
        with attach(what.scheduler.address, what.security) as client:
            yield client
    elif getattr(what, "scheduler_address", None):
        with attach(what.scheduler_address, getattr(what, "security", None)) as client:
            yield client
    else:
        raise UsageError(
            f"a {type(what).__name__} is no cluster: give `local`, `kubernetes`, an address, a Dask client or a Dask cluster"
        )


class Cluster:
    """Workers for all that follows, until it is closed.

    While a cluster is open, every verb without `cluster=` of its own runs on the one opened last. Without any, each verb
    starts workers on this machine and stops them when it is done.

        with Cluster(n_workers=4) as cluster:
            Footage("clips/").analyse()

    In async code: `async with Cluster(asynchronous=True) as cluster: …`, or `cluster = await Cluster(asynchronous=True)`.

    Args:
        where: None (what the settings say, usually "local"), "local" (a worker per core, a dask-cuda worker per GPU),
            "kubernetes", the address of a scheduler
            ("tcp://host:8786"), a scheduler file, a Dask client (sync or async), or a Dask cluster object such as
            `dask_kubernetes.operator.KubeCluster(…)`. Where none of its workers has a resource tag, their threads count as CPU.
        otherwise: what to take instead when that cluster cannot be had, such as "local"; `why_otherwise` tells the reason.
        asynchronous: do not start before it is awaited or entered by `async with`.
        **options: settings such as `n_workers`; of Kubernetes `cpu_workers="0:8"`, `gpu_workers`, `namespace`, `image`, ….

    Raises:
        ClusterError: it cannot be had.
        UsageError: an option is wrong.
    """

    _open: ClassVar[list[weakref.ref[Cluster]]] = []

    def __init__(
        self,
        where: Any = None,
        *,
        otherwise: str | None = None,
        asynchronous: bool = False,
        **options: Any,
    ) -> None:
        self.where = (
            "" if where is None else where if isinstance(where, str) else type(where).__name__
        )
        """Where the workers are, for people."""
        self.why_otherwise: str | None = None
        """Why the workers are not where they were asked for; None when they are."""
        self._given, self._otherwise, self._options = where, otherwise, options
        self._client: Client | None = None
        self._stack = ExitStack()
        if where is None or isinstance(where, str):
            self.where = cluster_of(self._settings(where))  # a wrong option is told at once
        if not asynchronous:
            self._start()

    def _settings(self, where: str | None) -> Any:
        named = {
            f"kubernetes-{k.replace('_', '-')}" if k in KUBERNETES_NAMES else k.replace("_", "-"): v
            for k, v in self._options.items()
            if v is not None
        }
        if (where or resolve()["cluster"].value) != "kubernetes":
            named = {k: v for k, v in named.items() if not k.startswith("kubernetes-")}
        return resolve(named if where is None else {**named, "cluster": where})

    def _start(self) -> None:
        if self._client is not None:
            return
        try:
            self._client = self._told(self._given)
        except ClusterError as error:
            if self._otherwise is None:
                raise
            self.why_otherwise = str(error)
            self.where = self._otherwise
            self._client = self._told(self._otherwise)
        mine = weakref.ref(self)
        Cluster._open.append(mine)
        # A cluster on Kubernetes would outlive this process.
        atexit.register(_close, mine)

    def _told(self, where: Any) -> Client:
        """Connected; pods may take minutes, so a notebook tells that something is going on."""
        from montage_dask.notebook.live import Live, in_notebook

        if not (where is None or isinstance(where, str)) or not in_notebook():
            return self._connected(where)
        with Live(f"cluster {self.where}: starting workers", lambda: None):
            return self._connected(where)

    def _connected(self, where: Any) -> Client:
        if where is None or isinstance(where, str):
            return self._stack.enter_context(connect(self._settings(where)))
        return self._stack.enter_context(around(where))

    @classmethod
    def current(cls) -> Cluster | None:
        """The open cluster that was opened last."""
        found = [c for c in (r() for r in cls._open) if c is not None and c._client is not None]
        return found[-1] if found else None

    @property
    def client(self) -> Client:
        """A (synchronous) Dask client of it, for tasks of your own.

        Raises:
            UsageError: the cluster is closed, or was not awaited yet.
        """
        if self._client is None:
            raise UsageError("the cluster is not open")
        return self._client

    @property
    def dashboard(self) -> str:
        """Address of the Dask dashboard."""
        return str(self.client.dashboard_link)

    @property
    def capacity(self) -> Capacity:
        """The workers there are now, and the resource tags they offer."""
        return capacity_of(self.client)

    def close(self) -> None:
        """Stop what this started: workers of its own go, a cluster that stood before stays. Finished work is kept."""
        if self._client is None:
            return
        self._client = None
        Cluster._open = [r for r in Cluster._open if r() not in (None, self)]
        self._stack.close()

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._start)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)

    def __await__(self) -> Generator[Any, None, Self]:
        return self.__aenter__().__await__()

    def __repr__(self) -> str:
        if self._client is None:
            return f"<Cluster {self.where}: not open>"
        found = self.capacity
        tags = ", ".join(f"{k}={v:g}" for k, v in found.resources.items()) or "no resource tags"
        return (
            f"<Cluster {self.where}: {found.workers} workers, {tags}, dashboard {self.dashboard}>"
        )

    def _repr_html_(self) -> str:
        from montage_dask.notebook.cluster import cluster_html

        if self._client is None:
            return cluster_html(self.where, None, None, None)
        return cluster_html(self.where, self.dashboard, self.capacity, self.why_otherwise)


def _close(reference: weakref.ref[Cluster]) -> None:
    found = reference()
    if found is not None:
        with contextlib.suppress(Exception):
            found.close()
