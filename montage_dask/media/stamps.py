"""The packets of a source by the frames that they bring: what decoding and cutting read."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from fractions import Fraction
from math import inf
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from montage_dask.media.index import FrameIndex

SEEK_BACK_SECONDS = (0, 1, 5, 30, 300)
"""How far before a keyframe to seek when the demuxer lands behind it; then from the start of the file."""


Placed = tuple[int | None, bool, Any]
"""The place of a packet, whether decoding can restart at it, and the packet."""


class Stamps:
    """What tells the packets and pictures of a source apart: PTS or, where these cannot be trusted, packet numbers.

    The *place* of a packet or picture says when it is shown: its PTS, or the number of its frame.
    """

    def __init__(self, index: FrameIndex) -> None:
        self._index = index
        self._timed = index.packets is None
        # Arrays and binary search, no dictionaries: a window must not cost more because its source is long.
        self.pts = index.pts
        self.keys = index.key_pts if self._timed else index.keyframes
        """Places of the keyframes, increasing."""
        self.places = index.pts if self._timed else np.arange(len(index))
        """Of every frame."""
        known = index.pts if index.packets is None else index.packets
        self._frames = np.argsort(known, kind="stable")
        self._stamps = known[self._frames]

    def number(self, stamp: int | None) -> int | None:
        """The frame that a packet or a decoded picture brings; None when it is none that is shown."""
        at = found(self._stamps, stamp)
        return None if at is None else int(self._frames[at])

    def precedes(self, packet: Any, place: float) -> bool:
        """Whether a packet brings a picture that is shown before a place."""
        if packet is None:
            return False
        own = packet.pts if self._timed else self.number(packet.pts)
        return own is not None and own < place

    def key_before(self, frame: int) -> int:
        """Which keyframe, counted from 0, decoding for a frame starts at."""
        return max(0, bisect_right(self.keys, self.places[frame]) - 1)

    def key_after(self, place: float) -> float:
        """The place of the next keyframe."""
        at = bisect_right(self.keys, place)
        return float(self.keys[at]) if at < len(self.keys) else inf

    def between(self, low: float, end: float) -> int:
        """How many frames have places in [low, end)."""
        return bisect_left(self.places, end) - bisect_left(self.places, low)

    def packets(self, container: Any, stream: Any, key: int) -> Iterator[Placed]:
        """A keyframe and all packets behind it, in decoding order: (place, whether decoding can restart there, packet)."""
        if self._timed:
            for packet in packets_from(container, stream, self._index, key):
                if packet.size:
                    known = packet.is_keyframe and found(self.keys, packet.pts) is not None
                    yield packet.pts, known, packet
            return
        started = False
        for count, packet in enumerate(p for p in _demuxed(container, stream) if p.size):
            # The decoder hands the PTS of a packet on to its picture.
            packet.pts = packet.dts = count
            place = self.number(count)
            started = started or place == self.keys[key]
            if started:
                yield place, found(self.keys, place) is not None, packet

    def enough(self, packets: Iterator[Placed], key: int, stop_frame: int) -> Iterator[Placed]:
        """The packets up to where all frames from a keyframe to stop_frame are among them: what follows changes none of these.

        For files with one packet per picture: fields and frames that are never shown have packets of their own.
        """
        low, end = self.keys[key], self.places[stop_frame - 1]
        missing = self.between(low, end + 1)
        for placed in packets:
            yield placed
            place = placed[0]
            missing -= (
                place is not None and low <= place <= end and found(self.places, place) is not None
            )
            if missing <= 0:
                return


def found(values: NDArray[np.int64], value: int | None) -> int | None:
    """Where a value is in an increasing array; None when it is not."""
    if value is None:
        return None
    at = int(np.searchsorted(values, value))
    return at if at < len(values) and values[at] == value else None


def packets_from(container: Any, stream: Any, index: FrameIndex, key: int) -> Iterator[Any]:
    """Packets in decoding order, the first one the keyframe; the flushing packet at the end.

    Args:
        container: opened; read and sought here.
        stream: its video stream.
        index: a frame index whose PTS can be trusted.
        key: position of the keyframe in `index.key_pts`.
    """
    wanted = int(index.key_pts[key])
    if key == 0:
        yield from _after(_demuxed(container, stream), wanted)
        return
    for seconds in SEEK_BACK_SECONDS:
        target = wanted - int(Fraction(seconds) / index.time_base)
        if target <= index.key_pts[0]:
            break
        try:
            container.seek(target, stream=stream, backward=True, any_frame=False)
        except av.FFmpegError:
            break
        found = _after(_demuxed(container, stream), wanted)
        first = next(found, None)
        if first is not None:
            yield first
            yield from found
            return
    try:
        container.seek(int(min(index.pts[0], index.key_pts[0])), stream=stream, backward=True)
    except av.FFmpegError:
        container.seek(0)
    yield from _after(_demuxed(container, stream), wanted)


def _demuxed(container: Any, stream: Any) -> Iterator[Any]:
    try:
        yield from container.demux(stream)
    except (av.FFmpegError, IndexError):
        return  # a damaged tail, or a stream that PyAV did not know of: what was read so far counts


def _after(packets: Iterator[Any], wanted: int) -> Iterator[Any]:
    """From the wanted keyframe on; nothing when a later keyframe comes first (the seek landed behind it)."""
    for packet in packets:
        if packet.is_keyframe and packet.pts is not None:
            if packet.pts == wanted:
                yield packet
                yield from packets
                return
            if packet.pts > wanted:
                return
