"""Files joined end to end of which a demuxer reads the first alone: found by the bytes behind what was read."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

HEADS = {
    "flv": b"FLV\x01",
    "ivf": b"DKIF\x00\x00\x20\x00",
    "yuv4mpegpipe": b"YUV4MPEG2 ",
    "asf": bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"),
}
"""How files of formats begin whose demuxers know one beginning only."""

CHUNKED = {"wav": b"RIFF", "aiff": b"FORM"}
"""Formats of sound that say at their beginning how long the file is."""

EBML = b"\x1a\x45\xdf\xa3"
NEAR_BYTES = 1 << 16
"""So close behind the last packet, or behind the head of a Matroska file, lies what is looked for."""

LOST_PACKETS = 12
"""Where a clock starts again, more packets without a picture are a part in another codec."""

OTHER_CODEC = (
    "holds a part that its decoder does not know, or is badly damaged: joined of files in different codecs? "
    "convert each of them, and join them anew"
)

REASON = (
    "holds several files joined end to end, of which only the first can be read; "
    "join them anew, for example: ffmpeg -f concat -i LIST.txt -c copy OUT.mkv"
)


def unread_file(path: str | Path, format_name: str, extradata: bytes, end_bytes: int) -> bool:
    """Whether another file stands behind the one that is read.

    Args:
        path: the file.
        format_name: its demuxer.
        extradata: of the stream that is used.
        end_bytes: where the last packet of it ends.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if format_name == "mov":
            return sum(kind == b"moov" for kind in _boxes(data)) > 1
        if format_name == "matroska":
            # Its demuxer goes on reading, but with the parameters of the first file.
            at = data.find(EBML, 4)
            while extradata and at >= 0:
                head = data[at : at + NEAR_BYTES]
                known = any(name in head[:64] for name in (b"matroska", b"webm"))
                if known and extradata not in head:
                    return True
                at = data.find(EBML, at + 4)
            return False
        if format_name in CHUNKED:
            head = CHUNKED[format_name]
            size = int.from_bytes(data[4:8], "little" if head == b"RIFF" else "big")
            behind = data[8 + size : 8 + size + 1 + len(head)]  # chunks of odd size may be padded
            return data[:4] == head and head in behind
        begins = HEADS.get(format_name)
        if begins is None:
            return False
        # A long head comes up by chance nowhere; what a demuxer takes for the last packet may hold it.
        begin, end = (end_bytes, end_bytes + NEAR_BYTES) if len(begins) < 8 else (4, len(data))
        return data.find(begins, begin, end) >= 0


def part_is_lost(pictures: int, packets: int) -> bool:
    """Whether so many packets bring no pictures that they are a part in another codec; some of it may decode, to rubbish."""
    return packets - pictures > max(LOST_PACKETS, packets // 10)


def _boxes(data: mmap.mmap) -> Iterator[bytes]:
    """The kinds of the boxes of an MP4 file, one behind the other."""
    at = 0
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        yield kind
        if size < 8:
            return
        at += size
