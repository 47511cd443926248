"""Pictures to learn from what is laid over footage, or fills it, and is none: text, cards, bars, diagrams, screens.

Everything is drawn at twice the size and made smaller, then damaged as cameras, codecs and scalers do. Text that belongs to the
scene (signs, plates, jerseys: turned, tilted, lit and as blurred as what is around it) is drawn, too, and counts as none.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from montage_dask.analysis.graphics_network import CELL, CELLS, HEIGHT, WIDTH
from montage_dask.training.graphics_captions import (
    CAPTIONS,
    HELD_OUT_CAPTIONS,
    HIDDEN,
    caption,
    scene_text,
)
from montage_dask.training.graphics_cards import CARDS, HELD_OUT_CARDS, card
from montage_dask.training.graphics_drawing import HIGH, SCALE, WIDE, Drawer

Picture = NDArray[np.uint8]

UNKNOWN = 255
"""A label that teaches nothing."""

LEAST_COVERED = 0.12
"""Share of a cell under words from which on it counts as text; less than this and more than none teaches nothing."""

LEAST_AREA = 0.009
"""Share of the picture under words from which on a picture is one with text; less (a clock in a corner) teaches nothing."""


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
    """A part of a photograph as a frame: cropped, mirrored, lit anew; uint8 [HIGH, WIDE, 3]."""
    high, wide = picture.shape[:2]
    share = rng.uniform(0.45, 1.0)
    w = min(wide, high * WIDE / HIGH) * share
    h = w * HIGH / WIDE
    x, y = rng.uniform(0, wide - w), rng.uniform(0, high - h)
    part = picture[int(y) : int(y + h), int(x) : int(x + w)]
    made = cv2.resize(
        part, (WIDE, HIGH), interpolation=cv2.INTER_AREA if w > WIDE else cv2.INTER_CUBIC
    )
    if rng.random() < 0.5:
        made = made[:, ::-1]
    gain, lift = rng.uniform(0.35, 1.25), rng.uniform(-15, 25)
    made = made.astype(np.float32) * gain + lift
    if rng.random() < 0.12:
        made = np.repeat(made.mean(axis=2, keepdims=True), 3, axis=2)
    if rng.random() < 0.2:
        made = cv2.GaussianBlur(made, (0, 0), rng.uniform(0.5, 5))
    return np.clip(made, 0, 255).astype(np.uint8)


def soft(rng: np.random.Generator) -> Picture:
    """Soft stripes, folds and light, as leaves, curtains, dunes and skies have: no card, whatever its colours."""
    y, x = np.mgrid[0:HIGH, 0:WIDE].astype(np.float32) / HIGH
    field = np.zeros((HIGH, WIDE), np.float32)
    for _ in range(int(rng.integers(1, 5))):
        turn, bend = rng.uniform(0, np.pi), rng.normal(0, 0.6, 2)
        along = x * np.cos(turn) + y * np.sin(turn) + bend[0] * x * y + bend[1] * y * y
        wave = np.sin(2 * np.pi * (along * rng.uniform(0.3, 14) + rng.random()))
        field += (
            np.abs(wave) ** rng.uniform(0.5, 3) if rng.random() < 0.5 else wave
        ) * rng.random()
    noise = cv2.resize(
        rng.normal(0, 1, (9, 16)).astype(np.float32), (WIDE, HIGH), interpolation=cv2.INTER_CUBIC
    )
    field += rng.uniform(0, 0.8) * noise
    field = (field - field.min()) / max(1e-6, float(np.ptp(field)))
    low, high = rng.uniform(0, 160, 3), rng.uniform(60, 255, 3)
    return np.clip(low + (high - low) * field[..., None], 0, 255).astype(np.uint8)


def letterboxed(rng: np.random.Generator, picture: Picture) -> Picture:
    """Black bars, as widescreen films and upright clips have."""
    made = picture.copy()
    if rng.random() < 0.6:
        bar = int(HIGH * rng.uniform(0.04, 0.14))
        made[:bar] = made[-bar:] = 0
    else:
        bar = int(WIDE * rng.uniform(0.1, 0.34))
        made[:, :bar] = made[:, -bar:] = 0
    return made


def damaged(rng: np.random.Generator, picture: Picture) -> Picture:
    """Smaller by SCALE, as a camera, a codec and a scaler leave it: uint8 [HEIGHT, WIDTH, 3]."""
    if rng.random() < 0.3:
        small = (int(WIDE * rng.uniform(0.35, 0.9)), int(HIGH * rng.uniform(0.35, 0.9)))
        picture = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
    made = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.4:
        noisy = made + rng.normal(0, rng.uniform(1, 9), made.shape)
        made = np.clip(noisy, 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        buffer = io.BytesIO()
        Image.fromarray(made).save(buffer, "JPEG", quality=int(rng.integers(35, 96)))
        made = np.asarray(Image.open(buffer).convert("RGB"))
    return np.ascontiguousarray(made)


def labelled(picture: Picture, mask: Picture, card_label: int) -> Sample:
    """A sample from a picture of the final size and where its words are (at the drawn size)."""
    rows, columns = CELLS
    if mask.max(initial=0) == HIDDEN:
        cells = np.full(CELLS, UNKNOWN, np.uint8)
        return Sample(picture, cells, UNKNOWN, card_label)
    share = (mask > 0).reshape(rows, CELL * SCALE, columns, CELL * SCALE).mean(axis=(1, 3))
    cells = np.where(share >= LEAST_COVERED, 1, np.where(share > 0, UNKNOWN, 0)).astype(np.uint8)
    area = float((mask > 0).mean())
    text = 1 if area >= LEAST_AREA else UNKNOWN if area > 0 else 0
    return Sample(picture, cells, text, card_label)


def sample(
    rng: np.random.Generator,
    fonts: Sequence[str],
    background: Callable[[np.random.Generator], tuple[Picture, int]],
    *,
    held_out: bool = False,
) -> Sample:
    """One picture: text over something, a card, or neither.

    Args:
        rng: decides everything.
        fonts: paths.
        background: gives uint8 [HIGH, WIDE, 3] and whether that is a card (0, 1, UNKNOWN).
        held_out: with the layouts that only the test knows.
    """
    drawer = Drawer(rng, fonts)
    nothing = np.zeros((HIGH, WIDE), np.uint8)
    chance = rng.random()
    if chance < 0.28:
        kinds = HELD_OUT_CARDS + CARDS if held_out else CARDS
        picture, mask = card(drawer, kinds[int(rng.integers(len(kinds)))])
        if rng.random() < 0.15:
            picture = letterboxed(rng, picture)
        return labelled(damaged(rng, picture), mask, 1)
    picture, is_card = background(rng)
    if rng.random() < 0.15:
        picture = letterboxed(rng, picture)
    if rng.random() < 0.18:
        for _ in range(int(rng.integers(1, 4))):
            picture = scene_text(drawer, picture)
    if chance < 0.62:
        layouts = HELD_OUT_CAPTIONS + CAPTIONS if held_out else CAPTIONS
        picture, mask = caption(drawer, picture, layouts[int(rng.integers(len(layouts)))])
        return labelled(damaged(rng, picture), mask, is_card)
    return labelled(damaged(rng, picture), nothing, is_card)
