"""Metrics `montage_*` for Prometheus, on the same address as Dask's own (`/metrics`)."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from montage_dask.dashboard.plugin import MontagePlugin

STATES = ("running", "finished", "failed", "interrupted", "stopped")

_plugins: WeakSet[MontagePlugin] = WeakSet()
_lock = threading.Lock()
_registered = False


def watch(plugin: MontagePlugin) -> None:
    """Tell of the jobs of a plug-in. The metrics of a process are one set, as Dask's are: schedulers in it are added up."""
    global _registered
    with _lock:
        _plugins.add(plugin)
        if not _registered:
            REGISTRY.register(MontageCollector(_plugins))
            _registered = True


def unwatch(plugin: MontagePlugin) -> None:
    """Tell no more of them."""
    with _lock:
        _plugins.discard(plugin)


class MontageCollector(Collector):
    """Reads the boards when it is asked; counts nothing itself.

    Args:
        plugins: of the schedulers in this process.
    """

    def __init__(self, plugins: Iterable[MontagePlugin]) -> None:
        self._plugins = plugins

    def describe(self) -> list[Any]:
        """Nothing beforehand: to register must not look at a scheduler."""
        return []

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """All metrics as they stand."""
        plugins = list(self._plugins)
        yield from _work(plugins)
        yield from _jobs(plugins)
        yield from _groups(plugins)
        yield from _line(plugins)


def _work(plugins: list[MontagePlugin]) -> Iterator[CounterMetricFamily]:
    totals: dict[tuple[str, ...], list[float]] = defaultdict(lambda: [0, 0, 0, 0])
    for plugin in plugins:
        for key, values in plugin.jobs.totals().items():
            totals[key] = [a + b for a, b in zip(totals[key], values, strict=True)]
    labels = ["operation", "target", "outcome"]
    counted = CounterMetricFamily(
        "montage_operations",
        "Operations by target and outcome: done, reused from the store, failed, moved to another target",
        labels=labels,
    )
    spent = CounterMetricFamily(
        "montage_operation_seconds", "Seconds that workers spent in operations", labels=labels[:2]
    )
    media = CounterMetricFamily(
        "montage_media_seconds", "Seconds of video or music that went through", labels=labels[:2]
    )
    moved = CounterMetricFamily(
        "montage_moved_bytes",
        "Bytes moved to and from a machine that does not share the files",
        labels=labels[:2],
    )
    for (operation, target, outcome), (count, seconds, video, size) in sorted(totals.items()):
        counted.add_metric([operation, target, outcome], count)
        if outcome == "done":
            spent.add_metric([operation, target], seconds)
            media.add_metric([operation, target], video)
            moved.add_metric([operation, target], size)
    yield from (counted, spent, media, moved)


def _jobs(plugins: list[MontagePlugin]) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
    jobs = GaugeMetricFamily("montage_jobs", "Jobs that are kept, by state", labels=["state"])
    states = [s for p in plugins for s in p.jobs.states()]
    for state in STATES:
        jobs.add_metric([state], states.count(state))
    yield jobs
    yield CounterMetricFamily(
        "montage_clips_skipped",
        "Files that were left out",
        value=sum(p.jobs.left_out() for p in plugins),
    )
    speed = GaugeMetricFamily(
        "montage_speed_ratio",
        "Seconds of video per second in the stages of running jobs",
        labels=["stage"],
    )
    together: dict[str, float] = defaultdict(float)
    for board in (b for p in plugins for b in p.jobs.running()):
        for stage in board.of("stage").values():
            if stage["speed"] and stage["done"] < stage["total"]:
                together[stage["name"]] += stage["speed"]
    for name, ratio in together.items():
        speed.add_metric([name], ratio)
    yield speed


def _groups(plugins: list[MontagePlugin]) -> Iterator[GaugeMetricFamily]:
    slots = GaugeMetricFamily(
        "montage_slots", "Tasks that a group of workers can run at once", labels=["target"]
    )
    tasks = GaugeMetricFamily(
        "montage_tasks", "Tasks of jobs in the workers of a group", labels=["target", "state"]
    )
    for plugin in plugins:
        for name, group in plugin.workers()["groups"].items():
            slots.add_metric([name], group["slots"])
            for state in ("running", "waiting"):
                tasks.add_metric([name, state], group[state])
    yield from (slots, tasks)


def _line(plugins: list[MontagePlugin]) -> Iterator[GaugeMetricFamily]:
    lines = [b.get("line") for p in plugins for b in p.jobs.running() if b.get("line")]
    if not lines:
        return
    known = lines[-1]
    yield GaugeMetricFamily(
        "montage_cgpu_ready", "Whether anything can be sent to Colab", value=int(known["ready"])
    )
    yield GaugeMetricFamily(
        "montage_cgpu_warm",
        "Whether the runtime there was heard of lately",
        value=int(known["warm"]),
    )
    yield GaugeMetricFamily(
        "montage_cgpu_bytes_per_second",
        "Measured speed of the line",
        value=known["bytes_per_second"],
    )
