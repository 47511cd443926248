"""What goes to a runtime: cut in chunks that both sides name alike, so that none is sent twice."""

from __future__ import annotations

import gzip
import hashlib
import logging
import shlex
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from montage_dask.errors import (
    ConnectionLost,
    RemoteError,
    RuntimeLost,
    StoreError,
    TransferCorrupt,
    UsageError,
    printable,
)

if TYPE_CHECKING:
    from montage_dask.cgpu.runtime import Runtime

log = logging.getLogger(__name__)
T = TypeVar("T")

TRIES = 3
"""Without any progress; then it is given up."""

PAUSE_SECONDS = 0.5
READ_BYTES = 1 << 20
SAMPLE_BYTES = 1 << 20
"""Compression is tried on so much of a file."""

WORTHWHILE = 0.9
"""Compressed to less than this: the whole file is."""

ASK_FIRST_BYTES = 4 << 20
"""From this size on, a question what is there already costs less than sending for nothing."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """A file cut in chunks, as both sides name it."""

    id: str
    """Of its bytes and of how they are cut; plain."""
    digest: str
    """sha256 of the whole, hex."""
    size: int
    """Bytes of the whole."""
    chunk_bytes: int
    packer: str
    """`gzip` or `cat`: of each chunk."""

    @property
    def count(self) -> int:
        """Number of chunks."""
        return -(-self.size // self.chunk_bytes)

    def join(self, target: str) -> str:
        """The remote call that makes one file of the chunks and verifies it."""
        return f"join {self.id} {self.digest} {self.count} {self.packer} {target}"

    def have(self, target: str) -> str:
        """The remote call that names the chunks that are there."""
        return f"have {self.id} {self.digest} {target}"


class Presence:
    """The sink of `join` and `have`: which chunks stand there, with their digests."""

    def __init__(self) -> None:
        self.parts: dict[str, str] = {}
        self.there = False
        """The whole file is."""
        self.lack: str | None = None
        """`full` or `unwritable`."""

    def data(self, block: bytes) -> None:
        raise TransferCorrupt("the answer of the runtime was damaged: try again")

    def mark(self, name: str, arguments: list[str]) -> None:
        if name == "part" and len(arguments) == 2:
            self.parts[arguments[0]] = arguments[1]
        elif name in ("joined", "there"):
            self.there = True
        elif name in ("full", "unwritable"):
            self.lack = name

    def check(self, remote: str) -> None:
        """Raise what no other try can mend.

        Raises:
            RemoteError: the target cannot be written.
        """
        if self.lack == "full":
            raise RemoteError("the runtime's disk is full: free some space there", retryable=False)
        if self.lack == "unwritable":
            name = printable(remote)
            raise RemoteError(
                f"cannot write {name} on the runtime: no file can be there", retryable=False
            )


def cut(path: Path, chunk_bytes: int) -> Transfer:
    """How a file is to be sent. Reads it once.

    Raises:
        StoreError: it cannot be read.
        UsageError: it is no regular file.
    """
    if not path.is_file():
        raise UsageError(f"no such file: {printable(str(path))}")
    digest = hashlib.sha256()
    size = 0
    with _reading(path) as file:
        sample = file.read(SAMPLE_BYTES)
        packed = len(zlib.compress(sample, 1))
        packer = "gzip" if packed < WORTHWHILE * len(sample) else "cat"
        block = sample
        while block:
            digest.update(block)
            size += len(block)
            block = file.read(READ_BYTES)
    whole = digest.hexdigest()
    return Transfer(f"{whole[:32]}-{chunk_bytes}-{packer}", whole, size, chunk_bytes, packer)


def send_chunks(
    runtime: Runtime, path: Path, transfer: Transfer, there: dict[str, str] | None = None
) -> None:
    """Upload the chunks that are not there, one by one.

    Args:
        runtime: where to.
        path: the file.
        transfer: how it is cut.
        there: digests of chunks that stand there, by name.

    Raises:
        RemoteError: one did not arrive.
    """
    for index in range(transfer.count):
        name = f"{index:05d}"
        with chunk_file(path, transfer, index) as (file, digest):
            if there and there.get(name) == digest:
                continue
            patiently(partial(runtime.upload, file, f"parts/{transfer.id}.{name}"))


def patiently(work: Callable[[], T]) -> T:
    """Idempotent work, tried again after a cut line."""
    for left in reversed(range(TRIES)):
        try:
            return work()
        except RemoteError as error:
            if not left or not passing(error):
                raise
            log.info("again: %s", error)
            time.sleep(PAUSE_SECONDS)
    raise AssertionError("not reached")


def passing(error: RemoteError) -> bool:
    """Whether the same call may work a moment later, on the same machine."""
    if isinstance(error, RuntimeLost) and not isinstance(error, ConnectionLost):
        return False
    return error.retryable


@contextmanager
def chunk_file(path: Path, transfer: Transfer, index: int) -> Iterator[tuple[Path, str]]:
    """One chunk as a file, with its digest."""
    if transfer.count == 1 and transfer.packer == "cat":
        yield path, transfer.digest
        return
    with tempfile.NamedTemporaryFile(prefix="montage-dask-chunk-") as file:
        out: Any = file
        if transfer.packer == "gzip":
            # No name and no time in it: the same chunk makes the same bytes when it is cut again.
            out = gzip.GzipFile("", "wb", 6, file, mtime=0)
        left = transfer.chunk_bytes
        with _reading(path) as source:
            source.seek(index * transfer.chunk_bytes)
            while left and (block := source.read(min(READ_BYTES, left))):
                out.write(block)
                left -= len(block)
        if out is not file:
            out.close()
        file.flush()
        file.seek(0)
        yield Path(file.name), hashlib.file_digest(file, "sha256").hexdigest()


def quoted(remote: str) -> str:
    """A remote path for a script; what is not absolute lies below our folder.

    Raises:
        UsageError: it is empty or has a NUL in it.
    """
    if not remote or "\0" in remote:
        raise UsageError("not a remote path")
    return shlex.quote(remote) if remote.startswith("/") else shlex.quote("./" + remote)


@contextmanager
def _reading(path: Path) -> Iterator[IO[bytes]]:
    try:
        with open(path, "rb") as file:
            yield file
    except OSError as error:
        if error.filename is None:
            raise
        why = error.strerror or str(error)
        raise StoreError(f"cannot read {printable(str(path))}: {why}") from error
