"""Lookup tables as numbers: read and composed with NumPy, applied to whole pictures with torch on any device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from montage_dask.records import Match

if TYPE_CHECKING:
    import torch

_LUMA = np.array([0.2126, 0.7152, 0.0722])

_SHADOWS = 0.2
"""Luma below which a match counts less. As it moves luma by 0.12 at most, brighter stays brighter."""

Table: TypeAlias = NDArray[np.float64]
"""[blue, green, red, 3]: the R'G'B' (0 … 1) of each point of a grid of R'G'B'."""

Colours: TypeAlias = NDArray[np.float64]
"""[..., 3] R'G'B', 0 … 1."""


def read_cube(path: Path) -> tuple[Table, Colours, Colours]:
    """The table of a .cube file that `grade.check_cube` has passed, and the first and last colour of its grid."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    rows = [row for row in (line.split("#")[0].split() for line in lines) if row]
    values = [[float(w) for w in row] for row in rows if not row[0][0].isalpha()]
    # ffmpeg overlooks a domain before the size; matched and other events of a montage must not differ in that.
    behind = rows[[row[0] for row in rows].index("LUT_3D_SIZE") :]
    domain = {
        row[0]: np.array([float(w) for w in row[1:4]]) for row in behind if "DOMAIN" in row[0]
    }
    size = round(len(values) ** (1 / 3))
    table = np.array(values).reshape(size, size, size, 3)
    return table, domain.get("DOMAIN_MIN", np.zeros(3)), domain.get("DOMAIN_MAX", np.ones(3))


def look_up(table: Table, colours: Colours) -> Colours:
    """Colours through a table, tetrahedral as ffmpeg does it: exact on greys and along edges of the grid."""
    size = len(table)
    scaled = np.clip(colours, 0, 1).reshape(-1, 3) * (size - 1)
    low = np.minimum(np.floor(scaled).astype(np.intp), size - 2)
    part = scaled - low
    # From the low corner of the cell to the high one, along red, green and blue in the order of their parts.
    order = np.argsort(-part, axis=1, kind="stable")
    rows = np.arange(len(part))
    corner = low.copy()
    result = table[corner[:, 2], corner[:, 1], corner[:, 0]]
    for k in range(3):
        before = table[corner[:, 2], corner[:, 1], corner[:, 0]]
        corner[rows, order[:, k]] += 1
        after = table[corner[:, 2], corner[:, 1], corner[:, 0]]
        result = result + part[rows, order[:, k]][:, None] * (after - before)
    return result.reshape(colours.shape)


def matched(colours: Colours, match: Match | None) -> Colours:
    """Colours after a match, 0 … 1. It grows from nothing at black: no camera tints what it does not see."""
    if match is None:
        return colours
    matrix = np.array(match.matrix, float).reshape(3, 3) / Match.UNIT
    change = colours @ matrix.T + np.array(match.offset) / Match.UNIT - colours
    share = np.clip((colours @ _LUMA)[..., None] / _SHADOWS, 0, 1)
    return np.clip(colours + share * change, 0, 1)


def apply_lut(
    rgb: Any, table: Table, *, device: str = "cpu", precision: str = "float32"
) -> torch.Tensor:
    """Pictures through a table, trilinear, by torch's `grid_sample`.

    In float32 an identity table changes no byte, and all presets agree with tetrahedral interpolation (`look_up`, ffmpeg's
    `lut3d`) within 1 code value of 255, rounding aside. float16 differs from float32 by 1 code value at most, bfloat16 by 4:
    its coordinates have 8 bits.

    Args:
        rgb: [n, height, width, 3] R'G'B': uint8 of 0 … 255, or floating of 0 … 1; NumPy or torch.
        table: [size, size, size, 3].
        device: "cpu", "cuda" or "cuda:0".
        precision: float32, float16 or bfloat16.

    Returns:
        Of the shape and type of `rgb`, on the device.
    """
    import torch
    from torch.nn import functional

    pictures = torch.as_tensor(rgb).to(device)
    kind = getattr(torch, precision)
    whole = pictures.dtype == torch.uint8
    volume = torch.as_tensor(table, device=device).to(kind).permute(3, 0, 1, 2)[None]
    # One picture at a time: five floats a pixel, whatever the batch.
    done = []
    with torch.inference_mode():
        for picture in pictures:
            # Red runs fastest: it is x. −1 and 1 are the middles of the outermost points.
            grid = picture.to(kind) * (2 / 255 if whole else 2) - 1
            graded = functional.grid_sample(
                volume, grid[None, None], mode="bilinear", padding_mode="border", align_corners=True
            )[0, :, 0].permute(1, 2, 0)
            if whole:
                graded = (graded.float() * 255).round().clamp(0, 255)
            done.append(graded.to(pictures.dtype))
    return torch.stack(done)
