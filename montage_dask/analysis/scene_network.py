"""The project's own network for transitions, on the strip, in plain NumPy: no torch, nothing to start.

It was trained by `python -m montage_dask train scenes` on made transitions; `weights/scenes.md` is its model card. Per frame it
reads the thumbnail with its change since the last one, and how alike frames are over up to 64 frames (`scene_features`); dilated
convolutions in time make of it how likely the frame is to lie within a transition, and of which kind that is.

Blocks lie on a fixed grid of BLOCK frames (the last one ends with the source), with CONTEXT frames on both sides, so that what
is said of a frame does not depend, not in the last bit, on how the source was divided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from montage_dask import models
from montage_dask.analysis import scene_features
from montage_dask.analysis.features import Bytes, Floats
from montage_dask.analysis.scene_features import DISTANCES, LAGS, REACH
from montage_dask.errors import UsageError, printable
from montage_dask.weights_file import read_weights

if TYPE_CHECKING:
    from montage_dask.analysis.strip import Strip

VERSION = 1
"""Raised when the same strip and weights give other results."""

CHANNELS = (24, 48, 64)
"""Of the three convolutions over a thumbnail."""

EMBEDDING, HIDDEN = 64, 128

DILATIONS = (1, 2, 4, 8, 16)
"""Of the convolutions in time, three frames wide."""

KINDS = ("cut", "dissolve", "fade", "wipe")

KIND_HEADS = len(KINDS)

HEADS = 2 + KIND_HEADS

BLOCK = 512

CONTEXT = REACH + sum(DILATIONS) + 1
"""Frames on both sides that a frame's result depends on."""

_BATCH = 64
"""Thumbnails that the convolutions see at once: what they make stays in the cache."""

WEIGHTS = Path(__file__).with_name("weights") / "scenes.npz"


@dataclass(frozen=True, slots=True)
class Scores:
    """What the network says of frames."""

    within: Floats
    """How likely each frame is to lie within a transition, 0 … 1: float32 [n]."""
    middle: Floats
    """How likely it is to be the middle of one."""
    kinds: Floats
    """Of which kind that would be, as shares: float32 [n, 4], in the order of KINDS."""


class Network:
    """The network with its weights.

    Args:
        path: an .npz file that `train scenes` made.

    Raises:
        UsageError: it is no such file.
    """

    def __init__(self, path: Path) -> None:
        held = read_weights(path)
        try:
            if str(held.pop("recipe")) != "scenes":
                raise KeyError("recipe")
            self.thresholds = tuple(float(v) for v in held.pop("thresholds"))
            """See `boundaries.find_boundaries`."""
            if len(self.thresholds) != KIND_HEADS + 1:
                raise ValueError("thresholds")
            self._weights: dict[str, Floats] = {
                name: values.astype(np.float32) for name, values in held.items()
            }
            self._lay_out()
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{printable(str(path))} holds no weights of the scene network; `train scenes` makes them"
            ) from error

    def _lay_out(self) -> None:
        """Weights as matrices, in the order in which patches of a picture lie in memory."""
        w = self._weights
        self._spatial: list[tuple[Floats, Floats]] = []
        for number in (1, 2, 3):
            kernel = w[f"conv{number}.weight"]  # [out, in, row, column]
            matrix = kernel.transpose(2, 3, 1, 0).reshape(-1, len(kernel))
            self._spatial.append((np.ascontiguousarray(matrix), w[f"conv{number}.bias"]))
        self._temporal = [
            (
                np.ascontiguousarray(w[f"time.{n}.weight"].transpose(2, 1, 0)),
                w[f"time.{n}.bias"],
                dilation,
            )
            for n, dilation in enumerate(DILATIONS)
        ]
        self._dense = {
            name: (np.ascontiguousarray(w[f"{name}.weight"].T), w[f"{name}.bias"])
            for name in ("embed", "join", "heads")
        }

    def arrays(self) -> Mapping[str, Floats]:
        """Its weights by the names of the torch module."""
        return self._weights

    def __call__(self, thumbnails: Bytes) -> Floats:
        """Logits of all frames but CONTEXT at each end: float32 [n, HEADS]."""
        count = len(thumbnails) - 2 * REACH
        given = scene_features.features(thumbnails)
        look = np.concatenate(
            [
                self._look(thumbnails[max(first - 1, 0) : first + _BATCH], first > 0)
                for first in range(0, len(thumbnails), _BATCH)
            ]
        )
        length = np.sqrt(np.einsum("ij,ij->i", look, look))
        unit = look / np.maximum(length, np.float32(1e-12))[:, None]
        by_lag = np.zeros((len(look), len(LAGS)), np.float32)
        for number, lag in enumerate(LAGS):
            by_lag[lag:, number] = np.einsum("ij,ij->i", unit[lag:], unit[:-lag])
        pairs = scene_features.pair_columns(by_lag, REACH, count)
        x = np.concatenate([np.maximum(look[REACH : REACH + count], 0), given, pairs], axis=1)
        x = np.maximum(self._apply("join", x), 0)
        for matrices, bias, dilation in self._temporal:
            y = x[dilation:-dilation] @ matrices[1]
            y += x[: -2 * dilation] @ matrices[0]
            y += x[2 * dilation :] @ matrices[2]
            y += bias
            x = x[dilation:-dilation] + np.maximum(y, 0)
        return self._apply("heads", x[1:-1])

    def _apply(self, name: str, x: Floats) -> Floats:
        matrix, bias = self._dense[name]
        result: Floats = x @ matrix
        result += bias
        return result

    def _look(self, thumbnails: Bytes, follows: bool) -> Floats:
        """Embeddings: float32 [n, EMBEDDING]; when it follows a frame, that comes first and is left out of the result."""
        pictures = thumbnails.astype(np.float32)
        pictures /= 255
        before = pictures[:-1] if follows else np.concatenate([pictures[:1], pictures[:-1]])
        pictures = pictures[1:] if follows else pictures
        x = np.concatenate([pictures - np.float32(0.5), (pictures - before) * 4], axis=3)
        n = len(x)
        patches = x.reshape(n, 9, 3, 16, 3, 6).transpose(0, 1, 3, 2, 4, 5)
        x = _convolved(patches.reshape(n, 9, 16, -1), self._spatial[0])
        for layer in self._spatial[1:]:
            x = _convolved(_patches(x), layer)
        return self._apply("embed", x.reshape(n, -1))


