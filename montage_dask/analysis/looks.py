"""What is seen in a larger still, about twice a second: a few bytes each, kept in the strip."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from montage_dask.analysis.faces import finder
from montage_dask.analysis.features import Bytes
from montage_dask.analysis.graphics_network import CELL, CELLS, HEIGHT, WIDTH, Network, network
from montage_dask.records import Source

STEPS = (1, 2, 5, 10, 25, 50)
"""Divisors of the grid of windows."""

GRID = STEPS[-1]
"""Every window starts on a multiple: what a look takes over from the one before must not reach over it."""

LONGEST_SECONDS = Fraction(1, 2)
"""Between two looks, at the average rate of the source."""

FACES, FACE_BYTES = 3, 5
"""Of a look: left, top, width, height in 255ths of the picture, and how sure; the surest first, zeros where there is none."""

TEXT, CARD, FLAT, WORDS = 0, 1, 2, 3
"""Places in a look."""

SEEN_BYTES = WORDS + CELLS[0] * CELLS[1]
"""How likely text, how likely a card, the share of flat colour, and how likely words in each cell, all 0 … 255."""

BYTES = SEEN_BYTES + FACES * FACE_BYTES
"""Of a look."""

ALIKE = 2.0
"""Mean difference of two thumbnails, in grey levels, below which no new face is looked for where there was none."""

OTHER = 12.0
"""Likewise, above which it is another picture: a face is looked for at once. Between the two, at every other look."""

DARK, LIGHT = 24, 246
"""Code values of cells that do not count as flat colour: bars beside the picture, night, blown-out skies."""

FLAT_RANGE, FLAT_STEP = 4, 0.75
"""Code values by which pixels of a flat cell, and means of two of them side by side, may differ: what a codec leaves."""

LEAST_LIT = 0.15
"""Share of the cells that must count, or nothing is said."""

__all__ = [
    "BYTES", "CARD", "FLAT", "HEIGHT", "TEXT", "WIDTH", "Looks", "faces_of", "flat_share", "inside", "seen_in", "step",
]  # fmt: skip


def step(frame_rate: Fraction) -> int:
    """Every so many frames of a source is looked at: at least twice a second, on the grid of windows."""
    return max(s for s in STEPS if s == 1 or s <= frame_rate * LONGEST_SECONDS)


def inside(source: Source) -> tuple[int, int, int, int]:
    """Where the picture of a source lies in its stills: left, top, width, height, in pixels."""
    scale = min(WIDTH / source.width, HEIGHT / source.height)
    wide = min(WIDTH, max(1, round(source.width * scale)))
    high = min(HEIGHT, max(1, round(source.height * scale)))
    return (WIDTH - wide) // 2, (HEIGHT - high) // 2, wide, high


class Looks:
    """Looks at the stills of one window, in order.

    Args:
        source: whose stills they are.
        faces: whether faces are looked for.
    """

    def __init__(self, source: Source, *, faces: bool = True) -> None:
        self._inside = inside(source)
        self._find = finder() if faces else None
        self._before: Bytes | None = None
        """The last thumbnail in which a face was looked for in vain."""
        self._waited = False
        """Whether a look has passed since then."""

    def __call__(self, number: int, still: Bytes, thumbnail: Bytes) -> Bytes:
        """What the networks say of one still.

        Args:
            number: of the frame.
            still: uint8 [144, 256, 3].
            thumbnail: uint8 [27, 48, 3] of the same frame.

        Returns:
            uint8 [BYTES].
        """
        return np.concatenate(
            [seen_in(network(), still[None])[0], self._faces(number, still, thumbnail)]
        )

    def _faces(self, number: int, still: Bytes, thumbnail: Bytes) -> Bytes:
        made = np.zeros((FACES, FACE_BYTES), np.uint8)
        if self._find is None:
            return made.ravel()
        if number % GRID == 0:
            self._before = None
        if self._before is not None:
            change = np.abs(thumbnail.astype(np.int16) - self._before).mean()
            wait = change < ALIKE or (change < OTHER and not self._waited)
            self._waited = True
            if wait:
                return made.ravel()
        left, top, wide, high = self._inside
        boxes = self._find(still[top : top + high, left : left + wide])[:FACES]
        self._before, self._waited = None if len(boxes) else thumbnail, False
        if len(boxes):
            corner = np.clip(boxes[:, :2], 0, (wide, high))
            corners = np.clip(boxes[:, :2] + boxes[:, 2:4], 0, (wide, high))
            shares = np.concatenate([corner, corners - corner], axis=1) / (wide, high, wide, high)
            made[: len(boxes)] = np.rint(255 * np.concatenate([shares, boxes[:, 4:]], axis=1))
        return made.ravel()


def seen_in(net: Network, stills: Bytes) -> Bytes:
    """What a look keeps of the graphics network and of flat colour.

    Args:
        net: the network.
        stills: uint8 [n, 144, 256, 3].

    Returns:
        uint8 [n, SEEN_BYTES].
    """
    found = net(stills)
    flat = np.array([flat_share(still) for still in stills], np.float32)
    likely = np.column_stack([found.text, found.card, flat, found.words.reshape(len(stills), -1)])
    return np.rint(likely * 255).astype(np.uint8)


def faces_of(seen: Bytes) -> NDArray[np.float64]:
    """The faces in looks.

    Args:
        seen: uint8 [n, BYTES].

    Returns:
        float64 [n, FACES, 5]: left, top, width, height as shares of the picture, and how sure; 0 where there is none.
    """
    return seen[:, SEEN_BYTES:].reshape(len(seen), FACES, FACE_BYTES) / 255.0


def flat_share(still: Bytes) -> float:
    """How much of what is neither black nor white is one colour beside the same colour, 0 … 1: cameras have noise and light.

    Args:
        still: uint8 [144, 256, 3].
    """
    rows, columns = CELLS
    # Rows first, whole: several times faster than cell by cell, and the same.
    tall, wide = still.reshape(rows, CELL, WIDTH * 3), (rows, columns, CELL, 3)
    mean = tall.sum(axis=1, dtype=np.uint16).reshape(wide).sum(axis=2) / CELL**2
    highest = tall.max(axis=1).reshape(wide).max(axis=2)
    lowest = tall.min(axis=1).reshape(wide).min(axis=2)
    even = (highest - lowest).max(axis=2) <= FLAT_RANGE
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
