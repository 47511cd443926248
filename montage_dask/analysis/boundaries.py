"""From the network's scores to shot boundaries: cuts to the frame, gradual transitions with their extent and kind."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from montage_dask.analysis.features import Bytes, Floats, likeness
from montage_dask.analysis.scene_network import KINDS, Scores
from montage_dask.records import Boundary

VERSION = 1
"""Raised when the same scores give other boundaries."""

GAP = 2
"""Runs of frames this close are one transition."""

SHORTEST_GRADUAL = 3
"""Frames; what is shorter is a cut, whatever it is called."""


ALIKE = 0.9
"""Likeness of the pictures before and after from which on they are one shot in another light."""

STILL_LEVELS = 12
"""Grey levels that a pixel which stays the same may change by."""

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
        thresholds: what the best frame of a transition must reach, and what all of its frames must.
        at: the thumbnail of a frame; outside the source the first or last one.
    """
    best, all_ = thresholds
    found = []
    for start, stop in _runs(scores.within > all_):
        within = scores.within[start:stop]
        score = float(within.max())
        if score < best:
            continue
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
        if _leads_elsewhere(one, best, at):
            found.append(one)
    return tuple(found)


def _leads_elsewhere(one: Boundary, best: float, at: Callable[[int], Bytes]) -> bool:
    """Whether another picture follows; not after new exposure or a jolt.

    The more of the picture stays where it is, the surer the network must be: then most likely something passed by, or a title
    came. Gradual transitions are compared from a little further away, as their first and last frames are hard to see.

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
    if one.score < best + (1 - best) * still_share(before, after, seen):
        return False
    return _correlation(before[seen], after[seen]) < ALIKE


def still_share(before: Bytes, after: Bytes, seen: NDArray[np.bool_]) -> float:
    """Share of the pixels in `seen` (bool [27, 48]) that stay the same, but for what a camera does to all of them by itself.

    New exposure multiplies, a new level of black adds; the median of all pixels tells how much.
    """
    left, right = before[seen].astype(np.float32), after[seen].astype(np.float32)
    gain = np.median((right + 8) / (left + 8), axis=0)
    offset = np.median(right - left, axis=0)
    changes = (np.abs(right - left * gain), np.abs(right - left - offset))
    return max(float((c.max(axis=-1) <= STILL_LEVELS).mean()) for c in changes)


def _correlation(left: Bytes, right: Bytes) -> float:
    """As `features.likeness`, of pixels [n, 3]."""
    return likeness(left[:, None], right[:, None])


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
