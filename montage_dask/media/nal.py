"""The little of H.264 syntax that tells whether decoding can really start at a packet.

Streams with intra refresh renew the picture column by column over many frames. Containers mark where that begins as
keyframes, but a decoder that starts there has no whole picture yet.
"""

from __future__ import annotations

from collections.abc import Iterator

IDR, SLICE = 5, 1
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
    for unit in _units(packet, length):
        kind = unit[0] & 31
        if kind == IDR:
            return True
        if kind == SLICE:
            # The slice header begins with the number of the first macroblock and the type, both Exp-Golomb coded.
            bits = "".join(f"{byte:08b}" for byte in unit[1:17])
            _, behind = _golomb(bits, 0)
            return _golomb(bits, behind)[0] in INTRA_SLICES
    return False


def _units(packet: bytes, length: int) -> Iterator[bytes]:
    """The first bytes of every NAL unit."""
    at = 0
    if length:
        while at + length < len(packet):
            size = int.from_bytes(packet[at : at + length], "big")
            at += length
            if size:
                yield packet[at : at + min(size, 20)]
            at += size
        return
    while (at := packet.find(b"\x00\x00\x01", at)) >= 0 and at + 3 < len(packet):
        at += 3
        yield packet[at : at + 20]


def _golomb(bits: str, at: int) -> tuple[int, int]:
    """An unsigned Exp-Golomb number, and where the next begins; (-1, …) where the bits end before it does."""
    one = bits.find("1", at)
    end = 2 * one - at + 1
    if one < 0 or end > len(bits):
        return -1, len(bits)
    return int(bits[one:end], 2) - 1, end
