"""What stands before every route: names, sizes, headers; and who it is that asks."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import Request
from starlette.datastructures import Headers
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
        self._app = app
        self._names = own_names()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def sending(message: Scope) -> None:
            if message["type"] == "http.response.start":
                own = {k for k, _ in message["headers"]}
                more = [(k.encode(), v.encode()) for k, v in HEADERS.items()]
                message["headers"] = [*message["headers"], *(m for m in more if m[0] not in own)]
            await send(message)

        refused = self._refusal(scope, headers)
        if refused is not None:
            await refused(scope, receive, sending)
        else:
            await self._app(scope, receive, sending)

    def _refusal(self, scope: Scope, headers: Headers) -> JSONResponse | None:
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
        self._accounts, self._open = accounts, open_to_all

    def __call__(self, request: Request) -> Account:
        """The user of a request.

        Raises:
            QueueError: 401 when it says nobody's token, 403 when a page's word for it is missing.
        """
        account: Account | None
        if self._open:
            account = self._accounts.account(LOCAL)
            assert account is not None
            # A page elsewhere can send forms, and no header of its own.
            self._no_forgery(request, self.csrf(""))
            return account
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            found = self._accounts.holder(token.strip())
            if found is not None:
                return found[1]
        cookie = request.cookies.get(COOKIE)
        if not kind and cookie is not None:
            account = self._accounts.session_of(cookie)
            if account is not None:
                self._no_forgery(request, self.csrf(cookie))
                return account
        raise QueueError("say who you are: Authorization: Bearer TOKEN, or log in", 401)

    def _no_forgery(self, request: Request, wanted: str) -> None:
        if request.method in SAFE or (self._open and "origin" not in request.headers):
            return
        if not hmac.compare_digest(
            request.headers.get("x-csrf-token", "").encode(), wanted.encode()
        ):
            raise QueueError(
                "the header X-CSRF-Token is missing or wrong: load the page again", 403
            )

    def csrf(self, cookie: str) -> str:
        """What a page must send with whatever it changes."""
        return self._accounts.sign(f"csrf:{cookie}")
