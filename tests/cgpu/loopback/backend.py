"""The routes of Colab's own API and of a runtime's proxy, as cgpu 0.1.4 uses them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shlex
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from .knobs import Knobs
from .machine import VARIANTS, Machine
from .wire import Message, Reply, json_reply

GUARD = ")]}'\n"
"""Colab puts it before its JSON, so that no page can include it as a script."""
_IDLE_CHECK_SECONDS = 0.05
CLIENT_ID = "123-loopback.apps.googleusercontent.com"


@dataclass(frozen=True, slots=True)
class Account:
    """A Google account that this backend knows."""

    name: str
    refresh_token: str
    client_secret: str

    @property
    def mail(self) -> str:
        """The address that `cgpu` prints."""
        return f"{self.name}@example.com"


class Backend:
    """Accounts, runtimes and the answers to requests. Lives in one event loop.

    Args:
        folder: the runtimes' folders are made below it.
        python: the Python of the runtimes.
        environment: of the runtimes' shells, over the usual one.
        url: where clients reach it, unless that is where it listens.
    """

    def __init__(
        self, folder: Path, python: str, environment: Mapping[str, str], url: str = ""
    ) -> None:
        self.knobs = Knobs()
        self.folder, self.environment = folder, environment
        self.programs = _python_folder(folder / "programs", python)
        self.prefix = f"{uuid.uuid4().hex[:12]}-"
        """Of the ids of all its machines."""
        self.url = url
        """`http://127.0.0.1:PORT`, once it listens."""
        self.accounts: dict[str, Account] = {}
        self.machines: list[Machine] = []
        self._bearers: dict[str, Account] = {}
        self._xsrf: dict[str, str] = {}
        self._assigning = asyncio.Lock()

    def account(self, name: str) -> Account:
        """The account of that name; made when it is new."""
        if name not in self.accounts:
            secret = f"GOCSPX-secret-{uuid.uuid4().hex}"
            self.accounts[name] = Account(name, f"1//refresh-{uuid.uuid4().hex}", secret)
        return self.accounts[name]

    def root(self, account: str, variant: str, slot: int = 1) -> Path:
        """The folder of an account's runtime; its replacement gets the same one, empty."""
        kind = "cpu" if variant == "DEFAULT" else variant.lower()
        return self.folder / account / (kind if slot == 1 else f"{kind}-{slot}")

    def secrets(self) -> list[str]:
        """What must not leak."""
        found = [machine.proxy_token for machine in self.machines] + list(self._bearers)
        for account in self.accounts.values():
            found += [account.refresh_token, account.client_secret, account.mail]
        return found

    async def answer(self, message: Message) -> Reply:
        """The reply to a plain HTTP request."""
        path = message.path
        if path.startswith("/tun/m/"):
            return await self._colab(message, path.removeprefix("/tun/m/"))
        if path.startswith("/api/"):
            machine = self.machine_of(message)
            if machine is None:
                return json_reply({"message": "Not Found", "reason": None}, 404)
            if (message.method, path) == ("POST", "/api/terminals"):
                return await machine.open_terminal(self.knobs)
            if message.method == "PUT" and path.startswith("/api/contents/"):
                name = path.removeprefix("/api/contents/")
                return await asyncio.to_thread(machine.store, name, message.body, self.knobs)
        return _not_found(message)

    def machine_of(self, message: Message) -> Machine | None:
        """The runtime that a proxied request is for: its token tells."""
        token = message.headers.get("x-colab-runtime-proxy-token")
        return next((m for m in self.machines if m.proxy_token == token and not m.lost), None)

    # The token endpoint

    def token(self, message: Message) -> Reply:
        """POST /token: a new access token for a refresh token."""
        if (message.method, message.path) != ("POST", "/token"):
            return _not_found(message)
        status = self.knobs.use("token_status")
        body = self.knobs.use("token_body")
        if body is not None:
            return Reply(status, body.encode())
        if status >= 500:
            return json_reply({"error": "internal_failure"}, status)
        form = {name: values[0] for name, values in parse_qs(message.body.decode()).items()}
        known = next(
            (a for a in self.accounts.values() if a.refresh_token == form.get("refresh_token")),
            None,
        )
        if status >= 400 or known is None or form.get("grant_type") != "refresh_token":
            text = "Token has been expired or revoked."
            error = {"error": "invalid_grant", "error_description": text}
            return json_reply(error, status if status >= 400 else 400)
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, known.client_secret):
            return json_reply({"error": "invalid_client"}, 401)
        bearer = f"ya29.{uuid.uuid4().hex}"
        self._bearers[bearer] = known
        scope = "openid https://www.googleapis.com/auth/colaboratory"
        token = {"access_token": bearer, "expires_in": 3599, "token_type": "Bearer", "scope": scope}
        return json_reply(token)

    # Colab's API

    async def _colab(self, message: Message, rest: str) -> Reply:
        kind, _, bearer = message.headers.get("authorization", "").partition(" ")
        account = self._bearers.get(bearer)
        if kind != "Bearer" or account is None:
            return Reply(401, b"Request had invalid authentication credentials.", "text/plain")
        if message.headers.get("x-colab-client-agent") != "vscode":
            return Reply(400, b"X-Colab-Client-Agent is missing", "text/plain")
        if message.query.get("authuser") != "0":
            return Reply(400, b"authuser is missing", "text/plain")
        routes: dict[tuple[str, str], Callable[[Message, Account], Awaitable[Reply]]] = {
            ("GET", "ccu-info"): self._ccu_info,
            ("GET", "assignments"): self._assignments,
            ("GET", "assign"): self._xsrf_token,
            ("POST", "assign"): self._assign,
            ("GET", "runtime-proxy-token"): self._proxy_token,
        }
        if route := routes.get((message.method, rest)):
            return await route(message, account)
        if message.method == "GET" and (match := re.fullmatch("([^/]+)/keep-alive/", rest)):
            return self._keep_alive(message, account, match[1])
        return _not_found(message)

    async def _ccu_info(self, message: Message, account: Account) -> Reply:
        status, body = self.knobs.use("ccu_status"), self.knobs.use("ccu_body")
        if body is not None or status >= 400:
            return Reply(status, (body or "no information").encode())
        info = {
            "currentBalance": 0,
            "consumptionRateHourly": 0,
            "assignmentsCount": len(self._listed(account)),
            "eligibleGpus": self.knobs.use("eligible_gpus"),
            "eligibleTpus": self.knobs.use("eligible_tpus"),
        }
        return json_reply(info, prefix=GUARD)

    def _listed(self, account: Account) -> list[Machine]:
        return [machine for machine in self.machines if machine.account == account.name]

    async def _assignments(self, message: Message, account: Account) -> Reply:
        status, body = self.knobs.use("list_status"), self.knobs.use("list_body")
        if body is not None or status >= 400:
            return Reply(status, (body or "no list").encode())
        listings = [machine.listing for machine in self._listed(account)]
        return json_reply({"assignments": listings}, prefix=GUARD)

    async def _xsrf_token(self, message: Message, account: Account) -> Reply:
        notebook = message.query.get("nbh", "")
        if not re.fullmatch(r"[0-9a-f_]{36}\.{8}", notebook):
            return Reply(400, b"nbh is not a notebook hash", "text/plain")
        self._xsrf[notebook] = token = f"xsrf-{uuid.uuid4().hex}"
        variant = message.query.get("variant", "DEFAULT")
        accelerator = message.query.get("accelerator", "NONE")
        reply = {
            "acc": accelerator,
            "nbh": notebook,
            "p": False,
            "token": token,
            "variant": variant,
        }
        return json_reply(reply, prefix=GUARD)

    async def _assign(self, message: Message, account: Account) -> Reply:
        notebook = message.query.get("nbh", "")
        expected = self._xsrf.pop(notebook, None)
        if expected is None or message.headers.get("x-goog-colab-token") != expected:
            return Reply(403, b"XSRF token is wrong", "text/plain")
        variant = message.query.get("variant", "DEFAULT")
        accelerator = message.query.get("accelerator", "NONE")
        if variant not in VARIANTS:
            return Reply(400, b"no such variant", "text/plain")
        status, body = self.knobs.use("assign_status"), self.knobs.use("assign_body")
        if status >= 400 or body is not None:
            return Reply(status, (body or "no assignment").encode())
        if accelerator in self.knobs.use("scarce"):
            return Reply(503, b"no capacity", "text/plain")
        outcome = self.knobs.use("assign_outcome")
        reply: dict[str, Any] = {"outcome": outcome, "variant": VARIANTS[variant]}
        if outcome not in (1, 2, 5):
            machine = await self._new_machine(account, variant, accelerator)
            reply |= machine.listing | {"fit": 1800, "sub": 1, "subTier": 0}
            reply["runtimeProxyInfo"] = self._proxy_info(machine)
        return json_reply(reply, prefix=GUARD)

    async def _new_machine(self, account: Account, variant: str, accelerator: str) -> Machine:
        async with self._assigning:
            self.machines = [m for m in self.machines if not m.lost]
            taken = {machine.root for machine in self.machines}
            slot = 1
            while (root := self.root(account.name, variant, slot)) in taken:
                slot += 1
            machine = await asyncio.to_thread(
                Machine,
                account.name,
                self.prefix,
                variant,
                accelerator,
                root,
                self.programs,
                self.environment,
            )
            self.machines.append(machine)
            return machine

    def _proxy_info(self, machine: Machine) -> dict[str, object]:
        url = f"{self.url}/"
        return {"token": machine.proxy_token, "tokenExpiresInSeconds": 3600, "url": url}

    def _live(self, account: Account, endpoint: str) -> Machine | None:
        machines = self._listed(account)
        return next((m for m in machines if m.endpoint == endpoint and not m.lost), None)

    async def _proxy_token(self, message: Message, account: Account) -> Reply:
        if message.headers.get("x-colab-tunnel") != "Google" or message.query.get("port") != "8080":
            return Reply(400, b"not a tunnel request", "text/plain")
        status = self.knobs.use("proxy_token_status")
        machine = self._live(account, message.query.get("endpoint", ""))
        if status >= 400 or machine is None:
            return Reply(status if status >= 400 else 404, b"no such runtime", "text/plain")
        return json_reply(self._proxy_info(machine), prefix=GUARD)

    def _keep_alive(self, message: Message, account: Account, endpoint: str) -> Reply:
        status = self.knobs.use("keep_alive_status")
        machine = self._live(account, endpoint)
        if message.headers.get("x-colab-tunnel") != "Google":
            return Reply(400, b"not a tunnel request", "text/plain")
        if status >= 400 or machine is None:
            return Reply(status if status >= 400 else 404, b"no such runtime", "text/plain")
        machine.kept_alive.append(time.monotonic())
        return json_reply({})

    # The end of runtimes

    async def lose(self, account: str, variant: str, listed: bool, silent: bool) -> int:
        """Lose the account's runtimes of a variant; how many there were comes back."""
        lost = [m for m in self.machines if (m.account, m.variant) == (account, variant)]
        for machine in lost:
            if not machine.lost:
                await machine.lose(silent)
        if not listed:
            self.machines = [m for m in self.machines if m not in lost]
        return len(lost)

    async def watch_idle(self) -> None:
        """Lose runtimes that nobody keeps alive, as the knob says; for ever."""
        while True:
            await asyncio.sleep(_IDLE_CHECK_SECONDS)
            limit = self.knobs.idle_seconds
            for machine in list(self.machines):
                last = max([machine.started, *machine.kept_alive])
                if limit is not None and not machine.lost and time.monotonic() - last > limit:
                    await machine.lose(silent=False)

    async def close(self) -> None:
        """Lose everything."""
        for machine in self.machines:
            with contextlib.suppress(TimeoutError):
                if not machine.lost:
                    await machine.lose(silent=False)


def _not_found(message: Message) -> Reply:
    return Reply(404, json.dumps({"message": f"no {message.path}"}).encode())


def _python_folder(folder: Path, python: str) -> Path:
    """A folder with `python3` and `python` that start a chosen Python.

    A link would do for a plain Python, but one of a virtual environment finds its packages by its own place.
    """
    folder.mkdir(exist_ok=True)
    for name in ("python3", "python"):
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(python)} "$@"\n')
        script.chmod(0o755)
    return folder
