"""A real S3 server (moto's) on loopback, and a bucket in it."""

from __future__ import annotations

import atexit
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Bucket:
    """A bucket of its own for the tests of a module."""

    name: str
    environment: dict[str, str]
    """What finds the server and opens it."""

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    def _fs(self):
        import s3fs

        return s3fs.S3FileSystem(
            key=self.environment["AWS_ACCESS_KEY_ID"], secret=self.environment["AWS_SECRET_ACCESS_KEY"],
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            use_listings_cache=False,
        )  # fmt: skip

    def put(self, file: Path, key: str) -> str:
        self._fs().put_file(str(file), f"{self.name}/{key}")
        return f"{self.url}/{key}"

    def write(self, key: str, data: bytes) -> str:
        self._fs().pipe_file(f"{self.name}/{key}", data)
        return f"{self.url}/{key}"

    def read(self, key: str) -> bytes:
        return self._fs().cat_file(f"{self.name}/{key}")

    def remove(self, key: str) -> None:
        self._fs().rm_file(f"{self.name}/{key}")

    def keys(self, below: str = "") -> set[str]:
        found = self._fs().find(f"{self.name}/{below}")
        return {name.partition("/")[2] for name in found}


@cache
def _address() -> str:
    """Of the one server of this process: file systems are kept by their arguments, and the environment is none."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    atexit.register(server.stop)
    host, port = server.get_host_and_port()
    return f"http://{host}:{port}"


SECRET = "the-secret-of-this-server"


@contextmanager
def serving() -> Iterator[Bucket]:
    environment = {
        "AWS_ENDPOINT_URL": _address(),
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    bucket = Bucket(f"films-{secrets.token_hex(4)}", environment)
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment.items():
            patch.setenv(variable, value)
        bucket._fs().mkdir(bucket.name)
        yield bucket
