"""Transitions between two shots on the strip, with their exact extent: dissolves, fades, wipes, pushes and slides.

All mixing is linear in the values of the thumbnails, as editing programs mix; averaging pictures down and mixing them may be
exchanged, so that this is what a strip of the mixed video would hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from montage_dask.analysis.features import HEIGHT, WIDTH, Bytes

Field = NDArray[np.float32]

KINDS = ("none", "cut", "dissolve", "fade", "wipe")
"""What a frame can be in; a kind's place here is its label."""

SHAPES = (
    "line", "line", "line", "line", "circle", "box", "diamond", "clock", "blinds", "doors", "push", "cover", "uncover",
)  # fmt: skip
"""Wipes of the training; those named more often come more often."""

HELD_OUT_SHAPES = ("checker", "spiral", "cross", "blocks")
"""Wipes that only the test knows."""

_Y, _X = (np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32) + 0.5) / np.array(
    [HEIGHT, WIDTH], np.float32
)[:, None, None] * 2 - 1


def progress(rng: np.random.Generator, frames: int) -> Field:
    """How far a transition is on each of its frames: float32 [frames], within (0, 1)."""
    t = (np.arange(frames, dtype=np.float32) + rng.uniform(0.3, 0.7)) / frames
    match rng.integers(4):
        case 0:
            t = t * t * (3 - 2 * t)
        case 1:
            t = t ** rng.uniform(0.7, 1.4)
    return t.astype(np.float32)


def _arrival(rng: np.random.Generator, shape: str) -> Field:
    """When a wipe arrives at each pixel, 0 … 1: float32 [27, 48]."""
    x, y = _X, _Y
    aspect = np.float32(9 / 16)
    match shape:
        case "line":
            angle = rng.integers(8) * np.pi / 4 if rng.random() < 0.8 else rng.uniform(0, 2 * np.pi)
            field = np.cos(angle) * x + np.sin(angle) * y
        case "circle":
            cx, cy = rng.normal(0, 0.2, 2)
            field = np.hypot(x - cx, (y - cy) * aspect)
        case "box":
            field = np.maximum(np.abs(x), np.abs(y))
        case "diamond":
            field = np.abs(x) + np.abs(y)
        case "clock":
            field = (np.arctan2(y * aspect, x) / np.pi + rng.uniform(0, 2)) % 2
        case "blinds":
            number = int(rng.integers(3, 9))
            field = ((x if rng.random() < 0.5 else y) * number / 2) % 1
        case "doors":
            field = np.abs(x if rng.random() < 0.5 else y)
        case "checker":
            field = (x * 3) % 1 + (np.floor(x * 3) + np.floor(y * 2)) % 2
        case "spiral":
            field = (np.arctan2(y, x) / (2 * np.pi) + np.hypot(x, y) * 1.5) % 1 + np.hypot(x, y)
        case "cross":
            field = np.minimum(np.abs(x), np.abs(y))
        case _:
            coarse = rng.permutation(54).reshape(6, 9).astype(np.float32)
            field = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
    if rng.random() < 0.5:
        field = -field
    low, high = float(field.min()), float(field.max())
    return ((field - low) / (high - low)).astype(np.float32)


def wipe(rng: np.random.Generator, before: Bytes, after: Bytes, shape: str) -> Bytes:
    """One picture takes the place of another along a moving border."""
    if shape in ("push", "cover", "uncover"):
        return _moving(rng, before, after, shape)
    frames = len(before)
    field = _arrival(rng, shape)
    soft = np.float32(rng.choice([0.02, 0.05, 0.15, 0.35]))
    reached = progress(rng, frames) * (1 + soft)
    share = np.clip((reached[:, None, None] - field) / soft, 0, 1)[..., None]
    mixed = before * (1 - share) + after * share
    if rng.random() < 0.12:  # a drawn border
        edge = np.exp(-(((reached[:, None, None] - field - soft / 2) / 0.03) ** 2))[..., None]
        mixed = mixed * (1 - edge) + rng.choice([0, 255]) * edge
    return _bytes(mixed)


