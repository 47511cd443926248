"""A cluster on this machine: a CPU worker per core, a dask-cuda worker per GPU where there are any, a cgpu worker if wanted."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

import dask
from distributed import Client, LocalCluster, Nanny

from montage_dask.cluster import allocator
from montage_dask.config import ENVIRONMENT, Setting
from montage_dask.devices import MEGABYTE, count_gpus
from montage_dask.errors import ClusterError

log = logging.getLogger(__name__)

CGPU_SLOTS = 32
"""Requests that a cgpu worker holds at once. They wait in threads for one remote machine, which gets them in bundles."""

HOSTS = "montage_dask.dashboard.hosts"
"""The preload of schedulers and workers by which their HTTP servers answer to their own names only."""

STARTING_SECONDS = 60
"""How long workers may take to join."""

CLOSING_SECONDS = 40.0
"""How long a cluster may take to end."""


def usable_cores() -> int:
    """Cores that this process may run on (containers and taskset respected)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def local(settings: Mapping[str, Setting]) -> Iterator[Client]:
    """Worker processes of one slot each: a window's Python does not wait for another's, and slots × threads = cores.

    A GPU that cannot be used is no reason to fail: then the CPU workers are alone.

    Raises:
        ClusterError: no worker starts, or none may be started here.
    """
    if multiprocessing.current_process().daemon:
        raise ClusterError(
            "this process is a worker of a Dask cluster and must not start workers of its own: call the verb in the task itself "
            "and without cluster=, so that its cluster does the work, or give the address of another one"
        )
    # Workers and the helpers of multiprocessing must not import what lies in the current folder. (A nanny leaves its variables in
    # this process as well.)
    os.environ["PYTHONSAFEPATH"] = "1"
    workers = settings["n-workers"].value or usable_cores()
    wanted = settings["gpu-workers"].value
    gpus = count_gpus() if wanted is None else wanted
    memory = settings["memory-limit"].value
    limit = settings["gpu-memory-limit"].value * MEGABYTE
    with warnings.catch_warnings(), _deaf_to_interrupts():
        # Of the dashboard: it takes another one.
        warnings.filterwarnings("ignore", message="Port .* is already in use")
        cluster = _with_gpus(gpus, workers, memory, limit) if gpus else None
        if cluster is None:
            cluster = _without(workers, memory)
    try:
        if settings["cgpu-enabled"].value == "true":
            _add_cgpu(cluster, settings)
        with Client(cluster, set_as_default=False) as client:
            yield client
    finally:
        close(cluster)


def close(cluster: LocalCluster) -> None:
    """End a cluster of this process. What became of the job is known by now: a worker that is slow to end must not hide it, and
    one that dies as often as it is started can hold up its nanny for ever, so what is left after a while is killed."""
    try:
        cluster.close(timeout=CLOSING_SECONDS)
    except (TimeoutError, OSError, RuntimeError):
        log.warning("the local cluster did not close in time", exc_info=True)
        for child in multiprocessing.active_children():
            if child.name.startswith("Dask Worker process"):
                child.kill()


def _shared(memory_limit: int) -> dict[str, Any]:
    return {
        "threads_per_worker": 1,
        "memory_limit": memory_limit,
        "host": "127.0.0.1",
        "dashboard_address": "127.0.0.1:8787",
        # Anyone who reaches an open scheduler can run code: also on a shared machine's loopback.
        "security": True,
        "silence_logs": logging.CRITICAL,
        "preload_nanny": [allocator.__name__],
        "preload": [HOSTS],
        "scheduler_kwargs": {"preload": [HOSTS]},
    }


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Threads and processes started in the block, and theirs, do not hear Ctrl-C, nor that the terminal is gone: it tells
    all processes of a job, and the job ends its workers in good order."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        # What the first process brings along. It opens the ears of the thread that starts it: not of one that starts workers.
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _without(workers: int, memory_limit: int) -> LocalCluster:
    try:
        return LocalCluster(n_workers=workers, resources={"CPU": 1}, **_shared(memory_limit))
    except (OSError, RuntimeError, TimeoutError) as error:
        raise ClusterError(f"cannot start {workers} local workers: {error}") from error


def _add(cluster: Any, wanted: Mapping[str, Mapping[str, Any]]) -> None:
    """More workers, by name: their options beside those that all workers of the cluster share."""
    options = {
        k: v
        for k, v in cluster.new_spec["options"].items()
        if k not in ("data", "preload", "preload_argv", "plugins", "env", "resources")
    }
    for name, own in wanted.items():
        cluster.worker_spec[name] = {
            "cls": Nanny,
            "options": {**options, "preload": [HOSTS], **own},
        }
    cluster.scale(len(cluster.worker_spec))


def _add_cgpu(cluster: Any, settings: Mapping[str, Setting]) -> None:
    """A worker that reaches a Colab GPU through cgpu; it says itself, when asked, what it lacks."""
    # The settings of a command line would not reach another process, where this process's configuration counts.
    own_settings = {n: s.value for n, s in settings.items() if n.startswith("cgpu-")}
    own = {
        "resources": {"CGPU": CGPU_SLOTS},
        "nthreads": CGPU_SLOTS,
        "config": {"montage": {**dask.config.get("montage"), **own_settings}},
        # Over there, too, these would count more than a configuration.
        "env": {
            v: str(own_settings[n])
            for v, n in ENVIRONMENT.items()
            if v in os.environ and n in own_settings
        },
    }
    _add(cluster, {"cgpu": own})
    try:
        with Client(cluster, set_as_default=False) as client:
            client.wait_for_workers(len(cluster.worker_spec), timeout=STARTING_SECONDS)
    except TimeoutError:
        log.warning("the cgpu worker did not start; the others go on")


def _with_gpus(gpus: int, workers: int, memory_limit: int, gpu_memory_limit: int) -> Any:
    """A cluster with both kinds of workers, or None when the GPUs cannot be used."""
    try:
        from dask_cuda import LocalCUDACluster
    except ImportError:
        log.warning("GPUs are left alone: pip install 'montage-dask[gpu]' for dask-cuda")
        return None
    cluster = None
    try:
        cluster = LocalCUDACluster(
            n_workers=gpus,
            resources={"GPU": 1},
            device_memory_limit=gpu_memory_limit,
            **_shared(memory_limit),
        )
        _add(cluster, {f"cpu-{number}": {"resources": {"CPU": 1}} for number in range(workers)})
        with Client(cluster, set_as_default=False) as client:
            client.wait_for_workers(gpus + workers, timeout=STARTING_SECONDS)
        return cluster
    except Exception:  # NVML's and CUDA's errors have no common base
        log.warning("the GPU workers did not start", exc_info=True)
        if cluster is not None:
            close(cluster)
        return None
