"""Files to and from a runtime: in chunks, each verified, none sent twice.

Up: one upload per chunk, then one call that joins and verifies. Down: one call streams many chunks as base64, and they are
written to disk as they come. The memory needed is a piece of a chunk, whatever the size of the file.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import logging
import os
import shlex
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from montage_dask.cgpu.framing import Base64Stream
from montage_dask.errors import (
    ConnectionLost,
    RemoteCommandFailed,
    RemoteError,
    RuntimeLost,
    StoreError,
    TransferCorrupt,
    UsageError,
    printable,
)
from montage_dask.store.artefacts import storage_error

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

CALL_BYTES = 512 << 20
"""Fetched in one call."""

BYTES_PER_SECOND = 100_000
"""Slower than any line to Colab that was seen: it bounds the time of a call, silence ends it earlier."""


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
        with _chunk(path, transfer, index) as (file, digest):
            if there and there.get(name) == digest:
                continue
            _patiently(partial(runtime.upload, file, f"parts/{transfer.id}.{name}"))


def put(runtime: Runtime, local: Path, remote: str) -> None:
    """See `Runtime.put`."""
    runtime.ensure()
    target = quoted(remote)
    transfer = cut(local, runtime.chunk_bytes)
    state = Presence()
    if transfer.size >= ASK_FIRST_BYTES:
        state = _patiently(lambda: _ask(runtime, transfer.have(target)))
        if state.there:
            return
    for _ in range(TRIES):
        send_chunks(runtime, local, transfer, state.parts)
        state = _patiently(lambda: _ask(runtime, transfer.join(target)))
        if state.there:
            return
        state.check(remote)
    raise TransferCorrupt(
        f"{printable(str(local))} arrived changed {TRIES} times: try again, or with smaller chunks (cgpu-chunk-megabytes)"
    )


def _ask(runtime: Runtime, script: str) -> Presence:
    state = Presence()
    runtime.stream(script, runtime.call_seconds, state)
    return state


def _patiently(work: Callable[[], T]) -> T:
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
def _chunk(path: Path, transfer: Transfer, index: int) -> Iterator[tuple[Path, str]]:
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


class Download:
    """The sink of `send`: writes verified chunks to a file, one behind the other.

    Args:
        path: of the file that grows; what is there counts as fetched until the runtime says otherwise.
    """

    def __init__(self, path: Path) -> None:
        self.size: int | None = None
        """Bytes of the whole, once it is known."""
        self.done = 0
        """Bytes that are here and verified."""
        self.missing = False
        """There is no such file."""
        self._digest: str | None = None
        self._file: IO[bytes] = open(path, "a+b")  # noqa: SIM115 - closed by `close`
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
            raise _damaged()
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
            raise _damaged() from error

    def _put(self, data: bytes) -> None:
        self._chunk_left -= len(data)
        if self._chunk_left < 0:
            raise _damaged()
        self._chunk.update(data)
        self._file.write(data)

    def mark(self, name: str, arguments: list[str]) -> None:
        if name == "missing":
            self.missing = True
        elif name == "file":
            size, digest = int(arguments[0]), arguments[1]
            if self._digest not in (None, digest):
                self.restart()  # it changed meanwhile
            self.size, self._digest = size, digest
        elif name == "from" and int(arguments[0]) != self.done:
            self.restart()
            if int(arguments[0]):
                raise _damaged()
        elif name == "chunk":
            self._begin(*arguments)
        elif name == "sum":
            self._end(arguments[0])

    def _begin(self, offset: str, length: str, packer: str) -> None:
        if self._stream is not None or int(offset) != self.done:
            raise _damaged()
        self._stream, self._chunk = Base64Stream(), hashlib.sha256()
        self._chunk_left = int(length)
        self._unpacker = zlib.decompressobj(31) if packer == "packed" else None

    def _end(self, digest: str) -> None:
        if self._stream is None:
            raise _damaged()
        self._stream.finish()
        if self._unpacker is not None:
            self._put(self._unpacker.flush())
        if self._chunk_left or self._chunk.hexdigest() != digest:
            raise _damaged()
        # Read again rather than hashed twice on the way: the page cache has it, and a bad chunk leaves no trace.
        self._file.flush()
        self._file.seek(self.done)
        while block := self._file.read(READ_BYTES):
            self._whole.update(block)
            self.done += len(block)
        self._stream = None


def _damaged() -> TransferCorrupt:
    return TransferCorrupt("the file arrived changed: try again")


def get(runtime: Runtime, remote: str, local: Path) -> None:
    """See `Runtime.get`."""
    runtime.ensure()
    with unfinished(local, remote) as part:
        download = Download(part)
        try:
            fetch(runtime, remote, download)
        finally:
            download.close()


def fetch(runtime: Runtime, remote: str, download: Download) -> None:
    """Stream what a download still lacks.

    Raises:
        RemoteCommandFailed: there is no such file.
        RemoteError: it cannot be had.
    """
    failures = 0
    while not download.complete:
        before = download.done
        request = download.request(quoted(remote), runtime.chunk_bytes, CALL_BYTES)
        seconds = runtime.call_seconds + CALL_BYTES / BYTES_PER_SECOND
        try:
            runtime.stream(request, seconds, download, runtime.call_seconds)
        except RemoteError as error:
            download.rewind()
            if not passing(error):
                raise
            failures = 0 if download.done > before else failures + 1
            if failures >= TRIES:
                raise
            log.info("again from byte %d: %s", download.done, error)
            time.sleep(PAUSE_SECONDS)
            continue
        if download.missing:
            raise RemoteCommandFailed("get", 1, (f"no such file: {printable(remote)}",))
        if download.done == download.size and not download.complete:
            failures += 1
            if failures >= TRIES:
                raise _damaged()
            download.restart()


def fetch_many(runtime: Runtime, remotes: Sequence[str], folder: Path) -> list[Path]:
    """Fetch many small files at once, packed on the runtime; they keep their last names.

    Raises:
        UsageError: two of them have the same last name.
        RemoteError: as `Runtime.get`; RemoteCommandFailed when one is missing.
    """
    names = [remote.rstrip("/").rsplit("/", 1)[-1] for remote in remotes]
    if len(set(names)) < len(names):
        raise UsageError("two of the files have the same name")
    copies = (
        f'cd "$D" && cp -- {quoted(remote)} "$OLDPWD"/{shlex.quote(name)} && cd "$OLDPWD" || exit'
        for remote, name in zip(remotes, names, strict=True)
    )
    made = runtime.exchange(None, "\n".join(copies), names, runtime.call_seconds, into=folder)
    if made.code != 0:
        raise RemoteCommandFailed("get", made.code, tuple(made.log_tail.splitlines()[-20:]))
    return [folder / name for name in names]


def extract(archive: Path, folder: Path) -> None:
    """Unpack an archive that came from a runtime: nothing of it lands elsewhere.

    Raises:
        RemoteError: it is damaged or leads out of the folder.
        StoreError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    except tarfile.TarError as error:
        raise RemoteError(f"the results cannot be unpacked: {error}", retryable=False) from error
    except OSError as error:
        raise storage_error(folder, error) from error


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
    with open(part, "ab") as file:
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
