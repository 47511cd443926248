"""Titles that are drawn rather than written: large letters one by one, outlined, solid, glowing, slanted, behind things."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from montage_dask_training.graphics_drawing import HIGH, WIDE, Drawer

LARGEST = 0.42
"""Height of a letter as a share of the picture's."""

Floats = NDArray[np.float32]


def drawn(drawer: Drawer, layer: Image.Image, marked: Image.Image) -> None:
    """One to three lines of letters, each turned, moved and coloured a little.

    Args:
        drawer: draws it.
        layer: RGBA of WIDE × HIGH, empty; changed.
        marked: L of the same size; 255 where words are.
    """
    rng = drawer.rng
    lines = int(rng.choice([1, 1, 2, 2, 3]))
    em = (
        HIGH * float(np.exp(rng.uniform(np.log(0.14), np.log(LARGEST)))) / (1, 1.25, 1.8)[lines - 1]
    )
    words = [drawer.words(1, 1)[: int(rng.integers(4, 9))] for _ in range(lines)]
    x, y = WIDE * rng.uniform(0.4, 0.6), HIGH * rng.uniform(0.3, 0.6) - em * (lines - 1) / 2
    look = _Look(drawer, em)
    for word in words:
        _line(drawer, layer, marked, word, (x, y), em, look)
        y += em * rng.uniform(0.9, 1.15)
    _finished(drawer, layer, marked)


def arched(drawer: Drawer, layer: Image.Image, marked: Image.Image) -> None:
    """A word on an arch, and a line below it."""
    rng = drawer.rng
    em = HIGH * rng.uniform(0.16, 0.32)
    word = (drawer.words(1, 1) + drawer.words(1, 1))[: int(rng.integers(5, 10))]
    bend = rng.uniform(0.15, 0.4) * (1 if rng.random() < 0.7 else -1)
    _line(
        drawer,
        layer,
        marked,
        word,
        (WIDE / 2, HIGH * rng.uniform(0.35, 0.55)),
        em,
        _Look(drawer, em),
        bend,
    )
    if rng.random() < 0.6:
        small = em * 0.45
        at = (WIDE / 2, HIGH * rng.uniform(0.68, 0.85))
        _line(drawer, layer, marked, drawer.words(1, 2), at, small, _Look(drawer, small))
    _finished(drawer, layer, marked)


class _Look:
    """How the letters of a title look: colours, edge, depth, how unsteady."""

    def __init__(self, drawer: Drawer, em: float) -> None:
        rng = drawer.rng
        light = bool(rng.random() < 0.7)
        count = 1 if rng.random() < 0.6 else int(rng.integers(2, 6))
        self.fills = [drawer.colour(light) for _ in range(count)]
        self.edge = drawer.colour(not light)
        self.stroke = round(em * rng.uniform(0.02, 0.09)) if rng.random() < 0.45 else 0
        self.depth = round(em * rng.uniform(0.03, 0.12)) if rng.random() < 0.35 else 0
        self.turn = rng.uniform(0, 12) if rng.random() < 0.4 else 0.0
        self.lift = rng.uniform(0, 0.1) if rng.random() < 0.4 else 0.0
        self.apart = rng.uniform(-0.04, 0.12)


def _line(
    drawer: Drawer,
    layer: Image.Image,
    marked: Image.Image,
    word: str,
    at: tuple[float, float],
    em: float,
    look: _Look,
    bend: float = 0.0,
) -> None:
    """One line about a place; `bend` is the rise of its middle as a share of its width."""
    rng = drawer.rng
    font = drawer.font(em)
    wide = max(1.0, font.getlength(word) + em * look.apart * len(word))
    if wide > 0.95 * WIDE:
        em *= 0.95 * WIDE / wide
        font = drawer.font(em)
        wide = max(1.0, font.getlength(word) + em * look.apart * len(word))
    drawer.largest = max(drawer.largest, em)
    left, mark = at[0] - wide / 2, ImageDraw.Draw(marked)
    side = int(2.2 * em) + 4
    pen = left
    for number, letter in enumerate(word):
        step = font.getlength(letter) + em * look.apart
        if letter.strip():
            tile = Image.new("RGBA", (side, side), (0, 0, 0, 0))
            draw = ImageDraw.Draw(tile)
            fill = look.fills[number % len(look.fills)]
            middle = (side / 2, side / 2)
            for k in range(look.depth, 0, -1):
                dark = tuple(int(v * 0.45) for v in fill)
                draw.text((middle[0] + k, middle[1] + k), letter, font=font, fill=dark, anchor="mm")
            draw.text(
                middle,
                letter,
                font=font,
                fill=fill,
                anchor="mm",
                stroke_width=look.stroke,
                stroke_fill=look.edge,
            )
            along = (pen + step / 2 - at[0]) / wide
            turn = rng.uniform(-1, 1) * look.turn + np.rad2deg(np.arctan(8 * bend * along)) * -1
            tile = tile.rotate(float(turn), resample=Image.Resampling.BILINEAR)
            x = pen + step / 2
            y = at[1] + rng.uniform(-1, 1) * look.lift * em - bend * wide * (1 - 4 * along * along)
            corner = (round(x - side / 2), round(y - side / 2))
            _over(layer, tile, corner)
            box = tile.getbbox()
            if box is not None:
                mark.rectangle(
                    (
                        corner[0] + box[0],
                        corner[1] + box[1],
                        corner[0] + box[2],
                        corner[1] + box[3],
                    ),
                    fill=255,
                )
        pen += step


