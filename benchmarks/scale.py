"""The driver at the size of a large cluster: how busy it keeps 200 workers whose operations only sleep.

Requests, driver, store, scheduler and TLS are the real ones, and so are the workers, many of them in a process; the functions
behind the operations sleep, by content address between half and one and a half times `--seconds` (real windows take 0.5 to
60 s). Utilisation is the time that workers slept, of the time that all of them had: from the first submitted task to the last
result, so that filling and emptying the cluster count. Steady is the same without the first and the last tenth of the time.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.graph import made_up, peak_mb, thread_time
from benchmarks.measure import say, table

WORKERS_PER_PROCESS = 100


def main(arguments: Sequence[str]) -> int:
    """Measure, and print a markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks scale", description=__doc__)
    parser.add_argument("--workers", type=int, default=200)
    parser.add_argument("--windows", type=int, default=4000)
    parser.add_argument("--seconds", type=float, default=6.0, help="mean length of an operation")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        print(_measured(options.workers, options.windows, options.seconds, Path(folder)))
    return 0


def sleeping_seconds(key: str, mean: float) -> float:
    """How long the operation of a content address sleeps: evenly spread between half and one and a half times the mean."""
    return mean * (0.5 + int(key[:8], 16) / 2**32)


def _sleeping(mean: float) -> None:
    """Replace the functions of all operations in this process."""
    from montage_dask.graph import operation as registry
    from montage_dask.graph import operations  # noqa: F401 - registers them

    def sleep(request: Any, context: Any) -> dict[str, Any]:
        if request.operation != "strip":
            return {"shots": []}
        began = time.time()
        time.sleep(sleeping_seconds(request.key, mean))
        return {"began": began, "ended": time.time()}

    for name, op in registry._REGISTRY.items():
        registry._REGISTRY[name] = replace(op, function=sleep)


def _workers(address: str, security: Any, count: int, first: int, mean: float, folder: str) -> None:
    """A process with many workers of one slot each."""
    import dask
    from distributed import Worker

    _sleeping(mean)
    # What each worker does for people to look at would keep the one loop that they share here busy.
    dask.config.set(
        {
            "distributed.admin.system-monitor.interval": "60s",
            "distributed.worker.profile.enabled": False,
            "distributed.worker.http.routes": [],
        }
    )
    logging.getLogger("distributed").setLevel(logging.CRITICAL)

    async def serve() -> None:
        workers = [
            Worker(
                address,
                nthreads=1,
                name=f"w{first + n}",
                resources={"CPU": 1},
                security=security,
                local_directory=folder,
                memory_limit=0,
                dashboard=False,
            )
            for n in range(count)
        ]
        for worker in workers:
            await worker
        await asyncio.gather(*(worker.finished() for worker in workers))

    asyncio.run(serve())


def _measured(count: int, windows: int, mean: float, folder: Path) -> str:
    import distributed

    from montage_dask.config import resolve
    from montage_dask.graph.drive import Driver
    from montage_dask.graph.requests import strip_requests
    from montage_dask.graph.survey import Settings
    from montage_dask.graph.targets import place_on
    from montage_dask.graph.telling import Silent
    from montage_dask.store import Store

    settings = resolve({})
    chosen = Settings.of(settings)
    frames = 10 * chosen.window_frames
    cluster = distributed.LocalCluster(
        n_workers=0, host="127.0.0.1", security=True, dashboard_address=":0", silence_logs=50
    )
    spawn = multiprocessing.get_context("spawn")
    shares = [
        (first, min(WORKERS_PER_PROCESS, count - first))
        for first in range(0, count, WORKERS_PER_PROCESS)
    ]
    processes = [
        spawn.Process(
            target=_workers,
            args=(cluster.scheduler_address, cluster.security, share, first, mean, str(folder)),
        )
        for first, share in shares
    ]
    for process in processes:
        process.start()
    try:
        with cluster, distributed.Client(cluster) as client:
            client.wait_for_workers(count, timeout=300)
            say(f"{count} workers in {len(processes)} processes")
            driver = Driver(
                client,
                Store(folder / "store"),
                Silent(),
                in_flight_per_slot=settings["in-flight-per-slot"].value,
            )
            survey = made_up(-(-windows // 10), frames, folder)
            requests = [r for c in survey.clips.values() for r in strip_requests(c, chosen)]
            requests = requests[:windows]
            places = {"strip": place_on(driver, "strip", chosen.targets)}
            main_before, loop_before = time.thread_time(), client.sync(thread_time)
            began = time.time()
            records = []
            for number, outcome in enumerate(driver.run(requests, places), 1):
                records.append(outcome.record)
                if number % 200 == 0:
                    say(f"{number} of {windows} after {time.time() - began:.0f} s")
            ended = time.time()
            main_ms = 1000 * (time.thread_time() - main_before) / windows
            loop_ms = 1000 * (client.sync(thread_time) - loop_before) / windows
    finally:
        for process in processes:
            process.terminate()
            process.join(30)
    spans = [(r["began"], r["ended"]) for r in records if r is not None]
    assert len(spans) == windows
    tenth = (ended - began) / 10
    rows = [
        ["utilisation", f"{100 * _busy(spans, began, ended, count):.1f} %"],
        ["utilisation, steady", f"{100 * _busy(spans, began + tenth, ended - tenth, count):.1f} %"],
        ["wall", f"{ended - began:.1f} s"],
        ["tasks a second", f"{windows / (ended - began):.1f}"],
        ["event loop (scheduler)", f"{loop_ms:.2f} CPU-ms a task"],
        ["main thread (client)", f"{main_ms:.2f} CPU-ms a task"],
        ["peak of client and scheduler", f"{peak_mb():.0f} MB"],
    ]
    return f"{windows} windows of {mean / 2:g} to {1.5 * mean:g} s, {count} workers\n\n" + table(
        ("", ""), rows
    )


def _busy(spans: Sequence[tuple[float, float]], start: float, stop: float, workers: int) -> float:
    """Share of [start, stop) that the workers slept."""
    slept = sum(max(0.0, min(b, stop) - max(a, start)) for a, b in spans)
    return slept / ((stop - start) * workers)
