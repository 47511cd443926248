"""A connected client: of an embedded cluster on this machine, or of a running one."""

from __future__ import annotations

import json
import logging
import os
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
from distributed import Client, LocalCluster

from montage_dask.config import Setting
from montage_dask.errors import ClusterError, printable

log = logging.getLogger(__name__)

CONNECT_SECONDS = 15

CONFIGURATION = {
    # A worker that dies costs its tasks one attempt each; three are soon used up on spot machines.
    "distributed.scheduler.allowed-failures": 10,
    # A task that no worker can take must fail, not wait for ever.
    "distributed.scheduler.no-workers-timeout": "120s",
    "distributed.comm.timeouts.connect": f"{CONNECT_SECONDS}s",
    "distributed.admin.log-format": "%(asctime)s %(name)s %(levelname)s %(message)s",
}


def usable_cores() -> int:
    """Cores that this process may run on (containers and taskset respected)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
            with _local(settings) as client:
                yield client
        else:
            with _remote(where) as client:
                yield client


@contextmanager
def _local(settings: Mapping[str, Setting]) -> Iterator[Client]:
    """Worker processes of one slot each: a window's Python does not wait for another's, and slots × threads = cores."""
    workers = settings["n-workers"].value or usable_cores()
    try:
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=settings["memory-limit"].value,
            resources={"CPU": 1},
            host="127.0.0.1",
            dashboard_address="127.0.0.1:8787",
            # Anyone who reaches an open scheduler can run code: also on a shared machine's loopback.
            security=True,
            silence_logs=logging.CRITICAL,
        )
    except (OSError, RuntimeError, TimeoutError) as error:
        raise ClusterError(f"cannot start {workers} local workers: {error}") from error
    try:
        with Client(cluster) as client:
            yield client
    finally:
        # What became of the job is known by now: a worker that is slow to end must not hide it.
        try:
            cluster.close()
        except (TimeoutError, OSError, RuntimeError):
            log.warning("the local cluster did not close in time", exc_info=True)


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
            f"--cluster {name}: not `local`, an address such as tcp://host:8786, or a scheduler file"
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
