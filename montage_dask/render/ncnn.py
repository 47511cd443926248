"""Networks in the two files of ncnn: .param names the layers, .bin holds their weights one after the other.

Read here are the layers with weights that the upscaling networks have (Convolution, Deconvolution, PReLU); the others carry
only options. The layout is that of ncnn's `ModelBinFromDataReader`; it has no checksum, so what guards against damage is that
the file must be used up exactly and that every weight is finite.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from montage_dask.errors import UsageError, printable

MAGIC = "7767517"

HALF, SINGLE = 0x01306B47, 0
"""What stands before a block of float16 or float32 weights."""

NUMBER_OF, KERNEL, PADDING, BIAS, WEIGHTS = 0, 1, 4, 5, 6
"""Options of a convolution; NUMBER_OF also of PReLU."""

MOST_WEIGHTS = 1 << 26
"""More in one layer than any network for video has: a damaged number."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer and its weights."""

    kind: str
    name: str
    options: Mapping[int, float] = field(default_factory=dict)
    """By ncnn's number; arrays are left out."""
    weight: Floats | None = None
    """[out, in, kernel, kernel] of convolutions (both kinds), [channels] of PReLU."""
    bias: Floats | None = None
    """[out] of convolutions."""


def read_ncnn(param: Path, binary: Path) -> list[Layer]:
    """All layers of a network, in the order of the file.

    Args:
        param: the .param file.
        binary: the .bin file.

    Raises:
        UsageError: a file is missing or damaged, or the layers are of a kind that is not known here.
    """
    try:
        lines = param.read_text(encoding="ascii").splitlines()
        data = binary.read_bytes()
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(param, "cannot be read") from error
    if len(lines) < 2 or lines[0].strip() != MAGIC:
        raise _unusable(param, "is not an ncnn network")
    described = [_described(param, line) for line in lines[2:] if line.strip()]
    if str(len(described)) != lines[1].split()[0]:
        raise _unusable(param, "is cut short")
    reader = _Weights(binary, data)
    layers = [reader.filled(layer) for layer in described]
    reader.end()
    return layers


def _described(path: Path, line: str) -> Layer:
    try:
        kind, name, inputs, outputs, *rest = line.split()
        pairs = [item.partition("=") for item in rest[int(inputs) + int(outputs) :]]
        options = {int(k): float(v) for k, _, v in pairs if not k.startswith("-233")}
    except ValueError as error:
        raise _unusable(path, f"has a line that is none: {line.strip()[:60]!r}") from error
    return Layer(kind, name, options)


class _Weights:
    """Hands out the bytes of a .bin file, layer by layer."""

    def __init__(self, path: Path, data: bytes) -> None:
        self._path, self._data, self._at = path, data, 0

    def filled(self, layer: Layer) -> Layer:
        """The layer with its weights."""
        if layer.kind == "PReLU":
            return Layer(
                layer.kind, layer.name, layer.options, self._floats(self._count(layer, NUMBER_OF))
            )
        if layer.kind not in ("Convolution", "Deconvolution"):
            return layer
        out, kernel = self._count(layer, NUMBER_OF), self._count(layer, KERNEL)
        count = self._count(layer, WEIGHTS)
        if count % (out * kernel * kernel):
            raise _unusable(self._path, f"has a layer of odd size ({layer.name})")
        tag = int(np.frombuffer(self._bytes(4), "<u4")[0])
        if tag == HALF:
            padded = (count * 2 + 3) // 4 * 4
            values = np.frombuffer(self._bytes(padded), "<f2")[:count].astype(np.float32)
        elif tag == SINGLE:
            values = self._floats(count)
        else:
            raise _unusable(self._path, f"has weights of an unknown form ({layer.name})")
        weight = self._finite(values).reshape(out, -1, kernel, kernel)
        bias = self._floats(out) if layer.options.get(BIAS) else None
        return Layer(layer.kind, layer.name, layer.options, weight, bias)

    def end(self) -> None:
        """Nothing may be left."""
        if self._at != len(self._data):
            raise _unusable(self._path, f"has {len(self._data) - self._at} bytes too many")

    def _count(self, layer: Layer, option: int) -> int:
        number = layer.options.get(option, 0)
        if not 1 <= number <= MOST_WEIGHTS:
            raise _unusable(self._path, f"belongs to a layer without a size ({layer.name})")
        return int(number)

    def _floats(self, count: int) -> Floats:
        return self._finite(np.frombuffer(self._bytes(4 * count), "<f4").astype(np.float32))

    def _finite(self, values: Floats) -> Floats:
        if not np.isfinite(values).all():
            raise _unusable(self._path, "has weights that are no numbers")
        return values

    def _bytes(self, count: int) -> bytes:
        part = self._data[self._at : self._at + count]
        if len(part) < count:
            raise _unusable(self._path, "is cut short")
        self._at += count
        return part


def _unusable(path: Path, reason: str) -> UsageError:
    return UsageError(
        f"{printable(str(path))} {reason}; install the package that it came with again"
    )
