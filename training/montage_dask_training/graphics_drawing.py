"""Drawing words and colours for pictures that the graphics network learns from: fonts, letters, one line of text."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from PIL import ImageFont

from montage_dask.analysis.graphics_network import HEIGHT, WIDTH

SCALE = 2
"""How much larger pictures are drawn."""

WIDE, HIGH = WIDTH * SCALE, HEIGHT * SCALE

LATIN = (
    string.ascii_letters,
    string.ascii_uppercase,
    string.ascii_lowercase,
    string.ascii_letters + string.digits,
    "abcdefghijklmnopqrstuvwxyzäöüßéèçñåø",
)


class Drawer:
    """Draws with the fonts that it was given.

    Args:
        rng: decides everything.
        fonts: paths of TrueType or OpenType fonts.
    """

    def __init__(self, rng: np.random.Generator, fonts: Sequence[str]) -> None:
        self.rng = rng
        self._fonts = fonts

        self._path = fonts[int(rng.integers(len(fonts)))]
        self._letters = letters(self._path)
        self.largest = 0.0
        """Height of the largest font that was taken since this was set to 0, in pixels of the drawn picture."""

    def font(self, height: float) -> Any:
        """A font whose lines are about so many pixels high; a drawer has one font."""
        self.largest = max(self.largest, height)
        return ImageFont.truetype(self._path, max(7, round(height)))

    def words(self, least: int, most: int) -> str:
        """Words without a meaning, as long as words are, in letters that the font has."""
        rng = self.rng
        alphabet = self._letters or LATIN[int(rng.integers(len(LATIN)))]
        made = []
        for _ in range(int(rng.integers(least, most + 1))):
            length = int(np.clip(rng.poisson(4.5) + 1, 1, 12))
            word = "".join(alphabet[int(i)] for i in rng.integers(len(alphabet), size=length))
            made.append(word.capitalize() if rng.random() < 0.4 else word)
        text = " ".join(made)
        return text.upper() if rng.random() < 0.2 else text

    def colour(self, light: bool | None = None) -> tuple[int, int, int]:
        """Any colour; a light or a dark one on request."""
        rng = self.rng
        if light is None:
            light = bool(rng.random() < 0.5)
        grey = rng.random() < 0.5
        base = rng.uniform(175, 256) if light else rng.uniform(0, 90)
        if grey:
            return (int(base),) * 3
        r, g, b = (int(np.clip(base + v, 0, 255)) for v in rng.uniform(-110, 110, 3))
        return r, g, b


@cache
def letters(font: str) -> str:
    """The letters of a font for another script than Latin; empty for one that has Latin."""
    from fontTools.ttLib import TTFont

    known = TTFont(font, fontNumber=0, lazy=True).getBestCmap()
    if all(ord(c) in known for c in string.ascii_letters + string.digits):
        return ""
    found = [chr(c) for c in sorted(known) if unicodedata.category(chr(c)) in ("Lo", "Lu", "Ll")]
    return "".join(found[:: max(1, len(found) // 3000)])


def draw_line(
    drawer: Drawer,
    draw: Any,
    marked: Any,
    at: tuple[float, float],
    text: str,
    font: Any,
    fill: tuple[int, int, int],
    *,
    anchor: str = "lm",
    style: str = "plain",
) -> tuple[float, float, float, float]:
    """One line of text, marked word by word; returns its box."""
    rng = drawer.rng
    light = sum(fill) > 380
    edge = (0, 0, 0) if light else (255, 255, 255)
    size = font.size
    stroke = max(1, round(size * rng.uniform(0.05, 0.12))) if style == "outline" else 0
    if style == "shadow":
        off = max(1, size * rng.uniform(0.04, 0.1))
        draw.text((at[0] + off, at[1] + off), text, font=font, fill=(*edge, 200), anchor=anchor)
    box = draw.textbbox(at, text, font=font, anchor=anchor, stroke_width=stroke)
    if style == "box":
        pad = size * rng.uniform(0.1, 0.35)
        back = (*edge, int(rng.uniform(110, 256)))
        draw.rectangle((box[0] - pad, box[1] - pad, box[2] + pad, box[3] + pad), fill=back)
    draw.text(
        at, text, font=font, fill=(*fill, 255), anchor=anchor, stroke_width=stroke,
        stroke_fill=(*edge, 255),
    )  # fmt: skip
    marked.rectangle(box, fill=255)
    return box


def any_style(drawer: Drawer) -> str:
    return ("plain", "outline", "shadow", "box")[int(drawer.rng.choice(4, p=(0.3, 0.3, 0.2, 0.2)))]
