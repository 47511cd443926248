"""Content-addressed artefacts below one folder: of a (shared) file system, or of an object store.

A finished operation is a *record*: `records/<operation>/<k>/<key>.json`. Its files, if it makes any, stand at
`files/<operation>/<k>/<key><suffix>` and are there, and on the disk, before the record is. Both appear by `os.replace` of a
uniquely named `.part` sibling, or as objects do, so that a reader sees a whole artefact or none, however many writers there are
and whenever they die. A record has a checksum of itself, and under "files" the size and the digest of each of its files: what a
power cut or a disk has damaged is no artefact.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from montage_dask.errors import StoreError, UsageError, printable
from montage_dask.schema_versions import read_version, with_version
from montage_dask.store import objects
from montage_dask.store.locks import begin_part
from montage_dask.store.places import Place, Url


def key_of(operation: str, version: int, parameters: Mapping[str, Any]) -> str:
    """The address of an operation's result: 32 hex digits.

    Args:
        operation: its name.
        version: raised when the same parameters give another result.
        parameters: JSON values; identities of inputs instead of their paths.

    Raises:
        TypeError, ValueError: a parameter is not JSON (NaN included).
    """
    text = json.dumps(
        [operation, version, parameters], sort_keys=True, separators=(",", ":"), allow_nan=False
    )
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@contextmanager
def writing(path: Place) -> Iterator[Path]:
    """A temporary sibling of `path` to write a file into; renamed to `path` on success, removed on failure.

    For a URL it is a temporary file that is uploaded on success.
    The suffix of `path` is kept, for programs that choose a format by it.

    Raises:
        StoreError: the folder cannot be made or written, or the disk is full.
    """
    if isinstance(path, Url):
        with tempfile.TemporaryDirectory(prefix="montage-upload-") as folder:
            yield Path(folder) / path.name
            objects.upload(Path(folder) / path.name, path)
        return
    part, lock = path, None
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part, lock = begin_part(path)
            yield part
            os.replace(part, path)
        except OSError as error:
            if error.filename is not None and Path(os.fsdecode(error.filename)) not in (
                part,
                path,
                *path.parents,
            ):
                raise
            raise storage_error(path, error) from error
    finally:
        if part != path:
            with suppress(OSError):  # never hide why it failed
                part.unlink(missing_ok=True)
        if lock is not None:
            lock.close()


def storage_error(path: Path, error: OSError) -> StoreError:
    """What an `OSError` about our own output means to the user."""
    name = printable(str(path))
    advice = {
        errno.ENOSPC: "the disk is full: free some space and run again, finished work is kept",
        errno.EDQUOT: "the disk quota is used up: free some space and run again",
        errno.EROFS: "the file system is read-only: choose another --output, --run-dir or --store",
        errno.EACCES: "no permission to write: choose another --output, --run-dir or --store",
        errno.EPERM: "no permission to write: choose another --output, --run-dir or --store",
        errno.ENOENT: "its folder was removed meanwhile: run again",
        errno.EIO: "the disk fails: choose another --output, --run-dir or --store",
        errno.ESTALE: "the shared folder was lost: mount it again, and run again",
        errno.EEXIST: "a part of the path is a file, not a folder",
        errno.ENOTDIR: "a part of the path is a file, not a folder",
        errno.ENAMETOOLONG: "the name is too long",
        errno.ELOOP: "there is a link, which is not written through: remove it",
    }.get(error.errno or 0, error.strerror or str(error))
    return StoreError(f"cannot write {name}: {advice}")


def write_json(path: Place, value: Any, *, durable: bool = False) -> None:
    """Write a JSON file atomically.

    Args:
        path: of the file.
        value: JSON.
        durable: it is on the disk when this returns.

    Raises:
        StoreError: as `writing`.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, indent=1) + "\n"
    if isinstance(path, Url):
        objects.write(path, text.encode("ascii"))
        return
    with writing(path) as part:
        part.write_text(text, encoding="ascii")
        if durable:
            flush(part)
    if durable:
        flush(path.parent)


def flush(path: Path) -> None:
    """Bring a file, or what a folder lists, to the disk. File systems that cannot are left to do as they do.

    Raises:
        FileNotFoundError: it is not there.
        StoreError: the disk is full, or fails.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM):
            return
        raise storage_error(path, error) from error


def digest_of(path: Path) -> str:
    """What tells the bytes of a file: 32 hex digits.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


MARK = "store.json"
"""What says the version of a store, in its folder."""

_marked: set[Place] = set()
"""Stores that this process has marked, or found marked."""


def check_store(root: Place) -> None:
    """Make sure that a store, if there is one, is none of a newer program.

    Raises:
        UsageError: it is, or what says its version is damaged.
        StoreError: that cannot be read.
    """
    path = root / MARK
    try:
        found = json.loads(objects.read(path).decode("ascii"))
        if not isinstance(found, dict):
            raise ValueError("no object of JSON")
    except (FileNotFoundError, NotADirectoryError, objects.Vanished):
        return
    except OSError as error:
        raise StoreError(f"cannot read {printable(str(path))}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{printable(str(path))}: is damaged: remove it") from error
    read_version("store", found, str(path))
    _marked.add(root)


