"""Requests that another machine runs, gathered into bundles: what a cgpu worker does with its tasks.

Each task waits in a thread of the worker. A thread of its own takes all that wait, sends them as one bundle, and hands out the
answers; while one bundle is away the next one gathers. Everything about the line itself (chunks, checksums, broken
connections, lost machines) is the carrier's matter, behind `Line`.
"""

from __future__ import annotations

import atexit
import logging
import queue
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from montage_dask.errors import NoCapacity, RemoteError, TargetFailed, TransferCorrupt
from montage_dask.graph.bundle import Answer, Item, Question, read_answers, write_bundle
from montage_dask.graph.operation import STALL, Request, finished
from montage_dask.graph.parcel import Parcel, bring_home, pack
from montage_dask.store import Store

log = logging.getLogger(__name__)

GATHER_SECONDS = 0.5
"""A bundle leaves when nothing was added for so long: tasks of one stage arrive together."""

PATIENCE_SECONDS = 20.0
"""A bundle waits at most so long for parcels that are still being made."""

BUNDLE_BYTES = 200_000_000
"""A bundle is closed at this size: what is lost when the other machine goes away stays bounded."""

BUNDLE_ITEMS = 64

PACKING = 2
"""Parcels made at once: the cores are the CPU workers'."""

TRIES = 3
"""Of a bundle, after failures that another try may mend."""

REST_SECONDS = 300.0
"""After a failure that no try mends (no login, no quota, no GPU free), nothing is sent for so long."""


class Line(Protocol):
    """The way to the other machine."""

    def exchange(self, bundle: Path, answer: Path) -> None:
        """Send a bundle, have it run there, and fetch the answer.

        Raises:
            RemoteError: says what was the matter, and whether another try may help.
        """

    def learn(self, moved_bytes: int, seconds: float) -> None:
        """Note how long so many bytes were on their way."""

    def close(self) -> None:
        """Let go of the other machine."""


