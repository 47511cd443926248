"""What comes from a runtime: verified chunk by chunk, written as it comes, unpacked without harm."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import tarfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from montage_dask.cgpu.framing import Base64Stream
from montage_dask.errors import RemoteError, TransferCorrupt, UsageError, printable
from montage_dask.store.artefacts import storage_error
from montage_dask.store.own_files import open_own

log = logging.getLogger(__name__)

READ_BYTES = 1 << 20

LARGEST_BYTES = 1_000_000_000
"""The most that is taken from a runtime unless more was asked for: it says itself how much there is."""

LARGEST_COUNT = 100_000
"""Members of an archive; each costs a file here."""


class Download:
    """The sink of `send`: writes verified chunks to a file, one behind the other.

    Args:
        path: of the file that grows; what is there counts as fetched until the runtime says otherwise.
        most_bytes: a larger file is not fetched.
    """

    def __init__(self, path: Path, most_bytes: int = LARGEST_BYTES) -> None:
        self._most_bytes = most_bytes
        self.size: int | None = None
        """Bytes of the whole, once it is known."""
        self.done = 0
        """Bytes that are here and verified."""
        self.missing = False
        """There is no such file."""
        self._digest: str | None = None
        self._file: IO[bytes] = open_own(path, "a+b")
        self._whole = hashlib.sha256()
        self._file.seek(0)
        while block := self._file.read(READ_BYTES):
            self._whole.update(block)
            self.done += len(block)
        self._stream: Base64Stream | None = None
        self._unpacker: Any = None
        self._chunk = hashlib.sha256()
        self._chunk_left = 0

    def request(self, target: str, chunk_bytes: int, most: int) -> str:
        """The remote call for what is left."""
        return f"send {target} {chunk_bytes} {self.done} {self._whole.hexdigest()} {most}"

    @property
    def complete(self) -> bool:
        """All is here, and is what stands there."""
        return self.size == self.done and self._whole.hexdigest() == self._digest

    def rewind(self) -> None:
        """Forget a chunk that was not verified."""
        self._stream = None
        self._file.seek(self.done)
        self._file.truncate()

    def restart(self) -> None:
        """Forget everything."""
        self.done, self._whole = 0, hashlib.sha256()
        self.rewind()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def data(self, block: bytes) -> None:
        if self._stream is None:
            raise damaged()
        self._write(self._stream.write(block))

    def _write(self, data: bytes) -> None:
        if self._unpacker is None:
            self._put(data)
            return
        try:
            while data:
                # Piece by piece, and `_put` counts: no bomb is unpacked.
                self._put(self._unpacker.decompress(data, READ_BYTES))
                data = self._unpacker.unconsumed_tail
        except zlib.error as error:
            raise damaged() from error

    def _put(self, data: bytes) -> None:
        self._chunk_left -= len(data)
        if self._chunk_left < 0:
            raise damaged()
        self._chunk.update(data)
        self._file.write(data)

    def mark(self, name: str, arguments: list[str]) -> None:
        if name == "missing":
            self.missing = True
        elif name == "file":
            size, digest = int(arguments[0]), arguments[1]
            if not 0 <= size <= self._most_bytes:
                raise RemoteError(
                    f"the runtime sends {size:,} bytes, more than the {self._most_bytes:,} that were expected: not fetched",
                    retryable=False,
                )
            if self._digest not in (None, digest):
                self.restart()  # it changed meanwhile
            self.size, self._digest = size, digest
        elif name == "from" and int(arguments[0]) != self.done:
            self.restart()
            if int(arguments[0]):
                raise damaged()
        elif name == "chunk":
            self._begin(*arguments)
        elif name == "sum":
            self._end(arguments[0])

    def _begin(self, offset: str, length: str, packer: str) -> None:
        if self._stream is not None or int(offset) != self.done:
            raise damaged()
        self._stream, self._chunk = Base64Stream(), hashlib.sha256()
        self._chunk_left = int(length)
        if self.size is None or not 0 <= self._chunk_left <= self.size - self.done:
            raise damaged()
        self._unpacker = zlib.decompressobj(31) if packer == "packed" else None

    def _end(self, digest: str) -> None:
        if self._stream is None:
            raise damaged()
        self._stream.finish()
        if self._unpacker is not None:
            self._put(self._unpacker.flush())
        if self._chunk_left or self._chunk.hexdigest() != digest:
            raise damaged()
        # Read again rather than hashed twice on the way: the page cache has it, and a bad chunk leaves no trace.
        self._file.flush()
        self._file.seek(self.done)
        while block := self._file.read(READ_BYTES):
            self._whole.update(block)
            self.done += len(block)
        self._stream = None


def damaged() -> TransferCorrupt:
    """Bytes that are not those that were sent."""
    return TransferCorrupt("the file arrived changed: try again")


@contextmanager
def unfinished(local: Path, origin: str) -> Iterator[Path]:
    """A file to fetch into that outlives a failure, so that the next try can go on; renamed when all is there.

    Raises:
        StoreError: it cannot be written.
    """
    name = hashlib.sha256(f"{local.name}\0{origin}".encode("utf-8", "surrogateescape")).hexdigest()
    part = local.with_name(f".{name[:24]}.part")
    try:
        local.parent.mkdir(parents=True, exist_ok=True)
        if local.is_dir():
            raise UsageError(f"there is a folder at {printable(str(local))}: name a file")
        with _alone(part) as own:
            yield own
            os.replace(own, local)
    except OSError as error:
        raise storage_error(local, error) from error


@contextmanager
def _alone(part: Path) -> Iterator[Path]:
    """The file if nobody else fetches into it, else another one."""
    with open_own(part, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            other = part.with_suffix(f".{os.getpid()}.{time.monotonic_ns()}.part")
            try:
                yield other
            finally:
                other.unlink(missing_ok=True)
        else:
            yield part


def extract(archive: Path, folder: Path) -> None:
    """Unpack an archive that came from a runtime: nothing of it lands elsewhere, and it is no larger than what was fetched.

    Raises:
        RemoteError: it is damaged or leads out of the folder.
        StoreError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Not compressed, as our own side makes it.
        with tarfile.open(archive, "r:") as tar:
            for count, member in enumerate(tar):
                if count >= LARGEST_COUNT:
                    raise RemoteError("the results are too many files", retryable=False)
                if member.issparse():
                    raise RemoteError("the results hold a file with holes", retryable=False)
                if member.isreg() or member.isdir():
                    tar.extract(member, folder, filter="data")
                else:
                    log.warning("%r in the results is no file, and left out", member.name)
    except tarfile.TarError as error:
        raise RemoteError(f"the results cannot be unpacked: {error}", retryable=False) from error
    except OSError as error:
        raise storage_error(folder, error) from error
