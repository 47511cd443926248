"""A bounded folder of copies of objects, one per machine, shared by all processes on it.

A copy is `<address>.<suffix>` beside `<address>.json`, which tells its URL, its state and its content; the address is a hash of
URL and state, so that a changed object is another copy. Every process that uses a copy holds a shared lock on it; only a copy
that nobody holds is removed, the longest unused first. Locks are the kernel's: they end with their process, however it ends. A
copy under way is a locked `.part` whose name tells its full size, so that several processes see what is left and a full disk is
found before the first byte; a `.part` without a lock is what a crash left, and is removed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import random
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from montage_dask.errors import DamagedArtefact, MediaError, StoreError, printable
from montage_dask.store import objects
from montage_dask.store.locks import Lock
from montage_dask.store.own_files import open_own
from montage_dask.store.places import Url

log = logging.getLogger(__name__)

ROOM_SECONDS = 900.0
"""How long an operation waits until others let go of what it needs the room of."""

SPARE_BYTES = 64 << 20
"""Left free on the disk."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object that is needed, and what is known of it before."""

    url: Url
    etag: str | None = None
    """The version that the job has seen; None: any."""
    identity: str | None = None
    """Fingerprint of the content that the job has seen (32 hex digits); None: any."""
    constant: bool = False
    """Its name is a content address: a copy of it is never stale."""


class _NoRoom(Exception):
    """What is held leaves no room."""

    def __init__(self, url: Url, size: int, limit: int) -> None:
        super().__init__(
            f"no room for {printable(str(url))} ({_megabytes(size)}): copies in use fill the cache of this machine, which may "
            f"hold {_megabytes(limit)}: raise DASK_MONTAGE__CACHE_LIMIT there, or use fewer workers on it"
        )
        self.url, self.size = url, size