def _convolved(patches: Floats, layer: tuple[Floats, Floats]) -> Floats:
    matrix, bias = layer
    n, rows, columns, size = patches.shape
    result: Floats = patches.reshape(-1, size) @ matrix
    result += bias
    np.maximum(result, 0, out=result)
    return result.reshape(n, rows, columns, -1)


def _patches(x: Floats) -> Floats:
    """All 3×3 patches two apart, with a border of zeros: float32 [n, rows, columns, 9·channels]."""
    n, rows, columns, channels = x.shape
    high, wide = (rows + 1) // 2, (columns + 1) // 2
    bordered = np.zeros((n, rows + 2, columns + 2, channels), np.float32)
    bordered[:, 1:-1, 1:-1] = x
    out = np.empty((n, high, wide, 9, channels), np.float32)
    for dy in range(3):
        for dx in range(3):
            out[..., 3 * dy + dx, :] = bordered[
                :, dy : dy + 2 * high - 1 : 2, dx : dx + 2 * wide - 1 : 2
            ]
    return out.reshape(n, high, wide, -1)


def network(path: Path | None = None) -> Network:
    """The network with the shipped weights or others, loaded once per process and version of the file.

    Raises:
        UsageError: the file holds no such weights.
    """
    chosen = WEIGHTS if path is None else path
    return models.of_file(("scenes",), chosen, lambda: Network(chosen))


def scores(strip: Strip, using: Network) -> Scores:
    """Scores of a whole source (24 bytes a frame).

    Args:
        strip: complete.
        using: the network.

    Raises:
        StoreError: a window of the strip is missing.
    """
    logits = np.concatenate(
        [using(_block(strip, first)) for first in range(0, strip.frames, BLOCK)]
    )
    return scores_of(logits)


def scores_of(logits: Floats) -> Scores:
    """Logits [n, HEADS] as shares."""
    likely: Floats = np.reciprocal(1 + np.exp(-np.clip(logits[:, :2], -40, 40)), dtype=np.float32)
    named: Floats = np.exp(logits[:, 2:] - logits[:, 2:].max(axis=1, keepdims=True))
    named /= named.sum(axis=1, keepdims=True)
    return Scores(likely[:, 0], likely[:, 1], named)


def _block(strip: Strip, first: int) -> NDArray[np.uint8]:
    """The frames of a block with their context; the source's ends stand in for what lies outside."""
    stop = min(first + BLOCK, strip.frames)
    begin, end = first - CONTEXT, stop + CONTEXT
    inside = strip.thumbnails(max(begin, 0), min(end, strip.frames))
    return scene_features.padded(inside, max(-begin, 0), max(end - strip.frames, 0))


assert DISTANCES[-1] == REACH
