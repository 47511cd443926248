"""What a 48×27 thumbnail looks like, as a vector: where it is light, where edges of which direction are, where which colour.

Three descriptions that computer vision has long used, on a coarse grid: the low frequencies of luma (a DCT layout, as
MPEG-7's colour layout), energies of oriented gradients per cell (Oliva and Torralba, "Modeling the shape of the scene",
2001; Dalal and Triggs, 2005), and chromaticities per cell. Exposure, contrast and most of a grade drop out. Each is split
into its mirror-even part and the magnitude of its mirror-odd part, so that a mirrored picture has the same vector.

The arithmetic is written once, over the functions that NumPy and torch name alike. Every picture is worked out by itself
(products of small matrices, sums over one row), so its vector does not depend on the batch it came in.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montage_dask.analysis.features import HEIGHT, WIDTH

VERSION = 1
"""Raised when the same picture gets another vector."""

_ROWS, _COLUMNS = 6, 8
"""The grid of the layout (frequencies) and of the edges (cells)."""

_COLOUR_ROWS, _COLOUR_COLUMNS = 3, 4
_DIRECTIONS = 4

_LAYOUT_WEIGHT, _EDGE_WEIGHT, _COLOUR_WEIGHT = 0.6, 0.9, 0.7
_ODD_WEIGHT = 1.7
"""Weights chosen on one half of the footage and drawn scenes of `tests/analysis/made_looks.py`'s kind, judged on the other."""

_COMMON_COLOUR = 0.3
"""The share of the mean colour that is taken away: white balance moves it, but it tells scenes apart, too."""

# Below these strengths a part is mostly noise: it counts less, instead of being blown up.
_FAINT_LAYOUT, _FAINT_EDGES, _FAINT_COLOUR = 1.0, 0.5, 0.1
_EMPTY_WEIGHT = 0.05
"""All that is left of an empty picture, which so gets a direction of its own."""


def describe(pixels: Any, xp: ModuleType) -> Any:
    """The vectors of pictures.

    Args:
        pixels: RGB, 0 … 255, [n, 27, 48, 3]: a floating NumPy array or torch tensor.
        xp: `numpy` or `torch`, whichever `pixels` belongs to.

    Returns:
        Unit vectors [n, `SIZE`] of the same kind.
    """
    n = len(pixels)
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    light = 0.299 * red + 0.587 * green + 0.114 * blue
    empty = _EMPTY_WEIGHT * xp.ones_like(light[:, 0, :1])
    parts = [*_layout(light, xp), *_edges(light, xp), *_colours(red, green, blue, xp), empty]
    return unit(xp.concatenate([p.reshape(n, -1) for p in parts], 1), xp)


def unit(vectors: Any, xp: ModuleType) -> Any:
    """Rows of length 1; rows of zeros stay."""
    return vectors / (_lengths(vectors, xp) + 1e-9)


def _lengths(rows: Any, xp: ModuleType) -> Any:
    return xp.sqrt((rows * rows).sum(-1))[:, None]


def _layout(light: Any, xp: ModuleType) -> list[Any]:
    """Low frequencies without the mean, the strong ones held back."""
    n = len(light)
    low = _like(_cosines(HEIGHT, _ROWS), light, xp) @ light
    low = low @ _like(_cosines(WIDTH, _COLUMNS).T, light, xp)
    flat = low.reshape(n, -1)[:, 1:]
    strength = _lengths(flat, xp)
    root = xp.sign(low) * xp.abs(low) ** 0.7
    # The mean is no layout.
    root = root * _like(_without_mean(), light, xp)
    root = unit(root.reshape(n, -1), xp) * (strength / (strength + _FAINT_LAYOUT))
    root = _LAYOUT_WEIGHT * root.reshape(n, _ROWS, _COLUMNS)
    # Mirroring turns the sign of every other column.
    return [root[..., 0::2], _magnitude(root[..., 1::2].reshape(n, -1), xp)]


