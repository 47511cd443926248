"""When the frames of a stream are shown: from its packets alone, or from one full decode where those do not tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from math import inf
from typing import Any

import av
import av.logging
import numpy as np

from montage_dask.errors import MediaError
from montage_dask.media.headers import Shapes, is_whole, unit_length
from montage_dask.media.holes import MOST_SPOILT, NO_HOLES, Holes, find_spoilt, holes_of, left_out
from montage_dask.media.index import FrameIndex, Ticks, usual_step
from montage_dask.media.joined import OTHER_CODEC, part_is_lost
from montage_dask.media.nal import x264_build
from montage_dask.media.numbered import Told, by_packets, decoded_pictures, numbered
from montage_dask.media.opening import HARMLESS, listen
from montage_dask.media.rates import evened, is_uneven, told_rates

NO_TIMESTAMPS = 0x80
"""FFmpeg's flag of a demuxer for bare streams, whose times are guesses."""

JUMPS = 0x200
"""FFmpeg's flag of a demuxer for formats whose clock may jump: transport and program streams."""

LEAP_SECONDS = 10
"""Where the clock of such a format leaps further ahead, it was set anew: ffmpeg says so, too."""

TRIED_FRAMES = 8
"""So many frames are decoded to see whether the packets told the truth: enough for a pyramid of B-frames."""

WRAP_TICKS = 1 << 30
"""A span of times in an FLV file that is none: they are milliseconds in 31 bits, and what lies before 0 ends up behind all."""

EVEN_CODECS = frozenset(["mpeg1video", "mpeg2video"])
"""Codecs whose streams have one rate."""

UNTIMED_SHARE = 0.05
"""A stream with more packets without PTS than this is decoded to number its frames; fewer are left out."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The frames of a stream."""

    index: FrameIndex
    first: Any
    """The first `av.VideoFrame` that is shown."""
    packets: int
    """Packets that the stream holds."""
    error: str
    """Why demuxing ended early; empty when it did not."""
    shapes: Shapes
    """What its pictures are."""
    x264_build: int | None = None
    """See `Source.x264_build`."""
    end_bytes: int = 0
    """Where the last packet ends in the file."""
    later_builds: tuple[tuple[int, int, int], ...] = ()
    """Packet, PTS, and the build of x264 that it names where it is another one."""
    restarted: bool = False
    """Whether its clock does not run on: the times of the index are made up."""
    evened: bool = False
    """Whether the times are those of the grid of its rate, where the file gives pictures the time of others."""
    holes: Holes = NO_HOLES
    """Where pictures are missing: spoilt ones are not in the index."""


@dataclass(slots=True)
class _Packets:
    pts: list[int] = field(default_factory=list)
    key_pts: list[int] = field(default_factory=list)
    total: int = 0
    without_pts: int = 0
    last_pts: int = -(1 << 63)
    last_duration: int = 0
    """Of the packet that is shown last, which need not be the last one in the file."""
    error: str = ""
    headless: bool = False
    """Whether the first keyframe has no time."""
    torn: dict[int, int] = field(default_factory=dict)
    """PTS of those at which damage was met, and of the keyframe before each."""
    x264_build: int | None = None
    later_builds: list[tuple[int, int, int]] = field(default_factory=list)
    end_bytes: int = 0

    def ordered(self, leap: float) -> bool:
        """Whether the packets have times of their own, and the clock runs on without leaps of so many ticks."""
        times = np.sort(np.array(self.pts, np.int64))
        steps = np.diff(times)
        runs_on = all(a < b for a, b in pairwise(self.key_pts))
        return runs_on and not (len(steps) and (steps.min() <= 0 or steps.max() > leap))


