"""Zarr v3 arrays that several processes fill at once: one chunk along axis 0 is one window.

Writers of different windows never share a chunk, so nobody locks. Creating an array twice, or by
two processes at once, is harmless. A chunk appears by rename (Zarr's `LocalStore` does that), and
chunks of zeros are written too: a missing chunk is a window that was not computed, never "all
black".
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from montage_dask.errors import StoreError, printable
from montage_dask.store.artefacts import storage_error

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """What an array looks like."""

    shape: tuple[int, ...]
    dtype: str
    """NumPy's name ("uint8")."""
    chunk: int
    """Rows (axis 0) per chunk; the other axes are not divided."""


def create_array(folder: Path, name: str, spec: ArraySpec) -> None:
    """Make `folder/name` unless it is there.

    Made in a sibling folder and renamed, so that an array without its description is never seen.

    Raises:
        StoreError: it cannot be written.
    """
    import zarr
    from zarr.codecs import BloscCodec

    target = folder / name
    if (target / "zarr.json").is_file():
        return
    part = folder / f".{name}.{uuid.uuid4().hex[:12]}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(folder, error) from error
    try:
        zarr.create_array(
            store=str(part),
            shape=spec.shape,
            chunks=(spec.chunk, *spec.shape[1:]),
            dtype=spec.dtype,
            compressors=BloscCodec(cname="zstd", clevel=1),
            fill_value=0,
        )
        os.rename(part, target)
    except OSError as error:
        # The other writer of the same array was faster: a folder that is not empty is never
        # replaced.
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise storage_error(target, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _open(folder: Path, name: str, mode: str) -> Any:
    import zarr

    try:
        array = zarr.open_array(str(folder / name), mode=mode, zarr_format=3)
    except (FileNotFoundError, KeyError, ValueError) as error:
        raise StoreError(f"no array {name} in {printable(str(folder))}: run again") from error
    return array.with_config({"write_empty_chunks": True})


def write_rows(folder: Path, name: str, start: int, rows: NDArray[Any]) -> None:
    """Write the rows of one window, which fill one chunk (the last one may be shorter).

    Raises:
        StoreError: it cannot be written.
        ValueError: the rows are not exactly one chunk.
    """
    array = _open(folder, name, "r+")
    chunk = array.chunks[0]
    if start % chunk or len(rows) != min(chunk, array.shape[0] - start):
        raise ValueError(f"rows {start}…{start + len(rows)} of {name} are not one chunk of {chunk}")
    try:
        array[start : start + len(rows)] = rows
    except OSError as error:
        raise storage_error(folder / name, error) from error


def chunk_files(folder: Path, name: str, start: int, stop: int) -> list[str]:
    """The files, relative to `folder`, that reading rows [start, stop) of an array needs.

    Raises:
        StoreError: there is no such array, or a chunk was never written.
    """
    array = _open(folder, name, "r")
    names = [f"{name}/zarr.json"]
    for number in range(start // array.chunks[0], -(-stop // array.chunks[0])):
        key = array.metadata.encode_chunk_key((number, *(0 for _ in array.shape[1:])))
        names.append(f"{name}/{key}")
    for file in names:
        if not (folder / file).is_file():
            raise StoreError(f"{file} is missing in {printable(str(folder))}: run again")
    return names


class Rows:
    """Reads one array, chunk by chunk: one decompressed chunk is kept, whatever the array's length.

    Args:
        folder: where the array stands.
        name: which one.

    Raises:
        StoreError: there is no such array.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._array = _open(folder, name, "r")
        self._path = Path(folder) / name
        self._kept: tuple[int, NDArray[Any]] | None = None
        self.shape: tuple[int, ...] = tuple(self._array.shape)
        self.chunk: int = self._array.chunks[0]

    def __len__(self) -> int:
        return self.shape[0]

    def _chunk(self, number: int) -> NDArray[Any]:
        if self._kept is None or self._kept[0] != number:
            file = self._path / self._array.metadata.encode_chunk_key(
                (number, *(0 for _ in self.shape[1:]))
            )
            if not file.is_file():
                raise StoreError(
                    f"rows {number * self.chunk}… of {self._path.name} are missing in "
                    f"{printable(str(self._path.parent))}: run again"
                )
            start = number * self.chunk
            rows = np.asarray(self._array[start : min(start + self.chunk, len(self))])
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
