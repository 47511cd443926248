"""A preload of schedulers and workers: their HTTP servers answer only to their own names.

They ask for no password, so a browser must not be made to read them for somebody else. A foreign web page can do so in two ways:
its name is made to mean this machine (DNS rebinding), which shows in the `Host` of the request; or it opens a websocket, which
browsers allow to every page, and which shows in its `Origin`. Addresses in digits cannot be rebound, and need no list.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tornado.routing import Matcher, Rule
from tornado.web import RequestHandler

from montage_dask.config import resolve

if TYPE_CHECKING:
    from tornado.httputil import HTTPServerRequest

log = logging.getLogger(__name__)

REFUSAL = (
    "This server does not go by that name. Use the one it was started with, or allow the other by the setting dashboard-hosts "
    "(DASK_MONTAGE__DASHBOARD_HOSTS='[\"name\"]') of the process that serves.\n"
)


def dask_setup(server: Any) -> None:
    """Called in a scheduler or worker, behind the start of its HTTP server. As often as one likes."""
    application = getattr(server, "http_application", None)
    if application is None:
        return
    rules = application.default_router.rules
    if not any(isinstance(rule.matcher, _Foreign) for rule in rules):
        # Before all others, also those that are added later: every route of every application goes through here.
        rules.insert(0, Rule(_Foreign(own_names()), _Refused))


def own_names() -> frozenset[str]:
    """What this machine is called, and what the user allows."""
    names = {"localhost", socket.gethostname(), *resolve()["dashboard-hosts"].value}
    # The service before a pod, as the operator of dask-kubernetes tells it.
    service = urlsplit(os.environ.get("DASK_SCHEDULER_ADDRESS", "")).hostname or ""
    parts = service.split(".")
    names |= {".".join(parts[:n]) for n in range(1, len(parts) + 1)}
    return frozenset(_plain(name) for name in names if name)


def _plain(name: str) -> str:
    return name.rstrip(".").lower()


def is_foreign(host: str, origins: Iterable[str], names: frozenset[str]) -> bool:
    """Whether a request was meant for another name than ours, or comes from the page of another one.

    Args:
        host: of the request.
        origins: all that it says of the pages that it comes from.
        names: see `own_names`.
    """
    name = _name(host)
    if name is None:
        return True
    own = _is_address(name) or name in names or name.endswith(".localhost")
    places = [urlsplit(value).netloc if "://" in value else "null" for value in origins]
    # The page of another name, such as that of a proxy, may ask if the user has listed it.
    listed = {_plain(n) for n in resolve()["dashboard-hosts"].value} if places else set()
    return not own or any(_plain(p) != _plain(host) and _name(p) not in listed for p in places)


class _Foreign(Matcher):
    """Matches requests that were meant for another name, or that the page of another one sends."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        origins = [
            value
            for header in ("Origin", "Sec-Websocket-Origin")
            for value in request.headers.get_list(header)
        ]
        host = request.headers.get("Host", "127.0.0.1")
        return {} if is_foreign(host, origins, self._names) else None


def _name(host: str) -> str | None:
    """The name in a `Host`, without its port; None when it is none."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return None
    if name is None or any(c in host for c in "/\\@,? \t"):
        return None
    return _plain(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class _Refused(RequestHandler):
    """No word of what there is."""

    def prepare(self) -> None:
        headers = self.request.headers
        log.info("refused %r for a page of %r", headers.get("Host"), headers.get("Origin"))
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(REFUSAL)

    def check_xsrf_cookie(self) -> None:
        """Refused anyway."""
