"""Frames by number: any frame is decoded the same, whoever decodes it and from whichever window."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np

from av.video.frame import PictureType
from numpy.typing import NDArray

from montage_dask.errors import MediaError
from montage_dask.media.container import open_media
from montage_dask.media.index import FrameIndex
from montage_dask.records import Source

SEEK_BACK_SECONDS = (0, 1, 5, 30, 300)
"""How far before a keyframe to seek when the demuxer lands behind it; then from the start of the file."""

INTRA, UNTOLD = PictureType.I, PictureType.NONE

Picture = NDArray[np.uint8]


def decode_frames(
    source: Source,
    index: FrameIndex,
    start_frame: int,
    stop_frame: int,
    *,
    threads: int = 1,
    skip_loop_filter: bool = False,
) -> Iterator[tuple[int, Any]]:
    """Every frame of [start_frame, stop_frame), once, in order.

    Decoding starts at the keyframe before. Where the stream is damaged and a number gives no frame, the frame before it is
    repeated; before the first frame of all, the one after it.

    Args:
        source: the source.
        index: its frame index.
        start_frame: first number.
        stop_frame: end of the range, at most `len(index)`.
        threads: of the decoder; the frames do not depend on it.
        skip_loop_filter: decode about 20 % faster, for analysis only: blocks show a little.

    Yields:
        (frame number, `av.VideoFrame`).

    Raises:
        MediaError: the file is gone, or nothing of it decodes.
        ValueError: not a range of this source.
    """
    if not 0 <= start_frame < stop_frame <= len(index):
        raise ValueError(f"frames {start_frame}…{stop_frame} of {len(index)}")
    key = index.key_before(start_frame)
    while True:
        frames = _from_key(source, index, key, stop_frame, threads, skip_loop_filter)
        held = _first(frames)
        # The run-up must reach the first wanted frame; where it is damaged, the one before it must do.
        if held is not None and (held[0] <= start_frame or key == 0):
            break
        if key == 0:
            raise MediaError(source.path, "is damaged: nothing of it can be decoded")
        frames.close()
        key -= 1
    assert held is not None
    wanted = start_frame
    for number, frame in frames:
        # held is on screen until the next one appears
        while wanted < min(number, stop_frame):
            yield wanted, held[1]
            wanted += 1
        held = (number, frame)
        if wanted >= stop_frame:
            break
    frames.close()
    while wanted < stop_frame:
        yield wanted, held[1]
        wanted += 1


def _first(frames: Iterator[tuple[int, Any]]) -> tuple[int, Any] | None:
    return next(frames, None)


def _from_key(
    source: Source,
    index: FrameIndex,
    key: int,
    stop_frame: int,
    threads: int,
    skip_loop_filter: bool,
) -> Any:
    """Frames from a keyframe on, by number, increasing; ends behind stop_frame.

    Behind damage every keyframe gets a fresh decoder: what a decoder makes up for lost data depends on all that it has seen,
    and with it on where the window began.
    """
    last = -1
    restart: int | None = key
    while restart is not None:
        key, restart = restart, None
        run = _one_decoder(source, index, key, threads, skip_loop_filter)
        for number, frame, damaged in run:
            owner = index.key_before(number)
            if number <= last or owner < key:
                continue
            if damaged and owner > key:
                restart = owner
                break
            last = number
            yield number, frame
            if number >= stop_frame - 1:
                break
        run.close()


def _one_decoder(
    source: Source, index: FrameIndex, key: int, threads: int, skip_loop_filter: bool
) -> Any:
    """What one decoder brings from a keyframe on: (number, frame, whether there were signs of damage so far)."""
    with open_media(source.path, source.format_name) as container:
        try:
            stream = container.streams[source.stream_index]
        except IndexError as error:
            raise MediaError(source.path, "has changed since it was probed") from error
        context = stream.codec_context
        context.thread_count = threads
        if skip_loop_filter:
            context.options = {"skip_loop_filter": "all"}
        last, damaged = -1, False
        keys = frozenset(index.keyframes.tolist())
        for packet in _packets_from(container, stream, index, key):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                damaged = True
                continue
            for frame in frames:
                if frame.pts is None:
                    continue
                number = int(np.searchsorted(index.pts, frame.pts))
                if number <= last or number >= len(index) or index.pts[number] != frame.pts:
                    continue
                predicted = number in keys and frame.pict_type not in (INTRA, UNTOLD)
                damaged |= bool(frame.is_corrupt) or predicted or (0 <= last < number - 1)
                last = number
                yield number, frame, damaged


def _packets_from(container: Any, stream: Any, index: FrameIndex, key: int) -> Iterator[Any]:
    """Packets in decoding order, the first one the keyframe; the flushing packet at the end."""
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
    except av.FFmpegError:
        return  # a damaged tail: what was read so far counts


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


def show_rgb(
    frame: Any, source: Source, max_width: int | None = None, max_height: int | None = None
) -> Picture:
    """A frame as it is meant to be seen: square pixels, upright, right colours.

    Returns:
        uint8 [height, width, 3] RGB, scaled down to fit into the maximum.
    """
    width, height = source.width, source.height
    scale = min(1.0, (max_width or width) / width, (max_height or height) / height)
    shown = (max(1, round(width * scale)), max(1, round(height * scale)))
    turned = source.rotation_degrees in (90, 270)
    size = (shown[1], shown[0]) if turned else shown
    rgb = frame_rgb(frame, *size)
    return np.ascontiguousarray(np.rot90(rgb, -source.rotation_degrees // 90))


def frame_rgb(frame: Any, width: int, height: int) -> Picture:
    """A decoded frame in full-range RGB: uint8 [height, width, 3]; not turned. An untagged matrix is told by the size."""
    tagged = int(frame.colorspace)
    matrix = tagged if tagged in (1, 4, 5, 6, 7, 9) else (1 if frame.height >= 720 else 5)
    converted = frame.reformat(
        width=width,
        height=height,
        format="rgb24",
        src_colorspace=5 if matrix == 6 else matrix,
        interpolation="AREA" if width * 2 <= frame.width else "BICUBIC",
    )
    return np.asarray(converted.to_ndarray(format="rgb24"))
