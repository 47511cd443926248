"""Pictures of nothing: test bars, ramps, grids, flat shapes, slides, charts, screens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from montage_dask_training.graphics_captions import LAYOUTS
from montage_dask_training.graphics_drawing import HIGH, WIDE, Drawer, draw_line

Picture = NDArray[np.uint8]

CARDS = (
    "bars", "ramp", "grid", "flat", "shapes", "slide", "chart", "screen", "countdown", "text_card", "dashboard", "panels",
)  # fmt: skip
HELD_OUT_CARDS = ("hd_bars", "sheet")
"""Only the test knows these."""

LAYOUTS_ALONE = ("title", "credits", "words", "subtitle", "list")
"""Of captions that fill a card of their own."""


def card(drawer: Drawer, kind: str) -> tuple[Picture, Picture]:
    """A picture of nothing: bars, ramps, grids, flat shapes, slides, charts, screens; and where words are."""
    picture = Image.new("RGB", (WIDE, HIGH), drawer.colour(None))
    mask = Image.new("L", picture.size, 0)
    _CARDS[kind](drawer, ImageDraw.Draw(picture, "RGBA"), ImageDraw.Draw(mask))
    return np.asarray(picture), np.asarray(mask)


BAR_COLOURS = (
    (191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0), (191, 0, 191), (191, 0, 0), (0, 0, 191),
)  # fmt: skip


def _bars(drawer: Drawer, draw: Any, marked: Any) -> None:
    rng = drawer.rng
    gain = rng.choice([1.0, 1.33])
    colours = [tuple(min(255, int(v * gain)) for v in c) for c in BAR_COLOURS]
    if rng.random() < 0.4:
        colours = [colours[int(k)] for k in rng.permutation(len(colours))]
    if rng.random() < 0.4:
        colours = [(255, 255, 255), *colours, (0, 0, 0)]
    rows = 1 if rng.random() < 0.4 else int(rng.integers(2, 5))
    edges = np.concatenate([[0], np.sort(rng.uniform(0.3, 1, rows - 1)), [1]]) * HIGH
    for row in range(rows):
        these = (
            colours
            if row == 0
            else [colours[int(k)] for k in rng.integers(len(colours), size=rng.integers(2, 9))]
        )
        if row and rng.random() < 0.4:
            these = [(int(g),) * 3 for g in np.linspace(0, 255, int(rng.integers(2, 12)))]
        step = WIDE / len(these)
        for k, c in enumerate(these):
            box = (k * step, edges[row], (k + 1) * step, edges[row + 1])
            draw.rectangle(box, fill=c)
    if rng.random() < 0.3:
        r = HIGH * rng.uniform(0.2, 0.48)
        draw.ellipse(
            (WIDE / 2 - r, HIGH / 2 - r, WIDE / 2 + r, HIGH / 2 + r),
            outline=(255, 255, 255),
            width=int(rng.uniform(1, 6)),
        )
    if rng.random() < 0.3:
        draw_line(
            drawer,
            draw,
            marked,
            (WIDE / 2, HIGH * rng.uniform(0.3, 0.8)),
            drawer.words(1, 2),
            drawer.font(HIGH * 0.1),
            (255, 255, 255),
            anchor="mm",
            style="box",
        )


def _ramp(drawer: Drawer, draw: Any, marked: Any) -> None:
    rng = drawer.rng
    low, high = np.array(drawer.colour(False)), np.array(drawer.colour(True))
    steps = int(rng.choice([4, 5, 8, 11, 16]))
    upright = rng.random() < 0.3
    for k in range(steps):
        c = tuple(int(v) for v in low + (high - low) * k / max(1, steps - 1))
        a, b = k / steps, (k + 1) / steps
        draw.rectangle(
            (0, a * HIGH, WIDE, b * HIGH) if upright else (a * WIDE, 0, b * WIDE, HIGH), fill=c
        )


def _grid(drawer: Drawer, draw: Any, marked: Any) -> None:
    rng = drawer.rng
    a, b = drawer.colour(True), drawer.colour(False)
    size = HIGH / int(rng.integers(3, 16))
    draw.rectangle((0, 0, WIDE, HIGH), fill=a)
    checks, width = rng.random() < 0.5, max(1, int(size * rng.uniform(0.03, 0.12)))
    for i in range(int(WIDE / size) + 1):
        if not checks:
            draw.line((i * size, 0, i * size, HIGH), fill=b, width=width)
        for j in range(int(HIGH / size) + 1):
            if checks and (i + j) % 2:
                draw.rectangle((i * size, j * size, (i + 1) * size, (j + 1) * size), fill=b)
            if not checks and i == 0:
                draw.line((0, j * size, WIDE, j * size), fill=b, width=width)
    if rng.random() < 0.5:
        r = HIGH * rng.uniform(0.2, 0.48)
        draw.ellipse(
            (WIDE / 2 - r, HIGH / 2 - r, WIDE / 2 + r, HIGH / 2 + r),
            outline=drawer.colour(),
            width=3,
        )


def _flat(drawer: Drawer, draw: Any, marked: Any) -> None:
    """A logo on one colour. (One colour alone may be a sky: what is empty is told by its contrast.)"""
    rng = drawer.rng
    x, y, r = (
        WIDE * rng.uniform(0.3, 0.7),
        HIGH * rng.uniform(0.3, 0.7),
        HIGH * rng.uniform(0.08, 0.3),
    )
    for _ in range(int(rng.integers(2, 6))):
        dx, dy = rng.uniform(-r, r, 2)
        box = (x + dx - r, y + dy - r, x + dx + r, y + dy + r)
        (draw.ellipse if rng.random() < 0.5 else draw.rectangle)(box, fill=drawer.colour())


def _shapes(drawer: Drawer, draw: Any, marked: Any) -> None:
    rng = drawer.rng
    for _ in range(int(rng.integers(3, 14))):
        kind, c = int(rng.integers(4)), drawer.colour()
        x, y = rng.uniform(-0.1, 1.1, 2) * [WIDE, HIGH]
        w, h = rng.uniform(0.05, 0.5, 2) * [WIDE, HIGH]
        if kind == 0:
            draw.rectangle((x, y, x + w, y + h), fill=c)
        elif kind == 1:
            draw.ellipse((x, y, x + w, y + h), fill=c)
        elif kind == 2:
            draw.polygon([tuple(p) for p in rng.uniform(0, 1, (3, 2)) * [WIDE, HIGH]], fill=c)
        else:
            draw.line((x, y, x + w, y + h), fill=c, width=int(rng.uniform(2, 14)))


def _slide(drawer: Drawer, draw: Any, marked: Any) -> None:
    rng = drawer.rng
    light = bool(rng.random() < 0.7)
    draw.rectangle((0, 0, WIDE, HIGH), fill=drawer.colour(light))
    fill, y = drawer.colour(not light), HIGH * 0.14
    if rng.random() < 0.5:
        draw.rectangle((0, 0, WIDE, HIGH * 0.25), fill=drawer.colour())
    draw_line(
        drawer, draw, marked, (WIDE * 0.06, y), drawer.words(2, 4), drawer.font(HIGH * 0.1), fill
    )
    y, size = HIGH * 0.35, HIGH * rng.uniform(0.04, 0.07)
    while y < HIGH * 0.92:
        draw_line(
            drawer, draw, marked, (WIDE * 0.1, y), drawer.words(3, 8), drawer.font(size), fill
        )
        y += size * rng.uniform(1.3, 2)


def _chart(drawer: Drawer, draw: Any, marked: Any) -> None:
    rng = drawer.rng
    draw.rectangle((0, 0, WIDE, HIGH), fill=drawer.colour(rng.random() < 0.7))
    bars, c = int(rng.integers(4, 16)), drawer.colour()
    tall = rng.uniform(0.1, 0.75, bars) * HIGH
    step = WIDE * 0.8 / bars
    points = [(WIDE * 0.1 + (k + 0.5) * step, HIGH * 0.88 - t) for k, t in enumerate(tall)]
    if rng.random() < 0.5:
        for (x, y), _ in zip(points, tall, strict=True):
            draw.rectangle((x - step * 0.35, y, x + step * 0.35, HIGH * 0.88), fill=c)
    else:
        draw.line(points, fill=c, width=4)
    axis = drawer.colour(False)
    draw.line(
        (WIDE * 0.1, HIGH * 0.05, WIDE * 0.1, HIGH * 0.88, WIDE * 0.9, HIGH * 0.88),
        fill=axis,
        width=2,
    )
    for k in range(3):
        draw_line(
            drawer,
            draw,
            marked,
            (WIDE * 0.02, HIGH * (0.2 + 0.3 * k)),
            str(int(rng.integers(1000))),
            drawer.font(HIGH * 0.05),
            axis,
        )


def _screen(drawer: Drawer, draw: Any, marked: Any) -> None:
    """A desktop, an editor, a browser."""
    rng = drawer.rng
    dark = bool(rng.random() < 0.5)
    draw.rectangle((0, 0, WIDE, HIGH), fill=drawer.colour(not dark))
    fill, size = drawer.colour(dark), HIGH * rng.uniform(0.026, 0.045)
    draw.rectangle((0, 0, WIDE, HIGH * 0.07), fill=drawer.colour())
    side = WIDE * rng.uniform(0.0, 0.3)
    draw.rectangle((0, HIGH * 0.07, side, HIGH), fill=drawer.colour(not dark))
    y = HIGH * 0.12
    while y < HIGH:
        if side > 40:
            draw_line(drawer, draw, marked, (6, y), drawer.words(1, 1), drawer.font(size), fill)
        if rng.random() < 0.85:
            x = side + 12 + int(rng.integers(0, 4)) * 14
            draw_line(
                drawer,
                draw,
                marked,
                (x, y),
                drawer.words(1, 8),
                drawer.font(size),
                drawer.colour(dark) if rng.random() < 0.3 else fill,
            )
        y += size * 1.35
    for _ in range(int(rng.integers(0, 3))):
        x, y = rng.uniform(0.2, 0.8, 2) * [WIDE, HIGH]
        w, h = rng.uniform(0.1, 0.4, 2) * [WIDE, HIGH]
        draw.rectangle((x, y, x + w, y + h), fill=drawer.colour(), outline=(128, 128, 128))
        draw.rectangle((x, y, x + w, y + 10), fill=drawer.colour())


def _countdown(drawer: Drawer, draw: Any, marked: Any) -> None:
    rng = drawer.rng
    light = bool(rng.random() < 0.5)
    draw.rectangle((0, 0, WIDE, HIGH), fill=drawer.colour(light))
    fill = drawer.colour(not light)
    for r in rng.uniform(0.25, 0.48, 2) * HIGH:
        draw.ellipse(
            (WIDE / 2 - r, HIGH / 2 - r, WIDE / 2 + r, HIGH / 2 + r), outline=fill, width=3
        )
    draw.line((0, HIGH / 2, WIDE, HIGH / 2), fill=fill, width=2)
    draw.line((WIDE / 2, 0, WIDE / 2, HIGH), fill=fill, width=2)
    draw_line(
        drawer,
        draw,
        marked,
        (WIDE / 2, HIGH / 2),
        str(int(rng.integers(10))),
        drawer.font(HIGH * 0.5),
        fill,
        anchor="mm",
    )


def _text_card(drawer: Drawer, draw: Any, marked: Any) -> None:
    rng = drawer.rng
    dark = bool(rng.random() < 0.75)
    draw.rectangle(
        (0, 0, WIDE, HIGH),
        fill=(0, 0, 0) if dark and rng.random() < 0.6 else drawer.colour(not dark),
    )
    layout = LAYOUTS[LAYOUTS_ALONE[int(rng.integers(len(LAYOUTS_ALONE)))]]

    class Toned(Drawer):
        def colour(self, light: bool | None = None) -> tuple[int, int, int]:
            return super().colour(dark)

    layout(Toned(rng, drawer._fonts), draw, marked)


def _hd_bars(drawer: Drawer, draw: Any, marked: Any) -> None:
    draw.rectangle((0, 0, WIDE, HIGH), fill=(104, 104, 104))
    step = WIDE * 0.75 / 7
    for k, c in enumerate(BAR_COLOURS):
        draw.rectangle((WIDE / 8 + k * step, 0, WIDE / 8 + (k + 1) * step, HIGH * 7 / 12), fill=c)
    for row, (left, right) in enumerate(
        (((0, 255, 255), (0, 0, 255)), ((255, 255, 0), (255, 0, 0)))
    ):
        y = HIGH * (7 + row) / 12
        draw.rectangle((0, y, WIDE / 8, y + HIGH / 12), fill=left)
        draw.rectangle((WIDE / 8, y, WIDE * 7 / 8, y + HIGH / 12), fill=(191, 191, 191))
        draw.rectangle((WIDE * 7 / 8, y, WIDE, y + HIGH / 12), fill=right)
    draw.rectangle((0, HIGH * 9 / 12, WIDE, HIGH), fill=(15, 15, 15))
    draw.rectangle((WIDE * 0.3, HIGH * 9 / 12, WIDE * 0.5, HIGH), fill=(255, 255, 255))


def _dashboard(drawer: Drawer, draw: Any, marked: Any) -> None:
    rng = drawer.rng
    dark = bool(rng.random() < 0.6)
    draw.rectangle((0, 0, WIDE, HIGH), fill=drawer.colour(not dark))
    for i in range(3):
        for j in range(2):
            x, y = WIDE * (0.03 + 0.33 * i), HIGH * (0.06 + 0.48 * j)
            draw.rectangle((x, y, x + WIDE * 0.29, y + HIGH * 0.42), fill=drawer.colour(not dark))
            draw_line(
                drawer,
                draw,
                marked,
                (x + 6, y + 14),
                drawer.words(1, 2),
                drawer.font(HIGH * 0.05),
                drawer.colour(dark),
            )
            points = [
                (x + WIDE * 0.29 * k / 9, y + HIGH * (0.4 - 0.25 * rng.random())) for k in range(10)
            ]
            draw.line(points, fill=drawer.colour(), width=3)


def _panels(drawer: Drawer, draw: Any, marked: Any) -> None:
    """Boxes beside each other with something small in each."""
    rng = drawer.rng
    draw.rectangle((0, 0, WIDE, HIGH), fill=drawer.colour())
    columns, rows = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    gap = rng.uniform(0.01, 0.04) * HIGH
    w, h = WIDE / columns, HIGH / rows
    for i in range(columns):
        for j in range(rows):
            x, y, c = i * w + gap, j * h + gap, drawer.colour()
            draw.rectangle((x, y, x + w - 2 * gap, y + h - 2 * gap), fill=c)
            kind = int(rng.integers(4))
            if kind == 0:
                r = min(w, h) * rng.uniform(0.1, 0.3)
                draw.ellipse(
                    (x + w / 2 - r, y + h / 2 - r, x + w / 2 + r, y + h / 2 + r),
                    fill=drawer.colour(),
                )
            elif kind == 1:
                points = rng.uniform(0.1, 0.9, (int(rng.integers(3, 12)), 2)) * [w, h] + [x, y]
                draw.line(
                    [tuple(p) for p in points[points[:, 0].argsort()]],
                    fill=drawer.colour(),
                    width=3,
                )
            elif kind == 2:
                draw_line(
                    drawer,
                    draw,
                    marked,
                    (x + w * 0.08, y + h * 0.3),
                    drawer.words(1, 3),
                    drawer.font(h * 0.16),
                    drawer.colour(sum(c) < 380),
                )


def _sheet(drawer: Drawer, draw: Any, marked: Any) -> None:
    """A table of figures."""
    rng = drawer.rng
    draw.rectangle((0, 0, WIDE, HIGH), fill=(250, 250, 250))
    columns, rows = int(rng.integers(4, 9)), int(rng.integers(8, 16))
    w, h = WIDE / columns, HIGH / rows
    for i in range(columns):
        draw.line((i * w, 0, i * w, HIGH), fill=(190, 190, 190), width=1)
        for j in range(rows):
            if i == 0:
                draw.line((0, j * h, WIDE, j * h), fill=(190, 190, 190), width=1)
            if rng.random() < 0.8:
                text = str(int(rng.integers(10**5))) if i and j else drawer.words(1, 1)
                draw_line(
                    drawer,
                    draw,
                    marked,
                    (i * w + 4, j * h + h / 2),
                    text,
                    drawer.font(h * 0.6),
                    (20, 20, 20),
                )


_CARDS: Mapping[str, Callable[[Drawer, Any, Any], None]] = {
    "bars": _bars, "ramp": _ramp, "grid": _grid, "flat": _flat, "shapes": _shapes, "slide": _slide, "chart": _chart,
    "screen": _screen, "countdown": _countdown, "text_card": _text_card, "hd_bars": _hd_bars, "dashboard": _dashboard,
    "panels": _panels, "sheet": _sheet,
}  # fmt: skip
