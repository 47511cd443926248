"""A real redis-server, to be stopped, killed and started again."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


class RedisServer:
    """As docs/coordinator.md says to start it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.options = options or ("--appendonly", "yes", "--appendfsync", "always")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", "",
             *self.options],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        end = time.monotonic() + 20
        while True:
            try:
                assert self.ask("PING") == b"+PONG\r\n"
                return
            except (OSError, AssertionError):
                assert time.monotonic() < end, "redis-server does not answer"
                time.sleep(0.01)

    def ask(self, command: str) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as line:
            line.sendall(command.encode() + b"\r\n")
            return line.recv(1000)

    def empty(self) -> None:
        if self.process is None or self.process.poll() is not None:
            self.start()
        assert self.ask("FLUSHALL") == b"+OK\r\n"

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
