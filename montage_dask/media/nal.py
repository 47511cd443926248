"""The little of H.264 syntax that tells whether decoding can really start at a packet.

Streams with intra refresh renew the picture column by column over many frames. Containers mark where that begins as
keyframes, but a decoder that starts there has no whole picture yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

IDR, SLICE, SEI = 5, 1, 6
USER_DATA = 5
"""The type of an SEI message that any encoder may fill."""

START = b"\x00\x00\x01"
SEI_BYTES = 4096
"""More is not read of one SEI unit."""
INTRA_SLICES = frozenset((2, 4, 7, 9))


def nal_length(extradata: bytes) -> int:
    """Bytes of the length in front of every NAL unit; 0 where start codes part them (Annex B)."""
    return (extradata[4] & 3) + 1 if len(extradata) > 4 and extradata[0] == 1 else 0


def restarts(packet: bytes, length: int) -> bool:
    """Whether an H.264 packet begins with a whole picture that needs no other.

    Args:
        packet: one access unit.
        length: from `nal_length`.
    """
    for unit in units(packet, length):
        kind = unit[0] & 31
        if kind == IDR:
            return True
        if kind == SLICE:
            # The slice header begins with the number of the first macroblock and the type, both Exp-Golomb coded.
            bits = "".join(f"{byte:08b}" for byte in unit[1:17])
            _, behind = _golomb(bits, 0)
            return _golomb(bits, behind)[0] in INTRA_SLICES
    return False


def x264_build(packet: bytes, length: int) -> int | None:
    """The build of x264 that an access unit (or Annex B extradata) names in front of its picture, as libavcodec reads it.

    Args:
        packet: one access unit.
        length: from `nal_length`.
    """
    found = None
    for unit in units(packet, length, SEI_BYTES):
        kind = unit[0] & 31
        if kind in (SLICE, IDR):
            break
        if kind == SEI:
            found = _named_build(unit[1:].replace(b"\x00\x00\x03", b"\x00\x00")) or found
    return found


def _named_build(messages: bytes) -> int | None:
    at = 0
    while at + 2 < len(messages):
        values = []
        for _ in range(2):  # type and size: every 255 adds up
            value = 0
            while at < len(messages) and messages[at] == 255:
                value, at = value + 255, at + 1
            values.append(value + (messages[at] if at < len(messages) else 0))
            at += 1
        # Behind the 16 bytes of a UUID.
        named = re.match(rb"x264 - core (\d{1,9})", messages[at + 16 : at + 64])
        if values[0] == USER_DATA and named and int(named[1]) > 0:
            return 67 if named[1].startswith(b"0000") else int(named[1])
        at += values[1]
    return None


def units(packet: bytes, length: int, limit: int = 20) -> Iterator[bytes]:
    """The first bytes of every NAL unit, or of everything else that start codes part.

    Args:
        packet: one access unit.
        length: from `nal_length`; 0: start codes.
        limit: bytes of each.
    """
    at = 0
    if length:
        while at + length < len(packet):
            size = int.from_bytes(packet[at : at + length], "big")
            at += length
            if size:
                yield packet[at : at + min(size, limit)]
            at += size
        return
    at = packet.find(START)
    while at >= 0 and at + 3 < len(packet):
        begin = at + 3
        at = packet.find(START, begin)
        unit = packet[begin : min(begin + limit, at if at >= 0 else len(packet))]
        if unit:
            yield unit


def _golomb(bits: str, at: int) -> tuple[int, int]:
    """An unsigned Exp-Golomb number, and where the next begins; (-1, …) where the bits end before it does."""
    one = bits.find("1", at)
    end = 2 * one - at + 1
    if one < 0 or end > len(bits):
        return -1, len(bits)
    return int(bits[one:end], 2) - 1, end
