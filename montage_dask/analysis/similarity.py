"""Which shots look alike: an embedding of thumbnails, and groups of near-duplicates.

The embedding describes layout, edges and colour without regard to exposure, so that another grade,
crop or encoding of a picture stays near it, while another picture with the same colours does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from montage_dask.analysis.features import HEIGHT, WIDTH, Bytes, dct
from montage_dask.records import Shot

Doubles: TypeAlias = NDArray[np.float64]
Labels: TypeAlias = NDArray[np.intp]

VERSION = 1
"""Raised when the same shots get other groups or other embeddings."""

ALIKE = 0.86
"""Shots whose embeddings agree at least this well are near-duplicates."""

PERHAPS_ALIKE = 0.75
"""… and shots that agree this well are, when their hashes agree too."""

HASH_BITS = 12
"""Bits of 64 in which the hashes of near-duplicates may differ."""

_LAYOUT_ROWS, _LAYOUT_COLUMNS = 6, 8
_CELL_ROWS, _CELL_COLUMNS, _DIRECTIONS = 3, 4, 4
_COLOUR_ROWS, _COLOUR_COLUMNS = 3, 4
_LAYOUT_WEIGHT, _EDGE_WEIGHT, _COLOUR_WEIGHT, _EMPTY_WEIGHT = 1.0, 0.8, 0.7, 0.05

# Below these strengths a part is mostly noise: it counts less, instead of being blown up.
_FAINT_LAYOUT = 5e9  # on the scale of features.dct: luma that varies by about one level
_FAINT_EDGES = 0.5 * WIDTH * HEIGHT
_FAINT_COLOUR = 0.1

_BLOCK = 256
"""Shots compared with all others at once: 20 MB for 20,000 shots."""


def embed(pictures: Bytes) -> tuple[float, ...]:
    """The embedding of a shot from some of its thumbnails: a unit vector.

    Args:
        pictures: uint8 [n, 27, 48, 3].
    """
    total = np.zeros(_size())
    for picture in pictures:
        total += _embed_one(picture)
    return tuple(round(float(v), 4) for v in _unit(total))


def similarity(a: Shot, b: Shot) -> float:
    """How much two shots look alike: 1 the same, around 0 unrelated."""
    return float(np.dot(a.embedding, b.embedding))


def group_duplicates(shots: Sequence[Shot]) -> tuple[Shot, ...]:
    """The same shots with `duplicate_group` set: shots that look alike share a number.

    Groups are connected components, numbered by their first shot; a shot like no other gets −1.
    """
    if not shots:
        return ()
    labels = np.arange(len(shots))
    vectors = np.array([shot.embedding for shot in shots], np.float32)
    hashes = np.array([int(shot.perceptual_hash, 16) for shot in shots], np.uint64)
    for start in range(0, len(shots), _BLOCK):
        # Each pair once: the block with itself and all that follows.
        agree = vectors[start : start + _BLOCK] @ vectors[start:].T
        rows, columns = np.nonzero(agree >= PERHAPS_ALIKE)
        bits = np.bitwise_count(hashes[start + rows] ^ hashes[start + columns])
        alike = (agree[rows, columns] >= ALIKE) | (bits <= HASH_BITS)
        labels = _merged(labels, start + rows[alike], start + columns[alike])
    _, firsts, sizes = np.unique(labels, return_index=True, return_counts=True)
    numbers = np.full(len(shots), -1)
    shared = np.sort(firsts[sizes > 1])
    numbers[labels[shared]] = np.arange(len(shared))
    return tuple(
        replace(shot, duplicate_group=int(number))
        for shot, number in zip(shots, numbers[labels], strict=True)
    )


def _merged(labels: Labels, left: Labels, right: Labels) -> Labels:
    """The labels after joining the groups of each pair (left, right)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(labels)
    pairs = coo_array((np.ones(len(left), np.int8), (labels[left], labels[right])), shape=(n, n))
    _, components = connected_components(pairs, directed=False)
    merged: Labels = components[labels].astype(np.intp)
    return merged


def _size() -> int:
    layout = _LAYOUT_ROWS * _LAYOUT_COLUMNS - 1
    edges = _CELL_ROWS * _CELL_COLUMNS * _DIRECTIONS
    return layout + edges + 2 * _COLOUR_ROWS * _COLOUR_COLUMNS + 1


def _embed_one(picture: Bytes) -> Doubles:
    pixels = picture.astype(np.float64)
    light = pixels @ np.array([0.299, 0.587, 0.114])
    return _unit(
        np.concatenate(
            [
                _LAYOUT_WEIGHT * _layout(picture),
                _EDGE_WEIGHT * _edges(light),
                _COLOUR_WEIGHT * _colours(pixels),
                # All that is left of an empty picture, which so gets a direction of its own.
                [_EMPTY_WEIGHT],
            ]
        )
    )


def _layout(picture: Bytes) -> Doubles:
    """Where it is light and dark: low frequencies without the mean, the strong ones held back."""
    low = dct(picture[None], _LAYOUT_COLUMNS)[0, :_LAYOUT_ROWS].ravel()[1:]
    strength = float(np.linalg.norm(low))
    return _unit(np.sign(low) * np.abs(low) ** 0.7) * (strength / (strength + _FAINT_LAYOUT))


def _edges(light: Doubles) -> Doubles:
    """How strong edges of which direction are in each cell of a grid."""
    down, across = np.gradient(light)
    strength = np.hypot(down, across).ravel()
    turn = (np.arctan2(down, across) % np.pi).ravel() / np.pi * _DIRECTIONS
    low = np.floor(turn).astype(np.intp)
    part = turn - low
    cells = _CELL_ROWS * _CELL_COLUMNS * _DIRECTIONS
    base = _cell_numbers() * _DIRECTIONS
    # An edge between two directions counts for both.
    energy = np.bincount(base + low % _DIRECTIONS, strength * (1 - part), cells)
    energy += np.bincount(base + (low + 1) % _DIRECTIONS, strength * part, cells)
    root = np.sqrt(energy)
    return _unit(root - root.mean()) * (energy.sum() / (energy.sum() + _FAINT_EDGES))


@cache
def _cell_numbers() -> NDArray[np.intp]:
    """The cell of each pixel: [1296]."""
    rows = np.arange(HEIGHT) * _CELL_ROWS // HEIGHT
    columns = np.arange(WIDTH) * _CELL_COLUMNS // WIDTH
    return (rows[:, None] * _CELL_COLUMNS + columns[None]).ravel()


def _colours(pixels: Doubles) -> Doubles:
    """Hue and saturation of each cell of a grid, whatever the light; nothing for a grey picture."""
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    bright = red + green + blue + 60.0
    parts = []
    for channel in ((red - green) / bright, ((red + green) / 2 - blue) / bright):
        cells = channel.reshape(_COLOUR_ROWS, HEIGHT // _COLOUR_ROWS, _COLOUR_COLUMNS, -1)
        parts.append(cells.mean(axis=(1, 3)).ravel())
    vector = np.concatenate(parts)
    return vector / (np.linalg.norm(vector) + _FAINT_COLOUR)


def _unit(vector: Doubles) -> Doubles:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 1e-6 else vector