def find_timing(container: Any, stream: Any, path: str, format_name: str) -> Timing:
    """The frame index of a stream, and its first frame.

    Args:
        container: opened, nothing read yet; read to its end.
        stream: the video stream.
        path: the file.
        format_name: its demuxer.

    Raises:
        MediaError: no frame of it can be decoded, or none can be told from the others.
    """
    bare = bool(container.format.flags & NO_TIMESTAMPS)
    rate = stream.guessed_rate or stream.average_rate or Fraction(25)
    shapes = Shapes(stream)
    packets = _demux(container, stream, shapes)
    told = Told(path, format_name, stream.index, packets.x264_build)
    rest = (
        packets.total,
        packets.error,
        shapes,
        packets.x264_build,
        packets.end_bytes,
        tuple(packets.later_builds),
    )
    if not packets.total:
        damage = f": {packets.error}" if packets.error else ""
        raise MediaError(path, f"holds no video frame that can be decoded{damage}")
    if format_name == "matroska" and packets.headless:
        before = _before_zero(told, rate, Fraction(stream.time_base), rest)
        if before is not None:
            return before
    untimed = bare or packets.without_pts > UNTIMED_SHARE * packets.total
    if not untimed and packets.pts:
        leap = LEAP_SECONDS / stream.time_base if container.format.flags & JUMPS else inf
        wrapped = format_name == "flv" and np.ptp(packets.pts) > WRAP_TICKS
        codec = stream.codec_context.codec.canonical_name
        doubtful = codec in EVEN_CODECS and container.format.flags & JUMPS
        if wrapped:
            leap = LEAP_SECONDS / stream.time_base
        if not packets.ordered(float(leap)) or (
            doubtful
            and is_uneven(np.array(packets.pts, np.int64))
            and evened(sorted(packets.pts), told_rates(stream), stream.time_base) is not None
        ):
            return _unordered(told, packets, stream, rate, float(leap), rest)
        index = _index(packets.pts, packets, stream, rate)
        tried, failed = _tried(told, index)
        expected = [int(p) for p in index.pts[: len(tried)]]
        shown = [frame.pts for frame in tried]
        if shown == expected or failed:
            return _whole(told, Timing(index, tried[0], *rest), packets.torn)
        if all(a < b for a, b in pairwise(shown)) and set(shown) <= set(packets.pts):
            # Packets that bring no picture, though nothing is damaged: only decoding tells which.
            brought = [f.pts for _, f, _ in decoded_pictures(told) if f.pts is not None]
            index = _index([p for p in brought if p >= index.pts[0]], packets, stream, rate)
            return _whole(told, Timing(index, tried[0], *rest), packets.torn)
    index, first, spoilt = by_packets(told, stream, rate)
    index, holes = left_out(index, spoilt)
    return replace(Timing(index, first, *rest), holes=holes)


def _whole(told: Told, timing: Timing, torn: Mapping[int, int]) -> Timing:
    """The timing without the pictures that are spoilt."""
    index = timing.index
    with told.open() as (_, stream):
        codec = stream.codec_context.codec.canonical_name
    spoilt = find_spoilt(index, torn, codec, told.format_name, told.open)
    index, holes = left_out(index, np.isin(index.pts, list(spoilt)), torn)
    return replace(timing, index=index, holes=holes)


