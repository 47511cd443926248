"""The bytes of a keyframe that say what its pictures are: size, shape, pixel format, colours.

Streams may change these on the way: calls and screen recordings, recorded television, files joined end to end. Whether they do is
told while demuxing: where these bytes change, the keyframe is decoded to see what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import av

from montage_dask.media.limits import decoder_limit
from montage_dask.media.nal import nal_length, restarts, units

LONGEST = 512
"""More bytes of one header do not matter."""

MOST = 16
"""A stream with more different headers than this changes, whatever they say."""

Shape = tuple[int, int, str, int, int, int, int, Fraction | None]
"""Width, height, pixel format, matrix, range, primaries, transfer, sample aspect."""


def shape_of(frame: Any, aspect: Any) -> Shape:
    """What the pictures of a frame are, with the sample aspect that the decoder says."""
    return (
        frame.width, frame.height, frame.format.name, int(frame.colorspace),
        int(frame.color_range), int(frame.color_primaries), int(frame.color_trc),
        Fraction(aspect) if aspect else None,
    )  # fmt: skip


def unit_length(context: Any) -> int:
    """Bytes of the length in front of every NAL unit of a stream; 0 where start codes part them."""
    data = bytes(context.extradata or b"")
    if context.codec.canonical_name in ("hevc", "vvc"):
        return (data[21] & 3) + 1 if len(data) > 22 and data[0] == 1 else 0
    return nal_length(data)


def is_whole(packet: Any, context: Any, length: int) -> bool:
    """Whether decoding can start at a packet that its container calls a keyframe.

    Args:
        packet: the packet.
        context: of its decoder.
        length: from `unit_length`.
    """
    whole = WHOLE.get(context.codec.canonical_name)
    return whole is None or whole(bytes(packet), length)


class Shapes:
    """The shapes of the pictures of a stream.

    Args:
        stream: the stream, for its codec and what the container says of it.
    """

    def __init__(self, stream: Any) -> None:
        context = stream.codec_context
        self._codec, self._extradata = context.codec.name, context.extradata
        self._header = HEADERS.get(context.codec.canonical_name)
        self._length = unit_length(context)
        self._seen: dict[bytes, Shape | None] = {}
        self._last = b""

    def look(self, packet: Any) -> None:
        """Look at the next keyframe, or any packet that brings other parameters."""
        new = b"".join(
            bytes(packet.get_sidedata(kind)) for kind in CHANGES if packet.has_sidedata(kind)
        )
        header = self._header(bytes(packet), self._length) if self._header else b""
        found = new + header
        # Without a header of its own a keyframe is as the last one before it; the first one is looked at in any case.
        if self._seen and (not found or found in self._seen or len(self._seen) > MOST):
            return
        self._seen[found] = self._decoded(packet)

    @property
    def different(self) -> list[Shape]:
        """Shapes that differ, first those of the first keyframe."""
        return list(dict.fromkeys(s for s in self._seen.values() if s is not None))

    @property
    def constant(self) -> bool:
        """Whether all pictures have one shape."""
        return len(self._seen) <= MOST and len(self.different) <= 1

    def _decoded(self, packet: Any) -> Shape | None:
        context: Any = av.CodecContext.create(self._codec, "r")
        context.extradata = self._extradata
        context.thread_count = 1
        context.options = decoder_limit()
        try:
            for frame in (*context.decode(packet), *context.decode(None)):
                return shape_of(frame, context.sample_aspect_ratio)
        except (av.FFmpegError, ValueError):
            pass
        return None


CHANGES = ("new_extradata", "param_change")
"""Side data of packets by which a container tells that the parameters change."""


def _h264(data: bytes, length: int) -> bytes:
    return b"".join(u for u in units(data, length, LONGEST) if u[0] & 31 == 7)


def _hevc(data: bytes, length: int) -> bytes:
    return b"".join(u for u in units(data, length, LONGEST) if u[0] >> 1 & 63 == 33)


def _vvc(data: bytes, length: int) -> bytes:
    return b"".join(u for u in units(data, length, LONGEST) if len(u) > 1 and u[1] >> 3 == 15)


def _mpeg2(data: bytes, _: int) -> bytes:
    """Size, aspect and rate of the sequence header; the extensions that say profile, size and colours."""
    found = b""
    for unit in units(data, 0, 12):
        if unit[0] == 0xB3:
            found += unit[1:5]
        elif unit[0] == 0xB5 and len(unit) > 1 and unit[1] >> 4 in (1, 2):
            found += unit[1:]
        elif unit[0] == 0:
            break
    return found


def _mpeg4(data: bytes, _: int) -> bytes:
    found = b""
    for unit in units(data, 0, 40):
        if 0x20 <= unit[0] <= 0x2F:
            found += unit
        elif unit[0] == 0xB6:
            break
    return found


def _vc1(data: bytes, _: int) -> bytes:
    return b"".join(u for u in units(data, 0, 40) if u[0] == 0x0F)


def _vp8(data: bytes, _: int) -> bytes:
    return data[6:10]


def _vp9(data: bytes, _: int) -> bytes:
    """Up to the end of the size, whose last bits lie in the ninth byte; frame types and flags left out."""
    if len(data) < 10:
        return b""
    profile = data[0] >> 4 & 3
    return bytes([profile]) + data[4:8] + bytes([data[8] & (0xF0, 0xFE, 0xF8, 0xFF)[profile]])


def _av1(data: bytes, _: int) -> bytes:
    return b"".join(payload for kind, payload in _obus(data) if kind == 1)


def _obus(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        kind, extended, sized = data[at] >> 3 & 15, data[at] >> 2 & 1, data[at] >> 1 & 1
        at += 1 + extended
        size, shift = 0, 0
        while sized and at < len(data):
            size |= (data[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if not data[at - 1] & 128:
                break
        if not sized or shift > 28:
            return
        yield kind, data[at : at + min(size, LONGEST)]
        if kind in (3, 6):  # the picture itself
            return
        at += size


def _mjpeg(data: bytes, _: int) -> bytes:
    """The frame header: precision, size, components."""
    at = 2
    while at + 4 < len(data) and data[at] == 0xFF:
        kind, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            return data[at + 4 : at + 2 + size]
        at += 2 + size
    return b""


def _dv(data: bytes, _: int) -> bytes:
    """System and shape: of the header and of the video's source control."""
    return b"%d" % len(data) + bytes([data[3] & 0x80, data[4] & 7]) + data[453:456]