def _mark_store(root: Place) -> None:
    """Say the version of a store that is written to, once per process."""
    if root in _marked:
        return
    check_store(root)
    if root not in _marked:
        write_json(root / MARK, with_version("store", {}))
        _marked.add(root)


KNOWN_DIGESTS = 4096
"""Digests that a process remembers: the index of a clip is read for each of its windows."""

_known: dict[tuple[str, int, int, int], str] = {}


def same_file(path: Path, told: Mapping[str, Any]) -> bool:
    """Whether a file has the size and the digest that a record tells."""
    try:
        status = path.stat()
        if status.st_size != told["size_bytes"]:
            return False
        known = (str(path), status.st_size, status.st_mtime_ns, status.st_ino)
        if known not in _known:
            if len(_known) >= KNOWN_DIGESTS:
                _known.clear()
            _known[known] = digest_of(path)
        return _known[known] == told["digest"]
    except FileNotFoundError:
        return False


def _checksum(record: Mapping[str, Any]) -> str:
    text = json.dumps(record, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode("ascii"), digest_size=16).hexdigest()


class Store:
    """The artefacts below one folder. Cheap to make; holds no open files; safe to pickle.

    Args:
        root: the folder; made when first written to.
    """

    def __init__(self, root: Place) -> None:
        self.root = root
        self._listed: dict[str, set[str]] = {}

    def __repr__(self) -> str:
        return f"Store({str(self.root)!r})"

    def record_path(self, operation: str, key: str) -> Place:
        """Where the record of a finished operation stands."""
        return self.root / "records" / operation / key[:2] / f"{key}.json"

    def load(self, operation: str, key: str) -> dict[str, Any] | None:
        """The record of a finished operation, or None. A damaged record counts as none.

        Raises:
            StoreError: it is there, but cannot be read.
        """
        try:
            record = json.loads(objects.read(self.record_path(operation, key)).decode("ascii"))
            if record.pop("checksum") != _checksum(record):
                return None
        except (
            FileNotFoundError,
            NotADirectoryError,
            objects.Vanished,
            # No JSON, no object of JSON, or one from before records had a checksum.
            ValueError,
            AttributeError,
            TypeError,
            KeyError,
            RecursionError,
        ):
            return None
        except OSError as error:
            path = printable(str(self.record_path(operation, key)))
            raise StoreError(f"cannot read {path}: {error.strerror}") from error
        return dict(record)

    def had(self, operation: str, key: str) -> bool:
        """Whether a client should look for a record: not if an object store had none when it was listed for this operation.

        Looking for thousands of objects one by one takes minutes; listing them, seconds. What others have written since is
        found by the worker that gets the task, which looks for this one.
        """
        if isinstance(self.root, Path):
            return True
        if operation not in self._listed:
            found = objects.below(self.root / "records" / operation)
            self._listed[operation] = {Url(url).stem for url in found}
        return key in self._listed[operation]

    def has_now(self, operation: str, key: str) -> None:
        """A record was written since `had` listed them."""
        self._listed.get(operation, set()).add(key)

    def save(self, operation: str, key: str, record: Mapping[str, Any]) -> None:
        """Write the record of a finished operation; its files must stand already.

        Raises:
            StoreError: as `writing`.
        """
        # As it will be read: keys are texts there.
        plain = json.loads(json.dumps(dict(record), allow_nan=False))
        path = self.record_path(operation, key)
        _mark_store(self.root)
        write_json(path, {**plain, "checksum": _checksum(plain)}, durable=True)

    def file(self, operation: str, key: str, suffix: str) -> Place:
        """Where a file made by an operation stands."""
        return self.root / "files" / operation / key[:2] / f"{key}{suffix}"

    def array(self, operation: str, key: str) -> Place:
        """Where arrays stand that several operations fill (see `store.arrays`)."""
        return self.file(operation, key, ".zarr")

    def forget(self, operation: str, key: str) -> None:
        """Remove a record, if there is one.

        Raises:
            StoreError: it cannot be removed.
        """
        path = self.record_path(operation, key)
        try:
            objects.remove(path)
        except OSError as error:
            assert isinstance(path, Path)
            raise storage_error(path, error) from error


class Desk(Store):
    """Where one operation writes its files, in a folder of this machine, whatever its store is. Its record is not kept there.

    Args:
        root: the folder.
        behind: the store that the files belong to; arrays are read and written there.
    """

    def __init__(self, root: Path, behind: Store) -> None:
        super().__init__(root)
        self.behind = behind

    def load(self, operation: str, key: str) -> None:
        """Nothing is done yet."""
        return

    def save(self, operation: str, key: str, record: Mapping[str, Any]) -> None:
        """Whoever set the desk up saves the record, when its files stand where they belong."""

    def array(self, operation: str, key: str) -> Place:
        return self.behind.array(operation, key)


def free_bytes(folder: Path) -> int:
    """Free space where a folder stands, or will stand."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free
