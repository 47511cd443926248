"""The command line of a worker that joins a running cluster, with the resource tag that this project routes by."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from montage_dask.cluster.leaving import PRELOAD
from montage_dask.cluster.local import CGPU_SLOTS, HOSTS, usable_cores
from montage_dask.devices import MEGABYTE
from montage_dask.errors import UsageError
from montage_dask.graph.placement import TAGS


def worker_command(
    kind: str,
    scheduler: Sequence[str],
    *,
    slots: int | None = None,
    memory_limit: int | None = None,
    gpu_memory_limit_mb: int | None = None,
    more: Sequence[str] = (),
) -> list[str]:
    """How to start a worker, as an argument list.

    Args:
        kind: cpu, gpu or cgpu.
        scheduler: how it finds the scheduler: an address, or `--scheduler-file FILE`.
        slots: cpu: processes of one slot each (default: one per core); cgpu: requests in flight; gpu: not used, one per GPU.
        memory_limit: bytes per process; None: Dask decides.
        gpu_memory_limit_mb: device memory from which a GPU worker spills; None: Dask decides.
        more: options handed on to `dask worker` or `dask cuda worker`.

    Raises:
        UsageError: an unknown kind, or GPU workers without `dask-cuda`.
    """
    if kind not in TAGS:
        raise UsageError(f"worker type {kind!r}: choose one of {', '.join(TAGS)}")
    memory = ["--memory-limit", str(memory_limit)] if memory_limit is not None else []
    tag = TAGS[kind]
    if kind == "gpu":
        _need_dask_cuda()
        spill = gpu_memory_limit_mb and [
            "--device-memory-limit",
            str(gpu_memory_limit_mb * MEGABYTE),
        ]
        own = ["--resources", f"{tag}=1", *memory, *(spill or []), "--preload", HOSTS]
        return _dask("cuda", "worker", *scheduler, *own, *more)
    if kind == "cgpu":
        count = slots or CGPU_SLOTS
        threads = ["--nworkers", "1", "--nthreads", str(count), "--resources", f"{tag}={count}"]
        return _dask("worker", *scheduler, *threads, *memory, *PRELOAD, "--preload", HOSTS, *more)
    one_each = [
        "--nworkers", str(slots or usable_cores()), "--nthreads", "1", "--resources", f"{tag}=1",
    ]  # fmt: skip
    return _dask("worker", *scheduler, *one_each, *memory, *PRELOAD, "--preload", HOSTS, *more)


def _dask(*arguments: str) -> list[str]:
    # The script `dask-worker` is gone, and `dask` need not be on PATH. -P: the current folder holds no modules of ours.
    return [sys.executable, "-P", "-m", "dask", *arguments]


def _need_dask_cuda() -> None:
    import importlib.util

    if importlib.util.find_spec("dask_cuda") is None:
        raise UsageError("a GPU worker needs dask-cuda: pip install 'montage-dask[gpu]'")