def _prores(data: bytes, _: int) -> bytes:
    return data[16:25]


def _whole_hevc(data: bytes, length: int) -> bool:
    kinds = (u[0] >> 1 & 63 for u in units(data, length))
    return 16 <= next((k for k in kinds if k < 32), 0) <= 23


def _whole_mpeg4(data: bytes, _: int) -> bool:
    first = next((u for u in units(data, 0) if u[0] == 0xB6 and len(u) > 1), b"\xb6\xff")
    return first[1] >> 6 == 0


def _whole_mpeg2(data: bytes, _: int) -> bool:
    first = next((u for u in units(data, 0) if u[0] == 0 and len(u) > 2), b"\x00\xff\xff")
    return first[2] >> 3 & 7 == 1


WHOLE: dict[str, Callable[[bytes, int], bool]] = {
    "h264": restarts,
    "hevc": _whole_hevc,
    "mpeg4": _whole_mpeg4,
    "mpeg1video": _whole_mpeg2,
    "mpeg2video": _whole_mpeg2,
    "vp8": lambda data, _: not data[0] & 1,
    "vp9": lambda data, _: not data[0] & 4,
}
"""By codec: whether a packet begins with a picture that needs no other. Containers call more than these keyframes."""

HEADERS: dict[str, Callable[[bytes, int], bytes]] = {
    "h264": _h264, "hevc": _hevc, "vvc": _vvc, "mpeg1video": _mpeg2, "mpeg2video": _mpeg2,
    "mpeg4": _mpeg4, "vc1": _vc1, "vp8": _vp8, "vp9": _vp9, "av1": _av1, "mjpeg": _mjpeg,
    "dvvideo": _dv, "prores": _prores,
}  # fmt: skip
"""By codec: which bytes of a keyframe say what its pictures are. Of other codecs the container says it, once."""
