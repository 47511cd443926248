"""Frames by number: any frame is decoded the same, whoever decodes it and from whichever window.

A decoder is emptied and starts afresh at every keyframe, wherever it began. So a frame depends on nothing but the packets
from the keyframe before it on, and damage in one group of pictures cannot show in another. Where a decoder that starts at a
keyframe meets errors, the group is decoded again in one go with what is before it: not every keyframe forgets what was before.

All frames have the size, shape, format and colours that the record of the source says, also where the stream changes them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from math import inf
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from montage_dask.errors import MediaError
from montage_dask.media.container import open_media
from montage_dask.media.fitting import Fitter
from montage_dask.media.index import FrameIndex
from montage_dask.media.opening import decoder_options
from montage_dask.media.orientation import is_transposed, turn_picture
from montage_dask.media.tone import is_wide, picture_in_rec709
from montage_dask.media.whole import needs_work, whole_pictures
from montage_dask.records import Source

SEEK_BACK_SECONDS = (0, 1, 5, 30, 300)
"""How far before a keyframe to seek when the demuxer lands behind it; then from the start of the file."""


Picture = NDArray[np.uint8]


def decode_frames(
    source: Source,
    index: FrameIndex,
    start_frame: int,
    stop_frame: int,
    *,
    threads: int = 1,
    skip_loop_filter: bool = False,
    container: Any = None,
    device: str = "cpu",
    one_field: bool = False,
) -> Iterator[tuple[int, Any]]:
    """Every frame of [start_frame, stop_frame), once, in order: whole pictures, deinterlaced and cropped as the source says.

    Decoding starts at the keyframe before. Where the stream is damaged and a number gives no frame, the frame before it is
    repeated; before the first frame of all, the one after it.

    Args:
        source: the source.
        index: its frame index.
        start_frame: first number.
        stop_frame: end of the range, at most `len(index)`.
        threads: of the decoder; the frames do not depend on it.
        skip_loop_filter: decode about 20 % faster, for analysis only: blocks show a little.
        container: the source, opened by the caller for several calls one after the other. For files of our own only: undamaged,
            one packet per picture; then nothing behind the last picture is decoded either.
        device: "cuda": decoded by a GPU's decoder, into system memory; never without the loop filter.
        one_field: of interlaced pictures only the field shown first, half of their lines: for small pictures.

    Yields:
        (frame number, `av.VideoFrame`).

    Raises:
        TargetFailed: the GPU does not decode it.
        MediaError: the file is gone, or nothing of it decodes.
        ValueError: not a range of this source.
    """
    if not 0 <= start_frame < stop_frame <= len(index):
        raise ValueError(f"frames {start_frame}…{stop_frame} of {len(index)}")
    opening = _Opening(source, threads, skip_loop_filter, container, device)
    if not needs_work(source):
        yield from _coded_frames(opening, index, start_frame, stop_frame)
        return
    yield from whole_pictures(
        partial(_coded_frames, opening, index),
        source,
        len(index),
        start_frame,
        stop_frame,
        one_field=one_field,
    )


def _coded_frames(
    opening: _Opening, index: FrameIndex, start_frame: int, stop_frame: int
) -> Iterator[tuple[int, Any]]:
    """Frames [start_frame, stop_frame) as they are coded."""
    stamps = _Stamps(index)
    key, back = stamps.key_before(start_frame), 1
    while True:
        frames = _from_key(opening, stamps, key, stop_frame)
        held = next(frames, None)
        # Where this group is damaged at its start, the picture to hold comes from an earlier one.
        if key == 0 or (held is not None and held[0] <= start_frame):
            break
        frames.close()
        key, back = max(0, key - back), back * 2
    if held is None:
        raise MediaError(opening.source.path, "is damaged: nothing of it can be decoded")
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


class _Stamps:
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
        at = _found(self._stamps, stamp)
        return None if at is None else int(self._frames[at])

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

    def packets(self, container: Any, stream: Any, key: int) -> Iterator[_Placed]:
        """A keyframe and all packets behind it, in decoding order: (place, whether decoding can restart there, packet)."""
        if self._timed:
            for packet in packets_from(container, stream, self._index, key):
                if packet.size:
                    known = packet.is_keyframe and _found(self.keys, packet.pts) is not None
                    yield packet.pts, known, packet
            return
        started = False
        for count, packet in enumerate(p for p in _demuxed(container, stream) if p.size):
            # The decoder hands the PTS of a packet on to its picture.
            packet.pts = packet.dts = count
            place = self.number(count)
            started = started or place == self.keys[key]
            if started:
                yield place, _found(self.keys, place) is not None, packet

    def enough(self, packets: Iterator[_Placed], key: int, stop_frame: int) -> Iterator[_Placed]:
        """The packets up to where all frames from a keyframe to stop_frame are among them: what follows changes none of these.

        For files with one packet per picture: fields and frames that are never shown have packets of their own.
        """
        low, end = self.keys[key], self.places[stop_frame - 1]
        missing = self.between(low, end + 1)
        for placed in packets:
            yield placed
            place = placed[0]
            missing -= (
                place is not None and low <= place <= end and _found(self.places, place) is not None
            )
            if missing <= 0:
                return


def _found(values: NDArray[np.int64], value: int | None) -> int | None:
    """Where a value is in an increasing array; None when it is not."""
    if value is None:
        return None
    at = int(np.searchsorted(values, value))
    return at if at < len(values) and values[at] == value else None


_Placed = tuple[int | None, bool, Any]


def _groups(packets: Iterator[_Placed], low: float) -> Iterator[tuple[Any, float, float]]:
    """What to decode, group by group: (packet, or None to empty the decoder; first place and end of places of the group).

    Pictures that come behind a keyframe in the file and precede it on screen (an open group) need the group before it. For
    them the keyframe is decoded with that one, and they are decoded again, in vain, as part of its own: so every group is
    decoded as if it were the first.

    Args:
        packets: from a keyframe on.
        low: the place of that keyframe.
    """
    held: list[_Placed] = []  # a keyframe and the pictures behind it that precede it on screen
    begun = False
    for place, restart, packet in packets:
        if held and place is not None and place < _key_place(held):
            if len(held) == 1:
                yield held[0][2], low, _key_place(held)
            yield packet, low, _key_place(held)
            held.append((place, restart, packet))
            continue
        if held:
            yield None, low, _key_place(held)
            low = _key_place(held)
            for _, _, again in held:
                yield again, low, inf
            held = []
        if begun and restart and place is not None and place > low:
            held = [(place, restart, packet)]
        else:
            begun = True
            yield packet, low, inf
    if held:
        yield None, low, _key_place(held)
        low = _key_place(held)
        for _, _, again in held:
            yield again, low, inf
    yield None, low, inf


def _key_place(held: list[_Placed]) -> float:
    place = held[0][0]
    return -inf if place is None else place


@dataclass(frozen=True, slots=True)
class _Opening:
    """How a source is opened for decoding."""

    source: Source
    threads: int
    skip_loop_filter: bool
    container: Any
    device: str

    def open(self) -> AbstractContextManager[Any]:
        """The container, closed on exit unless it is the caller's."""
        if self.container:
            return nullcontext(self.container)
        opened: AbstractContextManager[Any] = open_media(
            self.source.path, self.source.format_name, device=self.device
        )
        return opened


