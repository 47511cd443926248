"""Listens on a loopback port: plain HTTP, the CONNECT proxy with TLS, websockets, and the test's own control."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
from dataclasses import asdict, dataclass

from .backend import Backend
from .machine import Machine
from .terminal import Corruption, Terminal
from .wire import (
    Message,
    Reply,
    Websocket,
    encode_reply,
    json_reply,
    read_message,
    reset,
)

_READ_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Logged:
    """One request of the log."""

    method: str
    path: str
    """Without the query. The token endpoint's is "/token"; a websocket's method is "WS"."""
    query: dict[str, str]
    size: int
    """Bytes of the body."""
    status: int
    seconds: float
    """time.monotonic() when it had been read."""


class Service:
    """The listening socket and all its connections.

    Args:
        backend: answers.
        tls: server context of the token endpoint.
    """

    def __init__(self, backend: Backend, tls: ssl.SSLContext) -> None:
        self._backend, self._tls = backend, tls
        self.log: list[Logged] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> None:
        """Listen on an address of this machine; 0 is any free port."""
        self._server = await asyncio.start_server(self._connected, host, port, limit=_READ_LIMIT)
        self._idle = asyncio.create_task(self._backend.watch_idle())
        port = self._server.sockets[0].getsockname()[1]
        self._backend.url = self._backend.url or f"http://{host}:{port}"

    async def close(self) -> None:
        """Stop listening and end all connections and runtimes."""
        self._server.close()
        self._idle.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._idle
        await self._backend.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in list(self._writers):
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            if self._backend.knobs.offline:
                reset(writer)
                return
            await self._converse(reader, writer, secure=False)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        except asyncio.CancelledError:
            pass  # close() ends us; asyncio's own callback would report the cancellation as an error
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, secure: bool
    ) -> None:
        knobs = self._backend.knobs
        while (message := await read_message(reader)) is not None:
            seconds = time.monotonic()
            if message.path.startswith("/_loopback/") and not secure:
                writer.write(encode_reply(await self._control(message), keep=False))
                await writer.drain()
                return
            if latency := knobs.use("latency"):
                await asyncio.sleep(latency)
            if message.method == "CONNECT":
                self._note(message, 200, seconds)
                writer.write(b"HTTP/1.1 200 Connection Established\r\n\r\n")
                await writer.drain()
                await writer.start_tls(self._tls)
                await self._converse(reader, writer, secure=True)
                return
            if message.headers.get("upgrade", "").lower() == "websocket":
                await self._upgrade(message, reader, writer, seconds)
                return
            reply = self._backend.token(message) if secure else await self._backend.answer(message)
            self._note(message, reply.status, seconds)
            keep = message.headers.get("connection", "").lower() != "close"
            writer.write(encode_reply(reply, keep))
            await writer.drain()
            if not keep:
                return

    def _note(self, message: Message, status: int, seconds: float, method: str = "") -> None:
        size = len(message.body)
        method = method or message.method
        self.log.append(Logged(method, message.path, message.query, size, status, seconds))

    # Websockets

    async def _upgrade(
        self,
        message: Message,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        seconds: float,
    ) -> None:
        machine = self._backend.machine_of(message)
        name = message.path.removeprefix("/terminals/websocket/")
        terminal = machine.terminal(name) if machine else None
        status = self._backend.knobs.use("upgrade_status")
        if machine is None or terminal is None:
            status = 404
        elif "origin" not in message.headers:
            status = 403
        self._note(message, status, seconds, "WS")
        if machine is None or terminal is None or status != 101:
            writer.write(encode_reply(Reply(status), keep=False))
            await writer.drain()
            return
        socket = Websocket(reader, writer)
        await socket.accept(message)
        machine.joined(socket)
        try:
            await self._watch(socket, machine, terminal)
        finally:
            machine.left(socket)

    async def _watch(self, socket: Websocket, machine: Machine, terminal: Terminal) -> None:
        """Carry a terminal's output to the client and its keys to the terminal, and break as told."""
        knobs = self._backend.knobs
        drop_after, hole_after = knobs.use("ws_drop_after"), knobs.use("ws_hole_after")
        drop_chars, hole_chars = knobs.use("ws_drop_after_chars"), knobs.use("ws_hole_after_chars")
        rate = knobs.use("output_chars_per_second")
        longest = knobs.use("frame_chars")
        corrupt = (
            Corruption(knobs.use("corrupt_downloads_after"))
            if knobs.use("corrupt_downloads")
            else None
        )
        limit = knobs.use("line_limit")
        loop = asyncio.get_running_loop()
        sent = 0

        def fall_silent() -> None:
            socket.silent = True

        timers = []
        if drop_after is not None:
            timers.append(loop.call_later(drop_after, socket.reset))
        if hole_after is not None:
            timers.append(loop.call_later(hole_after, fall_silent))

        async def output(text: str) -> None:
            nonlocal sent
            sent += len(text)
            if drop_chars is not None and sent > drop_chars:
                socket.reset()
                raise ConnectionResetError
            if hole_chars is not None and sent > hole_chars:
                fall_silent()
            if rate:
                await asyncio.sleep(len(text) / rate)
            shown = corrupt(text) if corrupt else text
            step = longest or max(1, len(shown))
            for at in range(0, len(shown), step):
                await socket.send_json(["stdout", shown[at : at + step]])

        async def keys() -> None:
            while (frame := await socket.receive()) is not None:
                if frame[0] == "stdin" and not socket.silent:
                    await terminal.type(_cut(frame[1], limit))

        async def goodbye() -> None:
            await terminal.ended.wait()
            if machine.lost:
                await asyncio.Event().wait()  # a machine that is gone says nothing
            await socket.send_json(["disconnect", 1])
            await socket.close()
            if socket.silent:
                await asyncio.Event().wait()

        try:
            await socket.send_json(["setup", {}])
            await terminal.attach(output)
            both = [asyncio.create_task(keys()), asyncio.create_task(goodbye())]
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in both:
                    task.cancel()
                await asyncio.gather(*both, return_exceptions=True)
        finally:
            terminal.detach()
            for timer in timers:
                timer.cancel()

    # For tests in other processes

    async def _control(self, message: Message) -> Reply:
        backend, name = self._backend, message.path.removeprefix("/_loopback/")
        values = json.loads(message.body or b"{}")
        match message.method, name:
            case "PUT", "knobs":
                with contextlib.suppress(AttributeError):
                    if times := values.pop("times", None):
                        backend.knobs.for_next(times, **values)
                    else:
                        backend.knobs.set(**values)
                    return json_reply({})
                return json_reply({"message": "no such knob"}, 400)
            case "POST", "lose-runtime":
                defaults = {"account": "me", "variant": "GPU", "listed": False, "silent": False}
                return json_reply(await backend.lose(**defaults | values))
            case "GET", "requests":
                return json_reply([asdict(each) for each in self.log])
        return json_reply({"message": f"no {name}"}, 404)


def _cut(text: str, limit: int) -> str:
    """Typed text whose lines have lost what is beyond the limit (bytes)."""
    if len(text.encode()) <= limit:
        return text
    lines = (line.encode()[:limit].decode("utf-8", "ignore") for line in text.split("\n"))
    return "\n".join(lines)
