"""The parts of shots: where they begin, and what each is like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from montage_dask.edit.contents import TICKS_PER_SECOND
from montage_dask.edit.views import STEP_SECONDS
from montage_dask.records import Shot

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.intp]

MAXIMUM_PARTS = 48
"""Of one shot: keeps an hour-long take from being the whole table."""


def anchors(duration: float, usual: float, seen: Floats) -> list[float]:
    """Starts of parts of the usual length that fill a shot without overlap: evenly, or with a subject in view to their ends.

    Args:
        duration: of the shot, seconds.
        usual: length of a part, seconds.
        seen: whether a subject is in view, see `views.sample`.
    """
    # One tick apart, so that rounding to ticks never makes neighbours overlap.
    step = usual + 1.5 / TICKS_PER_SECOND
    count = max(1, min(MAXIMUM_PARTS, math.floor((duration + step - usual) / step)))
    spare = max(0.0, duration - count * step)
    evenly = [k * (step + spare / count) for k in range(count)]
    starts = math.floor((duration - usual) / STEP_SECONDS) + 1
    if not seen.any() or starts < 2:
        return evenly
    length, apart = max(1, round(usual / STEP_SECONDS)), math.ceil(step / STEP_SECONDS)
    sums = np.concatenate([[0.0], np.cumsum(seen), np.full(length, seen.sum())])
    begin = np.arange(starts)
    last = np.minimum(begin + length, len(seen)) - 1
    worth = (sums[begin + length] - sums[begin]) / length + 0.3 * seen[begin] + seen[last]
    # Exactly as many parts as evenly: the best last start of c parts, up to each start.
    best = np.zeros(starts)
    came: list[Ints] = []
    for number in range(count):
        total = worth.copy()
        if number:
            total[:apart] = -np.inf
            total[apart:] += best[: starts - apart] if starts > apart else 0
        best = np.maximum.accumulate(total)
        new = np.concatenate([[True], best[1:] > best[:-1]])
        came.append(np.maximum.accumulate(np.where(new, begin, 0)))
    if not np.isfinite(best[-1]):
        return evenly
    at, found = starts - 1, []
    for where in reversed(came):
        at = int(where[at])
        found.append(at * STEP_SECONDS)
        at -= apart
    return found[::-1]


def measured(
    shots: Sequence[Shot], shot_of: Ints, anchor: Floats, usual: float
) -> tuple[Floats, Floats, Floats]:
    """[C] mean quality, mean motion and greatest motion of each part, from the profiles."""
    quality, motion, peak = (np.empty(len(anchor)) for _ in range(3))
    lengths = [float(s.duration_seconds) for s in shots]
    sums = [
        (
            tuple(accumulate(s.quality_profile, initial=0.0)),
            tuple(accumulate(s.motion_profile, initial=0.0)),
        )
        for s in shots
    ]
    for row, (k, begin) in enumerate(zip(shot_of.tolist(), anchor.tolist(), strict=True)):
        shot = shots[k]
        steps = len(shot.motion_profile)
        if not steps:
            quality[row], motion[row], peak[row] = shot.quality, shot.motion, shot.motion
            continue
        per_second = (shot.stop_frame - shot.start_frame) / shot.profile_step_frames / lengths[k]
        first = min(int(begin * per_second), steps - 1)
        last = min(max(first + 1, math.ceil((begin + usual) * per_second)), steps)
        good, moved = sums[k]
        quality[row] = (good[last] - good[first]) / (last - first)
        motion[row] = (moved[last] - moved[first]) / (last - first)
        peak[row] = max(shot.motion_profile[first:last])
    return quality, motion, peak


def subjects(seen: Sequence[Floats], shot_of: Ints, anchor: Floats, usual: float) -> Floats:
    """[C] share of each part's time with a subject in view."""
    found = np.zeros(len(anchor))
    sums = [np.concatenate([[0.0], np.cumsum(one)]) for one in seen]
    for row, (k, begin) in enumerate(zip(shot_of.tolist(), anchor.tolist(), strict=True)):
        first = min(int(begin / STEP_SECONDS), len(seen[k]) - 1)
        last = min(max(first + 1, round((begin + usual) / STEP_SECONDS)), len(seen[k]))
        found[row] = (sums[k][last] - sums[k][first]) / (last - first)
    return found
