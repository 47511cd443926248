"""How often and how brightly a picture may flash: more may cause seizures (WCAG 2.3.1)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction

from montage_dask.records import Timeline

FLASHES_PER_SECOND = 3
"""At most, dips to white counted too."""

MOST_WHITE = Fraction(1, 2)
"""The share of white in the brightest frame of a flash, at most."""


def flash_frames(timeline: Timeline) -> list[int]:
    """Output frames on which a montage flashes or dips to white."""
    frames = [e.start_frame for e in timeline.events if e.transition.kind == "dip-to-white"]
    for event in timeline.events:
        frames += [event.start_frame + a.frame for a in event.accents if a.kind == "flash"]
    return sorted(frames)


def too_many(frames: Iterable[int], fps: Fraction) -> int | None:
    """The first of more flashes within one second than may be, as an output frame; None where there are not so many."""
    ordered = sorted(frames)
    for first, last in zip(ordered, ordered[FLASHES_PER_SECOND:], strict=False):
        if last - first <= math.ceil(fps):
            return first
    return None
