"""Which source frame is on screen at which output frame, exactly, and how ffmpeg is made to show just those.

How the time of an event runs, `records.Event` says: evenly, or in straight lines from point to point of a speed ramp. Here that
becomes frames, and for every straight line the formula of its own that ffmpeg numbers frames by.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from montage_dask.errors import MediaError
from montage_dask.media.index import FrameIndex
from montage_dask.records import CUT, Event

if TYPE_CHECKING:
    from montage_dask.render.segments import Segment

NANOSECOND = Fraction(1, 1_000_000_000)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Source frames whose time runs evenly: `frame + ceil((T − base_ns − shift_ns) × rate)`."""

    from_ns: int
    """From this time on, in nanoseconds from the first source frame, up to that of the next stretch."""
    frame: int
    """Output frame on which it begins."""
    shift_ns: float
    rate: float
    """Output frames per nanosecond of source time."""


@dataclass(frozen=True, slots=True)
class FrameMap:
    """Source frames [first, last] shown over a number of output frames.

    ffmpeg numbers them by `max(0, ceil((T − base_ns − shift_ns) × rate))` in double precision, T being a frame's time in
    nanoseconds, and in further stretches as each of them says; `make_map` has checked that this gives exactly the output frames
    of the promise.
    """

    first: int
    """First source frame that is shown."""
    last: int
    """Last source frame that is shown."""
    frames: int
    """Output frames."""
    base_ns: int
    """Time of the first source frame, in nanoseconds of the file's clock."""
    shift_ns: float
    """How long the first source frame has been on screen at output frame 0."""
    rate: float
    """Output frames per nanosecond of source time."""
    further: tuple[Stretch, ...] = ()
    """What follows where time does not run evenly."""

    def expression(self) -> str:
        """The output frame of an input frame whose time base is a nanosecond."""
        since = f"PTS-{self.base_ns}"
        even = f"ceil(({since}-{self.shift_ns!r})*{self.rate!r})"
        if not self.further:
            return f"max(0,{even})"
        begins = [s.from_ns for s in self.further]
        terms = [f"lt({since},{begins[0]})*{even}"]
        for stretch, end in zip(self.further, [*begins[1:], None], strict=True):
            within = f"gte({since},{stretch.from_ns})"
            if end is not None:
                within += f"*lt({since},{end})"
            number = f"{stretch.frame}+ceil(({since}-{stretch.shift_ns!r})*{stretch.rate!r})"
            terms.append(f"{within}*({number})")
        return f"max(0,{'+'.join(terms)})"

    def number(self, offset_ns: int) -> int:
        """The output frame of an input frame, worked out with the same doubles as in ffmpeg."""
        frame, shift, rate = 0, self.shift_ns, self.rate
        for stretch in self.further:
            if offset_ns >= stretch.from_ns:
                frame, shift, rate = stretch.frame, stretch.shift_ns, stretch.rate
        return max(0, frame + math.ceil((offset_ns - shift) * rate))


