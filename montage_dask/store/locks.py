"""Locks of the kernel on files: they end with their process, however it ends, and hold between the machines of a shared folder
where its file system has such locks.

What is under way has one: a `.part` file, a folder for work, an output that a job makes. So what nobody holds any more can be
removed, and a second job at one output is told who is there.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from montage_dask.errors import InUse, StoreError, printable
from montage_dask.store.places import Place, Url

log = logging.getLogger(__name__)

NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.EBADF)
"""What a file system without locks says."""

UNSURE_SECONDS = 6 * 3600
"""Where it cannot be told whether somebody is at it, what is left behind is removed only when it is older."""

HELD = "held"
"""The locked file in a folder for work."""

FOLDER_LOCK = ".montage.lock"
"""Of a folder that one job works in."""

BESIDE = (".*", "variant-*/.*")
"""Where parts lie in the folder of an output, or in a run folder."""

PART = re.compile(
    r"\..+\.[0-9a-f]{12}\.(part|new)(\.[^.]*)?|\.[a-z-]+-[0-9a-f]{12}\.work", re.DOTALL
)
"""Names of what is under way, and of nothing else."""


class Lock:
    """A lock on a file, which is made for it.

    Raises:
        BlockingIOError: somebody else holds it, and we do not wait.
        OSError: it cannot be made, or the file system has no locks.
    """

    def __init__(
        self, path: Path, *, exclusive: bool, wait: bool = True, mode: int = 0o600
    ) -> None:
        how = (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB)
        self.handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
        try:
            fcntl.flock(self.handle, how)
        except BaseException:
            os.close(self.handle)
            raise

    def close(self) -> None:
        """Let go."""
        os.close(self.handle)

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def begin_part(path: Path) -> tuple[Path, Lock | None]:
    """An empty sibling of a path, to be written and renamed to it; locked, where there are locks.

    Nobody ever sees it without its lock: it gets its name when it has one.
    """
    stem = f".{path.stem[:40]}.{uuid.uuid4().hex[:12]}"
    new, part = path.with_name(f"{stem}.new"), path.with_name(f"{stem}.part{path.suffix}")
    lock = None
    try:
        lock = Lock(new, exclusive=True, mode=0o666)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise OSError(error.errno, error.strerror, str(path)) from error
        log.debug("no locks at %s", path.parent)
    try:
        os.replace(new, part)
    except OSError as error:
        if lock is not None:
            lock.close()
        raise OSError(error.errno, error.strerror, str(path)) from error
    return part, lock


@contextmanager
def work_folder(kind: str, parent: Path) -> Iterator[Path]:
    """A folder for temporary files, removed at the end, or by `sweep` after a crash.

    Args:
        kind: what for; small letters and hyphens.
        parent: an existing folder.

    Raises:
        OSError: it cannot be made.
    """
    while True:
        folder = parent / f".{kind}-{uuid.uuid4().hex[:12]}.work"
        folder.mkdir()
        lock = None
        try:
            lock = Lock(folder / HELD, exclusive=True)
        except FileNotFoundError:
            continue  # swept before it had its lock
        except OSError as error:
            log.debug("no lock at %s: %s", folder, error)
        break
    try:
        yield folder
    finally:
        _remove_folder(folder)
        if lock is not None:
            lock.close()


def _remove_folder(folder: Path) -> None:
    """Remove a folder for work. Whoever dies meanwhile leaves one that is locked no more, or an empty one."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != HELD:
                with suppress(OSError):
                    path.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def sweep(folder: Path, *patterns: str) -> None:
    """Remove what writers that are gone have left behind; never what somebody is at.

    Args:
        folder: where to look.
        patterns: globs below it, whose last part begins with a dot.
    """
    for pattern in patterns:
        for path in folder.glob(pattern):
            if PART.fullmatch(path.name):
                with suppress(OSError):
                    _remove_unless_held(path)


def _remove_unless_held(path: Path) -> None:
    if path.is_symlink():
        return
    folder = path.is_dir()
    old = time.time() - path.stat().st_mtime > UNSURE_SECONDS
    locked = path / HELD if folder else path
    if folder and not locked.exists() and not any(path.iterdir()):
        path.rmdir()  # its maker died before it had its lock, or makes another one
        return
    if not locked.exists() or path.name.endswith(".new"):
        free = old  # it has just begun
    else:
        try:
            with Lock(locked, exclusive=True, wait=False):
                free = True
        except BlockingIOError:
            free = False
        except OSError:
            free = old
    if free and folder:
        _remove_folder(path)
    elif free:
        path.unlink(missing_ok=True)


@contextmanager
def in_use(places: Sequence[Place], urls: Path) -> Iterator[None]:
    """Files and folders that only one job makes at a time are in the hands of this one. What dead jobs left beside them goes.

    Other ways to name a place (links, relative paths) count as the same. An object's lock holds on this machine only.

    Args:
        places: files that will be made, or folders that exist.
        urls: folder for the locks of objects; made when needed.

    Raises:
        InUse: somebody else makes one of them; says who.
        StoreError: a lock cannot be made.
    """
    with ExitStack() as held:
        folders: dict[Path, None] = {}
        for place in dict.fromkeys(places):
            if isinstance(place, Url):
                urls.mkdir(parents=True, exist_ok=True, mode=0o700)
                own = hashlib.sha256(str(place).encode("utf-8", "surrogatepass")).hexdigest()
                held.enter_context(_held(urls / f"{own[:32]}.lock", str(place)))
            elif place.is_dir():
                folder = Path(os.path.realpath(place))
                held.enter_context(_held(folder / FOLDER_LOCK, str(place)))
                folders[folder] = None
            else:
                folder = Path(os.path.realpath(place.parent))
                held.enter_context(_held(folder / f".{_short(place.name)}.lock", str(place)))
                folders[folder] = None
        for folder in folders:
            sweep(folder, *BESIDE)
            held.callback(sweep, folder, *BESIDE)
        yield


@contextmanager
def _held(path: Path, name: str) -> Iterator[None]:
    lock = None
    while lock is None:
        try:
            lock = Lock(path, exclusive=True, wait=False, mode=0o666)
        except BlockingIOError:
            raise InUse(printable(name), *_who(path)) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise StoreError(
                    f"cannot lock {printable(name)} by {path.name}: {error.strerror}"
                ) from error
            log.warning("%s: its file system has no locks: two jobs there are not noticed", path)
            yield
            return
        # Whoever let go has removed the file: then ours is a lock on nothing.
        try:
            same = os.fstat(lock.handle).st_ino == os.stat(path).st_ino
        except FileNotFoundError:
            same = False
        if not same:
            lock.close()
            lock = None
    try:
        who = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}
        os.ftruncate(lock.handle, 0)
        os.pwrite(lock.handle, json.dumps(who).encode("ascii"), 0)
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        lock.close()


def _short(name: str) -> str:
    """A name that fits between a dot and a suffix."""
    data = os.fsencode(name)
    return name if len(data) <= 200 else hashlib.sha256(data).hexdigest()[:32]


def _who(path: Path) -> tuple[str, str]:
    """Who holds a lock, and since when, as far as is known."""
    for _ in range(10):
        with suppress(OSError, ValueError, KeyError, TypeError):
            told: Any = json.loads(path.read_text(encoding="ascii"))
            since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(float(told["since"])))
            return f"process {int(told['pid'])} on {printable(str(told['host']))}", since
        time.sleep(0.05)  # it writes who it is
    return "another job", "a moment ago"