class Cache:
    """See the module.

    Args:
        folder: made when needed; only this user can read it.
        limit_bytes: the most that the copies take together.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder, self.limit_bytes = folder, limit_bytes

    @contextmanager
    def holding(self, wanted: Sequence[Wanted]) -> Iterator[dict[Url, Path]]:
        """Copies of objects, which stand as long as the context is open.

        Raises:
            MediaError: an object is gone, or is not what the job has seen.
            StoreError: they do not fit, or the object store cannot be read.
        """
        deadline = time.monotonic() + ROOM_SECONDS
        unique = list(dict.fromkeys(wanted))
        while True:
            with ExitStack() as held:
                paths: dict[Url, Path] = {}
                try:
                    for one in unique:
                        paths[one.url] = self._held(one, held)
                except _NoRoom as error:
                    own = error.size + sum(p.stat().st_size for p in paths.values())
                    if own > self.limit_bytes:
                        raise self._too_large(error.url, own) from None
                    if time.monotonic() > deadline:
                        raise StoreError(str(error)) from None
                else:
                    yield paths
                    return
            # Let go of all, or two that wait for each other's room would wait for ever.
            time.sleep(random.uniform(0.2, 1.0))

    def _held(self, wanted: Wanted, held: ExitStack) -> Path:
        while True:
            found = self._known(wanted, held) or self._copied(wanted, held)
            if found is not None:
                os.utime(found)
                return found

    def _copied(self, wanted: Wanted, held: ExitStack) -> Path | None:
        """A copy of what stands there now; None when it was removed again before it was held."""
        try:
            state = objects.state_of(wanted.url)
            self._check(wanted, state)
            path = self._path(wanted.url, "" if wanted.constant else state["etag"])
            lock = Lock(self._made() / f"{path.stem}.lock", exclusive=True)
            try:
                if _told(path) is None:
                    self._copy(wanted.url, path, state)
                self._check(wanted, _told(path) or {})
            finally:
                lock.close()
        except objects.Vanished as error:
            if wanted.constant:
                raise DamagedArtefact(str(wanted.url), missing=True) from error
            raise MediaError(str(wanted.url), "is no longer there") from error
        return self._shared(path, held)

    @staticmethod
    def _shared(path: Path, held: ExitStack) -> Path | None:
        """Hold a copy, if it is there, until `held` ends."""
        if _told(path) is None:
            return None
        lock = Lock(path.with_suffix(".lock"), exclusive=False)
        if _told(path) is None:  # removed before we held it
            lock.close()
            return None
        held.callback(lock.close)
        return path

    def _known(self, wanted: Wanted, held: ExitStack) -> Path | None:
        """A copy that must be right, found without asking the object store."""
        if wanted.constant:
            return self._shared(self._path(wanted.url, ""), held)
        if wanted.etag is not None:
            return self._shared(self._path(wanted.url, wanted.etag), held)
        if wanted.identity is not None:
            for note in sorted(self.folder.glob(f"{_address(wanted.url)}-*.json")):
                path = note.with_suffix(_suffix(wanted.url))
                if (_told(path) or {}).get("identity") == wanted.identity:
                    return self._shared(path, held)
        return None

    @staticmethod
    def _check(wanted: Wanted, state: Mapping[str, Any]) -> None:
        seen = (wanted.etag, state.get("etag")), (wanted.identity, state.get("identity"))
        if any(want and there and want != there for want, there in seen):
            raise MediaError(str(wanted.url), "has changed while the job ran: run it again")

    def _path(self, url: Url, etag: str) -> Path:
        version = hashlib.sha256(etag.encode()).hexdigest()[:16]
        return self.folder / f"{_address(url)}-{version}{_suffix(url)}"

    def _copy(self, url: Url, path: Path, state: Mapping[str, Any]) -> None:
        """Copy an object to its place; the caller holds the lock on it."""
        size = state["size_bytes"]
        part = path.with_name(f"{path.name}.{size}.part")
        with ExitStack() as until_done:
            file = self._reserve(part, size, url)
            until_done.callback(part.unlink, missing_ok=True)
            until_done.callback(file.close)
            began = time.monotonic()
            arrived = objects.fetch(url, part)
            with open(part, "rb") as copy:
                identity = hashlib.file_digest(copy, "sha256").hexdigest()[:32]
            log.info("copied %s: %d bytes in %.1f s", url, size, time.monotonic() - began)
            about = {"url": str(url), "identity": identity, **arrived}
            note = path.with_name(f"{path.stem}.note.lock")
            with open_own(note, "w", encoding="ascii") as told:
                json.dump(about, told)
            os.replace(part, path)
            # The copy counts from here on.
            os.replace(note, path.with_suffix(".json"))

    def _reserve(self, part: Path, size: int, url: Url) -> Any:
        """An open, locked file for the copy, once there is room for it.

        Raises:
            StoreError: there will never be room.
            _NoRoom: not now.
        """
        if size > self.limit_bytes:
            raise self._too_large(url, size)
        with Lock(self._made() / "room.lock", exclusive=True):
            self._make_room(size, url)
            file = open_own(part, "wb")  # closed, and so unlocked, by the caller
            fcntl.flock(file, fcntl.LOCK_EX)
            return file

    def _make_room(self, size: int, url: Url) -> None:
        """Remove what was not used for the longest time until so many bytes fit; the caller holds the lock on the room."""
        taken, still_to_come, copies = 0, 0, []
        for path in self._files():
            with suppress(FileNotFoundError):
                status = path.stat()
                if path.suffix != ".part":
                    copies.append((status.st_mtime_ns, status.st_size, path))
                    taken += status.st_size
                elif _left_behind(path):
                    path.unlink()
                else:
                    promised = int(path.stem.rpartition(".")[2])
                    taken += promised
                    still_to_come += promised - status.st_size
        free = shutil.disk_usage(self.folder).free - SPARE_BYTES - still_to_come
        for _, freed, path in sorted(copies):
            if taken + size <= self.limit_bytes and size <= free:
                return
            if self._dropped(path):
                taken, free = taken - freed, free + freed
        if taken + size > self.limit_bytes:
            raise _NoRoom(url, size, self.limit_bytes)
        if size > free:
            raise self._full(url, size)

    def _too_large(self, url: Url, size: int) -> StoreError:
        return StoreError(
            f"{printable(str(url))} has, with what is needed at the same time, {_megabytes(size)}; the cache of this machine may "
            f"hold {_megabytes(self.limit_bytes)}: raise DASK_MONTAGE__CACHE_LIMIT there"
        )

    def _full(self, url: Url, size: int) -> StoreError:
        return StoreError(
            f"no room for {printable(str(url))} ({_megabytes(size)}) on the disk of {self.folder}: free some space there, or "
            "name another folder by DASK_MONTAGE__CACHE_FOLDER"
        )

    def _dropped(self, path: Path) -> bool:
        """Remove a copy, unless it is in use."""
        try:
            lock = Lock(path.with_suffix(".lock"), exclusive=True, wait=False)
        except BlockingIOError:
            return False
        with lock:
            # Without its note it counts no more, whatever happens next.
            path.with_suffix(".json").unlink(missing_ok=True)
            path.unlink(missing_ok=True)
        log.info("removed the copy %s", path.name)
        return True

    def _files(self) -> list[Path]:
        """Copies, whole and under way."""
        return [p for p in self.folder.iterdir() if p.suffix not in (".json", ".lock") and not p.is_dir()]  # fmt: skip

    @staticmethod
    def doubt(path: Path) -> None:
        """A copy is not what it should be: the next one who wants it gets a new one."""
        path.with_suffix(".json").unlink(missing_ok=True)

    def size_bytes(self) -> int:
        """What the copies take now."""
        return sum(p.stat().st_size for p in self._files()) if self.folder.is_dir() else 0

    def _made(self) -> Path:
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StoreError(
                f"cannot make the cache folder {self.folder}: {error.strerror}: name another one by DASK_MONTAGE__CACHE_FOLDER"
            ) from error
        return self.folder

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for the files of one operation, removed at its end, or by another process after a crash."""
        work = self._made() / "work"
        work.mkdir(exist_ok=True, mode=0o700)
        if work.is_symlink():
            raise StoreError(f"{work} is a link: remove it")
        for old in work.glob("*.lock"):
            with suppress(OSError), Lock(old, exclusive=True, wait=False):
                shutil.rmtree(old.with_suffix(""), ignore_errors=True)
                old.unlink()
        folder = work / f"{os.getpid()}-{random.randbytes(6).hex()}"
        with Lock(folder.with_name(folder.name + ".lock"), exclusive=True):
            folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
                folder.with_name(folder.name + ".lock").unlink(missing_ok=True)