def shown_frames(
    index: FrameIndex, event: Event, fps: Fraction, *, lead: int = 0, tail: int = 0
) -> list[int]:
    """The source frame of every output frame of an event: the one on screen then.

    Args:
        index: of the source.
        event: the event; its times count from the first frame of the index.
        fps: of the output.
        lead: output frames before the event itself, in a crossfade.
        tail: output frames behind it.
    """
    start = int(index.pts[0])
    times = [event.seconds_at(k, fps) for k in range(-lead, event.frames + tail)]
    ticks = [start + time // index.time_base for time in times]
    found = np.searchsorted(index.pts, np.array(ticks, np.int64), side="right") - 1
    return [int(n) for n in np.clip(found, 0, len(index) - 1)]


def timescale(fps: Fraction) -> int:
    """Ticks a second in which every frame time is whole, the same for all segments."""
    return fps.numerator * -(-10_000 // fps.numerator)


def _ns(index: FrameIndex, frame: int) -> int:
    """A frame's time in the file's clock in whole nanoseconds, rounded as FFmpeg's `settb` does (half away from 0)."""
    exact = int(index.pts[frame]) * index.time_base / NANOSECOND
    whole = math.floor(abs(exact) + Fraction(1, 2))
    return whole if exact >= 0 else -whole


def make_map(
    index: FrameIndex, event: Event, fps: Fraction, path: str, *, lead: int = 0, tail: int = 0
) -> FrameMap:
    """The map of an event.

    Args:
        index: of the source.
        event: the event.
        fps: of the output.
        path: of the source, for errors.
        lead: output frames before the event itself, in a crossfade.
        tail: output frames behind it.

    Raises:
        MediaError: no double-precision formula gives the promised frames (time stamps denser than a nanosecond).
    """
    shown = shown_frames(index, event, fps, lead=lead, tail=tail)
    first, last = shown[0], shown[-1]
    base = _ns(index, first)
    offsets = [_ns(index, i) - base for i in range(first, last + 1)]
    numbers = _numbers(shown)
    stretches: list[Stretch] = []
    at = 1
    for begin, end, pace in _even(event, lead, len(shown)):
        rate = fps / (event.speed * pace) * NANOSECOND
        stop = at
        while stop < len(numbers) and numbers[stop] <= end:
            stop += 1
        if begin and at == stop:
            continue  # no picture comes in it
        # Half-way between two frames: nothing depends on the last bit.
        from_ns = (offsets[at - 1] + offsets[at] + 1) // 2 if begin else 0
        shift = _shift(offsets[at:stop], [n - begin for n in numbers[at:stop]], rate, begin)
        stretches.append(Stretch(from_ns, begin, shift, float(rate)))
        at = stop
    begins, *further = stretches
    found = FrameMap(first, last, len(shown), base, begins.shift_ns, begins.rate, tuple(further))
    if _played(found, offsets) != shown:
        raise MediaError(path, "has time stamps too dense to cut exactly")
    return found


def _numbers(shown: Sequence[int]) -> list[int]:
    """The number that each source frame must get: of the output frame on which it, or the next one that is shown, appears.

    Of several frames with one number ffmpeg shows the last.
    """
    appears: dict[int, int] = {}
    for k, frame in enumerate(shown):
        appears.setdefault(frame, k)
    numbers, number = [], len(shown)
    for frame in range(shown[-1], shown[0] - 1, -1):
        number = appears.get(frame, number)
        numbers.append(number)
    return numbers[::-1]


def _even(event: Event, lead: int, frames: int) -> Iterator[tuple[int, int, Fraction]]:
    """The stretches of an event in which time runs evenly: output frames from the lead's first on, and how fast in it."""
    if not event.ramp:
        yield 0, frames, Fraction(1)
        return
    edges = sorted({0, *(lead + p.frame for p in event.ramp), lead, lead + event.frames, frames})
    for begin, end in pairwise(edges):
        gone = event.shown_at(end - lead) - event.shown_at(begin - lead)
        yield begin, end, gone / (end - begin)


def _shift(offsets: Sequence[int], numbers: Sequence[int], rate: Fraction, begin: int) -> float:
    """What makes `ceil((offset − shift) × rate)` the number of every frame of a stretch: it is bounded on both sides."""
    if not offsets:
        return 0.0
    low = max(o - n / rate for o, n in zip(offsets, numbers, strict=True))
    if not begin:  # the first frame is there from the first output frame on
        low = max(low, Fraction(-1))
    high = min(o - (n - 1) / rate for o, n in zip(offsets, numbers, strict=True))
    return float((low + min(high, low + 1000)) / 2)


def _played(found: FrameMap, offsets: Sequence[int]) -> list[int]:
    """What ffmpeg will show of frames at these nanoseconds."""
    numbers = [found.number(o) for o in offsets]
    shown, at = [], 0
    for k in range(found.frames):
        while at + 1 < len(numbers) and numbers[at + 1] <= k:
            at += 1
        shown.append(found.first + at)
    return shown


def event_map(
    segment: Segment, number: int, index: FrameIndex, path: str
) -> tuple[FrameMap, int, int]:
    """What an event of a segment shows of its source, with its part of the crossfades.

    Args:
        segment: the segment.
        number: of the event.
        index: the frame index of its source.
        path: of the source, for errors.

    Returns:
        Its map; output frames before and behind the event itself, in crossfades.

    Raises:
        MediaError: as `make_map`.
    """
    event = segment.events[number]
    after = segment.events[number + 1].transition if number + 1 < len(segment.events) else CUT
    lead = event.transition.frames // 2 if event.transition.kind == "crossfade" and number else 0
    tail = after.frames // 2 if after.kind == "crossfade" else 0
    return make_map(index, event, segment.fps, path, lead=lead, tail=tail), lead, tail
