"""Chained Ogg files: streams of other rates and codecs one behind the other, of which FFmpeg's demuxer reads the first alone."""

from __future__ import annotations

import io
import os
from typing import BinaryIO

CAPTURE = b"OggS"
HEADER_BYTES = 27
BEGINS = 0x02
"""Flag of the first page of a stream."""


def links(path: str) -> list[tuple[int, int]]:
    """The parts of an Ogg file that could stand alone, as (first byte, byte behind the last); the whole file when it is torn.

    Raises:
        OSError: it cannot be read.
    """
    size = os.path.getsize(path)
    starts, at, before = [0], 0, True
    with open(path, "rb") as file:
        while at < size:
            file.seek(at)
            header = file.read(HEADER_BYTES)
            if len(header) < HEADER_BYTES or header[:4] != CAPTURE:
                break
            begins = bool(header[5] & BEGINS)
            if begins and not before:
                starts.append(at)
            before = begins
            table = file.read(header[26])
            at += HEADER_BYTES + len(table) + sum(table)
    return list(zip(starts, [*starts[1:], size], strict=True))


class Link(io.RawIOBase):
    """A part of a file, read as if it were one."""

    def __init__(self, path: str, first: int, stop: int) -> None:
        self._file: BinaryIO = open(path, "rb")  # noqa: SIM115 - closed by `close`
        self._first, self._length, self._at = first, stop - first, 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to so many bytes."""
        left = max(0, self._length - self._at)
        self._file.seek(self._first + self._at)
        data = self._file.read(left if size < 0 else min(size, left))
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """The place."""
        return self._at

    def close(self) -> None:
        """Let the file go."""
        self._file.close()
        super().close()
