"""A virtual machine: a fresh folder, the shells that run in it, and their end."""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from .knobs import Knobs
from .processes import MARK, end_processes
from .terminal import Terminal
from .wire import Reply, Websocket, json_reply

VARIANTS = {"DEFAULT": 0, "GPU": 1, "TPU": 2}


class Machine:
    """One assigned runtime.

    Args:
        account: whose it is.
        prefix: of its id, common to the machines of one backend.
        variant: "DEFAULT" (CPU), "GPU" or "TPU".
        accelerator: "T4" …; "NONE" for a CPU.
        root: its folder; what another machine left there is removed.
        programs: a folder that comes first in its shells' PATH.
        environment: of its shells, over the usual one.
    """

    def __init__(
        self,
        account: str,
        prefix: str,
        variant: str,
        accelerator: str,
        root: Path,
        programs: Path,
        environment: Mapping[str, str],
    ) -> None:
        self.id = f"{prefix}{uuid.uuid4().hex}"
        self.account, self.variant, self.accelerator = account, variant, accelerator
        kind = accelerator.lower() if variant != "DEFAULT" else "cpu"
        self.endpoint = f"{kind}-s-{self.id[-12:]}"
        self.proxy_token = f"proxy-{uuid.uuid4().hex}"
        self.root = root
        self.lost = False
        self.started = time.monotonic()
        self.kept_alive: list[float] = []
        """time.monotonic() of each keep-alive."""
        self._terminals: dict[str, Terminal] = {}
        self._sockets: set[Websocket] = set()
        if root.exists():
            shutil.rmtree(root)
        root.mkdir(parents=True)
        self.environment = {
            "PATH": f"{programs}:{os.defpath}",
            "HOME": str(root),
            "HISTFILE": "/dev/null",
            "LANG": "C.UTF-8",
            "PS1": "/# ",
            "SHELL": "/bin/bash",
            "TERM": "xterm-256color",
            **environment,
            MARK: self.id,
        }

    @property
    def listing(self) -> dict[str, object]:
        """How the list of assignments shows it."""
        return {
            "accelerator": self.accelerator,
            "endpoint": self.endpoint,
            "variant": VARIANTS[self.variant],
            "machineShape": 0,
        }

    # Terminals

    async def open_terminal(self, knobs: Knobs) -> Reply:
        """Start a shell; its name comes back."""
        status = knobs.use("terminals_status")
        if status >= 400:
            return json_reply({"message": "no terminal", "reason": None}, status)
        name = str(len(self._terminals) + 1)
        terminal = Terminal(name, knobs.use("shell"), self.environment, self.root)
        self._terminals[name] = terminal
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(terminal.prompted.wait(), knobs.use("terminals_delay"))
        return json_reply({"name": name, "last_activity": "2026-01-01T00:00:00.000000Z"})

    def terminal(self, name: str) -> Terminal | None:
        """The shell of that name."""
        return self._terminals.get(name)

    @property
    def sockets(self) -> list[Websocket]:
        """Websockets that are open now."""
        return list(self._sockets)

    def joined(self, socket: Websocket) -> None:
        """A websocket was opened."""
        self._sockets.add(socket)

    def left(self, socket: Websocket) -> None:
        """It was closed."""
        self._sockets.discard(socket)

    # Files

    def store(self, path: str, body: bytes, knobs: Knobs) -> Reply:
        """PUT of the contents API. Reads and writes files: call it in a thread.

        Args:
            path: of the file, below "/", without its first slash.
            body: {"type": "file", "format": "base64", "content": …}
        """
        status = knobs.use("contents_status")
        if status >= 400:
            return _failure(status, knobs.use("contents_body"))
        if len(body) > knobs.use("contents_limit"):
            return _failure(413, None)
        target = Path("/" + path)
        root = self.root.resolve()
        if not target.resolve().is_relative_to(root):
            return json_reply({"message": f"{target} is outside of {root}", "reason": None}, 403)
        try:
            model = json.loads(body)
            if (model["type"], model["format"]) != ("file", "base64"):
                raise ValueError("not a base64 file")
            content = binascii.a2b_base64(model["content"].encode(), strict_mode=True)
        except (ValueError, KeyError, TypeError) as error:
            return json_reply({"message": f"Bad model: {error}", "reason": None}, 400)
        if knobs.use("corrupt_uploads") and content:
            middle = len(content) // 2
            flipped = bytes((content[middle] ^ 1,))
            content = content[:middle] + flipped + content[middle + 1 :]
        existed = target.exists()
        try:
            target.write_bytes(content)
        except OSError as error:
            message = f"Unexpected error while saving file: {path} {error}"
            return json_reply({"message": message, "reason": None}, 500)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        model = {"name": target.name, "path": path, "type": "file", "last_modified": stamp}
        return json_reply(model, 200 if existed else 201)

    # The end

    async def lose(self, silent: bool) -> None:
        """The machine is gone: processes killed, folder removed.

        Args:
            silent: open connections do not break, they just never say anything any more.
        """
        self.lost = True
        for socket in self.sockets:
            if silent:
                socket.silent = True
            else:
                socket.reset()
        await asyncio.to_thread(end_processes, self.id)
        for terminal in self._terminals.values():
            await terminal.close()
        self._terminals.clear()
        await asyncio.to_thread(shutil.rmtree, self.root, True)


def _failure(status: int, body: str | None) -> Reply:
    if body is not None:
        return Reply(status, body.encode())
    return json_reply({"message": f"contents: {status}", "reason": None}, status)
