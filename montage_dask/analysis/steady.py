"""The path of the camera over one shot, and the steadier path to show instead.

The path is smoothed by penalised least squares (Whittaker 1923; Eilers, "A perfect smoother", 2003): second differences are
made small, so that a tripod stays still, a pan goes on at its speed to the very ends of the shot, and only what is faster than
`SMOOTH_HZ` is taken out. Corrections stay within what a bounded zoom hides: no border is ever seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from montage_dask.analysis.motion import Motions

VERSION = 2

SMOOTH_HZ = 0.4
"""Movements slower than this are meant; faster ones are taken out."""

SHAKE_HZ = 1.0
"""Nobody moves a camera to and fro more often than this on purpose."""

MAXIMUM_ZOOM = 1.12
"""How much of the picture may be given up."""

SHAKES_PERCENT = 0.12
"""From this on, a shot counts as shaky: 2.3 pixels (RMS) of 1920. A tripod measures below 0.02."""

STILL_PERCENT = 0.03
"""Below this, half a pixel of 1920, there is nothing to take out: moving the pictures would only cost sharpness."""

GAP_FRAMES = 5
"""A motion that is not known for so many frames at most is taken from those around it."""

LEAST_KNOWN = 0.6
"""Share of frames whose motion must be known, or nothing is corrected."""

MARGIN = 1e-4
"""Frame widths kept free inside the edges of the picture."""

ITERATIONS = 200

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Steady:
    """How the pictures of a shot are moved to steady it."""

    corrections: Floats
    """float64 [n, 4]: dx, dy (frame widths), angle (radians), zoom (log), as in `analysis.motion`, of each frame of the shot."""
    zoom: float
    """Growth of all pictures about their centre, ≥ 1, that keeps the borders out of sight."""

    def save(self, path: Path) -> None:
        """Write as .npz."""
        with path.open("wb") as file:
            np.savez_compressed(file, corrections=self.corrections, zoom=np.float64(self.zoom))

    @classmethod
    def load(cls, path: Path) -> Steady:
        """Read it.

        Raises:
            OSError, ValueError, KeyError: the file is missing or damaged.
        """
        with np.load(path, allow_pickle=False) as data:
            return cls(np.asarray(data["corrections"], np.float64), float(data["zoom"]))


def path_of(motions: Motions) -> Floats:
    """The path of a shot: motions summed up from its first frame; float64 [n, 4].

    Args:
        motions: of the frames of the shot; that of the first, which crosses the cut, does not count.
    """
    steps = motions[:, :4].copy()
    known = motions[:, 4] > 0
    if len(steps):
        steps[0], known[0] = 0, True
    unknown = np.flatnonzero(~known)
    for run in np.split(unknown, np.flatnonzero(np.diff(unknown) > 1) + 1):
        if not len(run) or len(run) > GAP_FRAMES:
            continue
        around = [n for n in (run[0] - 1, run[-1] + 1) if 0 < n < len(steps)]
        if around:
            steps[run] = steps[around].mean(0)
    return cast(Floats, steps.cumsum(0))


def known_share(motions: Motions) -> float:
    """Share of the frames behind the first whose motion is known."""
    return float((motions[1:, 4] > 0).mean()) if len(motions) > 1 else 0.0


def smooth(
    path: Floats, hertz: float, frame_rate: Fraction, weights: Floats | None = None
) -> Floats:
    """A path without what is faster than a frequency (half of the amplitude of which stays).

    Args:
        path: float64 [n, k].
        hertz: the frequency.
        frame_rate: frames per second.
        weights: float64 [n]: how firmly each frame stays where it is; 1 by default.
    """
    from scipy.linalg import solveh_banded

    n = len(path)
    if n < 4:
        return path.copy()
    stiffness = (2 * math.sin(math.pi * min(0.5, hertz / float(frame_rate)))) ** -4
    # D'D of second differences: five diagonals.
    bands = np.zeros((3, n))
    bands[2] = 6
    bands[2, [0, -1]], bands[2, [1, -2]] = 1, 5
    bands[1, 1:] = -4
    bands[1, [1, -1]] = -2
    bands[0, 2:] = 1
    bands *= stiffness
    weight = np.ones(n) if weights is None else weights
    bands[2] += weight
    return cast(Floats, solveh_banded(bands, weight[:, None] * path))


def shake_percent(path: Floats, frame_rate: Fraction, aspect: float) -> float:
    """How much a shot shakes: RMS of the displacement, over frame and picture, that is faster than `SHAKE_HZ`; % of the width.

    Args:
        path: float64 [n, 4] from `path_of`.
        frame_rate: frames per second.
        aspect: height / width of the picture.
    """
    if len(path) < 4:
        return 0.0
    fast = path - smooth(path, SHAKE_HZ, frame_rate)
    # Mean square distance of a picture's points from its centre.
    lever = (1 + aspect**2) / 12
    square = (fast[:, :2] ** 2).sum(1) + lever * (fast[:, 2:] ** 2).sum(1)
    return float(100 * math.sqrt(square.mean()))


def needed_zoom(corrections: Floats, aspect: float) -> Floats:
    """The zoom of each frame that just keeps its borders out of sight: float64 [n], infinite where none does."""
    dx, dy, angle, log_zoom = corrections.T
    shrink, cosine, sine = np.exp(-log_zoom), np.cos(angle), np.sin(angle)
    # Where the centre and the corners of what is shown lie in the source.
    x = np.abs(shrink * (cosine * dx + sine * dy))
    y = np.abs(shrink * (cosine * dy - sine * dx))
    half = (0.5 - MARGIN, aspect / 2 - MARGIN)
    reach_x = shrink * (np.abs(cosine) + np.abs(sine) * aspect) / 2
    reach_y = shrink * (np.abs(cosine) * aspect + np.abs(sine)) / 2
    with np.errstate(divide="ignore"):
        zoom = np.maximum(
            reach_x / np.maximum(half[0] - x, 0), reach_y / np.maximum(half[1] - y, 0)
        )
    still = (corrections == 0).all(1)
    return cast(Floats, np.where(still, 1.0, zoom))


def steady(
    motions: Motions,
    frame_rate: Fraction,
    aspect: float,
    *,
    maximum_zoom: float = MAXIMUM_ZOOM,
) -> Steady:
    """The steadier path of a shot.

    Where the zoom does not suffice, the path is drawn nearer to the camera's, smoothly; in the end corrections are shortened.

    Args:
        motions: of all frames of the shot.
        frame_rate: frames per second.
        aspect: height / width of the picture.
        maximum_zoom: bound of the zoom.
    """
    path = path_of(motions)
    weights = np.ones(len(path))
    corrections = np.zeros_like(path)
    for _ in range(ITERATIONS):
        corrections = smooth(path, SMOOTH_HZ, frame_rate, weights) - path
        beyond = needed_zoom(corrections, aspect) > maximum_zoom
        if not beyond.any():
            break
        weights[beyond] *= 1.5
    low, high = np.zeros(len(path)), np.ones(len(path))
    for _ in range(30):
        middle = (low + high) / 2
        beyond = needed_zoom(corrections * middle[:, None], aspect) > maximum_zoom
        low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
    fits = needed_zoom(corrections, aspect) <= maximum_zoom
    # Far below what can be seen: other machines must not differ in the last digit.
    corrections = np.round(corrections * np.where(fits, 1.0, low)[:, None], 9)
    zoom = float(needed_zoom(corrections, aspect).max(initial=1.0))
    return Steady(corrections, round(zoom + 1e-9, 9) if zoom > 1 else 1.0)
