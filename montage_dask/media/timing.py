"""When the frames of a stream are shown: from its packets alone, or from one full decode where those do not tell."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np

from montage_dask.errors import FFmpegError, MediaError
from montage_dask.media.container import open_media
from montage_dask.media.ffmpeg import input_arguments, run_ffmpeg
from montage_dask.media.index import FrameIndex, Ticks
from montage_dask.media.nal import nal_length, restarts

NO_TIMESTAMPS = 0x80
"""FFmpeg's flag of a demuxer for bare streams, whose times are guesses."""

TRIED_FRAMES = 8
"""So many frames are decoded to see whether the packets told the truth: enough for a pyramid of B-frames."""

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
    packets = _demux(container, stream)
    if not packets.total:
        damage = f": {packets.error}" if packets.error else ""
        raise MediaError(path, f"holds no video frame that can be decoded{damage}")
    untimed = bare or packets.without_pts > UNTIMED_SHARE * packets.total
    if not untimed and packets.pts:
        index = _index(packets.pts, packets, stream, rate)
        tried, failed = _tried(path, format_name, stream.index, index)
        expected = [int(p) for p in index.pts[: len(tried)]]
        shown = [frame.pts for frame in tried]
        if shown == expected or failed:
            return Timing(index, tried[0], packets.total, packets.error)
        if all(a < b for a, b in pairwise(shown)) and set(shown) <= set(packets.pts):
            # Packets that bring no picture, though nothing is damaged: only decoding tells which.
            brought = [
                f.pts for _, f in _decoded(path, format_name, stream.index) if f.pts is not None
            ]
            index = _index([p for p in brought if p >= index.pts[0]], packets, stream, rate)
            return Timing(index, tried[0], packets.total, packets.error)
    index, first = _by_packets(path, format_name, stream, rate)
    return Timing(index, first, packets.total, packets.error)


