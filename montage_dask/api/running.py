"""`Run`: work that goes on in the background; and `Runs`, many of them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any, Generic, TypeVar, overload

from montage_dask.api.working import Control, controlled
from montage_dask.errors import Cancelled, UsageError
from montage_dask.graph.telling import Progress, Silent
from montage_dask.progress_state import Tracker

T = TypeVar("T")


class Run(Generic[T]):
    """Work that goes on while you do something else: what `Job.start` and the like return.

    Wait for it by `wait()`, or by `await` in async code; look at it with `progress`. In a notebook it shows itself and
    keeps itself up to date.

    Args:
        work: does it; told where to tell its progress. It runs in a thread of its own.
        title: what it is about, for people.
        progress: told as well.
        start: at once; else by `Runs`, when it is its turn.
    """

    def __init__(
        self,
        work: Callable[[Progress], T],
        title: str,
        progress: Progress | None = None,
        *,
        start: bool = True,
    ) -> None:
        self.title = title
        """What it is about."""
        self._work = work
        self._tracker = Tracker(progress or Silent())
        self._told_elsewhere = progress is not None
        self._control = Control()
        self._future: Future[T] = Future()
        self._called_off = threading.Event()
        self._starting = threading.Lock()
        self._began: float | None = None
        self._ended: float | None = None
        if start:
            threading.Thread(target=self.perform, name=f"montage-{title}", daemon=True).start()

    def perform(self) -> None:
        """Do the work in this thread; whatever becomes of it is told by the run. For those who bring threads of their own."""
        with self._starting:
            if self._began is not None or not self._future.set_running_or_notify_cancel():
                return
            self._began = time.monotonic()
        try:
            if self._called_off.is_set():
                raise Cancelled("cancelled before it began")
            with controlled(self._control):
                result = self._work(self._tracker)
        except BaseException as error:
            self._ended = time.monotonic()
            self._future.set_exception(error)
        else:
            self._ended = time.monotonic()
            self._future.set_result(result)

    @property
    def state(self) -> str:
        """waiting, running, finished, failed or cancelled."""
        if not self._future.done():
            return "waiting" if self._began is None else "running"
        if self._future.cancelled() or isinstance(self._future.exception(), Cancelled):
            return "cancelled"
        return "failed" if self._future.exception() else "finished"

    @property
    def done(self) -> bool:
        """Whether it has ended, one way or another."""
        return self._future.done()

    @property
    def progress(self) -> dict[str, Any]:
        """How far it is, as `progress.json` has it: state, stage, done, total, unit, speed (× real time), eta_seconds, all
        `stages`, the last `notes`; with `seconds` since it began, and the address of the `dashboard`."""
        since = 0.0 if self._began is None else (self._ended or time.monotonic()) - self._began
        return {
            "state": self.state,
            "title": self.title,
            "error": None if self.error is None else str(self.error),
            **self._tracker.now(),
            "seconds": round(since, 1),
            "dashboard": self._control.dashboard,
        }

    @property
    def error(self) -> BaseException | None:
        """Why it failed; None while it goes on, when it is finished and when it was cancelled."""
        failed = self._future.done() and self.state == "failed"
        return self._future.exception() if failed else None

    @property
    def result(self) -> T:
        """What came of it, when it has ended.

        Raises:
            UsageError: it goes on; `wait()` for it.
            MontageError: as the work did.
        """
        if not self.done:
            raise UsageError(f"{self.title} goes on: wait() for it, or await it")
        return self._outcome(None)

    def wait(self, timeout_seconds: float | None = None) -> T:
        """Wait until it has ended. An interrupt ends the waiting, not the work: `cancel()` does that.

        Args:
            timeout_seconds: how long to wait at most; None: until the end.

        Returns:
            What came of it.

        Raises:
            TimeoutError: it goes on.
            Cancelled: it was cancelled.
            MontageError: as the work did.
        """
        return self._outcome(timeout_seconds)

    def _outcome(self, timeout_seconds: float | None) -> T:
        try:
            return self._future.result(timeout_seconds)
        except CancelledError as error:
            raise Cancelled("cancelled before it began") from error

    def cancel(self) -> None:
        """Call it off. Pieces that workers are at end first; what is done is kept, so that the same work goes on from there."""
        self._called_off.set()
        self._future.cancel()  # succeeds only before it begins
        self._control.cancel()

    def __await__(self) -> Generator[Any, None, T]:
        return self._awaited().__await__()

    async def _awaited(self) -> T:
        try:
            # Whoever stops waiting does not stop the work.
            return await asyncio.shield(asyncio.wrap_future(self._future))
        except asyncio.CancelledError:
            if self._future.cancelled():
                raise Cancelled("cancelled before it began") from None
            raise

    def __repr__(self) -> str:
        now = self.progress
        at = f", {now['stage']} {now['done']}/{now['total']}" if now["stage"] else ""
        return f"<Run {self.title}: {self.state}{at}>"

    def _repr_html_(self) -> str:
        from montage_dask.notebook.progress import progress_html

        return progress_html([self.progress])

    def _ipython_display_(self) -> None:
        from montage_dask.notebook.live import show_live

        show_live([self])


async def finished(run: Run[T]) -> T:
    """The result of a run that belongs to whoever waits: when that is cancelled, so is the run."""
    from montage_dask.notebook.live import in_notebook, show_live

    if in_notebook() and not run._told_elsewhere:
        show_live([run])
    try:
        return await run
    except asyncio.CancelledError:
        run.cancel()
        raise


class Runs(Sequence[Run[T]]):
    """Many runs, a few at a time: what `start_all` returns. In a notebook it is a table that keeps itself up to date.

    Args:
        runs: not started yet.
        at_once: how many go on at the same time.
    """

    def __init__(self, runs: Sequence[Run[T]], at_once: int) -> None:
        if at_once < 1:
            raise UsageError(f"at_once must be at least 1, got {at_once}")
        self._runs = tuple(runs)
        self._waiting = deque(self._runs)
        for number in range(min(at_once, len(self._runs))):
            threading.Thread(target=self._work, name=f"montage-runs-{number}", daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                run = self._waiting.popleft()
            except IndexError:
                return
            run.perform()

    @overload
    def __getitem__(self, index: int) -> Run[T]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Run[T]]: ...
    def __getitem__(self, index: int | slice) -> Run[T] | Sequence[Run[T]]:
        return self._runs[index]

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def states(self) -> dict[str, int]:
        """How many runs are in each state."""
        found: dict[str, int] = {}
        for run in self._runs:
            found[run.state] = found.get(run.state, 0) + 1
        return found

    @property
    def results(self) -> list[T]:
        """What came of those that are finished, in order."""
        return [r.result for r in self._runs if r.state == "finished"]

    @property
    def errors(self) -> dict[str, BaseException]:
        """Why the others failed, by title."""
        return {r.title: r.error for r in self._runs if r.error is not None}

    def as_finished(self) -> Iterator[Run[T]]:
        """The runs as they end, whatever became of them."""
        left = list(self._runs)
        while left:
            for run in [r for r in left if r.done]:
                left.remove(run)
                yield run
            if left:
                _first_of(left)

    def wait(self) -> list[T]:
        """Wait for all. One that fails does not stop the others, and its error is in `errors`.

        Returns:
            `results`.
        """
        for _ in self.as_finished():
            pass
        return self.results

    def cancel(self) -> None:
        """Call off all that have not ended."""
        for run in reversed(self._runs):
            run.cancel()

    def __await__(self) -> Generator[Any, None, list[T]]:
        return asyncio.to_thread(self.wait).__await__()

    def __repr__(self) -> str:
        told = ", ".join(f"{n} {state}" for state, n in sorted(self.states.items()))
        return f"<Runs: {told or 'none'}>"

    def _repr_html_(self) -> str:
        from montage_dask.notebook.progress import progress_html

        return progress_html([r.progress for r in self._runs])

    def _ipython_display_(self) -> None:
        from montage_dask.notebook.live import show_live

        show_live(self._runs)


def _first_of(runs: Sequence[Run[Any]]) -> None:
    """Wait until one of several runs has ended."""
    from concurrent.futures import FIRST_COMPLETED, wait

    wait([r._future for r in runs], return_when=FIRST_COMPLETED)
