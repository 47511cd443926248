"""Planes of 4:2:0 video as linear combinations for networks: to R'G'B' and back, on whatever device the planes are.

The matrices are those of ITU-R BT.601, BT.709 and BT.2020 (H.273, table 4). Chroma is taken as lying on the left, midway
between two rows, as H.264, HEVC and MPEG-2 have it unless they say otherwise. Nothing is clipped or rounded before the end: there
and back again changes luma by less than half a code value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from montage_dask.render.filters import matrix_of
from montage_dask.render.pictures import colour_tags

if TYPE_CHECKING:
    import torch

    from montage_dask.records import Source

    Planes = tuple[torch.Tensor, torch.Tensor, torch.Tensor]

WEIGHTS = {
    "bt709": (0.2126, 0.0722),
    "bt470bg": (0.299, 0.114),
    "smpte170m": (0.299, 0.114),
    "fcc": (0.30, 0.11),
    "smpte240m": (0.212, 0.087),
    "bt2020": (0.2627, 0.0593),
}
"""Weights of red and blue in luma, by the name that `matrix_of` gives."""


@dataclass(frozen=True, slots=True)
class Colour:
    """How planes mean colours."""

    matrix: str
    """One of WEIGHTS."""
    full_range: bool
    """0 … 255 instead of 16 … 235."""
    bit_depth: int = 8

    @classmethod
    def of(cls, source: Source, bit_depth: int = 8) -> Colour:
        """That of the planes of a source."""
        tagged = colour_tags(source)
        return cls(matrix_of(source), tagged.get("color_range") == "pc", bit_depth)

    @property
    def levels(self) -> tuple[float, float, float, float]:
        """Code value of black, luma's range, neutral chroma and chroma's range."""
        unit = float(1 << (self.bit_depth - 8))
        if self.full_range:
            top = (1 << self.bit_depth) - 1.0
            return 0.0, top, 128 * unit, top
        return 16 * unit, 219 * unit, 128 * unit, 224 * unit


def to_rgb(planes: Planes, colour: Colour) -> torch.Tensor:
    """Planes as R'G'B'.

    Args:
        planes: luma [height, width], both chromas [ceil(height / 2), ceil(width / 2)]; integers.
        colour: what they mean.

    Returns:
        float32 [1, 3, height, width]; 0 … 1 for colours of the display, a little outside for others.
    """
    import torch

    black, span, neutral, reach = colour.levels
    red, blue = WEIGHTS[colour.matrix]
    luma = (planes[0].float() - black) / span
    b, r = (_full_size((p.float() - neutral) / reach, *luma.shape) for p in planes[1:])
    r = luma + 2 * (1 - red) * r
    b = luma + 2 * (1 - blue) * b
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return torch.stack([r, g, b])[None]


def from_rgb(rgb: torch.Tensor, colour: Colour) -> Planes:
    """Planes of a picture in R'G'B'; rounded and clipped to code values on the device.

    Args:
        rgb: float32 [1, 3, height, width].
        colour: what the planes are to mean.

    Returns:
        Luma and both chromas: uint8, or int16 for more than 8 bits; shapes as `to_rgb` takes them.
    """
    black, span, neutral, reach = colour.levels
    red, blue = WEIGHTS[colour.matrix]
    r, g, b = rgb[0]
    luma = red * r + (1 - red - blue) * g + blue * b
    chromas = ((b - luma) / (2 * (1 - blue)), (r - luma) / (2 * (1 - red)))
    return (
        _codes(luma * span + black, colour),
        _codes(_half_size(chromas[0]) * reach + neutral, colour),
        _codes(_half_size(chromas[1]) * reach + neutral, colour),
    )


def _codes(values: torch.Tensor, colour: Colour) -> torch.Tensor:
    import torch

    kind = torch.uint8 if colour.bit_depth == 8 else torch.int16
    return values.round_().clamp_(0, (1 << colour.bit_depth) - 1).to(kind)


def _full_size(chroma: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """[h, w] → [height, width], linear: on the even columns, between them, and a quarter off the rows."""
    import torch

    right = torch.cat([chroma[:, 1:], chroma[:, -1:]], 1)
    wide = torch.stack([chroma, (chroma + right) / 2], 2).flatten(1)[:, :width]
    above = torch.cat([wide[:1], wide[:-1]])
    below = torch.cat([wide[1:], wide[-1:]])
    tall = torch.stack([0.75 * wide + 0.25 * above, 0.75 * wide + 0.25 * below], 1)
    return tall.flatten(0, 1)[:height]


def _half_size(chroma: torch.Tensor) -> torch.Tensor:
    """[height, width] → half of both, rounded up: columns weighted 1 2 1, rows 1 1."""
    from torch.nn import functional

    height, width = chroma.shape
    edged = functional.pad(chroma[None, None], (1, 1 + width % 2, 0, height % 2), mode="replicate")
    edged = edged[0, 0]
    rows = (edged[::2] + edged[1::2]) / 2
    left, middle, right = rows[:, :-2:2], rows[:, 1:-1:2], rows[:, 2::2]
    return (left + 2 * middle + right) / 4
