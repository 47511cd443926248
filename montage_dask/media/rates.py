"""The frame rate of a stream, from the times of its frames: clocks round, and program streams time a picture as another one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from montage_dask.media.index import FrameIndex, Ticks, usual_step

USUAL_RATES = (
    *(Fraction(n) for n in (24, 25, 30, 48, 50, 60, 100, 120)),
    *(Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 120)),
)
"""Rates of cameras, in frames per second."""

ROUNDED = 0.02
"""So much of a frame may its time be off where ticks are fine: clocks of 27 MHz are rounded to fields of 90 kHz."""

ASTRAY = 1.05
"""Frames that the times of an MPEG stream may be off: a pack tells the time of one of the pictures that begin in it."""


def told_rates(stream: Any) -> tuple[Fraction, ...]:
    """What a container, its demuxer's guess and the codec say."""
    rates = (stream.guessed_rate, stream.average_rate, stream.base_rate)
    return tuple(Fraction(r) for r in rates if r and 1 <= r <= 1000)


def frame_rate(index: FrameIndex, told: Sequence[Fraction]) -> tuple[Fraction, bool]:
    """The average rate, and whether every frame lies on its grid (within the rounding of the ticks).

    Args:
        index: of the frames.
        told: from `told_rates`.
    """
    frames = len(index)
    average = Fraction(frames) / index.duration_seconds
    steps = np.arange(frames, dtype=np.float64)
    offsets = (index.pts - index.pts[0]).astype(np.float64)
    # Millisecond ticks make FFmpeg guess rates like 19001/317: a usual rate that fits as well is what was meant.
    usual = [r for r in told if r in USUAL_RATES]
    for named in (*usual, *USUAL_RATES, *told, *_near(index)):
        ticks = float(1 / (named * index.time_base))
        # A last picture that stays much longer than the others must not lose its time.
        stays = index.last_duration > 1.5 * ticks + 1
        if np.abs(offsets - steps * ticks).max() <= max(1.0, ROUNDED * ticks) and not stays:
            return named, True
    return average.limit_denominator(100_000), False


def _near(index: FrameIndex) -> Iterable[Fraction]:
    """Plain rates near the one that the frames have from the first to the last."""
    if len(index) < 3:
        return
    rate = (len(index) - 1) / (int(index.pts[-1] - index.pts[0]) * index.time_base)
    for named in (
        round(rate),
        Fraction(round(2 * rate), 2),
        Fraction(round(rate) * 1000, 1001),
        Fraction(round(100 * rate), 100),
    ):
        if 1 <= named <= 1000:
            yield Fraction(named)


def is_uneven(pts: Ticks) -> bool:
    """Whether frames come in steps so unlike that some of them may have the time of others."""
    ordered = np.sort(pts)
    steps, usual = np.diff(ordered), usual_step(ordered)
    return bool(((steps < 0.6 * usual) | (steps > 1.4 * usual)).any())


def evened(times: Sequence[int], told: Sequence[Fraction], time_base: Fraction) -> Ticks | None:
    """The times of frames on the grid of their rate; None where they are too far from any.

    Args:
        times: increasing, unless some come twice.
        told: from `told_rates`.
        time_base: seconds per tick.
    """
    if len(times) < 3:
        return None
    offsets = np.array(times, np.float64) - times[0]
    best: tuple[float, Fraction] | None = None
    for rate in dict.fromkeys((*told, *USUAL_RATES)):
        ticks = float(1 / (rate * time_base))
        off = np.abs(offsets - np.arange(len(times)) * ticks) / ticks
        if off.max() <= ASTRAY and (best is None or off.mean() < best[0] - 0.01):
            best = float(off.mean()), rate
    if best is None:
        return None
    ticks_exact = 1 / (best[1] * time_base)
    return np.array([times[0] + round(n * ticks_exact) for n in range(len(times))], np.int64)
