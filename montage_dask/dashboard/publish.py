"""How a job reaches the page: a thread of its own sends what changed, twice a second at most.

A job is never slowed down or sunk by this: it only fills its board, and whatever goes wrong here is a line in the log.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from distributed import Client

from montage_dask.config import Setting
from montage_dask.dashboard.plugin import MontagePlugin
from montage_dask.dashboard.public import Public, roots_of
from montage_dask.dashboard.state import NAME, Board, short
from montage_dask.errors import Cancelled, MediaError, MontageError
from montage_dask.media.thumbnail import first_picture
from montage_dask.store import is_url
from montage_dask.store.cache import default_folder

log = logging.getLogger(__name__)

EVERY_SECONDS = 0.5
"""Sent at most this often."""
ALIVE_SECONDS = 10.0
"""And at least this often while the job lives."""
REST_SECONDS = 5.0
"""After a failure, for so long nothing is sent."""
ANSWER_SECONDS = 5.0
"""How long the scheduler may take for it."""
END_SECONDS = 2 * ANSWER_SECONDS
"""For so long it is told again how a job ended, while that fails."""
PICTURES_AT_ONCE = 4
"""Small pictures made between two messages: decoding them takes the job's cores."""


class Told(Protocol):
    """A job that tells what it does (see `graph.telling.Telling`)."""

    board: Board
    public: Public
    job: str
    fresh: Any

    def say(self, message: str) -> None: ...


def page_link(client: Client) -> str:
    """The address of the page; empty when the scheduler has no dashboard."""
    link = str(client.dashboard_link or "")
    return f"{link.rpartition('/')[0]}/montage" if link else ""


@contextmanager
def published(
    client: Client,
    told: Told,
    kind: str,
    title: str,
    footage: Iterable[str],
    settings: Mapping[str, Setting],
    others: Iterable[str] = (),
) -> Iterator[None]:
    """Show a job on the scheduler's page while the block runs, and how it ended.

    Args:
        client: connected.
        told: the job.
        kind: the command, such as run.
        title: what the job makes.
        footage: as the user named it; names below these folders are shown relative to them, others without a folder.
        settings: of the job.
        others: files and folders that the job knows beside footage and settings; of these only the last part is told.
    """
    told.public = Public(roots_of(footage), [*others, *_paths_in(settings), *_of_this_machine()])
    job = {
        "kind": kind,
        "title": short(told.public.path(title), NAME),
        "state": "running",
        "started_at": round(time.time(), 3),
    }
    told.board.put("job", job)
    sender = _Sender(client, told)
    link = page_link(client) if sender.there else ""
    # On Kubernetes, the way there is the user's own (see docs/watching.md).
    if link and settings["cluster"].value != "kubernetes":
        told.say(f"watch it at {link}")
    sender.start()
    try:
        yield
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt | GeneratorExit | Cancelled)
        why = str(error) if isinstance(error, MontageError) else repr(error)
        sender.end("interrupted" if stopped else "failed", "" if stopped else why)
        raise
    sender.end("finished")


def _paths_in(settings: Mapping[str, Setting]) -> Iterator[str]:
    """What may be a path among the values: of weights, the store, a certificate."""
    for setting in settings.values():
        several = isinstance(setting.value, list | tuple)
        for value in setting.value if several else [setting.value]:
            if isinstance(value, str) and "/" in value and ("://" not in value or is_url(value)):
                yield value


def _of_this_machine() -> list[str]:
    return [os.getcwd(), os.path.expanduser("~"), tempfile.gettempdir(), str(default_folder())]


class _Sender:
    """Sends what changed on a board to the plug-in of the scheduler."""

    def __init__(self, client: Client, told: Told) -> None:
        self._client, self._told = client, told
        self._sent, self._when, self._rest = 0, 0.0, 0.0
        self._shown: Mapping[str, str] = {}
        self.there = self._register()
        """Whether the scheduler has the page."""
        self._ended = threading.Event()
        self._last = float("inf")
        self._thread = threading.Thread(target=self._keep, name="montage-page", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self, state: str, error: str = "") -> None:
        """Tell how the job ended, and end."""
        board = self._told.board
        told = {"state": state, "error": short(self._told.public(error)), "ended_at": time.time()}
        board.put("job", {**board.get("job"), **told})
        self._last = time.monotonic() + END_SECONDS
        self._ended.set()
        self._thread.join(END_SECONDS)

    def _register(self) -> bool:
        try:
            self._client.register_plugin(MontagePlugin())
        except Exception:  # a scheduler without this package, or one that takes no plug-ins
            log.info("no page /montage on this scheduler", exc_info=True)
            return False
        return True

    def _keep(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            self._draw()
            self._send()
        # Nobody tells it later: without it, the page shows for a minute that the job runs, then that it was stopped.
        while not self._send() and time.monotonic() + EVERY_SECONDS < self._last:
            time.sleep(EVERY_SECONDS)

    def _draw(self) -> None:
        """Make the small pictures of segments that are there."""
        for _ in range(PICTURES_AT_ONCE):
            try:
                number, file = self._told.fresh.popleft()
                self._told.board.picture(number, first_picture(Path(file)))
            except IndexError:
                return
            except (MediaError, OSError, ValueError):
                log.debug("no picture of %s", file, exc_info=True)

    def _send(self) -> bool:
        """Send what changed; false when it did not get there and may the next time."""
        board = self._told.board
        revision, items = board.revision, board.since(self._sent)
        now = time.monotonic()
        resting = now < self._rest and not self._ended.is_set()
        if not self.there or resting or (not items and now - self._when < ALIVE_SECONDS):
            return True
        marks = board.get("pictures", {})
        drawn = dict(board.pictures)
        pictures = [
            (int(n), drawn[int(n)])
            for n, mark in marks.items()
            if mark != self._shown.get(n) and int(n) in drawn
        ]
        message = {
            "job": self._told.job, "client": self._client.id, "items": items, "pictures": pictures,
        }  # fmt: skip
        wait = min(ANSWER_SECONDS, self._last - now)
        try:
            self._client.sync(self._client.scheduler.montage_tell, **message, callback_timeout=wait)
        except Exception as error:  # the scheduler is away, or a new one does not know the page
            log.debug("the page was not told", exc_info=True)
            self._sent, self._shown, self._rest = 0, {}, now + REST_SECONDS
            if not self._ended.is_set() and self._client.status == "running":
                self._register()
            # One that answers, but does not take it, will not take it later.
            return not (isinstance(error, OSError) and self._client.status == "running")
        self._sent, self._when = revision, now
        self._shown = marks
        return True
