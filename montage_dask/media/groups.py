"""Decoding by groups of pictures: each as if it were the first, or, where that meets errors, with what is before it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import chain
from math import inf
from typing import Any

from montage_dask.errors import MediaError, Uncuttable
from montage_dask.media.container import open_media
from montage_dask.media.fitting import Fitter
from montage_dask.media.opening import decoded, decoder_options
from montage_dask.media.stamps import Placed, Stamps
from montage_dask.records import Source

IN_VAIN = -1
"""Among the groups in which errors were met: of pictures that were decoded in vain."""

AGAIN_FRAMES = 1500
"""A group that meets errors is decoded again from the start of the file where that is no further away; else from the keyframe
before its own only."""


def _groups(packets: Iterator[Placed], low: float) -> Iterator[tuple[Any, float, float]]:
    """What to decode, group by group: (packet, or None to empty the decoder; first place and end of places of the group).

    Pictures that come behind a keyframe in the file and precede it on screen (an open group) need the group before it. For
    them the keyframe is decoded with that one, and they are decoded again, in vain, as part of its own: so every group is
    decoded as if it were the first.

    Args:
        packets: from a keyframe on.
        low: the place of that keyframe.
    """
    held: list[Placed] = []  # a keyframe and the pictures behind it that precede it on screen
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


def _key_place(held: list[Placed]) -> float:
    place = held[0][0]
    return -inf if place is None else place


@dataclass(frozen=True, slots=True)
class Opening:
    """How a source is opened for decoding."""

    source: Source
    threads: int
    skip_loop_filter: bool
    container: Any
    device: str
    met: list[int] = field(default_factory=list)
    """Keyframes of groups in which errors were met."""

    def open(self) -> AbstractContextManager[Any]:
        """The container, closed on exit unless it is the caller's."""
        if self.container:
            return nullcontext(self.container)
        opened: AbstractContextManager[Any] = open_media(
            self.source.path, self.source.format_name, device=self.device
        )
        return opened


def frames_from(opening: Opening, stamps: Stamps, key: int, stop_frame: int) -> Any:
    """Frames from a keyframe on, by number, increasing; ends behind stop_frame.

    Behind a damaged group the file is opened again: an emptied decoder still remembers some of what damage taught it.
    """
    last = -1
    run = _groups_from(opening, stamps, key, stop_frame)
    while run is not None:
        following = None
        for number, picture in run:
            if number is None:
                following = picture
                break
            if number > last:
                last = number
                yield number, picture
                if number >= stop_frame - 1:
                    following = None
                    break
        run.close()
        run = following


def _mended(opening: Opening, stamps: Stamps, group: int, stop_frame: int) -> Any:
    """A group whose decoder met errors when it started at its keyframe: in one go with what is before it, if that helps.

    What is tried depends on nothing but the group, so that everybody gets the same pictures.
    """
    opening.met.append(group)
    if opening.source.excerpt:
        raise Uncuttable(opening.source.path, "is damaged, and what is before it is not here")
    behind = group + 1 if group + 1 < len(stamps.keys) else None
    near = stamps.between(stamps.keys[0], stamps.keys[group]) <= AGAIN_FRAMES
    attempts = [(key, False) for key in dict.fromkeys([group - 1, *([0] if near else [])])]
    if near:
        # It is damaged: then what counts is what a decoder shows that decodes all of the file.
        attempts.append((0, True))
    for key, tolerant in attempts:
        for number, picture in _continued(opening, stamps, key, group, tolerant=tolerant):
            if number is None:
                if behind is not None:
                    yield None, _groups_from(opening, stamps, behind, stop_frame)
                return
            yield number, picture
    yield from _groups_from(opening, stamps, group, stop_frame, tolerant=True)


def _continued(opening: Opening, stamps: Stamps, key: int, group: int, *, tolerant: bool) -> Any:
    """Pictures of a group, decoded in one go from an earlier keyframe on, up to the first error; at last (None, None).

    Args:
        opening: how the source is opened.
        stamps: of the source.
        key: where decoding begins.
        group: the keyframe of the group.
        tolerant: take all pictures as they come.
    """
    low = int(stamps.keys[group])
    limit = stamps.key_after(low)
    missing = stamps.between(low, limit)
    with opening.open() as container:
        stream = _open_stream(opening, container, stamps, key)
        context = stream.codec_context
        fit = _fitter(opening.source, context)
        packets = ((p, packet) for p, _, packet in stamps.packets(container, stream, key))
        expected = bisect_left(stamps.places, low)
        for _, packet in chain(packets, [(None, None)]):
            pictures, wrong = decoded(context, packet)
            if wrong and not tolerant and not stamps.precedes(packet, int(stamps.keys[key])):
                return
            for picture in pictures:
                number = stamps.number(picture.pts)
                if tolerant:
                    if number is None or stamps.places[number] < low:
                        continue
                    if stamps.places[number] >= limit:
                        yield None, None
                        return
                    picture.pts = int(stamps.pts[number])
                    yield number, fit(picture)
                    continue
                if picture.is_corrupt and (
                    number is None or stamps.places[number] >= stamps.keys[key]
                ):
                    return
                if number is None or stamps.places[number] < low:
                    continue
                if number != expected or stamps.places[number] >= limit:
                    return
                missing, expected = missing - 1, expected + 1
                picture.pts = int(stamps.pts[number])
                yield number, fit(picture)
                if not missing:
                    yield None, None
                    return
        if tolerant:
            yield None, None


