"""A connected client: of an embedded cluster on this machine, or of a running one."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
from distributed import Client

from montage_dask.cluster.local import local
from montage_dask.config import Setting
from montage_dask.errors import ClusterError, printable

CONNECT_SECONDS = 15

CONFIGURATION = {
    # A worker that dies costs its tasks one attempt each; three are soon used up on spot machines.
    "distributed.scheduler.allowed-failures": 10,
    # A task that no worker can take must fail, not wait for ever.
    "distributed.scheduler.no-workers-timeout": "120s",
    # Looking at the stacks 100 times a second takes up to a fifth of a small job; this is enough for the dashboard.
    "distributed.worker.profile.interval": "200ms",
    "distributed.worker.profile.cycle": "2s",
    # Idle processes of a cluster took a seventh of a core for looking at themselves; so it is a twenty-fifth.
    "distributed.worker.memory.monitor-interval": "500ms",
    "distributed.admin.tick.interval": "200ms",
    "distributed.admin.system-monitor.interval": "1s",
    "distributed.comm.timeouts.connect": f"{CONNECT_SECONDS}s",
    "distributed.admin.log-format": "%(asctime)s %(name)s %(levelname)s %(message)s",
}


@contextmanager
def connect(settings: Mapping[str, Setting]) -> Iterator[Client]:
    """A client of the cluster that the settings name; closes on exit what it started.

    Raises:
        ClusterError: the cluster cannot be reached, or speaks another version.
    """
    where = settings["cluster"].value
    if (
        settings["distributed-mode"].value
        and where == "local"
        and settings["coordinator-url"].value
    ):
        where = settings["coordinator-url"].value
    with dask.config.set(CONFIGURATION), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Port .* is already in use")
        if where == "local":
            with local(settings) as client:
                yield client
        elif where == "kubernetes":
            # Imported here: it brings dask-kubernetes and the API server's client.
            from montage_dask.cluster.kubernetes import kubernetes

            with kubernetes(settings) as client:
                yield client
        else:
            with _remote(where) as client:
                yield client


@contextmanager
def _remote(where: str) -> Iterator[Client]:
    name = printable(where)
    options: dict[str, Any] = {"timeout": CONNECT_SECONDS}
    if where.startswith(("http://", "https://")):
        options["address"] = scheduler_of(where)
    elif "://" in where:
        options["address"] = where
    elif Path(where).is_file():
        options["scheduler_file"] = where
    else:
        raise ClusterError(
            f"--cluster {name}: not `local`, `kubernetes`, an address such as tcp://host:8786, or a scheduler file"
        )
    try:
        client = Client(**options)
    except (OSError, TimeoutError, ValueError, KeyError) as error:
        raise ClusterError(
            f"no Dask scheduler answers at {name}: is it running? ({error})"
        ) from error
    with client:
        try:
            client.get_versions(check=True)
        except ValueError as error:
            raise ClusterError(f"{name}: client and cluster differ in versions: {error}") from error
        yield client


def scheduler_of(url: str) -> str:
    """The scheduler's address behind the http address of its dashboard.

    Raises:
        ClusterError: nothing there tells one.
    """
    try:
        with urllib.request.urlopen(
            url.rstrip("/") + "/json/identity.json", timeout=CONNECT_SECONDS
        ) as answer:
            address = json.load(answer)["address"]
    except (OSError, ValueError, KeyError) as error:
        raise ClusterError(
            f"{printable(url)} is not the dashboard of a Dask scheduler: {error}"
        ) from error
    return str(address)
