"""What the guard compares a picture with: the step to each picture that a mistake would show, and how uncertain each value is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from montage_dask.analysis.features import HEIGHT, WIDTH
from montage_dask.render.expected import Cells

SLIP = 0.3
"""Cells by which positions are uncertain."""

BENT = 0.5
"""How much of what a grade bends is uncertain: the grade of a mean is not the mean of what is graded."""

BEYOND = 15.0
"""Code values by which a cell is uncertain whose colour may lie beyond R'G'B', where the strip ends and Y'CbCr does not."""

VIVID = 60
"""Least difference of the largest and the smallest of R, G and B of such a colour."""

MOVES = (
    ("moved to the left", -1, 0, 1.0), ("moved to the right", 1, 0, 1.0), ("moved up", 0, -1, 1.0),
    ("moved down", 0, 1, 1.0), ("larger", 0, 0, 1.05), ("smaller", 0, 0, 0.95),
)  # fmt: skip
"""Pictures that a wrong crop would show: cells to the right and down, and growth."""


def told_apart(thumbnails: NDArray[np.uint8], rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """How well thumbnails are told from those three frames away, in code values."""
    unique, place = np.unique(rows, return_inverse=True)
    own = thumbnails[unique].astype(np.int16)
    apart = np.full(len(unique), np.inf)
    for step in (-3, 3):
        there = unique + step
        known = (there >= 0) & (there < len(thumbnails))
        other = thumbnails[there[known]].astype(np.int16)
        square = np.square(own[known] - other, dtype=np.int32).mean(axis=(1, 2, 3))
        apart[known] = np.minimum(apart[known], np.sqrt(square))
    apart[~np.isfinite(apart)] = 0.0
    return apart[place]


def with_moved(cells: Cells) -> Cells:
    """Pictures [n, 27, 48, 3], followed by the first of them as a wrong turn or crop would show it."""
    first = cells[0]
    turned = [first[:, ::-1], first[::-1, ::-1], first[::-1]]
    return np.stack([*cells, *turned, *_moved(first)])


def steps(planes: Cells, offsets: Sequence[int]) -> tuple[dict[int, Cells], dict[str, Cells]]:
    """How the pictures of other moments, and those of `_with_moved`, differ from the first one."""
    steps = planes[1:] - planes[0]
    names = ["mirrored", "upside down", "flipped", *(m[0] for m in MOVES)]
    later = dict(zip(offsets, steps, strict=False))
    return later, dict(zip(names, steps[len(offsets) :], strict=True))


def _moved(cells: Cells) -> Iterator[Cells]:
    """A picture as each of `MOVES` would show it."""
    across, down = (WIDTH - 1) / 2, (HEIGHT - 1) / 2
    for _, dx, dy, zoom in MOVES:
        matrix = np.array(
            [[zoom, 0, across * (1 - zoom) + dx], [0, zoom, down * (1 - zoom) + dy]], np.float32
        )
        yield cv2.warpAffine(cells, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)


def cut_off(thumbnail: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which cells of a thumbnail may have colours beyond R'G'B', which it cannot tell."""
    vivid = thumbnail.max(axis=-1).astype(np.int16) - thumbnail.min(axis=-1) > VIVID
    found: NDArray[np.bool_] = vivid & ((thumbnail == 0) | (thumbnail == 255)).any(axis=-1)
    return found


def deviation(
    expected: Cells, noise: float, cut: NDArray[np.bool_], bend: Cells | None = None
) -> Cells:
    """The deviation that must be allowed for, of each value.

    Args:
        expected: Y'CbCr × 255.
        noise: in code values.
        cut: cells whose colours may lie beyond R'G'B' in one of the two pictures.
        bend: what a grade bends; None: there is no grade between the two pictures.
    """
    down, across = np.gradient(expected, axis=(0, 1))
    square = noise**2 + SLIP**2 * (down**2 + across**2) + np.square(BEYOND * cut[..., None])
    if bend is not None:
        square += np.square(BENT * bend)
    return np.sqrt(square, dtype=np.float32)


def adjusted(pictures: Cells, shown: Cells, seen: NDArray[np.bool_]) -> Cells:
    """Pictures after the smooth change of colours that explains most of what is shown: for colours that are not worked out."""
    light = pictures[..., :1] / 255
    basis = np.concatenate(
        [pictures, np.ones_like(light), light**2, light**3, pictures[..., 1:] * light], axis=-1
    )
    change = np.linalg.lstsq(basis[0][seen], shown[seen], rcond=None)[0]
    return np.asarray(basis @ change, np.float32)
