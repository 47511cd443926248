"""What the page and the metrics cost the scheduler while a job of many clips runs, people look at it and Prometheus reads.

The survey of `graph`: made-up clips, operations that do nothing, so that the scheduler has as much to do with each second of a
job as it ever can. Runs with and without the page take turns in one process. The share is the CPU time of the event loop's
thread inside our handlers (messages of the job, state for the browsers, metrics) of the time that the job took.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.graph import RATE, _made_up, _thread_time, idle
from benchmarks.measure import say, table


def main(arguments: Sequence[str]) -> int:
    """Measure, and print markdown tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks watching", description=__doc__)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=120, help="length of each clip")
    parser.add_argument("--n-workers", type=int, default=2)
    parser.add_argument("--browsers", type=int, default=3, help="pages that are open")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args(arguments)
    rows = [_round(options, n, watched) for n in range(options.rounds) for watched in (False, True)]
    print(_tables(rows))
    return 0


class Spent:
    """CPU seconds of a thread inside functions, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.longest: dict[str, float] = {}

    def count(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with its time counted."""

        def counted(*arguments: Any, **named: Any) -> Any:
            began = time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                took = time.thread_time() - began
                self.seconds[name] = self.seconds.get(name, 0.0) + took
                self.longest[name] = max(self.longest.get(name, 0.0), took)

        return counted


def _round(options: argparse.Namespace, number: int, watched: bool) -> dict[str, Any]:
    from montage_dask.cluster.connect import connect
    from montage_dask.config import resolve
    from montage_dask.dashboard import metrics, pages
    from montage_dask.dashboard.plugin import MontagePlugin
    from montage_dask.dashboard.publish import page_link, published
    from montage_dask.graph.drive import Driver
    from montage_dask.graph.survey import Analysis, Settings
    from montage_dask.graph.telling import Silent
    from montage_dask.store import Store

    say(f"round {number + 1}, {'watched' if watched else 'unwatched'}")
    settings = resolve({"n-workers": options.n_workers})
    spent = Spent()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        client = stack.enter_context(connect(settings))
        idle()
        client.run(idle)
        survey = _made_up(options.clips, options.seconds * RATE, folder)
        each = settings["in-flight-per-slot"].value
        driver = Driver(client, Store(folder), Silent(), in_flight_per_slot=each)
        if watched:
            kept = MontagePlugin.tell, pages._State.get, metrics.MontageCollector.collect
            stack.callback(_put_back, kept)
            MontagePlugin.tell = spent.count("messages of the job", kept[0])
            pages._State.get = spent.count("state for browsers", kept[1])
            metrics.MontageCollector.collect = spent.count(
                "metrics", lambda self: list(kept[2](self))
            )
            stack.enter_context(
                published(client, driver.progress, "run", "benchmark", [str(folder)], settings)
            )
            stack.enter_context(_watchers(page_link(client), options.browsers))
        before, loop_before = time.thread_time(), client.sync(_thread_time)
        began = time.monotonic()
        Analysis(driver, Settings.of(settings), survey).run([])
        wall = time.monotonic() - began
        main_seconds = time.thread_time() - before
        loop_seconds = client.sync(_thread_time) - loop_before
    return {
        "watched": watched, "wall": wall, "loop": loop_seconds, "client": main_seconds, "spent": spent,
        "tasks": options.clips * (1 + -(-options.seconds * RATE // 1000)),
    }  # fmt: skip


def _put_back(kept: tuple[Any, Any, Any]) -> None:
    from montage_dask.dashboard import metrics, pages
    from montage_dask.dashboard.plugin import MontagePlugin

    MontagePlugin.tell, pages._State.get, metrics.MontageCollector.collect = kept


@contextmanager
def _watchers(link: str, browsers: int) -> Iterator[None]:
    """Threads that ask as pages do, once a second, and one that reads the metrics every five."""
    ended = threading.Event()

    def follow() -> None:
        since, epoch, job = 0, "", ""
        while not ended.wait(1.0):
            asked = f"{link}/state?since={since}&epoch={epoch}&job={job}"
            with urllib.request.urlopen(asked, timeout=60) as answer:
                view = json.load(answer)
            since, epoch, job = view["revision"], view["epoch"], view["job"] or ""

    def scrape() -> None:
        while not ended.wait(5.0):
            urllib.request.urlopen(link.replace("/montage", "/metrics"), timeout=60).close()

    threads = [threading.Thread(target=t, daemon=True) for t in [*[follow] * browsers, scrape]]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _tables(rows: Sequence[dict[str, Any]]) -> str:
    def middle(name: str, watched: bool) -> float:
        return statistics.median(r[name] for r in rows if r["watched"] == watched)

    tasks = rows[0]["tasks"]
    compared = [
        [
            what,
            *(f"{middle(key, w):.1f} s, {1000 * middle(key, w) / tasks:.2f} ms" for w in (False, True)),
            f"{middle(key, True) / middle(key, False):.3f}×",
        ]
        for what, key in (
            ("wall", "wall"),
            ("event loop (scheduler), CPU", "loop"),
            ("main thread (client), CPU", "client"),
        )
    ]  # fmt: skip
    seen = [r for r in rows if r["watched"]]
    names = sorted({n for r in seen for n in r["spent"].seconds})
    inside = [
        [
            name,
            f"{statistics.median(r['spent'].seconds.get(name, 0.0) for r in seen):.3f} s",
            *(
                f"{100 * statistics.median(r['spent'].seconds.get(name, 0.0) / r[of] for r in seen):.2f} %"
                for of in ("wall", "loop")
            ),
            f"{1000 * max(r['spent'].longest.get(name, 0.0) for r in seen):.1f} ms",
        ]
        for name in names
    ]
    shares = [
        statistics.median(sum(r["spent"].seconds.values()) / r[of] for r in seen)
        for of in ("wall", "loop")
    ]
    inside.append(["**all**", "", *(f"**{100 * share:.2f} %**" for share in shares), ""])
    return "\n\n".join(
        [
            table(["", "unwatched: whole, each task", "watched", "ratio"], compared),
            table(
                [
                    "in the scheduler's event loop",
                    "CPU",
                    "of the job's time",
                    "of the loop's CPU",
                    "longest",
                ],
                inside,
            ),
        ]
    )
