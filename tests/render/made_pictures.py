"""Pictures like photographs in what upscaling cares for, ways to spoil them, and how near two are."""

from __future__ import annotations

import cv2
import numpy as np


def dead_leaves(seed: int, size: int = 128) -> np.ndarray:
    """Overlapping discs of all sizes, shaded: edges and areas as frequent as in photographs (Lee, Mumford, Huang 2001).

    Returns:
        uint8 [size, size, 3].
    """
    rng = np.random.default_rng(seed)
    fine = 4  # drawn larger and averaged down, so that edges are as smooth as a lens makes them
    picture = np.zeros((size * fine, size * fine, 3), np.float32)
    for _ in range(600):
        radius = 3.0 / np.sqrt(rng.uniform((3.0 / (size / 3)) ** 2, 1.0))  # density ~ radius^-3
        centre = tuple(int(v) for v in rng.uniform(0, size * fine, 2))
        colour = rng.uniform(20, 235) + rng.normal(0, 15, 3)
        cv2.circle(picture, centre, max(1, int(radius * fine)), colour.tolist(), -1)
    picture += np.linspace(-10, 10, size * fine, dtype=np.float32)[:, None, None]
    small = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    return np.clip(small, 0, 255).astype(np.uint8)


def halved(picture: np.ndarray) -> np.ndarray:
    """Half the size by averaging: a clean small picture."""
    return cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def spoilt(picture: np.ndarray, seed: int) -> np.ndarray:
    """Half the size, blurred, with noise, and compressed: what old footage is like."""
    small = halved(cv2.GaussianBlur(picture, (0, 0), 1.2)).astype(float)
    small += np.random.default_rng(seed).normal(0, 6, small.shape)
    coded = cv2.imencode(
        ".jpg", np.clip(small, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 60]
    )[1]
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)


def bicubic(picture: np.ndarray, scale: int) -> np.ndarray:
    """What everyone can do."""
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """dB over all channels of 8 bits."""
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Structural similarity of the luma (Wang et al. 2004), window of sigma 1.5."""
    x, y = (p.astype(float) @ [0.299, 0.587, 0.114] for p in (a, b))

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(values, (11, 11), 1.5)

    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = ((2 * mx * my + c1) * (2 * cov + c2)) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return float(values[5:-5, 5:-5].mean())
