"""Zarr v3 arrays that several processes fill at once: one chunk along axis 0 is one window.

Writers of different windows never share a chunk, so nobody locks. Creating an array twice, or by
two processes at once, is harmless. A chunk appears by rename (Zarr's `LocalStore` does that), or as one
object, and chunks of zeros are written too: a missing chunk is a window that was not computed,
never "all black".

Below a URL the same files are objects, which Zarr reads there as well. Here they are written and read
through a folder of this machine, one chunk at a time: so one place talks to the object store.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from montage_dask.errors import DamagedArtefact
from montage_dask.store import objects
from montage_dask.store.artefacts import storage_error
from montage_dask.store.locks import work_folder
from montage_dask.store.places import Place, Url

if TYPE_CHECKING:
    from numpy.typing import NDArray


DESCRIPTION = "zarr.json"
"""What describes an array."""
SPEC = "montage"
"""Of the description: what it must agree with, so that a damaged one is seen."""


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """What an array looks like."""

    shape: tuple[int, ...]
    dtype: str
    """NumPy's name ("uint8")."""
    chunk: int
    """Rows (axis 0) per chunk; the other axes are not divided."""


def create_array(folder: Place, name: str, spec: ArraySpec) -> None:
    """Make `folder/name` unless it is there; what does not describe it any more is written again.

    Made in a sibling folder and renamed, so that an array without its description is never seen.

    Raises:
        StoreError: it cannot be written.
    """
    if isinstance(folder, Url):
        description = folder / name / DESCRIPTION
        try:
            told = objects.read(description)
        except objects.Vanished:
            told = b""
        if not _describes(told, spec):
            with tempfile.TemporaryDirectory(prefix="montage-array-") as temporary:
                create_array(Path(temporary), name, spec)
                objects.write(description, (Path(temporary) / name / DESCRIPTION).read_bytes())
        return
    target = folder / name
    if _describes(_read(target / DESCRIPTION), spec):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(folder, error) from error
    with work_folder("array", folder) as work:
        part = work / name
        _create(part, target, spec)


def _create(part: Path, target: Path, spec: ArraySpec) -> None:
    import zarr
    from zarr.codecs import BloscCodec, Crc32cCodec

    try:
        zarr.create_array(
            store=str(part),
            shape=spec.shape,
            chunks=(spec.chunk, *spec.shape[1:]),
            dtype=spec.dtype,
            # The checksum is looked at whenever a chunk is read.
            compressors=[BloscCodec(cname="zstd", clevel=1), Crc32cCodec()],
            fill_value=0,
            attributes={SPEC: list(_spec(spec))},
        )
        try:
            os.rename(part, target)
        except OSError as error:
            # A folder that is not empty is never replaced: another writer was faster, or what describes it is damaged.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            if not _describes(_read(target / DESCRIPTION), spec):
                os.replace(part / DESCRIPTION, target / DESCRIPTION)
    except OSError as error:
        raise storage_error(target, error) from error


def _spec(spec: ArraySpec) -> tuple[Any, ...]:
    return [list(spec.shape), spec.dtype, spec.chunk], "crc32c"


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _describes(description: bytes, spec: ArraySpec) -> bool:
    """Whether a description is whole, and that of an array of this kind."""
    try:
        told = json.loads(description)
        chunk = told["chunk_grid"]["configuration"]["chunk_shape"]
        same = [told["shape"], told["data_type"], chunk[0]] == [list(spec.shape), spec.dtype, spec.chunk]  # fmt: skip
        return bool(same and told["attributes"][SPEC] == list(_spec(spec)))
    except (ValueError, LookupError, TypeError):
        return False


def _open(folder: Path, name: str, mode: str) -> Any:
    import zarr

    description = folder / name / DESCRIPTION
    if not description.is_file():
        raise DamagedArtefact(str(description), missing=True)
    try:
        array = zarr.open_array(str(folder / name), mode=mode, zarr_format=3)
        (shape, dtype, chunk), _ = array.attrs[SPEC]
        spec = ArraySpec(tuple(shape), dtype, chunk)
    except Exception as error:  # whatever Zarr makes of a damaged description
        raise DamagedArtefact(str(description)) from error
    if not _describes(_read(description), spec):
        raise DamagedArtefact(str(description))
    return array.with_config({"write_empty_chunks": True})


def write_rows(folder: Place, name: str, start: int, rows: NDArray[Any]) -> None:
    """Write the rows of one window, which fill one chunk (the last one may be shorter).

    Raises:
        StoreError: it cannot be written.
        ValueError: the rows are not exactly one chunk.
    """
    if isinstance(folder, Url):
        with _described(folder, name) as temporary:
            write_rows(temporary, name, start, rows)
            chunk = _chunk_name(_open(temporary, name, "r"), start)
            objects.write(folder / name / chunk, (temporary / name / chunk).read_bytes())
        return
    array = _open(folder, name, "r+")
    chunk = array.chunks[0]
    if start % chunk or len(rows) != min(chunk, array.shape[0] - start):
        raise ValueError(f"rows {start}…{start + len(rows)} of {name} are not one chunk of {chunk}")
    file = f"{name}/{_chunk_name(array, start)}"
    try:
        # In a folder that is swept when we die: what Zarr leaves behind nobody could tell from what is under way.
        with work_folder("window", folder) as work:
            (work / name).mkdir()
            shutil.copyfile(folder / name / DESCRIPTION, work / name / DESCRIPTION)
            _open(work, name, "r+")[start : start + len(rows)] = rows
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            os.replace(work / file, folder / file)
    except OSError as error:
        raise storage_error(folder / name, error) from error