class _Landing:
    """Where the files of one bundle's answers lie until each was taken."""

    def __init__(self, takers: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="montage-answer-"))
        self._left = takers
        self._lock = threading.Lock()

    def release(self) -> None:
        """One of the takers has taken what is its own."""
        with self._lock:
            self._left -= 1
            last = self._left == 0
        if last:
            self.clear()

    def clear(self) -> None:
        """Remove all."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class LineState:
    """What is known of a line before anything is sent."""

    lack: str = ""
    """Why nothing can be sent; empty when something can."""
    warm: bool = False
    """The other machine is set up and was heard of lately."""
    bytes_per_second: float = 500_000.0
    """Measured on earlier bundles; before the first one what users report."""

    @property
    def ready(self) -> bool:
        """Whether something can be sent."""
        return not self.lack


@dataclass(slots=True)
class _Waiting:
    item: Item
    troubles: list[str] = field(default_factory=list)
    """What went wrong before the answer came."""
    answer: Future[tuple[Answer, _Landing]] = field(default_factory=Future)


class Dispatcher:
    """Gathers items into bundles and sends them, one bundle at a time.

    Args:
        line: to the other machine.
        gather_seconds: see `GATHER_SECONDS`.
    """

    def __init__(self, line: Line, *, gather_seconds: float = GATHER_SECONDS) -> None:
        self.bundles = 0
        """Sent so far."""
        self._line = line
        self._gather_seconds = gather_seconds
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._held: _Waiting | None = None
        self._preparing, self._counting = 0, threading.Lock()
        self._resting: tuple[float, RemoteError] | None = None
        self._thread = threading.Thread(target=self._work, name="dispatcher", daemon=True)
        self._thread.start()

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """While open, an item is on its way: the next bundle waits for it."""
        with self._counting:
            self._preparing += 1
        try:
            yield
        finally:
            with self._counting:
                self._preparing -= 1

    @contextmanager
    def ask(self, item: Item) -> Iterator[tuple[Answer, Sequence[str]]]:
        """Send an item with the next bundle and wait for its answer, whose files stand until the context ends.

        Returns:
            The answer, and what went wrong before it came.

        Raises:
            TargetFailed: the other machine could not be reached or could not do it.
        """
        if self._resting is not None and time.monotonic() < self._resting[0]:
            raise self._resting[1]
        waiting = _Waiting(item)
        self._queue.put(waiting)
        answer, landing = waiting.answer.result()
        try:
            if answer.error is not None:
                raise answer.error
            yield answer, waiting.troubles
        finally:
            landing.release()

    def close(self) -> None:
        """Send nothing more; what is away still comes back."""
        self._queue.put(None)
        self._thread.join()
        self._line.close()

    def _work(self) -> None:
        while (batch := self._gathered()) is not None:
            try:
                self._send(batch)
            except RemoteError as error:
                if _lasting(error):
                    self._resting = (time.monotonic() + REST_SECONDS, error)
                _fail(batch, error)
            except Exception as error:
                log.exception("a bundle could not be sent")
                _fail(batch, TargetFailed(f"it could not be sent: {error}"))

    def _gathered(self) -> list[_Waiting] | None:
        """What goes with the next bundle; None at the end."""
        first = self._held or self._queue.get()
        self._held = None
        if first is None:
            return None
        batch, size = [first], _size(first.item)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(batch) < BUNDLE_ITEMS:
            try:
                more = self._queue.get(timeout=self._gather_seconds)
            except queue.Empty:
                if self._preparing and time.monotonic() < deadline:
                    continue
                break
            if more is None:
                self._queue.put(None)
                break
            size += _size(more.item)
            if size > BUNDLE_BYTES:
                self._held = more
                break
            batch.append(more)
        return batch

    def _send(self, batch: Sequence[_Waiting]) -> None:
        items = [w.item for w in batch]
        landing = _Landing(len(batch))
        try:
            with tempfile.TemporaryDirectory(prefix="montage-bundle-") as name:
                bundle, answer = Path(name) / "bundle.tar", Path(name) / "answer.tar"
                write_bundle(items, bundle)
                answers = self._exchanged(bundle, answer, batch, landing.folder)
        except BaseException:
            landing.clear()
            raise
        self.bundles += 1
        for waiting, said in zip(batch, answers, strict=True):
            waiting.answer.set_result((said, landing))

    def _exchanged(
        self, bundle: Path, answer: Path, batch: Sequence[_Waiting], folder: Path
    ) -> list[Answer]:
        items = [w.item for w in batch]
        for attempt in range(1, TRIES + 1):
            try:
                began = time.monotonic()
                self._line.exchange(bundle, answer)
                took = time.monotonic() - began
                moved = bundle.stat().st_size + answer.stat().st_size
                answers = read_answers(answer, items, folder)
                self._line.learn(moved, took - sum(map(_spent, answers)))
                return answers
            except RemoteError as error:
                if _lasting(error) or attempt == TRIES:
                    raise
                log.warning("a bundle of %d is sent again: %s", len(items), error)
                for waiting in batch:
                    waiting.troubles.append(f"{type(error).__name__}: {error}")
        raise AssertionError("unreachable")


def _lasting(error: RemoteError) -> bool:
    """Whether the next minutes will not mend it."""
    return not error.retryable or isinstance(error, NoCapacity)


def _spent(answer: Answer) -> float:
    """Seconds that a request took there."""
    record = answer.value if isinstance(answer.value, dict) else {}
    seconds = record.get("seconds", 0.0)
    return float(seconds) if isinstance(seconds, int | float) else 0.0


def _size(item: Item) -> int:
    return item.size_bytes if isinstance(item, Parcel) else 0


def _fail(batch: Sequence[_Waiting], error: TargetFailed) -> None:
    for waiting in batch:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)


class _Process:
    """The dispatcher of this worker process, made with its first task."""

    dispatcher: Dispatcher | None = None
    lock = threading.Lock()
    packing = threading.Semaphore(PACKING)


def dispatcher() -> Dispatcher:
    """The dispatcher of this process.

    Raises:
        TargetFailed: cgpu is not set up here.
    """
    with _Process.lock:
        if _Process.dispatcher is None:
            from montage_dask.cgpu.line import open_line

            _Process.dispatcher = Dispatcher(open_line())
            atexit.register(_Process.dispatcher.close)
        return _Process.dispatcher


def line_state() -> LineState:
    """What is known of the line of this process; starts nothing."""
    from montage_dask.cgpu.line import state

    lack, known = state()
    return LineState(lack, known.warm, known.bytes_per_second)


def _patient(parcel: Parcel, request: Request) -> Parcel:
    """A parcel whose ffmpeg there is waited for as long as one here."""
    paths = {k: request.paths[k] for k in (STALL,) if k in request.paths}
    return replace(parcel, request=replace(parcel.request, paths={**parcel.request.paths, **paths}))


def perform_remotely(request: Request, store: Store) -> dict[str, Any]:
    """Run a request on the other machine, unless it is done already.

    Returns:
        The record, as `perform` would.

    Raises:
        TargetFailed: the other machine cannot do it; nothing is saved then.
        MontageError: an input is unusable, or the store cannot be written.
    """
    done = finished(request, store)
    if done is not None:
        return done
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="montage-parcel-") as folder:
        with dispatcher().preparing(), _Process.packing:
            parcel = _patient(pack(request, store, Path(folder)), request)
        with dispatcher().ask(parcel) as (answer, troubles):
            record = {
                **answer.value,
                "troubles": list(troubles),
                "target": "cgpu",
                "moved_bytes": parcel.size_bytes
                + sum(f.stat().st_size for f in answer.files.values()),
                # What was waited for: the way there and back, and the others of the bundle.
                "seconds": round(time.perf_counter() - started, 3),
            }
            try:
                return bring_home(request, store, record, answer.files)
            except (ValueError, KeyError, TypeError) as error:
                raise TransferCorrupt(f"the record of {request.operation} is damaged") from error


def ask_remotely(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of this project on the other machine.

    Raises:
        TargetFailed: the other machine cannot do it.
    """
    with dispatcher().ask(Question.of(function, arguments)) as (answer, _):
        return answer.value
