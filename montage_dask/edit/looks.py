"""What a shot looks like, in words that a brief may use: a score 0 … 1 for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

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


def _warmth(shot: Shot) -> float:
    return 2 * (shot.colour[0] - shot.colour[2]) if shot.colour else 0.0


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
    "green": lambda s: _tint(s, 1),
    "blue": lambda s: _tint(s, 2),
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
