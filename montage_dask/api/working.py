"""What every verb of the API shares: options as settings, the cluster it runs on, its progress, and how it is called off."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from distributed import Client, get_worker, worker_client

from montage_dask.api.cluster import Cluster, around
from montage_dask.cluster.connect import connect
from montage_dask.config import Setting, cluster_of
from montage_dask.dashboard.publish import page_link, published
from montage_dask.errors import MontageError, StoreError, printable
from montage_dask.graph.drive import Driver
from montage_dask.graph.staging import machine_cache
from montage_dask.graph.telling import Progress, Silent
from montage_dask.store import Place, Store
from montage_dask.store.artefacts import check_store
from montage_dask.store.locks import in_use, sweep
from montage_dask.store.own_files import open_own, refuse_links

log = logging.getLogger(__name__)


class Control:
    """A hand on work that runs: where its dashboard is, and a way to call it off. Safe to use from any thread."""

    def __init__(self) -> None:
        self.dashboard: str | None = None
        """Address of the dashboard, as soon as the work is connected."""
        self._cancelled = False
        self._driver: Driver | None = None
        self._lock = threading.Lock()

    def drives(self, driver: Driver) -> None:
        """The work is connected."""
        with self._lock:
            self._driver, cancelled = driver, self._cancelled
        self.dashboard = driver.client.dashboard_link
        if cancelled:
            driver.cancel()

    def cancel(self) -> None:
        """Call the work off; at once when it has not begun."""
        with self._lock:
            self._cancelled, driver = True, self._driver
        if driver is not None:
            driver.cancel()


_control: ContextVar[Control | None] = ContextVar("montage-control", default=None)
"""Of the work in this thread."""


@contextmanager
def controlled(control: Control) -> Iterator[None]:
    """Work in the block, in this thread, is in the hand of `control`."""
    token = _control.set(control)
    try:
        yield
    finally:
        _control.reset(token)


def separate(options: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """Keywords as settings, by their names and without those left out; and what to run on, if it is there already.

    That is what was given as `cluster=` (see `cluster.around`), or the `Cluster` opened last, unless `cluster=` names another.
    """
    given = {k.replace("_", "-"): v for k, v in options.items() if v is not None}
    where = given.get("cluster")
    if where is None:
        return given, Cluster.current()
    return given, None if isinstance(where, str) else given.pop("cluster")


LEFT_BEHIND = ("*/*/*/.*", "files/*/*/*.zarr/.*")
"""Where parts of artefacts lie in a store."""


@contextmanager
def alone(places: Sequence[Place]) -> Iterator[None]:
    """No other job makes these files, or works in these folders, as long as the block lasts; said before any work.

    Raises:
        InUse: one does; says who.
    """
    with in_use(places, machine_cache().folder / "outputs"):
        yield


@contextmanager
def driving(
    settings: Mapping[str, Setting],
    store: Place,
    progress: Progress,
    cluster: Any,
    places: Sequence[Place] | None,
) -> Iterator[Driver]:
    """A driver for one piece of work, on what `separate` found or on the cluster that the settings name.

    Args:
        settings: all of them.
        store: the artefacts.
        progress: told how far the work is.
        cluster: what `separate` found.
        places: what the workers read and write beside the artefacts; None: not known yet.

    Raises:
        ClusterError: there is no cluster.
        StoreError: the artefacts' folder, which nobody named, is a link or holds one; or something there cannot be read.
        UsageError: the store was written by a newer version.
    """
    if isinstance(store, Path) and not settings["store"].value:
        refuse_links(store, "--store")
    check_store(store)
    every = None if places is None else [*places, store]
    with _swept(store), _connected(settings, every, cluster) as client:
        driver = Driver(
            client,
            Store(store),
            progress,
            in_flight_per_slot=settings["in-flight-per-slot"].value,
            priority=settings["priority"].value,
            retries=settings["retries"].value,
            gpu_memory_limit_mb=settings["gpu-memory-limit"].value,
            stall_seconds=settings["stall-seconds"].value,
            where=_where(settings, cluster),
        )
        driver.look_at(places or ())
        control = _control.get()
        if control is not None:
            control.drives(driver)
        try:
            yield driver
        except OSError as error:
            # What the client itself reads there is whole when it is asked for; then somebody removed it.
            if isinstance(store, Path) and str(error.filename or "").startswith(f"{store}/"):
                raise StoreError(f"{printable(str(error.filename))}: {error.strerror}") from error
            raise


@contextmanager
def _swept(store: Place) -> Iterator[None]:
    """What dead workers have left behind in a store goes, at the beginning and at the end; of an object nobody sees a half."""
    if not isinstance(store, Path):
        yield
        return
    sweep(store, *LEFT_BEHIND)
    try:
        yield
    finally:
        sweep(store, *LEFT_BEHIND)


def _where(settings: Mapping[str, Setting], cluster: Any) -> str:
    """The cluster that is asked, for people; "": its address says it."""
    if isinstance(cluster, Cluster):
        return cluster.where
    return cluster_of(settings) if cluster is None else ""


@contextmanager
def _connected(
    settings: Mapping[str, Setting], places: Sequence[Place] | None, cluster: Any
) -> Iterator[Client]:
    """A client of what `separate` found, of the cluster that runs this very Dask task, or of what the settings name."""
    with ExitStack() as stack:
        try:
            get_worker()
        except ValueError:
            own = None
        else:
            # This task only waits: its worker takes another one meanwhile.
            own = stack.enter_context(worker_client())
        if cluster is not None:
            yield stack.enter_context(around(cluster))
        elif own is not None and settings["cluster"].origin == "default":
            yield own
        else:
            yield stack.enter_context(connect(settings, places))


@contextmanager
def watched(
    driver: Driver,
    kind: str,
    title: str,
    files: Iterable[str],
    settings: Mapping[str, Setting],
    others: Iterable[Place],
) -> Iterator[None]:
    """The work in the block is on the page `/montage` of its scheduler (see `dashboard.publish.published`)."""
    known = map(str, (driver.store.root, *others))
    with published(driver.client, driver.progress, kind, title, files, settings, known):
        control = _control.get()
        if control is not None:
            control.dashboard = page_link(driver.client) or control.dashboard
        yield


@contextmanager
def shown(progress: Progress | None, title: str) -> Iterator[Progress]:
    """The progress that was given; else a bar in a notebook or an interactive session, and nothing in a script."""
    from montage_dask.notebook.live import Live, bars, in_notebook

    if progress is not None:
        yield progress
    elif in_notebook():
        control = _control.get() or Control()
        with controlled(control), Live(title, lambda: control.dashboard) as live:
            yield live
    else:
        found = bars()
        if found is None:
            yield Silent()
        else:
            with found as progress:
                yield progress


_working: set[int] = set()
"""Threads that jobs with a log run in."""


class _Mine(logging.Filter):
    """Lets through what this thread says, and threads that no other job runs in; of Dask only what went wrong."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        ours = record.name.startswith("montage_dask") or record.levelno >= logging.WARNING
        return ours and (record.thread == self._thread or record.thread not in _working)


class _LogFile(logging.FileHandler):
    """A log that is not written through a link. Where it cannot be written (a full disk), only the details are lost."""

    def _open(self) -> Any:
        return open_own(self.baseFilename, self.mode, encoding=self.encoding, errors=self.errors)

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):  # of opening
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # logging's name
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def close(self) -> None:
        with suppress(OSError):
            super().close()


@contextmanager
def logged(run_dir: Path) -> Iterator[None]:
    """Details go to a log file in the run folder; those of other jobs in this process to theirs."""
    refuse_links(run_dir, "--run-dir")
    run_dir.mkdir(parents=True, exist_ok=True)
    handler = _LogFile(
        run_dir / "montage.log", encoding="utf-8", errors="backslashreplace", delay=True
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    handler.addFilter(_Mine())
    loggers = [logging.getLogger(name) for name in ("montage_dask", "distributed")]
    for logger in loggers:
        logger.addHandler(handler)
    _working.add(threading.get_ident())
    try:
        yield
    except MontageError as error:
        details = getattr(error, "details", None)
        log.exception("%s%s", error, "\n" + details() if details else "")
        raise
    finally:
        _working.discard(threading.get_ident())
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()
