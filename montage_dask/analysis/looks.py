"""What is seen in a larger still, about twice a second: a few bytes each, kept in the strip."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from montage_dask.analysis.features import Bytes
from montage_dask.analysis.graphics_network import CELL, CELLS, HEIGHT, WIDTH, network

STEPS = (1, 2, 5, 10, 25, 50)
"""Divisors of the grid of windows."""

LONGEST_SECONDS = Fraction(1, 2)
"""Between two looks, at the average rate of the source."""

TEXT, CARD, FLAT, WORDS = 0, 1, 2, 3
"""Places in a look."""

BYTES = WORDS + CELLS[0] * CELLS[1]
"""Of a look: how likely text, how likely a card, the share of flat colour, and how likely words in each cell, all 0 … 255."""

DARK, LIGHT = 24, 246
"""Code values of cells that do not count as flat colour: bars beside the picture, night, blown-out skies."""

FLAT_RANGE, FLAT_STEP = 4, 0.75
"""Code values by which pixels of a flat cell, and means of two of them side by side, may differ: what a codec leaves."""

LEAST_LIT = 0.15
"""Share of the cells that must count, or nothing is said."""

__all__ = ["BYTES", "CARD", "FLAT", "HEIGHT", "TEXT", "WIDTH", "flat_share", "look", "step"]


def step(frame_rate: Fraction) -> int:
    """Every so many frames of a source is looked at: at least twice a second, on the grid of windows."""
    return max(s for s in STEPS if s == 1 or s <= frame_rate * LONGEST_SECONDS)


def look(still: Bytes) -> Bytes:
    """What the networks say of one still.

    Args:
        still: uint8 [144, 256, 3].

    Returns:
        uint8 [BYTES].
    """
    found = network()(still[None])
    likely = np.concatenate([found.text, found.card, [flat_share(still)], found.words.ravel()])
    return np.rint(likely * 255).astype(np.uint8)


def flat_share(still: Bytes) -> float:
    """How much of what is neither black nor white is one colour beside the same colour, 0 … 1: cameras have noise and light.

    Args:
        still: uint8 [144, 256, 3].
    """
    rows, columns = CELLS
    cells = still.astype(np.int16).reshape(rows, CELL, columns, CELL, 3).swapaxes(1, 2)
    cells = cells.reshape(rows, columns, CELL * CELL, 3)
    mean = cells.mean(axis=2)
    even = np.ptp(cells, axis=2).max(axis=2) <= FLAT_RANGE
    flat = np.zeros_like(even)
    for before, after in (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1], np.s_[1:]),
    ):
        same = np.abs(mean[after] - mean[before]).max(axis=2) <= FLAT_STEP
        same &= even[after] & even[before]
        flat[after] |= same
        flat[before] |= same
    counted = (mean.max(axis=2) > DARK) & (mean.min(axis=2) < LIGHT)
    if counted.mean() < LEAST_LIT:
        return 0.0
    return float(flat[counted].mean())
