"""Which source frame is on screen at which output frame, exactly, and how ffmpeg is made to show just those."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from montage_dask.errors import MediaError
from montage_dask.media.index import FrameIndex
from montage_dask.records import CUT

if TYPE_CHECKING:
    from montage_dask.render.segments import Segment

NANOSECOND = Fraction(1, 1_000_000_000)


@dataclass(frozen=True, slots=True)
class FrameMap:
    """Source frames [first, last] shown over a number of output frames.

    ffmpeg numbers them by `max(0, ceil((T − base_ns − shift_ns) × rate))` in double precision, T being a frame's time in
    nanoseconds; `make_map` has checked that this gives exactly the output frames of the promise.
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

    def expression(self) -> str:
        """The output frame of an input frame whose time base is a nanosecond."""
        return f"max(0,ceil((PTS-{self.base_ns}-{self.shift_ns!r})*{self.rate!r}))"


def shown_frames(
    index: FrameIndex, in_seconds: Fraction, speed: Fraction, fps: Fraction, frames: int
) -> list[int]:
    """The source frame of every output frame: the one on screen at in_seconds + k / fps × speed."""
    start = int(index.pts[0])
    step = speed / fps
    ticks = [start + (in_seconds + k * step) // index.time_base for k in range(frames)]
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
    index: FrameIndex,
    in_seconds: Fraction,
    speed: Fraction,
    fps: Fraction,
    frames: int,
    path: str,
) -> FrameMap:
    """The map of an event.

    Args:
        index: of the source.
        in_seconds: source time shown on output frame 0.
        speed: source seconds per output second.
        fps: of the output.
        frames: output frames.
        path: of the source, for errors.

    Raises:
        MediaError: no double-precision formula gives the promised frames (time stamps denser than a nanosecond).
    """
    shown = shown_frames(index, in_seconds, speed, fps, frames)
    first, last = shown[0], shown[-1]
    appears: dict[int, int] = {}
    for k, number in enumerate(shown):
        appears.setdefault(number, k)
    base = _ns(index, first)
    rate_exact = fps / speed * NANOSECOND
    rate = float(rate_exact)
    # Frame i must get the number of the output frame on which it, or the next one that is shown, appears: of several frames
    # with one number ffmpeg shows the last. ceil((offset − shift) × rate) == number bounds the shift on both sides.
    low, high = Fraction(-1, 1), Fraction(10**12)
    number = frames
    for i in range(last, first, -1):
        number = appears.get(i, number)
        offset = _ns(index, i) - base
        low = max(low, offset - number / rate_exact)
        high = min(high, offset - (number - 1) / rate_exact)
    shift = float((low + min(high, low + 1000)) / 2) if last > first else 0.0
    candidate = FrameMap(first, last, frames, base, shift, rate)
    if _played(candidate, index) != shown:
        raise MediaError(path, "has time stamps too dense to cut exactly")
    return candidate


def _played(found: FrameMap, index: FrameIndex) -> list[int]:
    """What ffmpeg will show, worked out with the same doubles."""
    numbers = [
        max(0, math.ceil((_ns(index, i) - found.base_ns - found.shift_ns) * found.rate))
        for i in range(found.first, found.last + 1)
    ]
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
    event, fps = segment.events[number], segment.fps
    after = segment.events[number + 1].transition if number + 1 < len(segment.events) else CUT
    lead = event.transition.frames // 2 if event.transition.kind == "crossfade" and number else 0
    tail = after.frames // 2 if after.kind == "crossfade" else 0
    shown = make_map(
        index,
        event.in_seconds - lead / fps * event.speed,
        event.speed,
        fps,
        event.frames + lead + tail,
        path,
    )
    return shown, lead, tail