def _from_key(opening: _Opening, stamps: _Stamps, key: int, stop_frame: int) -> Any:
    """Frames from a keyframe on, by number, increasing; ends behind stop_frame.

    Behind a damaged group the file is opened again: an emptied decoder still remembers some of what damage taught it.
    """
    last = -1
    following: int | None = key
    while following is not None:
        key, following = following, None
        for run in _attempts(opening, stamps, key, stop_frame):
            complete = False
            for number, picture in run:
                if number is None:
                    complete, following = picture is not None, picture
                    break
                if number > last:
                    last = number
                    yield number, picture
                    if number >= stop_frame - 1:
                        run.close()
                        return
            else:
                complete = True
            run.close()
            if complete:
                break


def _attempts(opening: _Opening, stamps: _Stamps, key: int, stop_frame: int) -> Iterator[Any]:
    """Ways to decode from a keyframe on, each to be tried when the one before met errors.

    What is tried depends on nothing but the keyframe, so that everybody gets the same.
    """
    yield _groups_from(opening, stamps, key, stop_frame)


def _open_stream(opening: _Opening, container: Any, stamps: _Stamps) -> Any:
    """The video stream of an opened source, its decoder set up."""
    source = opening.source
    try:
        stream = container.streams[source.stream_index]
    except IndexError as error:
        raise MediaError(source.path, "has changed since it was probed") from error
    context = stream.codec_context
    if context.is_open:
        context.flush_buffers()
        container.seek(int(stamps.pts[0]), stream=stream, backward=True)
    else:
        context.thread_count = opening.threads
        context.options = decoder_options(source, skip_loop_filter=opening.skip_loop_filter)
    return stream