def _unordered(
    told: Told, packets: _Packets, stream: Any, rate: Any, leap: float, rest: Any
) -> Timing:
    """The timing of a stream with times that come twice, or with a clock that starts again: by one full decode."""
    first: Any = None
    numbers: list[int] = []
    times: list[int] = []
    spoilt: list[bool] = []
    for number, frame, wrong in decoded_pictures(told):
        if frame.pts is not None and (numbers or frame.pts >= packets.key_pts[0]):
            first = first or frame
            numbers.append(number)
            times.append(int(frame.pts))
            spoilt.append(wrong)
    if first is None:
        raise MediaError(told.path, "holds no video frame that can be decoded")
    even = evened(sorted(times), told_rates(stream), Fraction(stream.time_base))
    codec = stream.codec_context.codec.canonical_name
    if codec in EVEN_CODECS and even is not None and not any(spoilt):
        step = max(1, int(even[1] - even[0]))
        index = numbered(told, even, numbers, Fraction(stream.time_base), step)
        return replace(Timing(index, first, *rest), evened=True)
    if leap < inf and part_is_lost(len(numbers), packets.total):
        raise MediaError(told.path, OTHER_CODEC)
    ticks = Fraction(stream.time_base)
    usual = max(1, round(1 / (Fraction(rate) * ticks)))
    steps = [b - a for a, b in pairwise(times) if b > a]
    if steps:
        usual = max(1, round(float(np.median(steps))))
    gone = np.array(spoilt)
    good = np.array(times, np.int64)[~gone]
    steps_on = np.diff(good)
    if 0 < gone.mean() <= MOST_SPOILT and (steps_on > 0).all() and (steps_on <= leap).all():
        # It is what is spoilt that has wrong times.
        kept = np.flatnonzero(~gone)
        index = numbered(told, good, [numbers[k] for k in kept], ticks, usual)
        holes = holes_of(index, np.diff(kept) > 1, (), gone)
        return replace(Timing(index, first, *rest), holes=holes)
    pts = _running_on(times, usual, leap)
    if pts == times:
        # Only packets that bring no picture have the times of others.
        return Timing(_index(times, packets, stream, rate), first, *rest)
    index, holes = left_out(numbered(told, np.array(pts, np.int64), numbers, ticks, usual), gone)
    return replace(Timing(index, first, *rest), restarted=True, holes=holes)


def _before_zero(told: Told, rate: Any, time_base: Fraction, rest: Any) -> Timing | None:
    """The timing of a stream that begins before time 0: such times are legal in Matroska, but its demuxer drops them.

    None where other times are missing, too.
    """
    times: list[int | None] = []
    numbers: list[int] = []
    spoilt: list[bool] = []
    first: Any = None
    for number, frame, wrong in decoded_pictures(told):
        first = first or frame
        numbers.append(number)
        times.append(frame.pts)
        spoilt.append(wrong)
    begin = next((k for k, t in enumerate(times) if t is not None), 0)
    known = np.array([t for t in times[begin:] if t is not None], np.int64)
    if begin == 0 or len(known) < len(times) - begin or (np.diff(known) <= 0).any():
        return None
    usual = usual_step(known)
    step = 1 / (Fraction(rate) * time_base)
    if usual and abs(float(step) - usual) > 1:
        step = Fraction(usual)
    ahead = [int(known[0]) - round((begin - k) * step) for k in range(begin)]
    pts = np.array([*ahead, *known.tolist()], np.int64)
    if (np.diff(pts) <= 0).any():
        return None
    index = numbered(told, pts, numbers, time_base, max(1, round(step)))
    index, holes = left_out(index, spoilt)
    return replace(Timing(index, first, *rest), evened=True, holes=holes)


def _running_on(times: list[int], usual: int, leap: float) -> list[int]:
    """Times that increase: where the clock goes back, or leaps ahead, it runs on with the frame before."""
    pts, offset = [times[0]], 0
    for before, time in pairwise(times):
        step = time - before
        if step < -usual or step > leap:
            offset = pts[-1] + usual - time
        pts.append(max(pts[-1] + 1, time + offset))
    return pts


