"""What the scheduler's HTTP server answers below `/montage`. Everything is read only.

All addresses are relative, so that it works behind a proxy and below a prefix; nothing is fetched from elsewhere.
"""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tornado.web import HTTPError, RequestHandler

if TYPE_CHECKING:
    from distributed import Scheduler

    from montage_dask.dashboard.plugin import MontagePlugin

PAGE = Path(__file__).with_name("page")
FILES = {
    "montage.html": "text/html; charset=utf-8",
    "montage.css": "text/css; charset=utf-8",
    "montage.js": "text/javascript; charset=utf-8",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)

BELOW = r"(?:/.*)?"
"""Whatever prefix the server was given (a scheduler does not tell which) or a proxy leaves in place."""


@cache
def _content(name: str) -> bytes:
    return (PAGE / name).read_bytes()


class _Page(RequestHandler):
    """Base of all: headers that keep a browser to what it was given."""

    def initialize(self, plugin: MontagePlugin) -> None:
        self.plugin = plugin

    def set_default_headers(self) -> None:
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cache-Control", "no-cache")


class _File(_Page):
    """The page itself, its style and its script."""

    def get(self, name: str = "montage.html") -> None:
        if name not in FILES:
            raise HTTPError(404)
        content = _content(name)
        self.set_header("Content-Type", FILES[name])
        self.set_header("Etag", f'"{sha256(content).hexdigest()[:16]}"')
        self.finish(content)


class _Slash(_Page):
    """The address with a slash at its end, where relative addresses would lead astray."""

    def get(self) -> None:
        self.redirect("../montage")


class _State(_Page):
    """What changed since a revision, as JSON."""

    def get(self) -> None:
        try:
            since = int(self.get_argument("since", "0"))
        except ValueError as error:
            raise HTTPError(400) from error
        view = self.plugin.view(
            self.get_argument("job", None), since, self.get_argument("epoch", "")
        )
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(view, separators=(",", ":")))


class _Picture(_Page):
    """The small picture of a segment. Its address changes with it."""

    def get(self, job: str, number: str, mark: str) -> None:
        board = self.plugin.jobs.board(job)
        if board is None or board.get("pictures", {}).get(number) != mark:
            raise HTTPError(404)
        self.set_header("Content-Type", "image/jpeg")
        self.set_header("Cache-Control", "private, max-age=86400, immutable")
        self.finish(board.pictures[int(number)])


def add_pages(scheduler: Scheduler, plugin: MontagePlugin) -> None:
    """Serve the page of a plug-in."""
    told: dict[str, Any] = {"plugin": plugin}
    routes = [
        (rf"{BELOW}/montage", _File, told),
        (rf"{BELOW}/montage/", _Slash, told),
        (rf"{BELOW}/montage/state", _State, told),
        (rf"{BELOW}/montage/picture/(\w+)/(\d+)-(\w+)\.jpg", _Picture, told),
        (rf"{BELOW}/montage/([\w.]+)", _File, told),
    ]
    scheduler.http_application.add_handlers(r".*$", routes)
    _link_from_dask(scheduler)


def _link_from_dask(scheduler: Scheduler) -> None:
    """Name the page in the navigation of Dask's own pages, where there are any."""
    with suppress(ImportError, KeyError, AttributeError):
        from distributed.dashboard.scheduler import template_variables

        pages = template_variables(scheduler)["pages"]
        if "montage" not in pages:
            pages.insert(1, "montage")
