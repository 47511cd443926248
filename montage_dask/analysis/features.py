"""What single frames look like, from their 48×27 thumbnails: plain NumPy over batches of frames.

Every sum is of integers (or of floats that hold integers exactly), and what follows is element by
element, so that a frame's values are the same to the last bit in whatever batch, window or process
it was computed.
"""

from __future__ import annotations

from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Bytes: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]

WIDTH, HEIGHT = 48, 27
"""Size of a thumbnail: what TransNetV2 reads."""

PIXELS = WIDTH * HEIGHT

BINS = 8
"""Bins per colour channel of the histogram."""

COLUMNS = ("exposure", "contrast", "colourfulness", "motion", "sharpness")
"""Scalar features of a frame, in the order in which they are stored."""


def luma(thumbnails: Bytes) -> NDArray[np.int32]:
    """Rec.601 luma × 256 of RGB thumbnails: int32 [n, 27, 48], 0 … 65280."""
    pixels = thumbnails.astype(np.int32)
    return pixels[..., 0] * 77 + pixels[..., 1] * 150 + pixels[..., 2] * 29


def tone(thumbnails: Bytes) -> tuple[Floats, Floats, Floats]:
    """Exposure (mean luma), contrast (its deviation), colourfulness (Hasler–Süsstrunk): 0 … 1.

    Args:
        thumbnails: uint8 [n, 27, 48, 3].
    """
    n = len(thumbnails)
    pixels = thumbnails.reshape(n, PIXELS, 3).astype(np.int32)
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    light = red * 77 + green * 150 + blue * 29
    mean, deviation = _moments(light)
    red_green, yellow_blue = red - green, red + green - 2 * blue
    mean_rg, deviation_rg = _moments(red_green)
    mean_yb, deviation_yb = _moments(yellow_blue)
    # The second opponent channel is doubled to stay an integer.
    colour = np.sqrt(deviation_rg**2 + (deviation_yb / 2) ** 2) + 0.3 * np.sqrt(
        mean_rg**2 + (mean_yb / 2) ** 2
    )
    full = 255.0 * 256.0
    # 110 is "extremely colourful" on the scale of its authors.
    return _f32(mean / full), _f32(deviation / full), _f32(np.minimum(colour / 110.0, 1.0))


