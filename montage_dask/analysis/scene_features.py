"""How thumbnails differ from those before and after them, over many distances: what the scene network reads beside pictures.

A picture is averaged to 9×12 cells. With c(t) the cells of frame t and k a distance in frames, a dissolve shows in the residual
|2c(t) − c(t−k) − c(t+k)|, which it keeps small; a wipe in min(|c(t) − c(t−k)|, |c(t+k) − c(t)|), which it keeps small as every
cell shows the old or the new picture; a flash in |c(t+k) − c(t−k)|, which it leaves small. Correlations of the cells do not
depend on exposure. All of it is symmetric: time run backwards swaps columns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from montage_dask.analysis.features import Bytes, Floats

DISTANCES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
"""Frames between a frame and those that it is compared with."""

LAGS = (*DISTANCES, 48, 64)
"""All distances between two of the frames t − k, t, t + k."""

REACH = max(DISTANCES)
"""Frames before and after that the features of a frame depend on."""

CELL_ROWS, CELL_COLUMNS = 9, 12

PAIRS = 3 * len(DISTANCES)
"""Columns of what compares two frames: (t−k, t), (t, t+k), (t−k, t+k) for each distance."""

FEATURES = 2 * PAIRS + 2 * len(DISTANCES) + 5
"""Columns: differences, correlations, least differences, residuals, and five of the frame itself."""


def cells(thumbnails: Bytes) -> Floats:
    """Means of 3×4 pixels: float32 [n, 324], 0 … 255."""
    n = len(thumbnails)
    parts = thumbnails.reshape(n, CELL_ROWS, 3, CELL_COLUMNS, 4, 3)
    rows = parts.sum(axis=2, dtype=np.uint16)
    total = rows.sum(axis=3, dtype=np.uint16)
    return total.reshape(n, -1).astype(np.float32) / np.float32(12)


def pair_columns(by_lag: Floats, first: int, count: int) -> Floats:
    """What compares frames t − k, t and t + k, from what compares each frame with one before it.

    Args:
        by_lag: float32 [frames, len(LAGS)]: of frame t and frame t − lag.
        first: the first frame wanted; frames from first − REACH to first + count + REACH must be there.
        count: frames wanted.

    Returns:
        float32 [count, PAIRS]: for all distances (t−k, t), then (t, t+k), then (t−k, t+k).
    """
    columns = []
    for number, k in enumerate(DISTANCES):
        columns.append(by_lag[first : first + count, number])
        columns.append(by_lag[first + k : first + k + count, number])
        columns.append(by_lag[first + k : first + k + count, LAGS.index(2 * k)])
    # In the order: all of the first kind, then the second, then the third.
    return np.stack([c for kind in range(3) for c in columns[kind::3]], axis=1)


def features(thumbnails: Bytes) -> Floats:
    """Features of all frames but REACH at each end.

    Args:
        thumbnails: uint8 [n, 27, 48, 3], n > 2·REACH.

    Returns:
        float32 [n − 2·REACH, FEATURES], about 0 … 4.
    """
    flat = cells(thumbnails)
    n, count = len(flat), len(flat) - 2 * REACH
    inside = slice(REACH, REACH + count)
    light = flat.reshape(n, -1, 3).mean(axis=1)
    centred = flat - np.repeat(light[:, None], flat.shape[1] // 3, 1).reshape(n, -1)
    spread = np.sqrt(np.einsum("ij,ij->i", centred, centred))
    # A picture without any contrast is like nothing else: 1 grey level a cell.
    centred /= np.maximum(spread, np.float32(flat.shape[1] ** 0.5))[:, None]
    differs = np.zeros((n, len(LAGS)), np.float32)
    alike = np.zeros((n, len(LAGS)), np.float32)
    least = np.empty((count, len(DISTANCES)), np.float32)
    residual = np.empty((count, len(DISTANCES)), np.float32)
    for number, lag in enumerate(LAGS):
        change = flat[lag:] - flat[:-lag]
        apart = np.abs(change)
        differs[lag:, number] = apart.mean(axis=1)
        alike[lag:, number] = np.einsum("ij,ij->i", centred[lag:], centred[:-lag])
        if lag in DISTANCES:
            # change[i] is of frame i + lag.
            before, after = slice(REACH - lag, REACH - lag + count), slice(REACH, REACH + count)
            least[:, number] = np.minimum(apart[before], apart[after]).mean(axis=1)
            residual[:, number] = np.abs(change[after] - change[before]).mean(axis=1)
    out = np.empty((count, FEATURES), np.float32)
    out[:, :PAIRS] = pair_columns(differs, REACH, count)
    out[:, PAIRS : 2 * PAIRS] = pair_columns(alike, REACH, count)
    rest = 2 * PAIRS
    out[:, rest : rest + len(DISTANCES)] = least
    out[:, rest + len(DISTANCES) : -5] = residual
    for part in (slice(0, PAIRS), slice(rest, -5)):
        out[:, part] = np.log1p(out[:, part] * np.float32(0.5))
    out[:, -5:-2] = light[inside] / np.float32(128) - 1
    out[:, -2] = np.log1p(spread[inside] / np.float32(flat.shape[1] ** 0.5)) / 2
    out[:, -1] = light[inside].mean(axis=1) / np.float32(128) - 1
    return out


def backwards(values: Floats) -> Floats:
    """The features of the same frames when time runs backwards: float32 [n, FEATURES]."""
    order = np.arange(FEATURES)
    step = len(DISTANCES)
    for kind in (0, PAIRS):
        order[kind : kind + step] = np.arange(kind + step, kind + 2 * step)
        order[kind + step : kind + 2 * step] = np.arange(kind, kind + step)
    return np.ascontiguousarray(values[::-1, order])


def padded(thumbnails: Bytes, before: int, after: int) -> NDArray[np.uint8]:
    """With the first and the last frame standing in for what lies outside."""
    return np.concatenate(
        [np.repeat(thumbnails[:1], before, 0), thumbnails, np.repeat(thumbnails[-1:], after, 0)]
    )
