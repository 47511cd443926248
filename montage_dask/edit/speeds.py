"""How fast shots may run. The renderer shows real frames only: a speed at which they come less evenly is none."""

from __future__ import annotations

import math
from fractions import Fraction

from montage_dask.edit.pacing import Slot
from montage_dask.edit.styles import Style
from montage_dask.records import Source

CALM = 0.4
"""Intensity below which a style with slow motion slows down."""

LEAST_SLOW_FPS = 20
"""Source frames per output second that slow motion must keep, or it stutters."""

_SLOWER = (Fraction(5, 6), Fraction(4, 5), Fraction(3, 4), Fraction(2, 3), Fraction(1, 2))
PACES = (*_SLOWER, *(1 / pace for pace in _SLOWER))
"""Looked at; and those at which each output frame shows one source frame, or every other one."""

FULL = Fraction(1)


def slow_speed(slot: Slot, source: Source, style: Style) -> Fraction:
    """The speed of a shot as far as its style wants slow motion where the music is calm."""
    slow = slot.intensity < CALM and source.frame_rate * style.slow_motion >= LEAST_SLOW_FPS
    return style.slow_motion if slow else FULL


def paces_of(source: Source, fps: Fraction, speed: Fraction, most: float) -> tuple[Fraction, ...]:
    """What a speed may be multiplied by, so that frames come no less evenly: 1 first, then what changes least.

    Args:
        source: its frame rate counts; one with frames at uneven times keeps its speed.
        fps: output frames per second.
        speed: source seconds per output second.
        most: how far it may change, to both sides.
    """
    if most <= 1 or not source.constant_frame_rate:
        return (FULL,)
    exact = (n * fps / (source.frame_rate * speed) for n in (1, 2))
    steady = unevenness(source.frame_rate * speed / fps)
    allowed = {
        pace
        for pace in {*PACES, *exact}
        if 1 / Fraction(most) <= pace <= most
        and unevenness(source.frame_rate * speed * pace / fps) <= steady + 1e-9
        and (pace >= 1 or source.frame_rate * speed * pace >= LEAST_SLOW_FPS)
    } | {FULL}
    return tuple(sorted(allowed, key=lambda p: (abs(math.log2(p)), p)))


def unevenness(frames: Fraction) -> float:
    """How uneven the steps are from output frame to output frame: their standard deviation, relative to their mean.

    Args:
        frames: source frames an output frame.
    """
    part = float(frames % 1)
    return math.sqrt(part * (1 - part)) / float(frames)
