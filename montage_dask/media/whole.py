"""Whole pictures from coded ones: deinterlaced and cropped, by the same filters in ffmpeg's graph and in PyAV's.

Deinterlacing gives one picture for one. It looks at the pictures next to it, so those are decoded too: a picture comes out the
same wherever decoding began.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import av
import av.filter

from montage_dask.records import Source

NEIGHBOURS = 1
"""So many pictures before and behind are given to the deinterlacer, which sees no further."""

FILTER_DONE = (av.error.BlockingIOError, av.error.EOFError)


def needs_work(source: Source) -> bool:
    """Whether coded pictures of a source are not shown as they are, but for turning."""
    return bool(source.field_order) or any(source.crop)


def deinterlacer(source: Source) -> dict[str, str]:
    """The options of ffmpeg's `bwdif` for a source with a field order."""
    if source.field_order == "flagged":
        return {"mode": "send_frame", "parity": "auto", "deint": "interlaced"}
    return {"mode": "send_frame", "parity": source.field_order, "deint": "all"}


def cropping(source: Source) -> dict[str, str]:
    """The options of ffmpeg's `crop` for a source with a container's crop.

    The executable may have cropped already, as FFmpeg does since 7.1: then nothing is left to do.
    """
    left, top, _, _ = source.crop
    width, height = source.coded_width, source.coded_height
    return {
        "w": str(width),
        "h": str(height),
        "x": f"if(gt(iw,{width}),{left},0)",
        "y": f"if(gt(ih,{height}),{top},0)",
        "exact": "1",
    }


def whole_pictures(
    decode: Callable[[int, int], Iterator[tuple[int, Any]]],
    source: Source,
    frames: int,
    start_frame: int,
    stop_frame: int,
    *,
    one_field: bool,
) -> Iterator[tuple[int, Any]]:
    """Frames [start_frame, stop_frame), deinterlaced and cropped: (number, `av.VideoFrame`).

    Args:
        decode: gives coded frames of a range.
        source: the source.
        frames: how many it has.
        start_frame: first number.
        stop_frame: end of the range.
        one_field: only the field shown first, half of the lines of an interlaced picture: for small pictures, at no cost.
    """
    around = NEIGHBOURS if source.field_order and not one_field else 0
    first, stop = max(0, start_frame - around), min(frames, stop_frame + around)
    numbers: deque[int] = deque()
    graph: _Graph | None = None
    coded = decode(first, stop)
    try:
        for number, frame in coded:
            if graph is None or not graph.takes(frame):
                if graph is not None:
                    yield from _within(graph.finish(), numbers, start_frame, stop_frame)
                graph = _Graph(frame, source, one_field)
            numbers.append(number)
            yield from _within(graph.push(frame), numbers, start_frame, stop_frame)
        if graph is not None:
            yield from _within(graph.finish(), numbers, start_frame, stop_frame)
    finally:
        close = getattr(coded, "close", None)
        if close is not None:
            close()


def _within(
    pictures: Iterator[Any], numbers: deque[int], start: int, stop: int
) -> Iterator[tuple[int, Any]]:
    for picture in pictures:
        number = numbers.popleft()
        if start <= number < stop:
            yield number, picture


class _Graph:
    """PyAV's filters for pictures of one size and format; one picture out for one in."""

    def __init__(self, frame: Any, source: Source, one_field: bool) -> None:
        self._made_for = _shape(frame)
        self._count = 0
        self._graph = av.filter.Graph()
        last = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
        )
        steps: list[tuple[str, dict[str, str]]] = []
        halved = bool(source.field_order) and one_field
        if halved:
            kept = "bottom" if source.field_order == "bff" else "top"
            steps.append(("field", {"type": kept}))
        elif source.field_order:
            steps.append(("bwdif", deinterlacer(source)))
        if any(source.crop):
            options = cropping(source)
            if halved:
                options |= {"h": "ih*" + str(_share(source)), "y": f"ih*{_share_above(source)}"}
            steps.append(("crop", options))
        steps.append(("buffersink", {}))
        for name, options in steps:
            node = self._graph.add(name, ":".join(f"{k}='{v}'" for k, v in options.items()) or None)
            last.link_to(node)
            last = node
        self._graph.configure()

    def takes(self, frame: Any) -> bool:
        return _shape(frame) == self._made_for

    def push(self, frame: Any) -> Iterator[Any]:
        pts = frame.pts
        frame.pts = self._count  # times that increase, also where a picture is repeated
        self._count += 1
        self._graph.push(frame)
        frame.pts = pts
        yield from self._pulled()

    def finish(self) -> Iterator[Any]:
        self._graph.push(None)
        yield from self._pulled()

    def _pulled(self) -> Iterator[Any]:
        while True:
            try:
                yield self._graph.vpull()
            except FILTER_DONE:
                return


def _shape(frame: Any) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


def _share(source: Source) -> float:
    _, top, _, bottom = source.crop
    return source.coded_height / (source.coded_height + top + bottom)


def _share_above(source: Source) -> float:
    _, top, _, bottom = source.crop
    return top / (source.coded_height + top + bottom)
