"""What stands before every route: names, sizes, headers; and who it is that asks."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

from montage_dask.coordinator.accounts import LOCAL, Account, Accounts
from montage_dask.coordinator.jobs import QueueError
from montage_dask.dashboard.hosts import REFUSAL, is_foreign, own_names

COOKIE = "montage-session"
BODY_BYTES = 1 << 20
"""The largest request that is no upload."""
SAFE = ("GET", "HEAD", "OPTIONS")

HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; frame-ancestors 'none'",
}  # fmt: skip

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]


class Gate:
    """ASGI around the application: refuses requests for another name, and bodies without end; adds the headers of safety."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app, self._names = app, own_names()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""

        async def sending(message: Scope) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refused = self._refusal(scope) if scope["type"] == "http" else None
        await (refused or self._app)(scope, receive, sending)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host") or [""]
        if len(hosts) > 1 or is_foreign(hosts[0], headers.getlist("origin"), self._names):
            return JSONResponse({"detail": REFUSAL.strip()}, 403)
        if scope["method"] in SAFE or scope["method"] == "PATCH":
            return None
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not length.isdecimal() or int(length) > BODY_BYTES:
            return JSONResponse({"detail": f"a request has at most {BODY_BYTES} bytes"}, 413)
        return None


class Door:
    """Tells who asks.

    Args:
        accounts: all that are known.
        open_to_all: without tokens: whoever reaches this server is the user of this machine.
    """

    def __init__(self, accounts: Accounts, *, open_to_all: bool) -> None:
        self._accounts = accounts
        self._open = secrets.token_hex() if open_to_all else ""

    def __call__(self, request: Request) -> Account:
        """The user of a request.

        Raises:
            QueueError: 401 when it says nobody's token, 403 when a page's word for it is missing.
        """
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if self._open:
            account = self._accounts.account(LOCAL)
            by_page = "origin" in request.headers
        else:
            by_page = not kind
            held = kind.lower() == "bearer" or by_page
            given = request.cookies.get(COOKIE, "") if by_page else token.strip()
            account = (self._accounts.holder(given) or (None, None))[1] if held else None
        if account is None:
            raise QueueError("say who you are: Authorization: Bearer TOKEN, or log in", 401)
        # A page elsewhere can send forms with our cookie, and no header of its own.
        said = request.headers.get("x-csrf-token", "").encode()
        if by_page and request.method not in SAFE and not hmac.compare_digest(said, self.csrf(request).encode()):  # fmt: skip
            raise QueueError(
                "the header X-CSRF-Token is missing or wrong: load the page again", 403
            )
        return account

    def csrf(self, request: Request) -> str:
        """What a page must send with whatever it changes."""
        secret = self._open or request.cookies.get(COOKIE, "")
        return hmac.new(secret.encode("utf-8", "replace"), b"csrf", "sha256").hexdigest()
