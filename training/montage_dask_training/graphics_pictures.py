"""Pictures to learn from what is laid over footage, or fills it, and is none: text, cards, bars, diagrams, screens.

Everything is drawn at twice the size and made smaller, then damaged as cameras, codecs and scalers do. Text that belongs to the
scene (`graphics_signs`) is drawn, too, and counts as none.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from montage_dask.analysis.graphics_network import CELL, CELLS, HEIGHT, WIDTH
from montage_dask_training.graphics_drawing import HIGH, SCALE, WIDE

Picture = NDArray[np.uint8]

UNKNOWN = 255
"""A label that teaches nothing, and is not counted."""

STAGE_HIGH, STAGE_WIDE = HIGH * 5 // 4, WIDE * 5 // 4
"""Of what a camera moves over."""

LEAST_COVERED = 0.12
"""Share of a cell under words from which on it counts as text; less than this and more than none teaches nothing."""

LEAST_AREA = 0.009
"""Share of the picture under words from which on a picture is one with text; less (a clock in a corner) teaches nothing."""

LEAST_FONT = 4.5
"""Pixels of a still, as sharp as it is, below which a font cannot be told from a texture: teaches nothing."""

LEAST_SEEN, LEAST_OVER = 14.0, 0.9
"""Grey levels, and share of what lies below, by which a cell under words must differ from the same without them to be read."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture to learn from."""

    picture: Picture
    """uint8 [HEIGHT, WIDTH, 3]."""
    cells: Picture
    """uint8 [rows, columns] of CELLS: 0 no text, 1 text, UNKNOWN."""
    text: int
    """Whether text is laid over it or fills it: 0, 1, UNKNOWN."""
    card: int
    """Whether it is a card, a diagram, a screen, and no picture of anything: 0, 1, UNKNOWN."""


def photographed(rng: np.random.Generator, picture: Picture) -> Picture:
    """A part of a photograph as a frame: cropped, mirrored, lit anew; uint8 [STAGE_HIGH, STAGE_WIDE, 3]."""
    high, wide = picture.shape[:2]
    share = rng.uniform(0.45, 1.0)
    w = min(wide, high * WIDE / HIGH) * share
    h = w * HIGH / WIDE
    x, y = rng.uniform(0, wide - w), rng.uniform(0, high - h)
    part = picture[int(y) : int(y + h), int(x) : int(x + w)]
    larger = w > STAGE_WIDE
    made = cv2.resize(
        part, (STAGE_WIDE, STAGE_HIGH), interpolation=cv2.INTER_AREA if larger else cv2.INTER_CUBIC
    )
    if rng.random() < 0.5:
        made = made[:, ::-1]
    gain, lift = rng.uniform(0.35, 1.25), rng.uniform(-15, 25)
    made = made.astype(np.float32) * gain + lift
    if rng.random() < 0.3:
        # Other colours of light, and of things.
        made = made[..., rng.permutation(3)] * rng.uniform(0.6, 1.2, 3).astype(np.float32)
    if rng.random() < 0.12:
        made = np.repeat(made.mean(axis=2, keepdims=True), 3, axis=2)
    if rng.random() < 0.2:
        made = cv2.GaussianBlur(made, (0, 0), rng.uniform(0.5, 5))
    return np.clip(made, 0, 255).astype(np.uint8)


def soft(rng: np.random.Generator) -> Picture:
    """Soft stripes, folds and light, as leaves, curtains, dunes and skies have: no card, whatever its colours."""
    y, x = np.mgrid[0:STAGE_HIGH, 0:STAGE_WIDE].astype(np.float32) / STAGE_HIGH
    field = np.zeros((STAGE_HIGH, STAGE_WIDE), np.float32)
    for _ in range(int(rng.integers(1, 5))):
        turn, bend = rng.uniform(0, np.pi), rng.normal(0, 0.6, 2)
        along = x * np.cos(turn) + y * np.sin(turn) + bend[0] * x * y + bend[1] * y * y
        wave = np.sin(2 * np.pi * (along * rng.uniform(0.3, 14) + rng.random()))
        field += (
            np.abs(wave) ** rng.uniform(0.5, 3) if rng.random() < 0.5 else wave
        ) * rng.random()
    noise = cv2.resize(
        rng.normal(0, 1, (9, 16)).astype(np.float32),
        (STAGE_WIDE, STAGE_HIGH),
        interpolation=cv2.INTER_CUBIC,
    )
    field += rng.uniform(0, 0.8) * noise
    field = (field - field.min()) / max(1e-6, float(np.ptp(field)))
    low, high = rng.uniform(0, 160, 3), rng.uniform(60, 255, 3)
    return np.clip(low + (high - low) * field[..., None], 0, 255).astype(np.uint8)


def camera(rng: np.random.Generator, looks: int) -> NDArray[np.float64]:
    """Where a camera looks on its stage: float64 [looks, 3] of left, top, and width, as shares of it."""
    wide = rng.uniform(0.8, 1.0)
    path = np.tile([rng.uniform(0, 1 - wide), rng.uniform(0, 1 - wide), wide], (looks, 1))
    style, t = rng.random(), np.arange(looks)
    if style < 0.45:
        path[:, :2] += t[:, None] * rng.normal(0, 0.02, 2)
        path[:, 2] *= np.exp(rng.normal(0, 0.015) * t)
    elif style < 0.65:
        path[:, :2] += rng.normal(0, rng.uniform(0.002, 0.02), (looks, 2))
    path[:, 2] = path[:, 2].clip(0.6, 1.0)
    path[:, :2] = path[:, :2].clip(0, 1 - path[:, 2:])
    return path


