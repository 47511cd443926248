"""What the bars of a track sound like, place by place in the bar, so that bars can be compared."""

from __future__ import annotations

import numpy as np

from montage_dask.analysis.bars import between
from montage_dask.analysis.onset import Envelopes
from montage_dask.analysis.tempo import Doubles

PARTS = 8
"""Places in a bar: half beats of a bar of four."""
LEVEL_DB = 6.0
"""So much louder counts as much as other harmony does."""
FLOOR = 1e-8


def bar_features(envelopes: Envelopes, lines_seconds: Doubles) -> Doubles:
    """Harmony, timbre, loudness and onsets of each bar; shape (bars, PARTS, values). Their squared differences add up.

    Args:
        envelopes: of the track.
        lines_seconds: bar lines, shape (bars + 1,).
    """
    power = envelopes.power.astype(np.float64)
    low = envelopes.low_power.astype(np.float64)
    timbre = envelopes.timbre.astype(np.float64)
    flux = np.sqrt(envelopes.flux.astype(np.float64))
    columns = np.column_stack([envelopes.chroma.astype(np.float64), power, low, flux, timbre])
    share = np.arange(PARTS) / PARTS
    places = (lines_seconds[:-1, None] + np.diff(lines_seconds)[:, None] * share).ravel()
    means = between(columns, np.append(places, lines_seconds[-1]))[:-1]
    chroma = means[:, :12]
    chroma = chroma / (np.linalg.norm(chroma, axis=1, keepdims=True) + 1e-6)
    level = 10 * np.log10(means[:, 12:14] + FLOOR) / LEVEL_DB
    rest = means[:, 14:]
    spread = np.maximum(rest.std(0), 1e-3) * np.sqrt([1, *[timbre.shape[1]] * timbre.shape[1]])
    values = np.column_stack([chroma, level * [1.0, 0.5], rest / spread])
    return np.asarray(values.reshape(len(lines_seconds) - 1, PARTS, -1))
