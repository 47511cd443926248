"""A terminal of a runtime: a real shell on a pty, and at most one client that watches it."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import pty
import re
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

Listener = Callable[[str], Awaitable[None]]

_LARGEST = 1 << 17
_EARLY_CHARS = 1 << 16


class Terminal:
    """Starts the shell at once, as terminado does; it lives on when the client leaves.

    Must be made inside a running event loop.
    """

    def __init__(
        self, name: str, shell: Sequence[str], environment: Mapping[str, str], folder: Path
    ) -> None:
        self.name = name
        self.ended = asyncio.Event()
        """The shell has ended and all its output was handed on."""
        self.prompted = asyncio.Event()
        """The shell has printed something: it waits for keys, and the tty's own echo is off."""
        self._listener: Listener | None = None
        self._early = ""
        self._master, slave = pty.openpty()
        try:
            # The new session's leader gets the pty as its controlling terminal by opening it.
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", 'exec "$@" <>"$0" >&0 2>&1', os.ttyname(slave), *shell],
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=slave,
                stderr=slave,
                start_new_session=True,
            )
        finally:
            os.close(slave)
        os.set_blocking(self._master, False)
        self._pidfd = os.pidfd_open(self._process.pid)
        self._wake = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._pidfd, self._on_exit)
        self._exited = False
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._task = asyncio.create_task(self._pump())

    def _on_exit(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        self._exited = True
        self._wake.set()

    def _on_output(self) -> None:
        asyncio.get_running_loop().remove_reader(self._master)
        self._wake.set()

    def _read(self) -> bytes | None:
        """What there is, up to a frame's size; None at the end of the pty."""
        pieces: list[bytes] = []
        size = 0
        while size < _LARGEST:
            try:
                piece = os.read(self._master, _LARGEST)
            except BlockingIOError:
                break
            except OSError:  # EIO: the last process that held the terminal has ended
                return b"".join(pieces) or None
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)

    async def _pump(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                exited = self._exited
                data = self._read()
                if data:
                    await self._hand_on(self._decoder.decode(data))
                elif data is None or exited:
                    break
                else:
                    self._wake.clear()
                    if not self._exited:
                        loop.add_reader(self._master, self._on_output)
                        await self._wake.wait()
        finally:
            loop.remove_reader(self._master)
            loop.remove_reader(self._pidfd)
            self.prompted.set()
            self.ended.set()

    async def _hand_on(self, text: str) -> None:
        self.prompted.set()
        if self._listener is None:
            self._early = (self._early + text)[-_EARLY_CHARS:]
            return
        try:
            await self._listener(text)
        except OSError:  # the client is gone
            self.detach()

    async def attach(self, listener: Listener) -> None:
        """Hand what came so far, and all that comes, to a client."""
        early, self._early = self._early, ""
        if early:
            await listener(early)
        self._listener = listener

    def detach(self) -> None:
        """The client has left; the shell goes on, its output is thrown away."""

        async def nobody(text: str) -> None:
            pass

        self._listener = nobody

    async def type(self, text: str) -> None:
        """Keys for the shell. Returns when the tty has taken all of them, or has ended."""
        data = text.encode()
        with contextlib.suppress(OSError):
            while data and not self.ended.is_set():
                try:
                    data = data[os.write(self._master, data) :]
                except BlockingIOError:
                    await asyncio.sleep(0.005)

    async def close(self) -> None:
        """Let go of the pty; the machine has ended the processes."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._process.kill()
        self._process.wait()
        os.close(self._master)
        os.close(self._pidfd)


class Corruption:
    """Changes one letter or digit of a stream, once."""

    def __init__(self, after: int) -> None:
        self._left = after
        self._done = False

    def __call__(self, text: str) -> str:
        """The text as the client sees it."""
        if self._done:
            return text
        if len(text) <= self._left:
            self._left -= len(text)
            return text
        match = re.compile("[A-Za-z0-9]").search(text, self._left)
        self._left = 0
        if match is None:
            return text
        self._done = True
        at = match.start()
        return text[:at] + ("B" if text[at] == "A" else "A") + text[at + 1 :]
