"""What a shot looks like, in words that a brief may use: a score 0 … 1 for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from montage_dask.edit.views import FACE_HEIGHTS, Floats
from montage_dask.records import Shot

QUALITY_SHARE = 0.25
"""What the quality of a shot counts beside its look when one shot is chosen by its look."""


def _bounded(value: float) -> float:
    return min(1.0, max(0.0, value))


def _tint(shot: Shot, channel: int) -> float:
    """How far one channel stands above the two others."""
    if not shot.colour:
        return 0.0
    others = max(c for k, c in enumerate(shot.colour[:3]) if k != channel)
    return 4 * (shot.colour[channel] - others)


def _leaves(shot: Shot) -> float:
    """Excess green, by which plants are told: yellowish leaves count, too."""
    red, green, blue = shot.colour[:3] if shot.colour else (0.0, 0.0, 0.0)
    return 4 * (2 * green - red - blue)


def _warmth(shot: Shot) -> float:
    return 2 * (shot.colour[0] - shot.colour[2]) if shot.colour else 0.0


def _height(shot: Shot) -> float:
    """Of its subject in the picture, 0 … 1, on average over the looks in which one is found; 0 where none is."""
    heights = [s.height * (FACE_HEIGHTS if s.kind == "face" else 1) for s in shot.subjects]
    return sum(map(_bounded, heights)) / len(heights) if heights else 0.0


def _faces(shot: Shot) -> float:
    """Faces found per second: half of the looks are enough."""
    faces = sum(s.kind == "face" for s in shot.subjects)
    return faces / max(1.0, float(shot.duration_seconds))


LOOKS: Mapping[str, Callable[[Shot], float]] = {
    "bright": lambda s: s.exposure,
    "dark": lambda s: 1 - s.exposure,
    "colourful": lambda s: s.colourfulness,
    "grey": lambda s: 1 - s.colourfulness,
    "moving": lambda s: s.motion,
    "still": lambda s: 1 - s.motion,
    "contrasty": lambda s: 3 * s.contrast,
    "sharp": lambda s: s.sharpness,
    "warm": _warmth,
    "cool": lambda s: -_warmth(s),
    "red": lambda s: _tint(s, 0),
    "green": _leaves,
    "blue": lambda s: _tint(s, 2),
    "faces": _faces,
    "near": _height,
    "wide": lambda s: 1 - _height(s),
}


def look_of(shot: Shot, look: str) -> float:
    """How much a shot has of a look, 0 … 1; `look` is a name in `LOOKS`."""
    return _bounded(LOOKS[look](shot))


def looks_of(shots: Sequence[Shot]) -> dict[str, float]:
    """The most that any of the shots has of each look, 0 … 1, two decimals; empty without shots."""
    if not shots:
        return {}
    return {look: round(max(look_of(s, look) for s in shots), 2) for look in LOOKS}


def most(shots: Sequence[Shot], look: str) -> Shot:
    """The shot that has most of a look; of equal ones the better, then the earlier."""
    return max(shots, key=lambda s: look_of(s, look) + QUALITY_SHARE * s.quality)


def liking(shots: Sequence[Shot], taste: Mapping[str, float], worth: Floats) -> Floats:
    """[S] how much shots have of the looks of a taste, 0 for the least … 1 for the most; all 1 where there is no taste.

    Args:
        shots: beside each other.
        taste: weights of looks, by name.
        worth: [S] how much there is to see in each, 0 … 1: nothing is liked for its colours.
    """
    if not taste:
        return np.ones(len(shots))
    found = np.zeros(len(shots))
    for look, weight in taste.items():
        found += weight * _spread(np.array([look_of(s, look) for s in shots]))
    return _spread(_spread(found) * worth)


def _spread(values: Floats) -> Floats:
    """Values from 0 for the least to 1 for the greatest; 1 where all are alike."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low + 1e-9 else np.ones(len(values))
