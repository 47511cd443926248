"""Ramps and accents of a timeline file (see `report.otio`): checked, and left out where they have lost their beats."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from montage_dask.errors import UsageError
from montage_dask.flashing import FLASHES_PER_SECOND, MOST_WHITE, flash_frames, too_many
from montage_dask.records import Accent, Event, Pace, Timeline

MOST = {
    "punch": Accent.UNIT,
    "flash": int(MOST_WHITE * Accent.UNIT),
    "shake": Accent.UNIT // 10,
}
"""How strong an accent may be, by its kind."""

MOST_FRAMES = 10**6
MOST_ACCENTS = 2000
MOST_PACES = 500
"""Of one event."""

PACES = Fraction(1, 20), Fraction(20)
"""How much slower and faster than on the whole a ramp may run."""


def effects_kept(stored: Event, event: Event) -> tuple[Event, int]:
    """An event with the ramp and the accents that were stored with it.

    A ramp fits an event of its length, accents one at its place: else they were made for other beats.

    Returns:
        The event; how many are left out.

    Raises:
        ValueError: they are none.
    """
    _check_ramp(stored)
    _check_accents(stored.accents)
    ramp = stored.ramp if stored.frames == event.frames else ()
    accents: tuple[Accent, ...] = ()
    if stored.start_frame == event.start_frame:
        accents = tuple(a for a in stored.accents if a.frame < event.frames)
    lost = len(stored.accents) - len(accents) + bool(stored.ramp) - bool(ramp)
    return replace(event, ramp=ramp, accents=accents), lost


def check_flashes(timeline: Timeline, name: str) -> None:
    """Refuse a timeline that flashes too often.

    Raises:
        UsageError: it does; says where.
    """
    frame = too_many(flash_frames(timeline), timeline.fps)
    if frame is not None:
        raise UsageError(
            f"{name}: more than {FLASHES_PER_SECOND} flashes within a second from frame {frame} on may cause seizures: "
            "take some out (accents of the kind flash, dips to white)"
        )


def _check_ramp(event: Event) -> None:
    points = (Pace(0, Fraction(0)), *event.ramp, Pace(event.frames, Fraction(event.frames)))
    slowest, fastest = PACES
    if len(points) > MOST_PACES:
        raise ValueError("a speed ramp (ramp) has too many points")
    for a, b in pairwise(points):
        if not (
            a.frame < b.frame
            and slowest <= (b.shown - a.shown) / (b.frame - a.frame) <= fastest
            and b.shown.denominator <= 10**9
        ):
            raise ValueError("a speed ramp (ramp) is damaged")


def _check_accents(accents: tuple[Accent, ...]) -> None:
    if len(accents) > MOST_ACCENTS:
        raise ValueError("an event has too many accents")
    for accent in accents:
        if not (
            accent.kind in MOST
            and 0 < accent.strength <= MOST[accent.kind]
            and 0 < accent.frames <= MOST_FRAMES
            and 0 <= accent.frame <= MOST_FRAMES
        ):
            raise ValueError("an accent is damaged, or stronger than it may be")
