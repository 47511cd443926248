"""The project's own network for what is laid over footage, or fills it, and is none: text, cards, bars, screens. Plain NumPy.

It was trained by `python -m montage_dask train graphics` on made pictures; `weights/graphics.md` is its model card. It reads one
still and says, cell by cell, where words are, and of the whole whether text counts and whether it is a card.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from montage_dask import models
from montage_dask.errors import UsageError, printable
from montage_dask.weights_file import read_weights

Floats = NDArray[np.float32]

VERSION = 2
"""Raised when the same stills and weights give other results."""

WIDTH, HEIGHT = 256, 144
"""Of a still."""

CELL = 8
CELLS = (HEIGHT // CELL, WIDTH // CELL)
"""Rows and columns of the map of words."""

PATCH = 4
CHANNELS = (32, 48, 64, 64, 64)
"""Of the patches and of the convolutions behind them, down to cells."""

DEEP_CHANNELS = 96
"""Of three convolutions over squares of 2 × 2 cells: they see the whole height, so that large letters are letters."""

HIDDEN = 48
HEADS = 2

WEIGHTS = Path(__file__).with_name("weights") / "graphics.npz"


@dataclass(frozen=True, slots=True)
class Found:
    """What the network says of stills."""

    text: Floats
    """How likely text is laid over it, or fills it, 0 … 1: float32 [n]."""
    card: Floats
    """How likely it is a card, a diagram, a screen, and no picture of anything: float32 [n]."""
    words: Floats
    """How likely each cell holds words: float32 [n, 18, 32]."""


class Network:
    """The network with its weights.

    Args:
        path: an .npz file that `train graphics` made.

    Raises:
        UsageError: it is no such file.
    """

    def __init__(self, path: Path) -> None:
        held = read_weights(path)
        try:
            if str(held.pop("recipe")) != "graphics":
                raise KeyError("recipe")
            self.thresholds = tuple(float(v) for v in held.pop("thresholds"))
            """From which on text counts, and a card."""
            if len(self.thresholds) != HEADS:
                raise ValueError("thresholds")
            self.arrays: dict[str, Floats] = {n: v.astype(np.float32) for n, v in held.items()}
            w = self.arrays
            self._layers = [
                (
                    np.ascontiguousarray(
                        w[f"conv{k}.weight"].transpose(2, 3, 1, 0).reshape(-1, channels)
                    ),
                    w[f"conv{k}.bias"],
                )
                for k, channels in enumerate((*CHANNELS, *(DEEP_CHANNELS,) * 3))
            ]
            self._dense = {
                name: (np.ascontiguousarray(w[f"{name}.weight"].T), w[f"{name}.bias"])
                for name in ("cell", "coarse", "join", "heads")
            }
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{printable(str(path))} holds no weights of the graphics network; `train graphics` makes them"
            ) from error

    def __call__(self, stills: NDArray[np.uint8]) -> Found:
        """What is in stills uint8 [n, 144, 256, 3]. One after the other: the result never depends on its neighbours."""
        made = [self._one(still) for still in stills]
        text, card, words = (np.array(v, np.float32) for v in zip(*made, strict=True)) if made else (
            np.zeros(0, np.float32), np.zeros(0, np.float32), np.zeros((0, *CELLS), np.float32)
        )  # fmt: skip
        return Found(text, card, words)

    def _one(self, still: NDArray[np.uint8]) -> tuple[np.float32, np.float32, Floats]:
        x = still.astype(np.float32)
        x *= np.float32(1 / 255)
        x -= np.float32(0.5)
        rows, columns = HEIGHT // PATCH, WIDTH // PATCH
        x = x.reshape(rows, PATCH, columns, PATCH, 3).transpose(0, 2, 1, 3, 4)
        x = self._applied(x.reshape(rows * columns, -1), 0).reshape(rows, columns, -1)
        x = self._convolved(x, 1)
        x = self._convolved(x, 2, stride=2)
        x = x + self._convolved(x, 3)
        x = x + self._convolved(x, 4, dilation=2)
        deep = self._convolved(x, 5, stride=2)
        deep = deep + self._convolved(deep, 6)
        deep = deep + self._convolved(deep, 7, dilation=2)
        flat, broad = x.reshape(-1, x.shape[-1]), deep.reshape(-1, deep.shape[-1])
        coarse = self._given("coarse", broad).reshape(CELLS[0] // 2, CELLS[1] // 2)
        cells = self._given("cell", flat).reshape(CELLS)
        cells = cells + coarse.repeat(2, axis=0).repeat(2, axis=1)
        # The strongest cells, not only the strongest: a word covers several.
        ranked = np.sort(cells, axis=None)[::-1]
        tops = np.array([ranked[k] for k in TOPS], np.float32)
        pooled = [f(v, axis=0) for v in (flat, broad) for f in (np.mean, np.max, np.std)]
        joined = np.concatenate([*pooled, tops])
        hidden = np.maximum(self._given("join", joined[None]), 0)
        text, card = _likely(self._given("heads", hidden))[0]
        return text, card, _likely(cells)

    def _given(self, name: str, x: Floats) -> Floats:
        matrix, bias = self._dense[name]
        result: Floats = x @ matrix + bias
        return result

    def _applied(self, patches: Floats, number: int) -> Floats:
        matrix, bias = self._layers[number]
        result: Floats = patches @ matrix
        result += bias
        return np.maximum(result, 0, out=result)

    def _convolved(self, x: Floats, number: int, *, stride: int = 1, dilation: int = 1) -> Floats:
        rows, columns, channels = x.shape
        bordered = np.zeros((rows + 2 * dilation, columns + 2 * dilation, channels), np.float32)
        bordered[dilation:-dilation, dilation:-dilation] = x
        high, wide = rows // stride, columns // stride
        patches = np.empty((high, wide, 9, channels), np.float32)
        for k in range(9):
            dy, dx = (k // 3) * dilation, (k % 3) * dilation
            patches[:, :, k] = bordered[dy : dy + rows : stride, dx : dx + columns : stride]
        return self._applied(patches.reshape(high * wide, -1), number).reshape(high, wide, -1)


TOPS = (0, 3, 7, 15, 31)
"""Which of the cells in order of likelihood of words the heads see."""


def _likely(logits: Floats) -> Floats:
    result: Floats = np.reciprocal(1 + np.exp(-np.clip(logits, -40, 40)), dtype=np.float32)
    return result


def network(path: Path | None = None) -> Network:
    """The network with the shipped weights or others, loaded once per process and version of the file.

    Raises:
        UsageError: the file holds no such weights.
    """
    chosen = WEIGHTS if path is None else path
    return models.of_file(("graphics",), chosen, lambda: Network(chosen))
