"""How pictures lie: turned by right angles, and mirrored or not; eight ways in all, told by a display matrix.

Phones and front cameras store pictures as their sensor lies and say in a matrix how they are to be shown. A mirrored picture is
one whose matrix has a negative determinant. Here it is kept as: mirrored top to bottom first, then turned clockwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atan2, degrees
from struct import unpack
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from montage_dask.records import Source

P = TypeVar("P", bound=np.generic)

TOLERANCE_DEGREES = 1.0
"""A matrix that turns by up to this more or less than a right angle is taken for one that turns by it."""

FILTERS: dict[tuple[bool, int], tuple[tuple[str, str | None], ...]] = {
    (False, 0): (),
    (False, 90): (("transpose", "clock"),),
    (False, 180): (("hflip", None), ("vflip", None)),
    (False, 270): (("transpose", "cclock"),),
    (True, 0): (("vflip", None),),
    (True, 90): (("transpose", "cclock_flip"),),
    (True, 180): (("hflip", None),),
    (True, 270): (("transpose", "clock_flip"),),
}
"""What ffmpeg inserts by itself (`-autorotate`) for a matrix of these."""


@dataclass(frozen=True, slots=True)
class Orientation:
    """How coded pictures are to be shown: mirrored top to bottom where so said, then turned clockwise."""

    degrees: int = 0
    """0, 90, 180 or 270."""
    mirrored: bool = False
    skew_degrees: float = 0.0
    """How much further the matrix turns than by right angles; not applied."""


def orientation_of(frame: Any) -> Orientation:
    """The orientation that a decoded frame asks for; upright when its matrix is none that can be applied."""
    for data in frame.side_data:
        try:
            told = data.type.name == "DISPLAYMATRIX" and data.buffer_size >= 36
        except ValueError:
            continue  # a kind that PyAV does not know
        if told:
            a, b, _, c, d, *_ = unpack("=9i", bytes(data)[:36])
            return _of_matrix(a, b, c, d)
    return Orientation()


def _of_matrix(a: int, b: int, c: int, d: int) -> Orientation:
    """Of a matrix by which a pixel at (x, y) is shown at (a·x + c·y, b·x + d·y)."""
    determinant = a * d - b * c
    if determinant == 0:
        return Orientation()  # it would squeeze the picture to a line: damage
    # Where the x axis points says the angle, whatever becomes of the y axis.
    angle = degrees(atan2(b, a))
    turns = round(angle / 90)
    skew = angle - 90 * turns
    return Orientation(
        turns % 4 * 90, determinant < 0, 0.0 if abs(skew) <= TOLERANCE_DEGREES else skew
    )


def is_transposed(source: Source) -> bool:
    """Whether the rows of its pictures are shown as columns."""
    return source.rotation_degrees in (90, 270)


def turn_filters(source: Source) -> tuple[tuple[str, str | None], ...]:
    """The ffmpeg filters that bring its coded pictures upright: (name, argument or None), in order."""
    return FILTERS[source.mirrored, source.rotation_degrees]


def turn_picture(picture: NDArray[P], source: Source) -> NDArray[P]:
    """A coded picture (or one plane of it), upright.

    Args:
        picture: [height, width, …], coded orientation.
        source: of which it is.

    Returns:
        A view: [height, width, …], or [width, height, …] where it is turned by a quarter.
    """
    upright = picture[::-1] if source.mirrored else picture
    return np.rot90(upright, -source.rotation_degrees // 90)
