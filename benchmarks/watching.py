"""What the page and the metrics cost the scheduler while a job of many clips runs, people look at it and Prometheus reads.

The survey of `graph`: made-up clips, operations that do nothing, so that the scheduler has as much to do with each second of a
job as it ever can. Runs with and without the page take turns in one process; inside our handlers the CPU time of the event
loop's thread is counted. Afterwards, with the boards as the job left them, each kind of request is repeated: what one costs the
event loop in all, connection and parsing included, less what the loop does when nobody asks. From that and how often they come
follows the share of the scheduler's time.
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

REPEATED = 100


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
    print(_tables(rows, options.browsers))
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
    from montage_dask.graph.analysing import Analysis
    from montage_dask.graph.drive import Driver
    from montage_dask.graph.survey import Settings
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
        in_flight = settings["in-flight-per-slot"].value
        driver = Driver(client, Store(folder), Silent(), in_flight_per_slot=in_flight)
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
        each = _all_in(client, page_link(client), driver.progress.job) if watched else {}
    return {
        "watched": watched, "wall": wall, "loop": loop_seconds, "client": main_seconds, "spent": spent, "each": each,
        "tasks": options.clips * (1 + -(-options.seconds * RATE // 1000)),
    }  # fmt: skip


def _all_in(client: Any, link: str, job: str) -> dict[str, float]:
    """CPU seconds of the event loop for one request of each kind."""
    state = f"{link}/state?job={job}"
    with urllib.request.urlopen(state, timeout=60) as answer:
        view = json.load(answer)
    items = {k: v for k, v in view["items"].items() if k.partition("/")[0] in ("stage", "count")}
    tell = {"job": "copy", "client": client.id, "items": items, "pictures": []}
    asked = {
        "a message of a job": lambda: client.sync(client.scheduler.montage_tell, **tell),
        "what changed, for a page": lambda: _fetch(
            f"{state}&since={view['revision']}&epoch={view['epoch']}"
        ),
        "the whole state, for a new page": lambda: _fetch(state),
        "all metrics, with Dask's own": lambda: _fetch(link.replace("/montage", "/metrics")),
    }
    before, began = client.sync(_thread_time), time.monotonic()
    time.sleep(3.0)
    idle_share = (client.sync(_thread_time) - before) / (time.monotonic() - began)
    costs = {}
    for name, ask in asked.items():
        ask()
        before, began = client.sync(_thread_time), time.monotonic()
        for _ in range(REPEATED):
            ask()
        spent = client.sync(_thread_time) - before
        costs[name] = max(0.0, spent - idle_share * (time.monotonic() - began)) / REPEATED
    return costs


def _fetch(address: str) -> None:
    with urllib.request.urlopen(address, timeout=60) as answer:
        answer.read()


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


def _tables(rows: Sequence[dict[str, Any]], browsers: int) -> str:
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
    per_second = {
        "a message of a job": 2.0,
        "what changed, for a page": float(browsers),
        "the whole state, for a new page": 0.0,
        "all metrics, with Dask's own": 0.2,
    }
    one = {n: statistics.median(r["each"][n] for r in seen) for n in per_second}
    each = [
        [n, f"{1000 * one[n]:.2f} ms", f"{often:g}", f"{100 * often * one[n]:.2f} %"]
        for n, often in per_second.items()
    ]
    whole = sum(often * one[n] for n, often in per_second.items())
    each.append(["**all**", "", "", f"**{100 * whole:.2f} %**"])
    return "\n\n".join(
        [
            table(["", "unwatched: whole, each task", "watched", "ratio"], compared),
            table(
                ["in our handlers", "CPU", "of the job's time", "of the loop's CPU", "longest"],
                inside,
            ),
            table(
                ["one request, all in", "event loop", "a second", "of the scheduler's time"], each
            ),
        ]
    )
