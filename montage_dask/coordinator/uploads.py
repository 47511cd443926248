"""Resumable uploads into the user's folder: the core of tus 1.0, with creation, termination and expiration.

What is told as received is on the disk. Of what came after that a crash may leave anything: it is cut off and sent again.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from anyio import to_thread

from montage_dask.coordinator.accounts import Account
from montage_dask.coordinator.jobs import QueueError
from montage_dask.errors import printable
from montage_dask.received import read_bytes
from montage_dask.store import write_json
from montage_dask.store.artefacts import flush
from montage_dask.store.locks import Lock

UNFINISHED = ".unfinished"
EXPIRES_SECONDS = 7 * 86_400.0
"""An upload that nobody went on with for so long is removed."""
FLUSHED_BYTES = 16 << 20
"""So much is received between two flushes to the disk."""
KEPT_FREE_BYTES = 1 << 30
"""So much of the disk stays free: for the queue, and for the jobs that run."""
MOST_NAME_BYTES = 200
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload under way, as it is kept beside its bytes."""

    home: Path
    id: str
    length: int
    name: str
    """Where it goes, below the uploads: NAME or FOLDER/NAME."""
    offset: int = 0
    """Bytes that are on the disk."""
    path: str | None = None
    """Where it went, below the user's folder, once it is whole."""

    @property
    def part(self) -> Path:
        """Its bytes."""
        return self.home / f"{self.id}.part"

    def keep(self, **changed: Any) -> Upload:
        """Write down what became of it."""
        now = replace(self, **changed)
        content = {k: v for k, v in asdict(now).items() if k not in ("home", "id")}
        write_json(self.part.with_suffix(".json"), content, durable=True)
        return now


def safe_name(text: str) -> str:
    """A file name of a stranger, fit for a folder of ours: its last part, without what could mean something to anybody."""
    name = printable(text.replace("\\", "/").rpartition("/")[2]).replace("\\", "_").lstrip(". ")
    stem, suffix = os.path.splitext(re.sub(r'[<>:"|?*]', "_", name))
    while len(os.fsencode(stem + suffix)) > MOST_NAME_BYTES:
        stem, suffix = stem[:-1], suffix[:20]
    return (stem + suffix).rstrip(". ") or "upload"


def metadata(header: str) -> dict[str, str]:
    """The header Upload-Metadata: pairs of a name and a value in base64."""
    found = {}
    for pair in filter(None, (p.strip() for p in header.split(","))):
        name, _, value = pair.partition(" ")
        try:
            found[name] = base64.b64decode(value, validate=True).decode("utf-8")
        except (binascii.Error, ValueError):
            raise QueueError(f"Upload-Metadata: {printable(name)[:40]} is no base64", 400) from None
    return found


def _home(account: Account) -> Path:
    return account.uploads / UNFINISHED


def create(account: Account, length: int, given: dict[str, str]) -> Upload:
    """Begin an upload.

    Raises:
        QueueError: 507 when the disk has no room for it.
    """
    home = _home(account)
    home.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(home).free - length < KEPT_FREE_BYTES:
        raise QueueError("the coordinator's disk has no room for this file", 507)
    name = safe_name(given.get("filename", ""))
    if given.get("folder"):
        name = f"{safe_name(given['folder'])}/{name}"
    upload = Upload(home, secrets.token_hex(16), length, name)
    os.close(os.open(upload.part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    flush(upload.part)
    upload.keep()
    return upload if length else _complete(account, upload)


def find(account: Account, upload_id: str) -> Upload:
    """An upload of this user.

    Raises:
        QueueError: there is none.
    """
    home = _home(account)
    try:
        if _ID.fullmatch(upload_id):
            return Upload(home, upload_id, **json.loads(read_bytes(home / f"{upload_id}.json", 1 << 16)))  # fmt: skip
    except (OSError, ValueError):
        pass
    raise QueueError("there is no such upload", 404)


@contextmanager
def _alone(upload: Upload) -> Iterator[None]:
    try:
        lock = Lock(upload.part.with_suffix(".lock"), exclusive=True, wait=False)
    except BlockingIOError:
        raise QueueError("another request sends this file", 423) from None
    with lock:
        yield


async def receive(
    account: Account, upload_id: str, offset: int, body: AsyncIterator[bytes]
) -> Upload:
    """Write what comes from a place on.

    Raises:
        QueueError: 409 when it does not follow what is there, 413 when it is too much, 507 when the disk is full.
    """
    upload = find(account, upload_id)
    with _alone(upload):
        upload = find(account, upload_id)
        if offset != upload.offset or upload.path is not None:
            raise QueueError(f"this upload stands at {upload.offset}", 409)
        handle = os.open(upload.part, os.O_WRONLY | os.O_NOFOLLOW)
        try:
            os.ftruncate(handle, offset)  # what a crash left behind was never told
            os.lseek(handle, offset, os.SEEK_SET)
            upload = await _write(upload, handle, body)
        finally:
            os.close(handle)
        if upload.offset == upload.length:
            upload = await to_thread.run_sync(_complete, account, upload)
    return upload


async def _write(upload: Upload, handle: int, body: AsyncIterator[bytes]) -> Upload:
    written = upload.offset

    def keep() -> None:
        nonlocal upload
        os.fsync(handle)
        upload = upload.keep(offset=written)

    try:
        async for chunk in body:
            if written + len(chunk) > upload.length:
                raise QueueError("more bytes than were announced", 413)
            await to_thread.run_sync(_write_all, handle, chunk)
            written += len(chunk)
            if written - upload.offset >= FLUSHED_BYTES:
                await to_thread.run_sync(keep)
    except OSError as error:
        raise QueueError(
            f"the coordinator cannot write this file: {error.strerror}", 507
        ) from error
    finally:
        if written > upload.offset:
            keep()  # also when the line was cut
    return upload


def _write_all(handle: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(handle, view) :]


def _complete(account: Account, upload: Upload) -> Upload:
    """Give a whole file its name; never that of another one."""
    target = account.uploads / upload.name
    target.parent.mkdir(parents=True, exist_ok=True)
    for number in range(1, 10_000):
        named = target if number == 1 else target.with_stem(f"{target.stem}-{number}")
        with suppress(FileExistsError):
            os.link(upload.part, named, follow_symlinks=False)
            break
        if os.path.samefile(upload.part, named):
            break  # a crash came between
    flush(named.parent)
    upload = upload.keep(offset=upload.length, path=str(named.relative_to(account.root)))
    upload.part.unlink(missing_ok=True)
    return upload


def remove(account: Account, upload_id: str) -> None:
    """Forget an upload; a whole file stays."""
    upload = find(account, upload_id)
    with _alone(upload):
        for suffix in (".part", ".json", ".lock"):
            upload.part.with_suffix(suffix).unlink(missing_ok=True)


def expire(account: Account, now: Callable[[], float] = time.time) -> None:
    """Remove the uploads that nobody went on with."""
    for path in list(_home(account).glob("*.json")):
        with suppress(OSError, QueueError):
            if now() - path.stat().st_mtime > EXPIRES_SECONDS:
                remove(account, path.stem)


def uploaded(account: Account) -> list[dict[str, Any]]:
    """The files that are there, below the user's folder."""
    return [
        {"path": str(p.relative_to(account.root)), "bytes": p.stat().st_size}
        for pattern in ("*", "*/*")
        for p in sorted(account.uploads.glob(pattern))
        if p.is_file() and not p.is_symlink() and UNFINISHED not in p.parts
    ]