def _groups_from(opening: _Opening, stamps: _Stamps, key: int, stop_frame: int) -> Any:
    """Pictures of a decoder started at a keyframe: (number, picture); at last (None, next key) behind a damaged group."""
    with opening.open() as container:
        stream = _open_stream(opening, container, stamps)
        context = stream.codec_context
        fit = _fitter(opening.source, context)
        brought, damaged = 0, False
        packets = stamps.packets(container, stream, key)
        if opening.container:
            packets = stamps.enough(packets, key, stop_frame)
        for packet, low, end in _groups(packets, int(stamps.keys[key])):
            try:
                pictures = context.decode(packet)
            except av.FFmpegError:
                pictures, damaged = (), True
            # Pictures with damaged time stamps must not run ahead of their group.
            limit = min(end, stamps.key_after(low))
            for picture in pictures:
                number = stamps.number(picture.pts)
                if number is None or not low <= stamps.places[number] < limit:
                    continue
                brought += 1
                damaged |= picture.is_corrupt
                picture.pts = int(stamps.pts[number])
                yield number, fit(picture)
            if packet is None:
                if end < inf and (damaged or brought != stamps.between(low, limit)):
                    yield None, bisect_left(stamps.keys, end)
                    return
                context.flush_buffers()
                brought, damaged = 0, False


def _fitter(source: Source, context: Any) -> Callable[[Any], Any]:
    """What brings decoded pictures to what the source says.

    Args:
        source: the source.
        context: its decoder, nothing decoded yet.
    """
    fitter = Fitter(source)
    size = source.decoded_size
    # Where the container says another aspect than the first pictures, it is the container's that holds.
    first = context.sample_aspect_ratio
    overruled = bool(first) and first != source.sample_aspect

    def fit(picture: Any) -> Any:
        if source.uniform and (picture.width, picture.height) == size:
            return picture
        aspect = context.sample_aspect_ratio
        return fitter.fit(picture, source.sample_aspect if overruled or not aspect else aspect)

    return fit


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
    size = (shown[1], shown[0]) if is_transposed(source) else shown
    rgb = wide_rgb(frame, source, *size) if is_wide(source) else frame_rgb(frame, *size)
    return np.ascontiguousarray(turn_picture(rgb, source))


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


def wide_rgb(
    frame: Any, source: Source, width: int, height: int, interpolation: Any = None
) -> Picture:
    """A decoded frame of a source in HDR or wide gamut in full-range Rec.709, tone-mapped as the render does it.

    Returns:
        uint8 [height, width, 3]; not turned.
    """
    tagged = int(frame.colorspace)
    area = "AREA" if width * 2 <= frame.width else "BICUBIC"
    converted = frame.reformat(
        width=width,
        height=height,
        format="rgb48le",
        src_colorspace=5 if tagged == 6 else tagged if tagged in (1, 4, 5, 7) else 9,
        interpolation=interpolation or area,
    )
    return picture_in_rec709(converted.to_ndarray(format="rgb48le"), source)
