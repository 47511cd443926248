"""Effects on beats in words, for formats that cannot hold them and for people."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from montage_dask.records import Accent, Event, Pace


def effects_of(event: Event) -> Iterator[str]:
    """A line for each effect of an event."""
    if event.ramp:
        yield ramp_in_words(event)
    for accent in event.accents:
        yield f"{accent_in_words(accent)} at frame {accent.frame}"


def accent_in_words(accent: Accent) -> str:
    """Such as "punch 6 % over 10 frames"."""
    return f"{accent.kind} {100 * accent.strength / Accent.UNIT:g} % over {accent.frames} frames"


def ramp_in_words(event: Event) -> str:
    """Such as "speed ramp 0.8x to 1.2x": the slowest and the fastest, of the clip's speed."""
    points = (
        Pace(0, event.shown_at(0)),
        *event.ramp,
        Pace(event.frames, event.shown_at(event.frames)),
    )
    paces = [(b.shown - a.shown) / (b.frame - a.frame) * event.speed for a, b in pairwise(points)]
    return f"speed ramp {float(min(paces)):.2f}x to {float(max(paces)):.2f}x"
