"""What the demo's scenes are drawn with: colour ramps, glow, outlines, sprites."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
"""RGB, shape (height, width, 3)."""
Field = npt.NDArray[np.float32]
Scene = Callable[[np.random.Generator, int, int, int, float], Iterator[Picture]]
"""(rng, width, height, frames, fps) -> that many frames."""
Colour = tuple[int, int, int]


def opencv() -> Any:
    # Imported late: workers that never draw start faster without it.
    import cv2

    return cv2


def colour_ramp(*stops: Colour, size: int = 256) -> Picture:
    """A colour ramp through evenly spaced stops, shape (size, 3)."""
    at = np.linspace(0, len(stops) - 1, size)
    known = np.arange(len(stops))
    channels = [np.interp(at, known, [stop[c] for stop in stops]) for c in range(3)]
    return np.stack(channels, axis=1).astype(np.uint8)


def painted(field: Field, ramp: Picture) -> Picture:
    """Colours of a field of 0 … 1."""
    return ramp[np.clip(field * 255, 0, 255).astype(np.uint8)]


def enlarged(picture: Picture, width: int, height: int) -> Picture:
    cv2 = opencv()
    large: Picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
    return large


def pixel_grid(width: int, height: int) -> tuple[Field, Field]:
    """x and y of every pixel: y in -0.5 … 0.5, x in the same unit."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return (x - (width - 1) / 2) / height, (y - (height - 1) / 2) / height


def bloom(picture: Picture, strength: float = 0.9) -> Picture:
    """Add a glow around what is bright."""
    cv2 = opencv()
    height, width = picture.shape[:2]
    small = cv2.resize(picture, (width // 8, height // 8), interpolation=cv2.INTER_AREA)
    wide = cv2.resize(cv2.GaussianBlur(small, (0, 0), 2.2), (width, height))
    glowing: Picture = cv2.addWeighted(picture, 1.0, wide, strength, 0)
    return glowing


def ridge(rng: np.random.Generator, length: int, roughness: float) -> Field:
    """A periodic mountain line of 0 … 1, shape (length,)."""
    x = np.linspace(0, 2 * np.pi, length, endpoint=False)
    line = np.zeros(length)
    for octave in range(1, 40):
        line += rng.normal() * octave**-roughness * np.cos(octave * x + rng.uniform(0, 2 * np.pi))
    line -= line.min()
    return (line / line.max()).astype(np.float32)


def fill_below(canvas: Picture, line: npt.NDArray[Any], colour: Colour) -> None:
    """Fill everything below a line of y coordinates (one per column step)."""
    height, width = canvas.shape[:2]
    x = np.linspace(0, width - 1, len(line))
    points = np.stack([x, line], axis=1)
    outline = np.concatenate([points, [[width - 1, height], [0, height]]])
    cv2 = opencv()
    cv2.fillPoly(canvas, [np.round(outline * 8).astype(np.int32)], colour, cv2.LINE_AA, 3)


@cache
def out_of_focus(radius: int) -> Field:
    """A disc of 0 … 1 out of focus: even, with a brighter rim; shape (2r+1, 2r+1)."""
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float32) / radius
    r = np.hypot(x, y)
    inside: Field = np.clip((1 - r) * max(radius / 3, 2), 0, 1) * (0.65 + 0.35 * r**4)
    return inside


@cache
def light_spot(radius: int) -> Field:
    """Light that fades to nothing at the radius; shape (2r+1, 2r+1)."""
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float32) / radius
    fading: Field = np.clip(1 - x * x - y * y, 0, 1) ** 3
    return fading


def add_sprite(canvas: Field, sprite: Field, x: int, y: int, colour: Sequence[float]) -> None:
    """Add a coloured sprite centred at (x, y); what lies outside is cut off."""
    r = sprite.shape[0] // 2
    top, left = max(y - r, 0), max(x - r, 0)
    bottom, right = min(y + r + 1, canvas.shape[0]), min(x + r + 1, canvas.shape[1])
    if top < bottom and left < right:
        part = sprite[top - y + r : bottom - y + r, left - x + r : right - x + r]
        canvas[top:bottom, left:right] += part[..., None] * np.asarray(colour, np.float32)
