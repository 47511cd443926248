"""Resumable uploads into the user's folder: the core of tus 1.0, with creation, termination and expiration.

An upload is a file of bytes, whose length is its offset, beside a small record. It is on the disk before it is told.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyio import CancelScope, to_thread

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
KEPT_FREE_BYTES = 1 << 30
"""So much of the disk stays free: for the queue, and for the jobs that run."""
MOST_NAME_BYTES = 200
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload under way."""

    part: Path
    """Its bytes."""
    length: int
    name: str
    """Where it goes, below the uploads: NAME or FOLDER/NAME."""
    path: str | None = None
    """Where it went, below the user's folder, once it is whole."""

    @property
    def id(self) -> str:
        """What it is called by clients."""
        return self.part.stem

    @property
    def offset(self) -> int:
        """Bytes that are there."""
        return self.length if self.path is not None else self.part.stat().st_size

    def keep(self, path: str | None = None) -> Upload:
        """Write down what it is, and where it went."""
        content = {"length": self.length, "name": self.name, "path": path}
        write_json(self.part.with_suffix(".json"), content, durable=True)
        return Upload(self.part, **content)  # type: ignore[arg-type]


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
        except ValueError:
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
    upload = Upload(home / f"{secrets.token_hex(16)}.part", length, name)
    os.close(os.open(upload.part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    upload = upload.keep()
    return upload if length else _complete(account, upload)


def find(account: Account, upload_id: str) -> Upload:
    """An upload of this user.

    Raises:
        QueueError: there is none.
    """
    part = _home(account) / f"{upload_id}.part"
    with suppress(OSError, ValueError, KeyError):
        if _ID.fullmatch(upload_id):
            said = json.loads(read_bytes(part.with_suffix(".json"), 1 << 16))
            return Upload(part, said["length"], said["name"], said["path"])
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
    with _alone(find(account, upload_id)):
        upload = find(account, upload_id)
        if offset != upload.offset or upload.path is not None:
            raise QueueError(f"this upload stands at {upload.offset}", 409)
        try:
            with upload.part.open("ab", buffering=0) as file:
                try:
                    async for chunk in body:
                        offset += len(chunk)
                        if offset > upload.length:
                            raise QueueError("more bytes than were announced", 413)
                        await to_thread.run_sync(_write_all, file.fileno(), chunk)
                finally:
                    with CancelScope(shield=True):  # also when the line was cut
                        await to_thread.run_sync(os.fsync, file.fileno())
        except OSError as error:
            said = f"the coordinator cannot write this file: {error.strerror}"
            raise QueueError(said, 507) from error
        if upload.offset == upload.length:
            return await to_thread.run_sync(_complete, account, upload)
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
    upload = upload.keep(str(named.relative_to(account.root)))
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
            part = path.with_suffix(".part")
            touched = max(p.stat().st_mtime for p in (path, part) if p.exists())
            if now() - touched > EXPIRES_SECONDS:
                remove(account, path.stem)


def uploaded(account: Account) -> list[dict[str, Any]]:
    """The files that are there, below the user's folder."""
    return [
        {"path": str(p.relative_to(account.root)), "bytes": p.stat().st_size}
        for pattern in ("*", "*/*")
        for p in sorted(account.uploads.glob(pattern))
        if p.is_file() and not p.is_symlink() and UNFINISHED not in p.parts
    ]