def _over(layer: Image.Image, tile: Image.Image, corner: tuple[int, int]) -> None:
    """Paste where only a part may lie inside."""
    left, top = max(0, -corner[0]), max(0, -corner[1])
    right, bottom = (
        min(tile.width, layer.width - corner[0]),
        min(tile.height, layer.height - corner[1]),
    )
    if right > left and bottom > top:
        part = tile.crop((left, top, right, bottom))
        layer.alpha_composite(part, (corner[0] + left, corner[1] + top))


def _finished(drawer: Drawer, layer: Image.Image, marked: Image.Image) -> None:
    """Shaded, slanted, glowing, and with something in front."""
    rng = drawer.rng
    rgba = np.asarray(layer, np.float32).copy()
    mask = np.asarray(marked).copy()
    if rng.random() < 0.35:
        shade = np.linspace(rng.uniform(0.5, 1), rng.uniform(0.5, 1), HIGH, dtype=np.float32)
        rgba[..., :3] *= shade[:, None, None]
    if rng.random() < 0.4:
        moved = np.array([[0, 0], [WIDE, 0], [WIDE, HIGH], [0, HIGH]], np.float32)
        slant = rng.uniform(-0.12, 0.12, 2) * HIGH
        to = moved.copy()
        to[:, 0] += np.array([1, 1, -1, -1], np.float32) * slant[0]
        to[:, 1] += (
            np.array([1, -1, -1, 1], np.float32)
            * slant[1]
            * np.array([1, 1, 0.4, -0.4], np.float32)
        )
        matrix = cv2.getPerspectiveTransform(moved, to)
        rgba = cv2.warpPerspective(rgba, matrix, (WIDE, HIGH))
        mask = cv2.warpPerspective(mask, matrix, (WIDE, HIGH), flags=cv2.INTER_NEAREST)
    if rng.random() < 0.3:
        rgba = _in_front(rng, rgba)
    if rng.random() < 0.25:
        rgba = _glowing(drawer, rgba)
    layer.paste(Image.fromarray(np.clip(rgba, 0, 255).astype(np.uint8), "RGBA"))
    marked.paste(Image.fromarray(mask, "L"))


def _in_front(rng: np.random.Generator, rgba: Floats) -> Floats:
    """Holes where what is behind stands before the letters."""
    hole = np.zeros((HIGH, WIDE), np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        centre = rng.uniform(0.1, 0.9, 2) * [WIDE, HIGH]
        axes = rng.uniform(0.03, 0.16, 2) * HIGH
        cv2.ellipse(hole, (centre, axes * 2, float(rng.uniform(0, 180))), 255, -1)
    rgba[..., 3] *= 1 - cv2.GaussianBlur(hole, (0, 0), 1.5).astype(np.float32) / 255
    return rgba


def _glowing(drawer: Drawer, rgba: Floats) -> Floats:
    rng = drawer.rng
    halo = cv2.GaussianBlur(rgba[..., 3], (0, 0), rng.uniform(3, 10)) * rng.uniform(0.5, 0.9)
    own = rgba[..., 3:] / 255
    colour = np.array(drawer.colour(bool(rng.random() < 0.6)), np.float32)
    rgba[..., :3] = rgba[..., :3] * own + colour * (1 - own)
    rgba[..., 3] = np.maximum(rgba[..., 3], halo)
    return rgba


DRAWN_TITLES: Mapping[str, Callable[[Drawer, Any, Any], None]] = {"drawn": drawn, "arched": arched}
