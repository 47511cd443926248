"""Which shots show the same content: parts of one take, and duplicates (an original and its re-encode), aligned in time.

Every content has an axis of its own, and all of them lie behind one another on one axis of ticks: that two parts show the same
moment is then a comparison of two intervals, whichever file they come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from montage_dask.records import Shot

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.intp]

TICKS_PER_SECOND = 20

LEAST_OVERLAP_SECONDS = 2.0
"""Less of two courses of motion can agree by chance; of shorter takes the whole of the shorter one must."""

AGREEMENT = 0.93
"""Correlation from which on two courses of motion are one."""

CLOSE_AGREEMENT, CLOSE_MOTION, CLOSE_SHARE = 0.8, 0.02, 0.75
"""The same, where over so much of the shorter one they differ by so little: a spike at a cut or a fade spoils a correlation."""

SAME_LENGTH_SECONDS, SAME_MOTION = 0.3, 0.05
"""Takes that look alike, are as long as each other and move as much are the same from their start on."""


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """What S shots show."""

    number: Ints
    """[S] of the content: parts of one take share it, and duplicates. (What only looks alike does not.)"""
    base: Ints
    """[S] first tick of the shot on the common axis."""


def find_contents(shots: Sequence[Shot]) -> Contents:
    """The contents of shots.

    Args:
        shots: whole shots or parts of them, with `duplicate_group`.
    """
    takes: dict[tuple[str, int], list[int]] = {}
    for k, shot in enumerate(shots):
        takes.setdefault((shot.source, shot.index), []).append(k)
    number = np.empty(len(shots), np.intp)
    base = np.empty(len(shots), np.intp)
    axis = count = 0
    originals: dict[int, list[_Original]] = {}
    for members in takes.values():
        parts = [shots[k] for k in members]
        begins = min(s.start_seconds for s in parts)
        course = _course(parts, float(begins), float(max(s.stop_seconds for s in parts)))
        group = parts[0].duplicate_group
        known = originals.setdefault(group, []) if group >= 0 else []
        found = next(((o, lag) for o in known if (lag := _lag(o.course, course)) is not None), None)
        if found is None:
            # Room on both sides where a duplicate may begin earlier and end later.
            margin = len(course) if group >= 0 else 0
            original, lag = _Original(count, axis + margin, course), 0
            known.append(original)
            axis, count = original.start + len(course) + margin + 2, count + 1
        else:
            original, lag = found
        for k, part in zip(members, parts, strict=True):
            number[k] = original.number
            offset = int(float(part.start_seconds - begins) * TICKS_PER_SECOND)
            base[k] = max(0, original.start + lag + offset)
    return Contents(number, base)


@dataclass(frozen=True, slots=True, eq=False)
class _Original:
    """A take that others may be duplicates of."""

    number: int
    start: int
    """Its first tick on the axis."""
    course: Floats


def _course(parts: Sequence[Shot], begins: float, ends: float) -> Floats:
    """Motion per tick over a take; not a number where no part of it lies."""
    course = np.full(max(1, round((ends - begins) * TICKS_PER_SECOND)), np.nan)
    for part in parts:
        profile = np.array(part.motion_profile or (part.motion,))
        first = round((float(part.start_seconds) - begins) * TICKS_PER_SECOND)
        length = max(1, round(float(part.duration_seconds) * TICKS_PER_SECOND))
        middles = (np.arange(len(profile)) + 0.5) * length / len(profile)
        filled = np.interp(np.arange(length) + 0.5, middles, profile)[: len(course) - first]
        course[first : first + len(filled)] = filled
    return course


def _lag(leading: Floats, course: Floats) -> int | None:
    """Ticks by which a course begins behind the leading one, where both are of one content."""
    a, b = np.nan_to_num(leading, nan=0.0), np.nan_to_num(course, nan=0.0)
    known_a, known_b = (~np.isnan(leading)).astype(float), (~np.isnan(course)).astype(float)
    both = _summed(known_a, known_b)
    least = min(
        max(LEAST_OVERLAP_SECONDS * TICKS_PER_SECOND, 0.5 * min(known_a.sum(), known_b.sum())),
        min(known_a.sum(), known_b.sum()),
    )
    n = np.maximum(np.rint(both), 1)
    sum_a, sum_b = _summed(a, known_b), _summed(known_a, b)
    square_a, square_b = _summed(a * a, known_b), _summed(known_a, b * b)
    spread = (square_a / n - (sum_a / n) ** 2).clip(0) * (square_b / n - (sum_b / n) ** 2).clip(0)
    covered = _summed(a, b) / n - sum_a * sum_b / n**2
    moving = spread > 1e-9
    agreement = np.where(moving, covered / np.sqrt(np.where(moving, spread, 1)), -1)
    agreement[both < least - 0.5] = -1
    best = int(np.argmax(agreement))
    lag = best - (len(b) - 1)
    if agreement[best] >= AGREEMENT or (
        agreement[best] >= CLOSE_AGREEMENT
        and both[best] >= CLOSE_SHARE * min(known_a.sum(), known_b.sum())
        and _apart(leading, course, lag) <= CLOSE_MOTION
    ):
        return lag
    # Even motion has no course to tell: between the same two cuts, as lively as each other, it is the same.
    alike = abs(len(a) - len(b)) <= SAME_LENGTH_SECONDS * TICKS_PER_SECOND
    common = min(len(a), len(b))
    apart = np.nanmean(np.abs(leading[:common] - course[:common])) if alike else np.inf
    return 0 if apart <= SAME_MOTION else None


def _apart(leading: Floats, course: Floats, lag: int) -> float:
    """Mean difference of two courses where they overlap, the second one a lag behind."""
    first, second = leading[max(0, lag) :], course[max(0, -lag) :]
    common = min(len(first), len(second))
    return float(np.nanmean(np.abs(first[:common] - second[:common])))


def _summed(a: Floats, b: Floats) -> Floats:
    """Sums of products of two courses at every lag, from −(len(b) − 1) on."""
    from scipy.signal import correlate

    summed: Floats = correlate(a, b, "full", "auto")
    return summed