def _demux(container: Any, stream: Any, shapes: Shapes) -> _Packets:
    """PTS of all packets that are shown, in decoding order up to the end or the first damage."""
    found = _Packets()
    vp8, h264 = (stream.codec_context.name == n for n in ("vp8", "h264"))
    length = unit_length(stream.codec_context)
    torn = 0
    if h264:
        found.x264_build = x264_build(bytes(stream.codec_context.extradata or b""), 0)
    listen()
    hurt = False
    try:
        for packet in _heard(container.demux(stream)):
            if packet is None:
                hurt = bool(found.key_pts)
                continue
            if not packet.size:
                continue
            found.total += 1
            found.end_bytes = max(found.end_bytes, (packet.pos or 0) + packet.size)
            if vp8 and not bytes(packet)[0] & 0x10:
                continue  # an alternate reference frame: decoded, never shown
            pts = packet.pts
            if packet.is_keyframe:
                shapes.look(packet)
            if h264 and (packet.is_keyframe or found.total < 10):
                _note_build(found, x264_build(bytes(packet), length), pts)
            found.headless |= pts is None and packet.is_keyframe and not found.key_pts
            if (
                pts is not None
                and packet.is_keyframe
                and (not found.key_pts or is_whole(packet, stream.codec_context, length))
            ):
                found.key_pts.append(pts)
            if not found.key_pts:
                continue
            if pts is None:
                found.without_pts += 1
                continue
            # What comes before the first keyframe refers to pictures that are not there.
            if pts < found.key_pts[0] or packet.is_discard:
                continue
            if hurt and packet.is_keyframe and found.pts and len(found.key_pts) > 1:
                # With it all is well again: what ends in the midst of the damage is the packet before it.
                found.torn[found.pts[-1]] = found.key_pts[-2]
                hurt = False
            found.pts.append(pts)
            torn = torn + 1 if packet.is_corrupt else 0
            if hurt or packet.is_corrupt:
                found.torn[pts] = found.key_pts[-1]
            hurt = False
            if packet.duration and pts >= found.last_pts:
                found.last_pts, found.last_duration = pts, packet.duration
    except av.FFmpegError as error:
        found.error = error.strerror or str(error)
    except IndexError:
        # PyAV cannot go on when a stream turns up that was not there at the start.
        found.error = "a new stream begins in the middle"
    if 0 < torn < len(found.pts):
        # Where a file was cut off, its last packet is a torso.
        del found.pts[-torn:]
    if not found.key_pts:
        found.without_pts = found.total
    return found


def _heard(packets: Iterator[Any]) -> Iterator[Any]:
    """Packets; None before one at which the demuxer met errors."""
    with av.logging.Capture() as said:
        for packet in packets:
            if any(not HARMLESS.search(message) for _, _, message in said):
                yield None
            said.clear()
            yield packet
            said.clear()


def _note_build(found: _Packets, named: int | None, pts: int | None) -> None:
    """Keep the build of x264 that the last packet names, where it is news."""
    known = found.later_builds[-1][2] if found.later_builds else found.x264_build
    if named is None or named == known:
        return
    if known is None and found.total < 10:
        found.x264_build = named
    elif pts is not None:
        found.later_builds.append((found.total - 1, pts, named))


def _index(shown: list[int], packets: _Packets, stream: Any, rate: Any) -> FrameIndex:
    pts: Ticks = np.unique(np.array(shown, np.int64))
    duration = packets.last_duration
    if duration < 1:
        usual = usual_step(pts) or float(1 / (Fraction(rate) * stream.time_base))
        duration = max(1, round(usual))
    keys: Ticks = np.unique(np.array(packets.key_pts, np.int64))
    return FrameIndex(pts, keys, Fraction(stream.time_base), duration)


def _tried(told: Told, index: FrameIndex) -> tuple[list[Any], bool]:
    """The first frames, decoded, and whether errors were met on the way.

    A stream whose decoder gives nothing is found out here, not in mid-job.
    """
    frames: list[Any] = []
    failed = ""
    with told.open() as (container, stream):
        for packet in container.demux(stream):
            try:
                decoded = packet.decode()
                frames += [f for f in decoded if f.pts is None or f.pts >= index.pts[0]]
            except av.FFmpegError as error:
                failed = error.strerror or str(error)
            if len(frames) >= TRIED_FRAMES:
                break
        name = stream.codec_context.name
    if not frames:
        reason = f": {failed}" if failed else ""
        raise MediaError(told.path, f"cannot be decoded: its {name} stream gives no frame{reason}")
    return frames[:TRIED_FRAMES], bool(failed)
