"""Displays in a notebook that follow running work, and what is shown outside one."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol, Self

from montage_dask.errors import Cancelled
from montage_dask.notebook.progress import progress_html
from montage_dask.progress_state import Tracker

EVERY_SECONDS = 0.5


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook. IPython is not imported for that."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and getattr(shell, "kernel", None) is not None


def bars() -> Any:
    """Bars for an interactive session on a terminal; None in a script, which is to decide for itself."""
    interactive = hasattr(sys, "ps1") or bool(sys.flags.interactive)
    ipython = sys.modules.get("IPython")
    interactive = interactive or (ipython is not None and ipython.get_ipython() is not None)
    if not interactive or not sys.stderr.isatty():
        return None
    from montage_dask.progress import Bars

    return Bars()


class Seen(Protocol):
    """Work that can be looked at."""

    @property
    def progress(self) -> Mapping[str, Any]: ...
    @property
    def done(self) -> bool: ...
    def cancel(self) -> None: ...


class _View:
    """HTML that is displayed once and brought up to date until it ends."""

    def __init__(self, draw: Callable[[], str]) -> None:
        from IPython.display import HTML, display

        self._draw, self._html = draw, HTML
        self._shown = draw()
        self._handle = display(HTML(self._shown), display_id=True)

    def update(self) -> None:
        """Draw it again when it has changed."""
        drawn = self._draw()
        if drawn != self._shown and self._handle is not None:
            self._shown = drawn
            self._handle.update(self._html(drawn))


def show_live(runs: Sequence[Seen]) -> None:
    """Display runs, and follow them until the last one has ended; with ipywidgets there is a button to cancel them."""

    def drawn() -> str:
        return progress_html([r.progress for r in runs])

    view = _View(drawn)
    if all(r.done for r in runs):
        return
    button = _button(runs)

    def follow() -> None:
        while not all(r.done for r in runs):
            time.sleep(EVERY_SECONDS)
            with suppress(Exception):  # a display that is gone must not end in a traceback
                view.update()
        with suppress(Exception):
            view.update()
            if button is not None:
                button.close()

    threading.Thread(target=follow, name="montage-display", daemon=True).start()


def _button(runs: Sequence[Seen]) -> Any:
    try:
        from ipywidgets import Button
    except ImportError:
        return None
    from IPython.display import display

    button = Button(description="Cancel", tooltip="What is done is kept.")

    def cancel(_: Any) -> None:
        for run in runs:
            run.cancel()

    button.on_click(cancel)
    display(button)
    return button


class Live(Tracker):
    """The progress of work that a cell waits for: a bar per stage, brought up to date twice a second.

    Args:
        title: what it is about.
        dashboard: its address, as soon as it is known.
    """

    def __init__(self, title: str, dashboard: Callable[[], str | None]) -> None:
        from montage_dask.graph.telling import Silent

        super().__init__(Silent())
        self._title, self._dashboard = title, dashboard
        self._state, self._error = "running", ""
        self._began = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="montage-display", daemon=True)

    def __enter__(self) -> Self:
        self._view = _View(self._drawn)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        stopped = isinstance(error, KeyboardInterrupt | asyncio.CancelledError | Cancelled)
        self._state = "finished" if error is None else "interrupted" if stopped else "failed"
        self._error = "" if error is None or stopped else str(error) or type(error).__name__
        self._view.update()

    def _follow(self) -> None:
        while not self._over.wait(EVERY_SECONDS):
            with suppress(Exception):
                self._view.update()

    def _drawn(self) -> str:
        return progress_html(
            [
                {
                    "state": self._state,
                    "title": self._title,
                    "error": self._error,
                    **self.now(),
                    "seconds": round(time.monotonic() - self._began, 1),
                    "dashboard": self._dashboard(),
                }
            ]
        )
