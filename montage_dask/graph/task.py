"""What a job runs in a worker: one request, whose errors of the media are results."""

from __future__ import annotations

from functools import partial
from typing import Any

from distributed import get_worker

from montage_dask.devices import limit_memory
from montage_dask.errors import ClusterError, FFmpegKilled, MontageError, UsageError
from montage_dask.graph.operation import Request, operation, perform
from montage_dask.graph.placement import TAGS
from montage_dask.graph.remote import perform_remotely
from montage_dask.graph.staging import perform_staged
from montage_dask.store import Store, place_of

DEVICES = {"cpu": "cpu", "gpu": "cuda"}
"""What torch calls a target."""


def task(
    request: Request, store_root: str, target: str, gpu_memory_limit_mb: int
) -> dict[str, Any]:
    """What runs in a worker. Errors of the media are results: Dask must not retry them.

    Raises:
        FFmpegKilled: as if the worker itself had been killed.
    """
    tag = TAGS[target]
    offered = get_worker().state.total_resources
    # Without any tag it is a worker of a plain cluster, whose threads count as CPU.
    if tag not in offered and (target != "cpu" or set(TAGS.values()) & offered.keys()):
        raise ClusterError(f"{request.operation} was sent to a worker without {tag}")
    try:
        operation(request.operation)
    except UsageError as error:  # it joined a moment ago, without what the others have
        raise ClusterError(f"a worker has no {request.operation}: {error}") from error
    limit_memory(gpu_memory_limit_mb)
    worker = str(get_worker().name)
    run = perform_remotely if target == "cgpu" else partial(perform, device=DEVICES[target])
    try:
        record = perform_staged(request, Store(place_of(store_root)), run)
        return {"record": record, "worker": worker}
    except FFmpegKilled:
        raise
    except MontageError as error:
        return {"error": error, "worker": worker}