def _open_stream(opening: Opening, container: Any, stamps: Stamps, key: int) -> Any:
    """The video stream of an opened source, its decoder set up to begin at a keyframe."""
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
        begins = bisect_left(stamps.places, stamps.keys[key])
        context.options = decoder_options(
            source, frame=begins, skip_loop_filter=opening.skip_loop_filter
        )
    return stream


def _groups_from(
    opening: Opening, stamps: Stamps, key: int, stop_frame: int, *, tolerant: bool = False
) -> Any:
    """Pictures of a decoder started at a keyframe: (number, picture); at last (None, what gives the rest) where errors are met.

    Args:
        opening: how the source is opened.
        stamps: of the source.
        key: the keyframe.
        stop_frame: of what is wanted.
        tolerant: take the first group as it comes.
    """
    with opening.open() as container:
        stream = _open_stream(opening, container, stamps, key)
        context = stream.codec_context
        fit = _fitter(opening.source, context)
        brought, damaged, expected, began = 0, False, 0, -inf
        packets = stamps.packets(container, stream, key)
        if opening.container:
            packets = stamps.enough(packets, key, stop_frame)
        tolerated = int(stamps.keys[key]) if tolerant else -inf
        for packet, low, end in _groups(packets, int(stamps.keys[key])):
            if low != began:
                began, expected = low, bisect_left(stamps.places, low)
            group = bisect_left(stamps.keys, low)
            excerpt = opening.source.excerpt
            strict = excerpt or (group > 0 and low > tolerated and not opening.container)
            pictures, wrong = decoded(context, packet)
            # What precedes the keyframe on screen is decoded with the group before; here it is decoded in vain.
            # In an excerpt what is before it may belong to another range.
            if wrong and (stamps.precedes(packet, low) or (excerpt and end < inf)):
                wrong = False
                opening.met.append(IN_VAIN)
            damaged |= wrong
            if wrong and not strict:
                opening.met.append(group)
            if strict and wrong:
                yield None, _mended(opening, stamps, group, stop_frame)
                return
            # Pictures with damaged time stamps must not run ahead of their group.
            limit = min(end, stamps.key_after(low))
            for picture in pictures:
                number = stamps.number(picture.pts)
                if number is None or not low <= stamps.places[number] < limit:
                    continue
                if strict and (picture.is_corrupt or number != expected):
                    yield None, _mended(opening, stamps, group, stop_frame)
                    return
                brought, expected = brought + 1, number + 1
                damaged |= picture.is_corrupt
                if picture.is_corrupt:
                    opening.met.append(group)
                picture.pts = int(stamps.pts[number])
                yield number, fit(picture)
            if packet is None:
                if strict and brought != stamps.between(low, limit):
                    yield None, _mended(opening, stamps, group, stop_frame)
                    return
                if end < inf and (damaged or brought != stamps.between(low, limit)):
                    behind = bisect_left(stamps.keys, end)
                    yield None, _groups_from(opening, stamps, behind, stop_frame)
                    return
                context.flush_buffers()
                brought, damaged, expected = 0, False, 0


def _fitter(source: Source, context: Any) -> Callable[[Any], Any]:
    """What brings decoded pictures to what the source says.

    Args:
        source: the source.
        context: its decoder, nothing decoded yet.
    """
    fitter = Fitter(source)
    size = (source.coded_width, source.coded_height)
    # Where the container says another aspect than the first pictures, it is the container's that holds.
    first = context.sample_aspect_ratio
    overruled = bool(first) and first != source.sample_aspect

    def fit(picture: Any) -> Any:
        if source.uniform and (picture.width, picture.height) == size:
            return picture
        aspect = context.sample_aspect_ratio
        return fitter.fit(picture, source.sample_aspect if overruled or not aspect else aspect)

    return fit
