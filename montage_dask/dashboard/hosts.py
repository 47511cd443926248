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


class _Foreign(Matcher):
    """Matches requests that were meant for another name, or that the page of another one sends."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        host = request.headers.get("Host", "127.0.0.1")
        origins = [
            urlsplit(value).netloc if "://" in value else "null"
            for header in ("Origin", "Sec-Websocket-Origin")
            for value in request.headers.get_list(header)
        ]
        own = self._own(host) and all(
            _plain(origin) == _plain(host) or self._allowed(origin) for origin in origins
        )
        return None if own else {}

    def _own(self, host: str) -> bool:
        name = _name(host)
        return name is not None and (
            _is_address(name) or name in self._names or name.endswith(".localhost")
        )

    def _allowed(self, origin: str) -> bool:
        """Whether a page of another name, such as that of a proxy, may ask: what the user has listed."""
        return _name(origin) in {_plain(n) for n in resolve()["dashboard-hosts"].value}


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