def _moments(values: NDArray[np.int32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    total = values.sum(axis=1, dtype=np.int64)
    squares = np.einsum("ij,ij->i", values.astype(np.int64), values.astype(np.int64))
    variance = (squares * PIXELS - total * total) / float(PIXELS * PIXELS)
    return total / PIXELS, np.sqrt(variance)


def motion(previous: Bytes, thumbnails: Bytes) -> Floats:
    """Mean absolute RGB difference of each frame from the one before it, 0 … 1.

    Args:
        previous: uint8 [27, 48, 3], the frame before the first one (itself, when there is none).
        thumbnails: uint8 [n, 27, 48, 3].
    """
    before = np.concatenate([previous[None], thumbnails[:-1]])
    return difference(before, thumbnails)


def difference(left: Bytes, right: Bytes) -> Floats:
    """Mean absolute difference of pairs of thumbnails, 0 … 1: float32 [n]."""
    n = len(right)
    # |a - b| in uint8, without a wider copy.
    apart = np.maximum(left, right) - np.minimum(left, right)
    return _f32(apart.reshape(n, -1).sum(axis=1, dtype=np.int64) / (255.0 * PIXELS * 3))


def histogram(thumbnails: Bytes) -> NDArray[np.uint16]:
    """8×8×8 RGB histogram: uint16 [n, 512] pixel counts that add up to 1296."""
    n = len(thumbnails)
    bits = (thumbnails >> 5).astype(np.int32).reshape(n, PIXELS, 3)
    bins = (bits[..., 0] << 6) | (bits[..., 1] << 3) | bits[..., 2]
    bins += (np.arange(n, dtype=np.int32) * BINS**3)[:, None]
    counts = np.bincount(bins.ravel(), minlength=n * BINS**3)
    return counts.reshape(n, BINS**3).astype(np.uint16)


def sharpness(grey: Bytes) -> float:
    """0 (blurred) … 1 (sharp): deviation of the Laplacian; 12 grey levels give 0.5.

    Args:
        grey: uint8 [height, width], scaled to the same width for all sources.
    """
    light = grey.astype(np.int16)
    centre = light[1:-1, 1:-1]
    edges = 4 * centre - light[:-2, 1:-1] - light[2:, 1:-1] - light[1:-1, :-2] - light[1:-1, 2:]
    total = int(edges.sum(dtype=np.int64))
    squares = int(np.square(edges, dtype=np.int32).sum(dtype=np.int64))
    variance = squares / edges.size - (total / edges.size) ** 2
    deviation = float(np.sqrt(max(variance, 0.0)))
    return deviation / (deviation + 12.0)


@cache
def _dct_rows(size: int, count: int) -> NDArray[np.float64]:
    """The first DCT-II basis vectors, × 1024 and rounded: float64 [count, size]."""
    k, x = np.arange(count)[:, None], np.arange(size)[None]
    return np.rint(1024.0 * np.cos(np.pi * k * (2 * x + 1) / (2 * size)))


@cache
def _hash_order() -> NDArray[np.intp]:
    """Flat positions (in 11×11) of the 64 lowest frequencies without the mean."""
    row, column = np.divmod(np.arange(121), 11)
    return np.lexsort((row, row + column))[1:65]


def dct(thumbnails: Bytes, count: int = 11) -> NDArray[np.float64]:
    """The lowest DCT coefficients of luma: float64 [n, count, count], exact integers."""
    # Products and sums stay below 2^53, so BLAS may add in any order.
    light = luma(thumbnails).astype(np.float64)
    result: NDArray[np.float64] = _dct_rows(HEIGHT, count) @ light @ _dct_rows(WIDTH, count).T
    return result


def perceptual_hash(thumbnails: Bytes) -> NDArray[np.uint64]:
    """64-bit DCT hash of luma, uint64 [n]: which of 64 low frequencies are above their median."""
    low = dct(thumbnails).reshape(len(thumbnails), -1)[:, _hash_order()]
    middle = np.partition(low, (31, 32), axis=1)[:, 31:33].sum(axis=1, keepdims=True)
    bits = np.ascontiguousarray(np.packbits(2 * low > middle, axis=1))
    return bits.view(">u8").reshape(-1).astype(np.uint64)


def likeness(left: Bytes, right: Bytes) -> float:
    """Correlation of two thumbnails without their mean colours: 1 is the same, 0 another picture.

    Exposure and contrast do not count. A picture without any contrast is like nothing else.
    """
    a, b = left.reshape(-1, 3).astype(np.int64), right.reshape(-1, 3).astype(np.int64)
    n = len(a)
    sum_a, sum_b = a.sum(axis=0), b.sum(axis=0)
    variance_a = int(n * (a * a).sum() - (sum_a * sum_a).sum())
    variance_b = int(n * (b * b).sum() - (sum_b * sum_b).sum())
    covariance = int(n * (a * b).sum() - (sum_a * sum_b).sum())
    if not variance_a or not variance_b:
        return 1.0 if np.array_equal(left, right) else 0.0
    return float(covariance / (np.sqrt(float(variance_a)) * np.sqrt(float(variance_b))))


def shifted_likeness(left: Bytes, right: Bytes, across: int = 4, down: int = 2) -> float:
    """The best `likeness` when a picture may be shifted a little, as a moving camera does."""
    best = -1.0
    for dy in range(-down, down + 1):
        for dx in range(-across, across + 1):
            best = max(best, likeness(_moved(left, dy, dx), _moved(right, -dy, -dx)))
    return best


def _moved(picture: Bytes, dy: int, dx: int) -> Bytes:
    return picture[max(dy, 0) : HEIGHT + min(dy, 0), max(dx, 0) : WIDTH + min(dx, 0)]


def _f32(values: NDArray[np.float64]) -> Floats:
    return values.astype(np.float32)
