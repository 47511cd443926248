"""The commands of machines that do the work: `worker` joins a cluster, `op` runs operations that another machine sent."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import click

from montage_dask.devices import count_gpus
from montage_dask.errors import ClusterError, UsageError

FILE_SECONDS = 0.5
"""How often is looked for a scheduler file that is not there yet."""

PASSED_ON = {"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]}


@click.command(context_settings=PASSED_ON)
@click.option("--type", "worker_type", metavar="cpu|gpu|cgpu", help="Default: WORKER_TYPE, or cpu.")
@click.option(
    "--scheduler",
    "coordinator_url",
    metavar="ADDRESS",
    help="tcp://host:8786; default: COORDINATOR_URL.",
)
@click.option("--scheduler-file", metavar="FILE", help="Instead of an address.")
@click.option(
    "--slots",
    type=click.IntRange(1, 1024),
    help="cpu: processes of one slot each (default WORKER_CONCURRENCY, or one per core); cgpu: requests in flight.",
)
@click.option("--memory-limit", metavar="SIZE", help="Per process, such as 4GB.")
@click.option(
    "--insecure",
    is_flag=True,
    default=None,
    help="Also a scheduler beyond this machine without TLS: whoever is in that network can run code here.",
)
@click.argument("more", nargs=-1, type=click.UNPROCESSED)
def worker(
    worker_type: str | None,
    coordinator_url: str | None,
    scheduler_file: str | None,
    slots: int | None,
    memory_limit: str | None,
    insecure: bool | None,
    more: tuple[str, ...],
) -> None:
    """Join a running cluster as a worker that carries the resource tag of its type. Further options go to `dask worker`."""
    from montage_dask.cluster.leaving import PRELOAD_ENVIRONMENT
    from montage_dask.cluster.openness import listening_here, refuse_open
    from montage_dask.cluster.preflight import refuse_others, scheduler_in, scheduler_of
    from montage_dask.cluster.worker import worker_command
    from montage_dask.config import resolve

    given = {
        "worker-type": worker_type,
        "memory-limit": memory_limit,
        "coordinator-url": coordinator_url,
        "insecure": insecure,
    }
    settings = resolve({k: v for k, v in given.items() if v is not None})
    where = settings["coordinator-url"].value
    if scheduler_file is not None:
        while not os.path.exists(scheduler_file):
            time.sleep(FILE_SECONDS)  # as Dask's own workers do
        address = scheduler_in(Path(scheduler_file))
    elif where:
        address = scheduler_of(where) if where.startswith(("http://", "https://")) else where
    elif "DASK_SCHEDULER_ADDRESS" in os.environ:
        address = os.environ["DASK_SCHEDULER_ADDRESS"]  # dask-kubernetes sets it
    else:
        raise UsageError("no scheduler: give --scheduler tcp://host:8786 or --scheduler-file FILE")
    refuse_open(address, settings["insecure"].value)
    if where and scheduler_file is None:
        refuse_others(address)
    kind = settings["worker-type"].value
    if slots is None and kind == "cpu":
        slots = settings["n-workers"].value
    if kind == "gpu" and not count_gpus():
        raise ClusterError(
            "this machine has no NVIDIA GPU that a worker could use: `nvidia-smi` must work, "
            "and dask-cuda be installed (pip install 'montage-dask[gpu]')"
        )
    limit = settings["memory-limit"]
    command = worker_command(
        kind,
        [address],
        slots=slots,
        memory_limit=None if limit.origin == "default" else limit.value,
        gpu_memory_limit_mb=settings["gpu-memory-limit"].value,
        more=[*listening_here(address, more), *more],
    )
    sys.stdout.flush()
    os.execve(command[0], command, {**PRELOAD_ENVIRONMENT, **os.environ})


@click.command()
@click.argument("request", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o",
    "--answer",
    type=click.Path(path_type=Path),
    metavar="FILE.tar",
    help="Where the answer to a bundle is written.",
)
@click.option(
    "--store", metavar="DIR", type=click.Path(path_type=Path), help="Folder of artefacts."
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="auto: cuda where there is a GPU.",
)
def op(request: Path, answer: Path | None, store: Path | None, device: str) -> None:
    """Run operations here: REQUEST is a bundle (.tar), or one request (.json), whose record is printed."""
    from montage_dask.devices import best_device
    from montage_dask.graph.bundle import run_bundle, run_single

    device = best_device() if device == "auto" else device
    with tempfile.TemporaryDirectory(prefix="montage-op-") as temporary:
        folder = store or Path(temporary)
        if request.suffix == ".json":
            click.echo(json.dumps(run_single(request, folder, device), indent=1))
            return
        if answer is None:
            raise UsageError("a bundle needs --answer FILE.tar")
        for line in run_bundle(request, answer, folder, device):
            click.echo(line)