def _edges(light: Any, xp: ModuleType) -> list[Any]:
    """Energy of edges of each direction in each cell; cells overlap, so that a small shift changes little."""
    n = len(light)
    across = 0.5 * (light[:, 1:-1, 2:] - light[:, 1:-1, :-2])
    down = 0.5 * (light[:, 2:, 1:-1] - light[:, :-2, 1:-1])
    strength = xp.sqrt(across * across + down * down) + 1e-6
    rows = _like(_cells(HEIGHT - 2, _ROWS), light, xp)
    columns = _like(_cells(WIDTH - 2, _COLUMNS).T, light, xp)
    energies = []
    for k in range(_DIRECTIONS):
        turn = math.pi * (k + 0.5) / _DIRECTIONS
        along = (math.cos(turn) * across + math.sin(turn) * down) / strength
        energies.append(rows @ (strength * along**4) @ columns)
    energy = xp.stack(energies, 1)
    flat = energy.reshape(n, -1)
    total = flat.mean(-1)[:, None]
    root = xp.sqrt(flat)
    root = unit(root - root.mean(-1)[:, None], xp) * (total / (total + _FAINT_EDGES))
    root = _EDGE_WEIGHT * root.reshape(n, _DIRECTIONS, _ROWS, _COLUMNS)
    # Mirroring turns the order of the columns and that of the directions.
    return _halves(root, xp.flip(root, (1, 3)), xp)


def _colours(red: Any, green: Any, blue: Any, xp: ModuleType) -> list[Any]:
    """Chromaticity of each cell, whatever the light; nothing for a grey picture."""
    n = len(red)
    bright = red + green + blue + 60.0
    rows = _like(_cells(HEIGHT, _COLOUR_ROWS, mean=True), red, xp)
    columns = _like(_cells(WIDTH, _COLOUR_COLUMNS, mean=True).T, red, xp)
    planes = []
    for channel in ((red - green) / bright, (0.5 * (red + green) - blue) / bright):
        cells = rows @ channel @ columns
        common = cells.reshape(n, -1).mean(-1)[:, None, None]
        planes.append(cells - _COMMON_COLOUR * common)
    colour = xp.stack(planes, 1)
    length = _lengths(colour.reshape(n, -1), xp)[..., None, None]
    colour = colour * (_COLOUR_WEIGHT / (length + _FAINT_COLOUR))
    return _halves(colour, xp.flip(colour, (3,)), xp)


def _halves(values: Any, mirrored: Any, xp: ModuleType) -> list[Any]:
    """Mirror-even part and magnitude of the mirror-odd part; the right half says the same again."""
    half = values.shape[-1] // 2
    even = (values + mirrored)[..., :half] * math.sqrt(0.5)
    odd = (values - mirrored)[..., :half] * math.sqrt(0.5)
    return [even, _magnitude(odd.reshape(len(values), -1), xp)]


def _magnitude(odd: Any, xp: ModuleType) -> Any:
    """Magnitudes about their mean, so that unrelated pictures do not agree by having any."""
    size = xp.abs(odd)
    return _ODD_WEIGHT * (size - size.mean(-1)[:, None])


def _like(matrix: NDArray[np.float64], values: Any, xp: ModuleType) -> Any:
    """A constant as the kind of array that `values` is."""
    if xp is np:
        return matrix.astype(values.dtype)
    return xp.asarray(matrix, dtype=values.dtype, device=values.device)


def _cosines(size: int, count: int) -> NDArray[np.float64]:
    """The first DCT-II basis vectors, scaled to means: [count, size]."""
    k, x = np.arange(count)[:, None], np.arange(size)[None]
    return np.cos(np.pi * k * (2 * x + 1) / (2 * size)) / size


def _without_mean() -> NDArray[np.float64]:
    mask = np.ones((_ROWS, _COLUMNS))
    mask[0, 0] = 0.0
    return mask


def _cells(size: int, count: int, *, mean: bool = False) -> NDArray[np.float64]:
    """Overlapping triangular weights of pixels in cells: [count, size]; of sum 1 with `mean`."""
    centres = (np.arange(count)[:, None] + 0.5) * size / count
    apart = np.abs(np.arange(size)[None] + 0.5 - centres) * count / size
    weights = np.maximum(0.0, 1.0 - apart)
    total = weights.sum(1, keepdims=True)
    return weights / total if mean else weights / total.mean()
