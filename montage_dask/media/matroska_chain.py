"""Matroska and WebM files joined bytewise: FFmpeg's demuxer reads on, but with the codec's parameters and state of the first."""

from __future__ import annotations

import mmap
from collections.abc import Iterator

HEAD, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
DOCUMENTS = (b"matroska", b"webm")
HEAD_BYTES = 64
"""In which the head of a file says what it is."""


def links(path: str) -> list[tuple[int, int]]:
    """The parts of a file that could stand alone, as (first byte, byte behind the last).

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        starts = list(_heads(data))
        return list(zip(starts, [*starts[1:], len(data)], strict=True))


def _heads(data: mmap.mmap) -> Iterator[int]:
    at = 0
    while at >= 0:
        yield at
        segment = data.find(SEGMENT, at, at + 4096)
        size, behind = _size(data, segment + len(SEGMENT)) if segment >= 0 else (None, at + 4)
        # What a file holds, such as another one that is attached to it, is no part of a chain.
        begin = behind if size is None else behind + size
        at = data.find(HEAD, begin)
        while at >= 0 and not any(d in data[at : at + HEAD_BYTES] for d in DOCUMENTS):
            at = data.find(HEAD, at + 4)


def _size(data: mmap.mmap, at: int) -> tuple[int | None, int]:
    """The size of an element, None when it is open, and where its content begins."""
    if at >= len(data) or data[at] == 0:
        return None, at
    length = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + length], "big") & ((1 << 7 * length) - 1)
    return (None if value == (1 << 7 * length) - 1 else value), at + length
