"""From the network's scores to shot boundaries: cuts to the frame, gradual transitions with their extent and kind."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from montage_dask.analysis.features import Bytes, Floats, likeness
from montage_dask.analysis.scene_network import KINDS, Scores
from montage_dask.records import Boundary

VERSION = 2
"""Raised when the same scores give other boundaries."""

GAP = 2
"""Runs of frames this close are one transition."""

SHORTEST_GRADUAL = 3
"""Frames; what is shorter is a cut, whatever it is called."""


ALIKE = 0.9
"""Likeness of the pictures before and after from which on they are one shot in another light."""

STILL_LEVELS = (3, 12)
"""Grey levels that a pixel which stays the same may change by: a quarter of the pictures' own contrast, within these."""

STAYS = 0.75
"""Where so much of the picture stays the same, something came or went, and no other picture follows."""

BAR_LEVELS = 24
"""Pixels darker than this, before and after, may be a letterbox's and say nothing."""


def find_boundaries(
    scores: Scores,
    change: Floats,
    thresholds: tuple[float, ...],
    at: Callable[[int], Bytes],
) -> tuple[Boundary, ...]:
    """All boundaries of a source, in order.

    Args:
        scores: of its frames.
        change: mean difference of each frame from the one before it: float32 [frames].
        thresholds: what the best frame of a boundary must reach for each of KINDS, and what all of its frames must reach.
        at: the thumbnail of a frame; outside the source the first or last one.
    """
    *bests, all_ = thresholds
    best_of = dict(zip(KINDS, bests, strict=True))
    found = []
    for start, stop in _runs(scores.within > all_):
        within = scores.within[start:stop]
        score = float(within.max())
        shares = (scores.kinds[start:stop] * within[:, None]).sum(axis=0)
        kind = KINDS[int(shares.argmax())]
        # A cut's run is the last old and the first new frame; the change is stored with the new one.
        low, high = max(start, 1), min(stop + 1, len(change))
        if low >= high:
            continue
        if kind == "cut" or stop - start < SHORTEST_GRADUAL:
            cut = low + int(change[low:high].argmax())
            one = Boundary("cut", cut, cut, round(score, 4))
        else:
            one = Boundary(kind, start, stop, round(score, 4))
        best = best_of[one.kind]
        if score >= best and _leads_elsewhere(one, best, at):
            found.append(one)
    return tuple(found)


def _leads_elsewhere(one: Boundary, best: float, at: Callable[[int], Bytes]) -> bool:
    """Whether another picture follows; not after new exposure or a jolt.

    The more of the picture stays where it is, the surer the network must be, by the square of what changes: then most likely
    something passed by, or a title came. Gradual transitions are compared from a little further away, as their first and last
    frames are hard to see.

    Args:
        one: the boundary.
        best: what its score must reach where nothing stays.
        at: the thumbnail of a frame.
    """
    length = one.stop_frame - one.start_frame
    apart = max(2, length // 4) if length else 0
    before, after = at(one.start_frame - 1 - apart), at(one.stop_frame + apart)
    seen = np.maximum(before, after).max(axis=-1) > BAR_LEVELS
    if seen.sum() < seen.size // 10:
        return True  # black on both sides: nothing can be said
    still = still_share(before, after, seen)
    if still > STAYS or one.score < 1 - (1 - best) * (1 - still) ** 2:
        return False
    return (
        _likeness(before, after, seen, across=0 if length else 4, down=0 if length else 2) < ALIKE
    )


def still_share(before: Bytes, after: Bytes, seen: NDArray[np.bool_]) -> float:
    """Share of the pixels in `seen` (bool [27, 48]) that stay the same, but for what a camera does to all of them by itself.

    New exposure multiplies, a new level of black adds; the median of all pixels tells how much.
    """
    left, right = before[seen].astype(np.float32), after[seen].astype(np.float32)
    gain = np.median((right + 8) / (left + 8), axis=0)
    offset = np.median(right - left, axis=0)
    contrast = min(left.mean(axis=1).std(), right.mean(axis=1).std())
    levels = np.clip(contrast / 4, *STILL_LEVELS)
    changes = (np.abs(right - left * gain), np.abs(right - left - offset))
    return max(float((c.max(axis=-1) <= levels).mean()) for c in changes)


def _likeness(
    before: Bytes, after: Bytes, seen: NDArray[np.bool_], *, across: int, down: int
) -> float:
    """As `features.shifted_likeness`, within the rectangle that holds all of `seen`: a letterbox is alike in any two pictures."""
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    left, right = before[box], after[box]
    high, wide = left.shape[:2]
    best = -1.0
    for dy in range(-min(down, high // 4), min(down, high // 4) + 1):
        for dx in range(-min(across, wide // 4), min(across, wide // 4) + 1):
            one = left[max(dy, 0) : high + min(dy, 0), max(dx, 0) : wide + min(dx, 0)]
            two = right[max(-dy, 0) : high + min(-dy, 0), max(-dx, 0) : wide + min(-dx, 0)]
            best = max(best, likeness(one, two))
    return best


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The [start, stop) of the runs of True, small gaps closed."""
    edges = np.flatnonzero(np.diff(np.pad(mask.astype(np.int8), 1))).reshape(-1, 2)
    closed: list[tuple[int, int]] = []
    for start, stop in edges.tolist():
        if closed and start - closed[-1][1] <= GAP:
            closed[-1] = (closed[-1][0], stop)
        else:
            closed.append((start, stop))
    return closed