def _moving(rng: np.random.Generator, before: Bytes, after: Bytes, shape: str) -> Bytes:
    """The new picture comes in, the old one goes out, or both move."""
    axis, sign = int(rng.integers(1, 3)), int(rng.choice([-1, 1]))
    size = before.shape[axis]
    out = np.empty(before.shape, np.float32)
    for number, share in enumerate(progress(rng, len(before))):
        offset = float(share) * size
        if shape == "cover":
            out[number] = _placed(
                before[number], after[number], 0.0, (offset - size) * sign, axis - 1, over=True
            )
        elif shape == "uncover":
            out[number] = _placed(
                after[number], before[number], 0.0, offset * sign, axis - 1, over=True
            )
        else:
            out[number] = _placed(
                before[number],
                after[number],
                offset * sign,
                (offset - size) * sign,
                axis - 1,
                over=False,
            )
    return _bytes(out)


def _placed(
    below: Bytes, above: Bytes, below_at: float, above_at: float, axis: int, *, over: bool
) -> Field:
    """Two pictures on one canvas, moved along an axis by parts of pixels."""
    lower, _ = _moved(below, below_at, axis) if below_at else (below.astype(np.float32), None)
    upper, there = _moved(above, above_at, axis)
    return (upper + lower * (1 - there)) if over else (upper + lower)


def _moved(picture: Bytes, offset: float, axis: int) -> tuple[Field, Field]:
    """A picture moved over black, and where it is."""
    low = int(np.floor(offset))
    part = np.float32(offset - low)
    whole = np.concatenate([picture, np.full_like(picture[..., :1], 1)], axis=-1).astype(np.float32)
    shifted = _shifted(whole, low, axis) * (1 - part) + _shifted(whole, low + 1, axis) * part
    return shifted[..., :-1], shifted[..., -1:]


def _shifted(picture: Field, by: int, axis: int) -> Field:
    out = np.zeros_like(picture)
    size = picture.shape[axis]
    if abs(by) >= size:
        return out
    source = slice(max(-by, 0), size - max(by, 0))
    target = slice(max(by, 0), size - max(-by, 0))
    if axis == 0:
        out[target] = picture[source]
    else:
        out[:, target] = picture[:, source]
    return out


def dissolve(rng: np.random.Generator, before: Bytes, after: Bytes, _shape: str = "") -> Bytes:
    """One picture shines through the other."""
    share = progress(rng, len(before))[:, None, None, None]
    return _bytes(before * (1 - share) + after * share)


def fade(rng: np.random.Generator, before: Bytes, after: Bytes, _shape: str = "") -> Bytes:
    """Through black, white or a colour, with or without a rest there; now and then one side is a cut."""
    frames = len(before)
    rest = int(rng.integers(0, max(1, frames // 3) + 1)) if rng.random() < 0.6 else 0
    moving = frames - rest
    out = int(np.clip(round(moving * rng.uniform(0.3, 0.7)), 1, moving - 1))
    if frames > 8 and rng.random() < 0.15:
        out = 1 if rng.random() < 0.5 else moving - 1
    light = np.ones(frames, np.float32)
    light[:out] = 1 - progress(rng, out)
    light[out : out + rest] = 0
    light[out + rest :] = progress(rng, moving - out)
    colour = np.zeros(3, np.float32)
    kind = rng.random()
    if kind > 0.65:
        colour[:] = 255 if kind < 0.88 else rng.uniform(0, 255, 3)
    picture = np.concatenate([before[: out + rest], after[out + rest :]])
    share = light[:, None, None, None]
    return _bytes(picture * share + colour * (1 - share))


MIX: Mapping[str, Callable[[np.random.Generator, Bytes, Bytes, str], Bytes]] = {
    "dissolve": dissolve,
    "fade": fade,
    "wipe": wipe,
}


def _bytes(values: NDArray[np.float32]) -> Bytes:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
