"""Story arcs: the tension that a montage should have at each place, 0 (calm) … 1 (climax)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping


def _through(*points: tuple[float, float]) -> Callable[[float], float]:
    """Straight lines through (position, tension)."""

    def tension(position: float) -> float:
        for (p, a), (q, b) in itertools.pairwise(points):
            if position <= q:
                return a + (b - a) * (position - p) / (q - p)
        return points[-1][1]

    return tension


ARCS: Mapping[str, Callable[[float], float]] = {
    # A level that never asks for more or less.
    "constant": lambda p: 0.5,
    # Always a little more until the end.
    "rising": lambda p: 0.15 + 0.8 * p,
    # The best first, then calming down.
    "falling": lambda p: 0.95 - 0.75 * p,
    # One climax after three quarters, then a short release.
    "three-act": _through((0, 0.2), (0.25, 0.45), (0.5, 0.55), (0.78, 1.0), (0.88, 0.8), (1, 0.2)),
    # Calm for long, then fast growth.
    "slow-burn": lambda p: 0.1 + 0.85 * p**2.5,
    # Several crises, each higher than the one before.
    "crises": lambda p: min(1.0, 0.2 + 0.55 * p + 0.25 * math.sin(8 * math.pi * p - math.pi / 2)),
    # High, breath, high: what a song with two choruses does.
    "waves": lambda p: 0.55 - 0.35 * math.cos(4 * math.pi * p),
    # Out into the unknown, down into the ordeal, up to the return.
    "journey": _through((0, 0.3), (0.2, 0.5), (0.35, 0.75), (0.5, 0.35), (0.8, 1.0), (1, 0.35)),
    # A strong hook in the first seconds, then a rise to the end.
    "hook": _through((0, 1.0), (0.08, 0.9), (0.15, 0.4), (0.85, 0.95), (1, 1.0)),
}


def tension(arc: str, position: float) -> float:
    """Wanted tension, 0 … 1.

    Args:
        arc: a name in `ARCS`.
        position: place in the montage, 0 (begin) … 1 (end).
    """
    return min(1.0, max(0.0, ARCS[arc](min(1.0, max(0.0, position)))))
