"""Cropping that a container asks for: PixelCrop of Matroska, `clap` of MP4 and QuickTime.

A codec's own cropping is done by every decoder. The container's is done by the ffmpeg executable since FFmpeg 7.1, and by nobody
else; so here it is read once, and applied by us wherever pictures are decoded.
"""

from __future__ import annotations

import os
import re
from typing import BinaryIO

from montage_dask.errors import MediaError
from montage_dask.media.ffmpeg import input_arguments, run_ffmpeg

Crop = tuple[int, int, int, int]
"""Pixels that are not shown at the left, top, right and bottom of coded pictures."""

NONE: Crop = (0, 0, 0, 0)

PIXEL_CROP = (b"\x54\xaa", b"\x54\xbb", b"\x54\xcc", b"\x54\xdd")
"""The elements of Matroska."""

CLUSTER = b"\x1f\x43\xb6\x75"
"""Begins the first pictures of Matroska."""

HEAD_BYTES = 1 << 18
"""The tracks of a Matroska file lie in these: they must be known before the first picture."""

MOOV_BYTES = 1 << 26
"""More of an index is not searched."""

TOLD = re.compile(r"^\s*Frame Cropping: (\d+)/(\d+)/(\d+)/(\d+)")
"""What the executable says: left, right, top, bottom."""

LEVEL = re.compile(r"^\[info\] ?")
"""How it begins what it says."""


def container_crop(path: str, format_name: str, stream_index: int, size: tuple[int, int]) -> Crop:
    """What a file says that is not to be shown of a stream's pictures.

    The executable is asked, and only about files in which something like it stands: starting it takes longer than reading.

    Args:
        path: the file.
        format_name: its demuxer.
        stream_index: of the video.
        size: coded width and height; a crop that leaves nothing of it is none.

    Raises:
        MediaError: the file cannot be read.
        FFmpegKilled: somebody killed the executable: nothing is known.
    """
    try:
        if not _may_crop(path, format_name):
            return NONE
        lines = run_ffmpeg(
            [
                *input_arguments(path, format_name),
                "-map", f"0:{stream_index}", "-c", "copy", "-t", "0", "-f", "null", "-",
            ],
            about=path,
        )  # fmt: skip
    except OSError as error:
        raise MediaError(path, error.strerror or str(error)) from error
    return _of_lines(lines, stream_index, size)


def _of_lines(lines: list[str], stream_index: int, size: tuple[int, int]) -> Crop:
    within = False
    for line in (LEVEL.sub("", told) for told in lines):
        if line.startswith("Output #"):
            break
        if stream := re.match(r"\s*Stream #0:(\d+)\b", line):
            within = int(stream[1]) == stream_index
        told = TOLD.match(line)
        if within and told:
            left, right, top, bottom = map(int, told.groups())
            if left + right < size[0] and top + bottom < size[1]:
                return left, top, right, bottom
    return NONE


def _may_crop(path: str, format_name: str) -> bool:
    with open(path, "rb") as file:
        if format_name == "matroska":
            head = file.read(HEAD_BYTES).partition(CLUSTER)[0]
            return any(element in head for element in PIXEL_CROP)
        return format_name == "mov" and b"clap" in _moov(file, os.path.getsize(path))


def _moov(file: BinaryIO, size: int) -> bytes:
    """The index of an MP4 file, found by its boxes; what can be found of it in a damaged one."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if head[4:8] == b"moov":
            return file.read(min(length or size, MOOV_BYTES))
        if length < 8:
            break
        at += length
    return b""
