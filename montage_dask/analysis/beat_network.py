"""Beat and downbeat activations by the project's own network, in NumPy: no torch, 0.2 CPU-s for three minutes.

The network reads the mel spectra of `analysis.onset`. Every product of matrices has a fixed number of rows, so that a frame's
values do not depend on the length of the music around the 12 s that it sees.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from montage_dask import models
from montage_dask.analysis.onset import BANDS, FRAME_RATE, MEL_STEPS, Bytes, Floats
from montage_dask.errors import UsageError, printable
from montage_dask.weights_file import read_weights

STRIDE = 2
"""Frames of the mel spectrum in one of the network."""
ACTIVATION_RATE = FRAME_RATE / STRIDE
"""Frames of the network per second (43.07); frame j is at j / ACTIVATION_RATE."""
WIDTH = 48
"""Features per frame."""
TAPS = 5
DILATIONS = (1, 2, 4, 8, 16, 32, 64, 128)
"""Of the layers: together they see 510 frames (11.8 s) to each side."""

VERSION = 1
"""Raised when the same weights give other activations; also the format of the file."""
RECIPE = "beats"
"""Weights say which network they are of."""
WEIGHTS = Path(__file__).with_name("weights") / "beats.npz"
"""Those of the package."""
ROWS = 512
"""Frames that are worked on at once."""

Weights = dict[str, Floats]


def load_weights(path: Path) -> Weights:
    """The arrays of a weights file, as float32.

    Raises:
        UsageError: it cannot be read, or belongs to another network.
    """
    held = read_weights(path)
    try:
        if str(held.pop("recipe")) != RECIPE or int(held.pop("format")) != VERSION:
            raise KeyError("recipe")
        weights = {name: values.astype(np.float32) for name, values in held.items()}
        BeatNetwork(weights)  # it is quickly laid out, and that tells whether all is there
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{printable(str(path))}: no weights of this version's beat network; `montage-dask train beats` makes some"
        ) from error
    return weights


def save_weights(weights: Weights, path: Path) -> None:
    """Write a weights file, in half precision."""
    arrays: dict[str, Any] = {name: values.astype(np.float16) for name, values in weights.items()}
    with path.open("wb") as file:
        np.savez_compressed(file, recipe=np.array(RECIPE), format=np.array(VERSION), **arrays)


def network(path: Path | None = None) -> BeatNetwork:
    """The network of a weights file (None: the package's), read once per process and version of the file.

    Raises:
        UsageError: as `load_weights`.
    """
    chosen = WEIGHTS if path is None else path
    return models.of_file(("beats",), chosen, lambda: BeatNetwork(load_weights(chosen)))


class BeatNetwork:
    """Weights, laid out for the products of matrices."""

    def __init__(self, weights: Weights) -> None:
        w = weights
        self.lift = float(w["lift"])
        """To be added to logits of beats before decoding: what is heard as half a beat is one; chosen on the validation split."""
        self._time = w["time.weight"].reshape(12, 15).T.copy()
        self._pitch = w["pitch.weight"].transpose(2, 3, 1, 0).reshape(-1, 24).copy()
        self._gather = (
            w["gather.weight"].reshape(WIDTH, 24, 4).transpose(2, 1, 0).reshape(-1, WIDTH).copy()
        )
        self._wide = [
            w[f"wide{n}.weight"].transpose(2, 1, 0).reshape(-1, WIDTH).copy()
            for n in range(len(DILATIONS))
        ]
        self._mix = [
            w[f"mix{n}.weight"].reshape(WIDTH, WIDTH).T.copy() for n in range(len(DILATIONS))
        ]
        self._heads = w["heads.weight"].reshape(2, WIDTH).T.copy()
        self._bias = {
            name.removesuffix(".bias"): values
            for name, values in w.items()
            if name.endswith(".bias")
        }

    def __call__(self, mel: Bytes) -> Floats:
        """Logits of beat and downbeat; shape (frames of the network, 2).

        Args:
            mel: of `Envelopes`, shape (frames, BANDS).
        """
        frames = -(-len(mel) // STRIDE)
        blocks = max(1, -(-frames // ROWS))
        x = self._front(mel, blocks)
        for number, dilation in enumerate(DILATIONS):
            x = self._layer(x, number, dilation)
            x[frames:] = 0.0  # behind the end there is silence for all layers, as in training
        found = np.concatenate([x[b * ROWS : (b + 1) * ROWS] @ self._heads for b in range(blocks)])
        return np.asarray((found + self._bias["heads"])[:frames])

    def _front(self, mel: Bytes, blocks: int) -> Floats:
        """Features of every frame from the spectra of ±4 frames; shape (blocks × ROWS, WIDTH)."""
        frames = -(-len(mel) // STRIDE)
        padded = np.zeros(((blocks * ROWS + 2) * STRIDE + 4, BANDS + 2), np.float32)
        padded[4 : 4 + len(mel), 1:-1] = mel / np.float32(MEL_STEPS)
        out = np.empty((blocks * ROWS, WIDTH), np.float32)
        for block in range(blocks):
            # One frame more on each side, which the second convolution sees.
            part = padded[block * ROWS * STRIDE : (block + 1) * ROWS * STRIDE + 8]
            rows = np.lib.stride_tricks.sliding_window_view(part, (5, 3))[::STRIDE][: ROWS + 2]
            x = rows.reshape(-1, 15) @ self._time  # ((ROWS + 2) × BANDS, 12)
            x = x.reshape(ROWS + 2, BANDS // 4, 4, 12).max(2) + self._bias["time"]
            np.maximum(x, 0, out=x)
            at = np.arange(block * ROWS - 1, (block + 1) * ROWS + 1)
            x[(at < 0) | (at >= frames)] = 0.0
            wide = np.zeros((ROWS + 2, BANDS // 4 + 2, 12), np.float32)
            wide[:, 1:-1] = x
            taps = np.lib.stride_tricks.sliding_window_view(wide, (3, 3), axis=(0, 1)).transpose(
                0, 1, 3, 4, 2
            )
            y = taps.reshape(-1, 9 * 12) @ self._pitch
            y = y.reshape(ROWS, 4, 4, 24).max(2) + self._bias["pitch"]
            np.maximum(y, 0, out=y)
            z = y.reshape(ROWS, 4 * 24) @ self._gather + self._bias["gather"]
            out[block * ROWS : (block + 1) * ROWS] = np.maximum(z, 0)
        out[frames:] = 0.0
        return out

    def _layer(self, x: Floats, number: int, dilation: int) -> Floats:
        around = dilation * (TAPS // 2)
        padded = np.pad(x, ((around, around), (0, 0)))
        out = np.empty_like(x)
        for first in range(0, len(x), ROWS):
            taps = [
                padded[first + tap * dilation : first + tap * dilation + ROWS]
                for tap in range(TAPS)
            ]
            y = np.concatenate(taps, 1) @ self._wide[number] + self._bias[f"wide{number}"]
            np.maximum(y, 0, out=y)
            out[first : first + ROWS] = x[first : first + ROWS] + (
                y @ self._mix[number] + self._bias[f"mix{number}"]
            )
        return out


def probabilities(logits: Floats) -> npt.NDArray[np.float64]:
    """Logits as probabilities."""
    return np.asarray(1.0 / (1.0 + np.exp(-logits.astype(np.float64))))
