"""HTTP/1.1 and websockets (RFC 6455), server side, as far as a loopback Colab needs them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import socket
import struct
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
_KEY_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass(frozen=True, slots=True)
class Message:
    """One HTTP request, read completely."""

    method: str
    path: str
    """Decoded, without the query; `host:port` for CONNECT."""
    query: dict[str, str]
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What a request is answered with."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"


def json_reply(value: Any, status: int = 200, prefix: str = "") -> Reply:
    """A JSON body; `prefix` is the guard that Colab's own API puts before it."""
    return Reply(status, (prefix + json.dumps(value)).encode())


def reason(status: int) -> str:
    """The phrase that goes with a status code."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
    # As Tornado and Node put it; Python 3.13 changed the phrase.
    return "Request Entity Too Large" if status == 413 else phrase


async def read_message(reader: asyncio.StreamReader) -> Message | None:
    """The next request, or None at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {}
    for line in filter(None, lines):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    if method == "CONNECT":
        return Message(method, target, {}, headers, body)
    parts = urlsplit(target)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return Message(method, unquote(parts.path), query, headers, body)


def encode_reply(reply: Reply, keep: bool) -> bytes:
    """The bytes of a reply."""
    head = (
        f"HTTP/1.1 {reply.status} {reason(reply.status)}\r\n"
        f"Content-Type: {reply.content_type}\r\nContent-Length: {len(reply.body)}\r\n"
        f"Connection: {'keep-alive' if keep else 'close'}\r\n\r\n"
    )
    return head.encode() + reply.body


def reset(writer: asyncio.StreamWriter) -> None:
    """Break a connection with a TCP reset, as a dying machine's network does."""
    with contextlib.suppress(OSError):  # it may be closed already
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Websocket:
    """The server's end of one websocket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.silent = False
        """A black hole: what is sent vanishes, the connection stays open."""

    async def accept(self, message: Message) -> None:
        """Answer the upgrade request."""
        key = message.headers["sec-websocket-key"].encode()
        token = base64.b64encode(hashlib.sha1(key + _KEY_SUFFIX).digest()).decode()
        self._writer.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {token}\r\n\r\n".encode()
        )
        await self._writer.drain()

    async def _send(self, opcode: int, payload: bytes) -> None:
        if self.silent:
            return
        size = len(payload)
        if size < 126:
            head = bytes((0x80 | opcode, size))
        elif size < 1 << 16:
            head = struct.pack(">BBH", 0x80 | opcode, 126, size)
        else:
            head = struct.pack(">BBQ", 0x80 | opcode, 127, size)
        self._writer.write(head + payload)
        await self._writer.drain()

    async def send_json(self, value: Any) -> None:
        """One text frame."""
        await self._send(TEXT, json.dumps(value).encode())

    async def receive(self) -> Any:
        """The next text frame as JSON; pings are answered; None when the client has left."""
        while True:
            try:
                head = await self._reader.readexactly(2)
                opcode, size = head[0] & 15, head[1] & 127
                if size == 126:
                    size = int.from_bytes(await self._reader.readexactly(2), "big")
                elif size == 127:
                    size = int.from_bytes(await self._reader.readexactly(8), "big")
                if not head[1] & 128:
                    return None  # an unmasked client frame is a protocol error
                mask = await self._reader.readexactly(4)
                payload = _unmask(await self._reader.readexactly(size), mask)
                if opcode == PING:
                    await self._send(PONG, payload)
                elif opcode == CLOSE:
                    await self._send(CLOSE, payload[:2])
                    return None
                elif opcode == TEXT:
                    return json.loads(payload)
            except (asyncio.IncompleteReadError, ConnectionError):
                return None

    async def close(self) -> None:
        """Say goodbye (1000) and close."""
        try:
            await self._send(CLOSE, struct.pack(">H", 1000))
            if not self.silent:
                self._writer.close()
        except ConnectionError:
            pass

    def reset(self) -> None:
        """Break the connection now."""
        reset(self._writer)


def _unmask(data: bytes, mask: bytes) -> bytes:
    repeated = mask * (len(data) // 4 + 1)
    number = int.from_bytes(data, "big") ^ int.from_bytes(repeated[: len(data)], "big")
    return number.to_bytes(len(data), "big")
