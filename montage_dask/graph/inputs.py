"""What an operation reads, looked at before and after: sources must not change while a job runs, artefacts must be whole."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from montage_dask.errors import DamagedArtefact, SourceChanged
from montage_dask.graph.operation import Request, operation, texts
from montage_dask.render.grade import identity_of
from montage_dask.store import Place, Store, Url, place_of
from montage_dask.store.artefacts import same_file


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file as it was when the job first looked at it."""

    path: str
    size_bytes: int
    mtime_ns: int


def _seen(value: Any) -> Iterator[_Seen]:
    """What JSON objects tell of files: the records of sources, and what `stat_key` gives."""
    if isinstance(value, Mapping):
        path, size, time = (value.get(n) for n in ("path", "size_bytes", "mtime_ns"))
        if isinstance(path, str) and isinstance(size, int) and isinstance(time, int):
            yield _Seen(path, size, time)
        for item in value.values():
            yield from _seen(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _seen(item)


SEEN = "seen"
"""Of a request's paths: what the job saw of the files that it reads, when it first asked for one of them."""


class Looks:
    """What a job saw of each file when it first asked for something that reads it: tables, weights, lists of beats, and media.

    Args:
        store: artefacts are told by their own records.
    """

    def __init__(self, store: Store) -> None:
        self._artefacts = f"{store.root}/"
        self._first: dict[str, dict[str, Any] | None] = {}

    def of(self, request: Request) -> list[dict[str, Any]]:
        """What was seen of the files that a request reads."""
        written = operation(request.operation).outputs
        for text in texts({k: v for k, v in request.paths.items() if k in written}):
            self._first.pop(text, None)  # what is made is another file afterwards
        known = {one.path for one in (*_seen(request.paths), *_seen(request.parameters))}
        found = []
        for text in dict.fromkeys(texts(_read(request))):
            if text in known or not os.path.isabs(text) or text.startswith(self._artefacts):
                continue
            seen = self.first(text)
            if seen is not None:
                found.append(seen)
        return found

    def first(self, path: str) -> dict[str, Any] | None:
        """What was seen of a file at first; None of what is no file."""
        if path not in self._first:
            self._first[path] = _looked_at(path)
        return self._first[path]


def _looked_at(path: str) -> dict[str, Any] | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return {"path": path, "size_bytes": status.st_size, "mtime_ns": status.st_mtime_ns}


def _read(request: Request) -> dict[str, Any]:
    """The paths of a request but for those of its outputs."""
    written = operation(request.operation).outputs
    return {k: v for k, v in request.paths.items() if k not in written}


class Sources:
    """The files of people that a request reads.

    They are told by their size and time of change as the job saw them first; while the operation runs the file must stay
    the same one, too (an editor writes a new file and renames it).

    Args:
        request: with the paths of this machine.
    """

    def __init__(self, request: Request) -> None:
        self._seen = list(dict.fromkeys([*_seen(_read(request)), *_seen(request.parameters)]))
        self._inodes: dict[str, int] = {}
        self._table = request.paths.get("grade"), request.parameters.get("grade")
        self.check()

    def check(self) -> None:
        """Look at them again.

        Raises:
            SourceChanged: one is not what the job has seen.
        """
        for one in self._seen:
            try:
                status = os.stat(one.path)
            except OSError:
                continue  # the operation says it better than we could
            now = status.st_size, status.st_mtime_ns
            inode = self._inodes.setdefault(one.path, status.st_ino)
            if now != (one.size_bytes, one.mtime_ns) or inode != status.st_ino:
                raise SourceChanged(one.path)
        path, identity = self._table
        if (
            isinstance(path, str)
            and path.lower().endswith(".cube")
            and identity_of(path) != identity
        ):
            raise SourceChanged(path)


def check_artefacts(request: Request, store: Store, copies: Mapping[Url, Path]) -> None:
    """Compare the artefacts that a request reads with what their makers said of them.

    Args:
        request: its paths are those of the store.
        store: where they stand.
        copies: of those in a bucket, here.

    Raises:
        DamagedArtefact: one is not what was made.
    """
    root = store.root / "files"
    for text in dict.fromkeys(texts(request.paths)):
        if not text.startswith(f"{root}/"):
            continue
        place = place_of(text)
        name = _below(place, store.root)
        parts = name.split("/")
        if len(parts) != 4 or parts[3].endswith(".zarr"):
            continue  # arrays are folders, whose chunks carry checksums of their own
        record = store.load(parts[1], parts[3].partition(".")[0])
        told = None if record is None else record.get("files", {}).get(name)
        here = copies.get(place) if isinstance(place, Url) else place
        if here is None or not here.is_file():
            raise DamagedArtefact(text, missing=True)
        if told is None or not same_file(here, told):
            raise DamagedArtefact(text)


def _below(place: Place, root: Place) -> str:
    if isinstance(place, Url):
        assert isinstance(root, Url)
        return place.relative_to(root)
    assert isinstance(root, Path)
    return place.relative_to(root).as_posix()
