"""How one thumbnail lies over another: the camera's shift and zoom between them, whatever moves on its own.

First by phase correlation, then by least squares over the slopes of the picture, in which edges that do not agree count less and
less (Black & Rangarajan 1996); the grid is the strip's, 48×27.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from montage_dask.analysis.features import HEIGHT, WIDTH

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

SCALES, SCALES_BACK = (25.0, 12.0, 6.0, 4.0), (6.0, 4.0)
"""Grey levels that count half, round by round of the fit of the camera from one thumbnail to the next, and back, where it is
nearly known: first all edges have their say, then those that agree."""

CUT_OFF = 25.0
"""Grey levels: what differs by more moves on its own, however much."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How one thumbnail lies over another."""

    dx: float
    dy: float
    zoom: float
    over: Floats
    """The other thumbnail laid over the first."""
    seen: NDArray[np.bool_]
    """Where it has a pixel."""
    levels: float
    """Median difference, in grey levels."""
    misfit: float
    """Mean difference, large ones cut off: mostly of edges, which flat ground does not outvote."""

    @property
    def moved(self) -> Doubles:
        """dx, dy, zoom."""
        return np.array([self.dx, self.dy, self.zoom])


_ROW, _COLUMN = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
_X, _Y = _COLUMN - (WIDTH - 1) / 2, _ROW - (HEIGHT - 1) / 2
_WINDOW = cv2.createHanningWindow((WIDTH, HEIGHT), cv2.CV_32F)


def slopes_of(luma: Floats) -> Floats:
    """How luma changes to the right and down: float32 [27, 48, 2]."""
    across = cv2.Sobel(luma, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
    return np.stack([across, cv2.Sobel(luma, cv2.CV_32F, 0, 1, ksize=3, scale=0.125)], -1)


def fit_camera(
    here: Floats, other: Floats, slopes: Floats, about: list[Doubles], *, back: bool = False
) -> Fit:
    """How the camera moved from one thumbnail to another, outvoting what moves on its own.

    Args:
        here: luma.
        other: luma of the other one.
        slopes: of `here`.
        about: how it may have moved.
        back: whether that is nearly known.
    """
    begins = list(about)
    if not back:
        begins.append(np.zeros(3))
        # Never the thumbnails themselves: OpenCV may lay the window over its inputs in place.
        (dx, dy), _ = cv2.phaseCorrelate(here - here.mean(), other - other.mean(), _WINDOW)
        if max(abs(dx), abs(dy)) > 0.25 and abs(dx) < WIDTH / 3 and abs(dy) < HEIGHT / 3:
            begins.append(np.array([dx, dy, 0.0]))
    fits = [lay_over(here, other, b) for b in begins]
    best = min(range(len(begins)), key=lambda k: fits[k].misfit)
    growth = slopes[..., 0] * _X + slopes[..., 1] * _Y
    a = np.concatenate([slopes, growth[..., None]], -1).reshape(-1, 3).astype(np.float64)
    moved, fit = begins[best], fits[best]
    for least in SCALES_BACK if back else SCALES:
        difference = (here - fit.over).astype(np.float64)
        scale = max(least, 1.5 * fit.levels)
        weight = fit.seen / (1 + (difference / scale) ** 2) ** 2
        wa = a * weight.reshape(-1, 1)
        change = np.linalg.solve(a.T @ wa + np.diag([1.0, 1.0, 100.0]), wa.T @ difference.ravel())
        moved = moved + change
        if abs(moved[2]) > 0.2 or abs(moved[0]) > WIDTH / 2 or abs(moved[1]) > HEIGHT / 2:
            break
        tried = lay_over(here, other, moved)
        if tried.misfit > fit.misfit:
            break
        fit = tried
    return fit


def lay_over(here: Floats, other: Floats, moved: Doubles) -> Fit:
    """The other thumbnail under a shift and a zoom about the centre."""
    dx, dy, zoom = (float(v) for v in moved)
    grown = float(np.exp(zoom))
    matrix = np.array(
        [
            [grown, 0, dx + (1 - grown) * (WIDTH - 1) / 2],
            [0, grown, dy + (1 - grown) * (HEIGHT - 1) / 2],
        ]
    )
    over = cv2.warpAffine(
        other, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    x = _COLUMN * grown + matrix[0, 2]
    y = _ROW * grown + matrix[1, 2]
    seen = (x > -0.5) & (x < WIDTH - 0.5) & (y > -0.5) & (y < HEIGHT - 0.5)
    difference = np.abs(here - over)[seen]
    if not len(difference):
        return Fit(dx, dy, zoom, over, seen, 255.0, 255.0)
    misfit = float(np.minimum(difference, CUT_OFF).mean())
    return Fit(dx, dy, zoom, over, seen, float(np.median(difference)), misfit)
