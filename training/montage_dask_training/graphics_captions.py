"""Text laid over pictures, in the layouts that films and clips have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from montage_dask_training.graphics_drawing import HIGH, WIDE, Drawer, any_style, draw_line
from montage_dask_training.graphics_titles import DRAWN_TITLES

Picture = NDArray[np.uint8]

CAPTIONS = ("subtitle", "lower_third", "title", "credits", "words", "list", "corner", "drawn")
HELD_OUT_CAPTIONS = ("ticker", "poster", "arched")
"""Only the test knows these."""

ROLLING = ("credits", "ticker")
"""These may move on evenly."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """Text to lay over pictures."""

    rgba: NDArray[np.float32]
    """[HIGH, WIDE, 4]: colours 0 … 255, opacity 0 … 1."""
    mask: Picture
    """uint8 [HIGH, WIDE]: 255 where words are."""
    dim: float
    """Light of the picture below, while it is there."""
    drift: tuple[int, int]
    """Pixels right and down from one look to the next."""
    largest: float
    """Height of its largest font in pixels."""

    def moved(self, looks: int) -> Overlay:
        """As it is so many looks later."""
        right, down = (looks * v for v in self.drift)
        if not (right or down):
            return self
        way = (down, right)
        rgba, mask = np.roll(self.rgba, way, axis=(0, 1)), np.roll(self.mask, way, axis=(0, 1))
        return replace(self, rgba=rgba, mask=mask)

    def over(self, below: Picture, strength: float = 1.0) -> Picture:
        """Laid over a picture uint8 [HIGH, WIDE, 3]; `strength` 0 … 1 while it fades."""
        alpha = self.rgba[..., 3:] * strength
        light = 1 - (1 - self.dim) * strength
        return (self.rgba[..., :3] * alpha + below * (light * (1 - alpha))).astype(np.uint8)


def overlay(drawer: Drawer, kind: str) -> Overlay:
    """Text in one of the layouts that films and clips have.

    Args:
        drawer: draws it.
        kind: one of CAPTIONS or HELD_OUT_CAPTIONS.
    """
    rng = drawer.rng
    layer = Image.new("RGBA", (WIDE, HIGH), (0, 0, 0, 0))
    mask = Image.new("L", layer.size, 0)
    drawer.largest = 0.0
    if kind in DRAWN_TITLES:
        DRAWN_TITLES[kind](drawer, layer, mask)
    else:
        LAYOUTS[kind](drawer, ImageDraw.Draw(layer), ImageDraw.Draw(mask))
    rgba = np.asarray(layer, np.float32).copy()
    rgba[..., 3] *= (1.0 if rng.random() < 0.75 else rng.uniform(0.45, 1.0)) / 255
    darker = kind in ("title", "credits", "poster", "drawn") and rng.random() < 0.3
    dim = rng.uniform(0.25, 0.8) if darker else 1.0
    drift = (0, 0)
    if kind in ROLLING and rng.random() < 0.7:
        step = -int(rng.uniform(4, 40))
        drift = (0, step) if kind == "credits" else (step, 0)
    return Overlay(rgba, np.asarray(mask), dim, drift, drawer.largest)


def _subtitle(drawer: Drawer, draw: Any, marked: Any) -> None:
    rng = drawer.rng
    height = HIGH * rng.uniform(0.042, 0.085)
    font, style = drawer.font(height), any_style(drawer)
    if style == "plain":
        style = "outline"
    fill = ((255, 255, 255), (250, 250, 90), (230, 230, 230))[int(rng.integers(3))]
    y = HIGH * rng.uniform(0.84, 0.95)
    for _ in range(int(rng.integers(1, 3))):
        text = drawer.words(3, 7)
        draw_line(drawer, draw, marked, (WIDE / 2, y), text, font, fill, anchor="mm", style=style)
        y -= font.size * 1.25


def _lower_third(drawer: Drawer, draw: Any, marked: Any) -> None:
    rng = drawer.rng
    height = HIGH * rng.uniform(0.05, 0.1)
    left = WIDE * rng.uniform(0.04, 0.5)
    y = HIGH * rng.uniform(0.68, 0.86)
    width, tall = WIDE * rng.uniform(0.25, 0.55), height * 2.3
    light = bool(rng.random() < 0.4)
    if rng.random() < 0.75:
        back = (*drawer.colour(light), int(rng.uniform(140, 256)))
        draw.rectangle(
            (left - height * 0.4, y - height * 0.8, left + width, y - height * 0.8 + tall),
            fill=back,
        )
    fill = drawer.colour(not light)
    draw_line(
        drawer,
        draw,
        marked,
        (left, y),
        drawer.words(1, 3),
        drawer.font(height),
        fill,
        style="plain",
    )
    if rng.random() < 0.8:
        draw_line(
            drawer, draw, marked, (left, y + height * 1.05), drawer.words(1, 4),
            drawer.font(height * 0.65), fill, style="plain",
        )  # fmt: skip


def _title(drawer: Drawer, draw: Any, marked: Any) -> None:
    rng = drawer.rng
    height = HIGH * rng.uniform(0.09, 0.34)
    font, style, fill = drawer.font(height), any_style(drawer), drawer.colour(rng.random() < 0.75)
    x, y = WIDE * rng.uniform(0.35, 0.65), HIGH * rng.uniform(0.25, 0.7)
    for _ in range(int(rng.integers(1, 4))):
        draw_line(
            drawer, draw, marked, (x, y), drawer.words(1, 2), font, fill, anchor="mm", style=style
        )
        y += font.size * 1.2
    if rng.random() < 0.4:
        draw_line(
            drawer, draw, marked, (x, y), drawer.words(2, 5), drawer.font(height * 0.4), fill,
            anchor="mm", style=style,
        )  # fmt: skip


def _credits(drawer: Drawer, draw: Any, marked: Any) -> None:
    rng = drawer.rng
    height = HIGH * rng.uniform(0.032, 0.065)
    font, fill, style = drawer.font(height), drawer.colour(rng.random() < 0.85), any_style(drawer)
    style = style if style != "box" else "plain"
    gap = height * rng.uniform(1.2, 2.0)
    y = HIGH * rng.uniform(0.0, 0.3)
    columns = rng.random() < 0.5
    x = WIDE * rng.uniform(0.3, 0.7)
    while y < HIGH * rng.uniform(0.7, 1.1):
        if columns:
            draw_line(
                drawer,
                draw,
                marked,
                (x - 12, y),
                drawer.words(1, 2),
                font,
                fill,
                anchor="rm",
                style=style,
            )
            draw_line(
                drawer,
                draw,
                marked,
                (x + 12, y),
                drawer.words(1, 3),
                font,
                fill,
                anchor="lm",
                style=style,
            )
        else:
            draw_line(
                drawer,
                draw,
                marked,
                (x, y),
                drawer.words(1, 4),
                font,
                fill,
                anchor="mm",
                style=style,
            )
        y += gap


def _words(drawer: Drawer, draw: Any, marked: Any) -> None:
    rng = drawer.rng
    font = drawer.font(HIGH * rng.uniform(0.1, 0.2))
    x, y = WIDE * rng.uniform(0.3, 0.7), HIGH * rng.uniform(0.3, 0.85)
    draw_line(
        drawer, draw, marked, (x, y), drawer.words(1, 3), font, drawer.colour(rng.random() < 0.8),
        anchor="mm", style=("outline", "box", "shadow")[int(rng.integers(3))],
    )  # fmt: skip


def _list(drawer: Drawer, draw: Any, marked: Any) -> None:
    rng = drawer.rng
    font, fill = drawer.font(HIGH * rng.uniform(0.05, 0.09)), drawer.colour(rng.random() < 0.7)
    x, y, style = WIDE * rng.uniform(0.03, 0.4), HIGH * rng.uniform(0.1, 0.4), any_style(drawer)
    for _ in range(int(rng.integers(2, 6))):
        draw_line(drawer, draw, marked, (x, y), drawer.words(2, 5), font, fill, style=style)
        y += font.size * 1.4


def _corner(drawer: Drawer, draw: Any, marked: Any) -> None:
    rng = drawer.rng
    font = drawer.font(HIGH * rng.uniform(0.045, 0.075))
    right, low = rng.random() < 0.5, rng.random() < 0.5
    at = (WIDE * (0.96 if right else 0.04), HIGH * (0.93 if low else 0.07))
    digits = "".join(str(int(d)) for d in rng.integers(0, 10, 8))
    text = f"{digits[:2]}:{digits[2:4]}:{digits[4:6]}" if rng.random() < 0.5 else drawer.words(1, 2)
    draw_line(
        drawer,
        draw,
        marked,
        at,
        text,
        font,
        drawer.colour(True),
        anchor="rm" if right else "lm",
        style=any_style(drawer),
    )


def _ticker(drawer: Drawer, draw: Any, marked: Any) -> None:
    rng = drawer.rng
    height = HIGH * rng.uniform(0.05, 0.08)
    y, light = HIGH * rng.uniform(0.88, 0.95), bool(rng.random() < 0.5)
    draw.rectangle((0, y - height * 0.8, WIDE, y + height * 0.8), fill=(*drawer.colour(light), 240))
    draw_line(
        drawer,
        draw,
        marked,
        (-WIDE * rng.uniform(0, 0.2), y),
        drawer.words(10, 16),
        drawer.font(height),
        drawer.colour(not light),
    )


def _poster(drawer: Drawer, draw: Any, marked: Any) -> None:
    rng = drawer.rng
    fill, y = drawer.colour(rng.random() < 0.8), HIGH * rng.uniform(0.12, 0.25)
    for part in (0.2, 0.09, 0.06):
        draw_line(
            drawer,
            draw,
            marked,
            (WIDE * 0.06, y),
            drawer.words(1, 3),
            drawer.font(HIGH * part),
            fill,
            style=any_style(drawer),
        )
        y += HIGH * part * 1.3


LAYOUTS: Mapping[str, Callable[[Drawer, Any, Any], None]] = {
    "subtitle": _subtitle, "lower_third": _lower_third, "title": _title, "credits": _credits,
    "words": _words, "list": _list, "corner": _corner, "ticker": _ticker, "poster": _poster,
}  # fmt: skip
