"""Text laid over pictures, in the layouts that films and clips have; and text that belongs to a scene."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from montage_dask.training.graphics_drawing import HIGH, WIDE, Drawer, any_style, draw_line

Picture = NDArray[np.uint8]

CAPTIONS = ("subtitle", "lower_third", "title", "credits", "words", "list", "corner")
HELD_OUT_CAPTIONS = ("ticker", "poster")
"""Only the test knows these."""

LEAST_VISIBLE = 18.0
"""Grey levels by which words must differ from what is below them, or nobody could read them."""

HIDDEN = 1
"""Marks where words are that cannot be read."""


def caption(drawer: Drawer, background: Picture, kind: str) -> tuple[Picture, Picture]:
    """Text laid over a picture.

    Args:
        drawer: draws it.
        background: uint8 [HIGH, WIDE, 3].
        kind: one of CAPTIONS or HELD_OUT_CAPTIONS.

    Returns:
        The picture, and uint8 [HIGH, WIDE]: 255 where words are, HIDDEN where they cannot be read.
    """
    rng = drawer.rng
    base = Image.fromarray(background)
    layer = Image.new("RGBA", base.size, (0, 0, 0, 0))
    mask = Image.new("L", base.size, 0)
    draw, marked = ImageDraw.Draw(layer), ImageDraw.Draw(mask)
    LAYOUTS[kind](drawer, draw, marked)
    strength = 1.0 if rng.random() < 0.75 else rng.uniform(0.45, 1.0)
    over = np.asarray(layer, np.float32)
    alpha = over[..., 3:] / 255 * strength
    below = background.astype(np.float32)
    if kind in ("title", "credits", "poster") and rng.random() < 0.4:
        below *= rng.uniform(0.25, 0.8)
    picture = over[..., :3] * alpha + below * (1 - alpha)
    places = np.asarray(mask)
    seen = np.abs(picture - below)[np.asarray(layer)[..., 3] > 0]
    visible = len(seen) > 0 and float(np.percentile(seen, 75)) >= LEAST_VISIBLE
    return picture.astype(np.uint8), places if visible else np.minimum(places, HIDDEN)


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
    height = HIGH * rng.uniform(0.09, 0.28)
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


def scene_text(drawer: Drawer, background: Picture) -> Picture:
    """Text that is in the scene: on a board, turned and tilted, lit and blurred as what is around it."""
    rng = drawer.rng
    wide, high = int(rng.uniform(60, 220)), int(rng.uniform(24, 90))
    light = bool(rng.random() < 0.5)
    board = Image.new("RGB", (wide, high), drawer.colour(light))
    draw = ImageDraw.Draw(board)
    size = high / (1.4 if rng.random() < 0.5 else 2.8)
    fill, y = drawer.colour(not light), high * 0.3
    while y < high:
        draw.text((wide / 2, y), drawer.words(1, 2), font=drawer.font(size), fill=fill, anchor="mm")
        y += size * 1.3
    corners = np.array([[0, 0], [wide, 0], [wide, high], [0, high]], np.float32)
    turn = np.deg2rad(rng.uniform(-25, 25) if rng.random() < 0.7 else rng.uniform(-8, 8))
    middle = np.array([rng.uniform(0.1, 0.9) * WIDE, rng.uniform(0.1, 0.9) * HIGH])
    grown = (corners - [wide / 2, high / 2]) * rng.uniform(0.5, 1.3)
    turned = grown @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    turned += rng.normal(0, 0.1, (4, 2)) * [wide, high]
    matrix = cv2.getPerspectiveTransform(corners, (turned + middle).astype(np.float32))
    lit = (
        np.asarray(board, np.float32)
        * np.linspace(rng.uniform(0.5, 1), rng.uniform(0.5, 1), wide)[None, :, None]
    )
    lit = lit * rng.uniform(0.5, 1.0) + rng.uniform(0, 30)
    laid = cv2.warpPerspective(lit.astype(np.float32), matrix, (WIDE, HIGH))
    alpha = cv2.warpPerspective(np.ones((high, wide), np.float32), matrix, (WIDE, HIGH))
    blur = rng.uniform(0.6, 2.2)
    laid, alpha = (
        cv2.GaussianBlur(laid, (0, 0), blur),
        cv2.GaussianBlur(alpha, (0, 0), blur)[..., None],
    )
    return np.clip(laid * alpha + background * (1 - alpha), 0, 255).astype(np.uint8)