def _demux(container: Any, stream: Any) -> _Packets:
    """PTS of all packets that are shown, in decoding order up to the end or the first damage."""
    found = _Packets()
    vp8, h264 = (stream.codec_context.name == n for n in ("vp8", "h264"))
    length = nal_length(stream.codec_context.extradata or b"")
    torn = 0
    try:
        for packet in container.demux(stream):
            if not packet.size:
                continue
            found.total += 1
            if vp8 and not bytes(packet)[0] & 0x10:
                continue  # an alternate reference frame: decoded, never shown
            pts = packet.pts
            if (
                pts is not None
                and packet.is_keyframe
                and (not h264 or not found.key_pts or restarts(bytes(packet), length))
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
            found.pts.append(pts)
            torn = torn + 1 if packet.is_corrupt else 0
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


def _index(shown: list[int], packets: _Packets, stream: Any, rate: Any) -> FrameIndex:
    pts: Ticks = np.unique(np.array(shown, np.int64))
    duration = packets.last_duration
    if duration < 1:
        usual = np.median(np.diff(pts)) if len(pts) > 1 else 1 / (Fraction(rate) * stream.time_base)
        duration = max(1, round(float(usual)))
    keys: Ticks = np.unique(np.array(packets.key_pts, np.int64))
    return FrameIndex(pts, keys, Fraction(stream.time_base), duration)


def _tried(
    path: str, format_name: str, stream_index: int, index: FrameIndex
) -> tuple[list[Any], bool]:
    """The first frames, decoded, and whether errors were met on the way.

    A stream whose decoder gives nothing is found out here, not in mid-job.
    """
    frames: list[Any] = []
    failed = ""
    with open_media(path, format_name) as container:
        stream = container.streams[stream_index]
        stream.codec_context.thread_count = 1
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
        raise MediaError(path, f"cannot be decoded: its {name} stream gives no frame{reason}")
    return frames[:TRIED_FRAMES], bool(failed)


def _decoded(path: str, format_name: str, stream_index: int) -> Iterator[tuple[int, Any]]:
    """Every frame in the order of showing, and the number of its packet; PTS are the packets' own."""
    with open_media(path, format_name) as container:
        stream = container.streams[stream_index]
        context = stream.codec_context
        context.thread_count = 1
        own: list[int | None] = []
        try:
            for packet in container.demux(stream):
                if packet.size:
                    own.append(packet.pts)
                    packet.pts = len(own) - 1
                try:
                    frames = packet.decode()
                except av.FFmpegError:
                    continue
                for frame in frames:
                    number = frame.pts
                    if number is not None:
                        frame.pts = own[number]
                        yield number, frame
        except (av.FFmpegError, IndexError):
            return


def _by_packets(path: str, format_name: str, stream: Any, rate: Any) -> tuple[FrameIndex, Any]:
    """The index of a stream without trustworthy time stamps.

    The executable makes up its own when it reads the file from the start; taking those keeps it and PyAV in step.
    """
    numbers: list[int] = []
    first = None
    for number, frame in _decoded(path, format_name, stream.index):
        numbers.append(number)
        first = first or frame
    if first is None:
        raise MediaError(
            path, f"cannot be decoded: its {stream.codec_context.name} stream gives no frame"
        )
    pts = _executable_pts(path, format_name, stream.index, Fraction(stream.time_base))
    steady = len(pts) == len(numbers) == len(set(numbers)) and bool((np.diff(pts) > 0).all())
    keys = _restarts(_key_packets(path, format_name, stream.index), numbers)
    if not steady or not keys:
        raise MediaError(
            path,
            "has no time stamps that tell its frames apart; convert it first, for example: "
            "ffmpeg -i IN -c:v libx264 -crf 16 OUT.mp4",
        )
    usual = np.median(np.diff(pts)) if len(pts) > 1 else 1 / (Fraction(rate) * stream.time_base)
    index = FrameIndex(
        pts,
        pts[:1],
        Fraction(stream.time_base),
        max(1, round(float(usual))),
        np.array(numbers, np.int64),
        np.array(keys, np.int64),
    )
    return index, first


def _key_packets(path: str, format_name: str, stream_index: int) -> list[int]:
    found: list[int] = []
    number = 0
    with open_media(path, format_name) as container:
        stream = container.streams[stream_index]
        length = nal_length(stream.codec_context.extradata or b"")
        try:
            for packet in container.demux(stream):
                if packet.size:
                    whole = stream.codec_context.name != "h264" or restarts(bytes(packet), length)
                    if packet.is_keyframe and (whole or not found):
                        found.append(number)
                    number += 1
        except (av.FFmpegError, IndexError):
            pass  # the damaged tail brought no frames either
    return found


def _restarts(keys: list[int], numbers: list[int]) -> list[int]:
    """The key packets that bring a frame shown behind those of all key packets before them."""
    frames = {packet: frame for frame, packet in enumerate(numbers)}
    found: list[int] = []
    for packet in keys:
        # In a packed stream the packet behind a keyframe can be marked as one, too.
        if packet in frames and (not found or frames[packet] > frames[found[-1]]):
            found.append(packet)
    return found


def _executable_pts(path: str, format_name: str, stream_index: int, time_base: Fraction) -> Ticks:
    """The PTS of all frames that ffmpeg shows when it reads the file from its start."""
    with tempfile.TemporaryDirectory() as folder:
        listing = Path(folder) / "frames"
        try:
            run_ffmpeg(
                [
                    "-copyts", "-threads", "1", *input_arguments(path, format_name),
                    "-map", f"0:{stream_index}", "-fps_mode", "passthrough",
                    "-enc_time_base", f"{time_base.numerator}/{time_base.denominator}",
                    "-c:v", "wrapped_avframe", "-f", "framecrc", str(listing),
                ],
                about=path,
            )  # fmt: skip
        except FFmpegError as error:
            raise MediaError(path, f"cannot be decoded: {error.reason}") from error
        lines = listing.read_text().splitlines()
    return np.array([int(n.split(",")[2]) for n in lines if not n.startswith("#")], np.int64)
