"""A websocket client (RFC 6455) for terminado's frames. No pings of its own, no time limits, no reconnection."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from .failure import Failure
from .web import connect, read_head

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
_PIECE = 1 << 18


class Websocket:
    """An open terminal websocket.

    Args:
        url: http address of the websocket.
        headers: of the upgrade request.

    Raises:
        Failure: the upgrade was refused.
    """

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._socket = connect(url)
        self._sending = threading.Lock()
        _, _, rest = url.partition("//")
        host, _, target = rest.partition("/")
        fields = {
            "Host": host,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            **headers,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self._socket.sendall(f"GET /{target} HTTP/1.1\r\n{lines}\r\n".encode())
        status, _, _, self._buffer = read_head(self._socket)
        if status != 101:
            raise Failure(f"Unexpected server response: {status}")

    def _send(self, opcode: int, payload: bytes) -> None:
        mask = os.urandom(4)
        size = len(payload)
        if size < 126:
            head = bytes((0x80 | opcode, 0x80 | size))
        elif size < 1 << 16:
            head = struct.pack(">BBH", 0x80 | opcode, 0x80 | 126, size)
        else:
            head = struct.pack(">BBQ", 0x80 | opcode, 0x80 | 127, size)
        key = (mask * (size // 4 + 1))[:size]
        masked = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
        with self._sending:
            self._socket.sendall(head + mask + masked.to_bytes(size, "big"))

    def send_json(self, value: Any) -> None:
        """One text frame."""
        self._send(TEXT, json.dumps(value).encode())

    def hang_up(self) -> None:
        """Say goodbye, and end `frames` in whatever thread it runs."""
        with contextlib.suppress(OSError):
            self._send(CLOSE, struct.pack(">H", 1000))
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Say goodbye; the other side's answer is not waited for."""
        self.hang_up()
        self._socket.close()

    def frames(self) -> Iterator[Any]:
        """Text frames as JSON, until the connection ends in whatever way."""
        piece = b""  # at first, what came with the reply to the upgrade
        while True:
            for opcode, payload in self._feed(piece):
                if opcode == CLOSE:
                    return
                yield json.loads(payload)
            try:
                piece = self._socket.recv(_PIECE)
            except OSError:
                return
            if not piece:
                return

    def _feed(self, piece: bytes) -> Iterator[tuple[int, bytes]]:
        """Text and close frames that are complete with this piece; pings are answered."""
        data = self._buffer + piece if self._buffer else piece
        at, end = 0, len(data)
        while end - at >= 2:
            size, head = data[at + 1] & 127, 2
            if size == 126:
                head = 4
            elif size == 127:
                head = 10
            if end - at < head:
                break
            if head > 2:
                size = int.from_bytes(data[at + 2 : at + head], "big")
            if end - at < head + size:
                break
            opcode, payload = data[at] & 15, data[at + head : at + head + size]
            at += head + size
            if opcode == PING:
                self._send(PONG, payload)
            elif opcode in (TEXT, CLOSE):
                yield opcode, payload
        self._buffer = data[at:]
