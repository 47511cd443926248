"""From the network's scores to shot boundaries: cuts to the frame, gradual transitions with their extent and kind."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from montage_dask.analysis.features import Floats
from montage_dask.analysis.scene_network import KINDS, Scores
from montage_dask.records import Boundary

VERSION = 1
"""Raised when the same scores give other boundaries."""

GAP = 2
"""Runs of frames this close are one transition."""

SHORTEST_GRADUAL = 3
"""Frames; what is shorter is a cut, whatever it is called."""


def find_boundaries(
    scores: Scores, change: Floats, thresholds: tuple[float, ...]
) -> tuple[Boundary, ...]:
    """All boundaries of a source, in order.

    Args:
        scores: of its frames.
        change: mean difference of each frame from the one before it: float32 [frames].
        thresholds: what the best frame of a transition must reach, and what all of its frames must.
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
            found.append(Boundary("cut", cut, cut, round(score, 4)))
        else:
            found.append(Boundary(kind, start, stop, round(score, 4)))
    return tuple(found)


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