def filmed(stage: Picture, view: NDArray[np.float64]) -> Picture:
    """What a camera sees of a stage uint8 [STAGE_HIGH, STAGE_WIDE, 3]: uint8 [HIGH, WIDE, 3]."""
    left, top, wide = view
    scale = wide * STAGE_WIDE / WIDE
    matrix = np.array([[scale, 0, left * STAGE_WIDE], [0, scale, top * STAGE_HIGH]])
    way = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(stage, matrix, (WIDE, HIGH), flags=way).astype(np.uint8)


class Letterbox:
    """Black bars, as widescreen films and upright clips have; or none."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rows = self._columns = 0
        if rng.random() < 0.15:
            if rng.random() < 0.6:
                self._rows = int(HIGH * rng.uniform(0.04, 0.14))
            else:
                self._columns = int(WIDE * rng.uniform(0.1, 0.34))

    def __call__(self, picture: Picture) -> Picture:
        """The picture with them: uint8 [HIGH, WIDE, 3]."""
        made = picture.copy()
        if self._rows:
            made[: self._rows] = made[-self._rows :] = 0
        if self._columns:
            made[:, : self._columns] = made[:, -self._columns :] = 0
        return made


class Damage:
    """What a camera, a codec and a scaler do to the pictures of one clip."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._small: tuple[int, int] | None = None
        if rng.random() < 0.3:
            self._small = (int(WIDE * rng.uniform(0.35, 0.9)), int(HIGH * rng.uniform(0.35, 0.9)))
        self._noise = rng.uniform(1, 9) if rng.random() < 0.4 else 0.0
        self._quality = int(rng.integers(35, 96)) if rng.random() < 0.6 else 0

    @property
    def sharp(self) -> float:
        """Pixels of a still, or fewer where it was made smaller, for one of the drawn picture."""
        return min(1 / SCALE, 1.0 if self._small is None else self._small[1] / HIGH)

    def __call__(self, rng: np.random.Generator, picture: Picture) -> Picture:
        """Of uint8 [HIGH, WIDE, 3]: uint8 [HEIGHT, WIDTH, 3]."""
        if self._small is not None:
            picture = cv2.resize(picture, self._small, interpolation=cv2.INTER_AREA)
        made = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        if self._noise:
            noisy = made + rng.standard_normal(made.shape, np.float32) * self._noise
            made = np.clip(noisy, 0, 255).astype(np.uint8)
        if self._quality:
            buffer = io.BytesIO()
            Image.fromarray(made).save(buffer, "JPEG", quality=self._quality)
            made = np.asarray(Image.open(buffer).convert("RGB"))
        return np.ascontiguousarray(made)


def labelled(
    picture: Picture,
    mask: Picture,
    card_label: int,
    *,
    without: Picture | None = None,
    font: float = np.inf,
) -> Sample:
    """A sample from a picture of the final size and where its words are (at the drawn size).

    Args:
        picture: uint8 [HEIGHT, WIDTH, 3].
        mask: uint8 [HIGH, WIDE]: above 0 where words are.
        card_label: 0, 1 or UNKNOWN.
        without: the same picture without the words, where there is such a one; words that hardly differ from it are UNKNOWN.
        font: height of the largest font in pixels of the still, as sharp as it is.
    """
    rows, columns = CELLS
    area = float((mask > 0).mean())
    if not area:
        return Sample(picture, np.zeros(CELLS, np.uint8), 0, card_label)
    share = (mask > 0).reshape(rows, CELL * SCALE, columns, CELL * SCALE).mean(axis=(1, 3))
    cells = np.where(share >= LEAST_COVERED, 1, np.where(share > 0, UNKNOWN, 0)).astype(np.uint8)
    text = 1 if area >= LEAST_AREA else UNKNOWN
    if without is not None and (cells == 1).any():
        readable = _readable(picture, without) & (cells == 1)
        text = text if readable.sum() >= 0.5 * (cells == 1).sum() else UNKNOWN
        cells[(cells == 1) & ~readable] = UNKNOWN
    if font < LEAST_FONT or text == UNKNOWN:
        cells[cells == 1] = UNKNOWN
        text = UNKNOWN
    return Sample(picture, cells, text, card_label)


def _readable(picture: Picture, without: Picture) -> NDArray[np.bool_]:
    """Which cells differ enough from what they are without words."""
    rows, columns = CELLS
    change = np.abs(picture.astype(np.float32) - without).max(axis=2)
    shape = (rows, CELL, columns, CELL)
    signal = np.sqrt((change**2).reshape(shape).mean(axis=(1, 3)))
    below = without.mean(axis=2, dtype=np.float32).reshape(shape)
    clutter = cv2.blur(below.std(axis=(1, 3)), (3, 3))
    seen: NDArray[np.bool_] = (signal >= LEAST_SEEN) & (signal >= LEAST_OVER * clutter)
    return seen