@contextmanager
def _described(folder: Url, name: str) -> Iterator[Path]:
    """A folder of this machine with an array that has its description, and no chunks."""
    with tempfile.TemporaryDirectory(prefix="montage-array-") as temporary:
        _fetch(folder, f"{name}/{DESCRIPTION}", Path(temporary))
        yield Path(temporary)


def _fetch(folder: Url, file: str, to: Path) -> None:
    try:
        data = objects.read(folder / file)
    except objects.Vanished as error:
        raise DamagedArtefact(str(folder / file), missing=True) from error
    (to / file).parent.mkdir(parents=True, exist_ok=True)
    (to / file).write_bytes(data)


def _chunk_name(array: Any, row: int) -> str:
    """The file of the chunk that a row lies in, below the array."""
    number = row // array.chunks[0]
    return str(array.metadata.encode_chunk_key((number, *(0 for _ in array.shape[1:]))))


def chunk_names(name: str, chunk: int, tail: int) -> list[str]:
    """The files below its folder that hold one chunk of an array, and what describes it.

    Args:
        name: of the array.
        chunk: number along axis 0.
        tail: how many other axes there are.
    """
    return [f"{name}/{DESCRIPTION}", "/".join([name, "c", str(chunk), *"0" * tail])]


def chunk_files(
    folder: Place, name: str, start: int, stop: int, temporary: Path
) -> dict[str, Path]:
    """The files that reading rows [start, stop) of an array needs, by their names below `folder`.

    Args:
        folder: where the array stands.
        name: which one.
        start: first row.
        stop: behind the last row.
        temporary: a folder of this machine, for copies of objects.

    Raises:
        StoreError: there is no such array, or a chunk was never written.
    """
    here = folder if isinstance(folder, Path) else temporary / "array"
    if isinstance(folder, Url):
        _fetch(folder, f"{name}/{DESCRIPTION}", here)
    array = _open(here, name, "r")
    first = start - start % array.chunks[0]
    starts = range(first, stop, array.chunks[0])
    files = [f"{name}/{DESCRIPTION}", *(f"{name}/{_chunk_name(array, row)}" for row in starts)]
    for file in files:
        if isinstance(folder, Url):
            _fetch(folder, file, here)
        elif not (folder / file).is_file():
            raise DamagedArtefact(str(folder / file), missing=True)
    for row, file in zip(starts, files[1:], strict=True):
        _rows(array, row, f"{folder}/{file}")
    return {file: here / file for file in files}


def _rows(array: Any, start: int, place: str) -> NDArray[Any]:
    """The rows of the chunk that begins at a row, and stands at a place.

    Raises:
        DamagedArtefact: its bytes are not those that were written.
    """
    try:
        return np.asarray(array[start : min(start + array.chunks[0], array.shape[0])])
    except Exception as error:  # checksum, compression, length: whatever a damaged chunk gives
        raise DamagedArtefact(place) from error


class Rows:
    """Reads one array, chunk by chunk: one decompressed chunk is kept, whatever the array's length.

    Args:
        folder: where the array stands.
        name: which one.

    Raises:
        StoreError: there is no such array.
    """

    def __init__(self, folder: Place, name: str) -> None:
        self._folder, self._name = folder, name
        if isinstance(folder, Url):
            # Removed with this object.
            self._temporary = tempfile.TemporaryDirectory(prefix="montage-array-")
            self._here = Path(self._temporary.name)
            _fetch(folder, f"{name}/{DESCRIPTION}", self._here)
        else:
            self._here = folder
        self._array = _open(self._here, name, "r")
        self._kept: tuple[int, NDArray[Any]] | None = None
        self.shape: tuple[int, ...] = tuple(self._array.shape)
        self.chunk: int = self._array.chunks[0]

    def __len__(self) -> int:
        return self.shape[0]

    def _chunk(self, number: int) -> NDArray[Any]:
        if self._kept is None or self._kept[0] != number:
            start = number * self.chunk
            file = f"{self._name}/{_chunk_name(self._array, start)}"
            if isinstance(self._folder, Url):
                _fetch(self._folder, file, self._here)
            elif not (self._here / file).is_file():
                raise DamagedArtefact(f"{self._folder}/{file}", missing=True)
            rows = _rows(self._array, start, f"{self._folder}/{file}")
            if isinstance(self._folder, Url):
                (self._here / file).unlink()
            self._kept = (number, rows)
        return self._kept[1]

    def pieces(self, start: int, stop: int) -> Iterator[NDArray[Any]]:
        """The rows [start, stop) in order, at most one chunk at a time.

        Raises:
            StoreError: a chunk was never written.
        """
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"rows {start}…{stop} of {len(self)}")
        while start < stop:
            number, offset = divmod(start, self.chunk)
            end = min(stop, (number + 1) * self.chunk)
            yield self._chunk(number)[offset : end - number * self.chunk]
            start = end

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """The rows [start, stop) as one array.

        Raises:
            StoreError: a chunk was never written.
        """
        pieces = list(self.pieces(start, stop))
        if len(pieces) == 1:
            return pieces[0]
        if not pieces:
            return np.empty((0, *self.shape[1:]), self._array.dtype)
        return np.concatenate(pieces)