def _address(url: Url) -> str:
    """What the names of all copies of a URL begin with."""
    return hashlib.sha256(str(url).encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _suffix(url: Url) -> str:
    """The suffix of a copy: programs choose a format by it. Ours mean something else here."""
    plain = re.fullmatch(r"\.[A-Za-z0-9]{1,8}", url.suffix)
    return url.suffix if plain and url.suffix not in (".json", ".lock", ".part") else ".bin"


def _told(path: Path) -> dict[str, Any] | None:
    """The note on a copy, if both are whole."""
    try:
        note = json.loads(path.with_suffix(".json").read_text(encoding="ascii"))
        return note if path.stat().st_size == note["size_bytes"] else None
    except (FileNotFoundError, ValueError, KeyError):
        return None


def _left_behind(part: Path) -> bool:
    """Whether the process that wrote a `.part` is gone."""
    try:
        with open(part, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def default_folder() -> Path:
    """`montage-dask` in the user's cache folder, or where temporary files go when that cannot be written.

    Raises:
        StoreError: there, where everybody can write, somebody else has made it.
    """
    named = os.environ.get("XDG_CACHE_HOME", "")
    usual = Path(named) if os.path.isabs(named) else Path.home() / ".cache"
    folder = usual / "montage-dask"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        log.debug("no cache below %s", usual, exc_info=True)
    return _own(Path(tempfile.gettempdir()) / f"montage-dask-{os.getuid()}")


def _own(folder: Path) -> Path:
    """A folder among those of others, if nobody else can put anything into it."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise StoreError(
            f"the cache folder {folder} is not ours alone (a link, of another user, or open to others): remove it, or name "
            "another one by DASK_MONTAGE__CACHE_FOLDER"
        )
    return folder
