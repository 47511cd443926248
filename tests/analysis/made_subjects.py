"""Films with a subject whose box is known: a textured patch that goes its way over a picture that the camera moves over."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

RATE = 25
SIZE = (384, 216)


@dataclass(frozen=True)
class Film:
    """Frames and the truth."""

    frames: np.ndarray
    """uint8 [n, 216, 384, 3]."""
    boxes: np.ndarray
    """[n, 4]: left, top, width, height in shares of the picture."""


def leaves(seed: int, wide: int, high: int, low: int = 20, top: int = 235) -> np.ndarray:
    """Overlapping shaded discs of all sizes, as in photographs (Lee, Mumford, Huang 2001): uint8 [high, wide, 3]."""
    random = np.random.default_rng(seed)
    picture = np.full((high, wide, 3), (low + top) / 2, np.float32)
    for _ in range(500 + wide * high // 300):
        radius = 4.0 / np.sqrt(random.uniform((4.0 / (high / 2)) ** 2, 1.0))
        centre = (int(random.uniform(0, wide)), int(random.uniform(0, high)))
        colour = random.uniform(low, top) + random.normal(0, 12, 3)
        cv2.circle(picture, centre, max(1, int(radius)), colour.tolist(), -1, cv2.LINE_AA)
    return np.clip(cv2.GaussianBlur(picture, (0, 0), 0.8), 0, 255).astype(np.uint8)


def film(seed: int, seconds: float = 6.0, *, pan: float = 0.0, subject: bool = True) -> Film:
    """A film of a camera that pans by `pan` picture widths a second, with a subject that walks through it or not."""
    random = np.random.default_rng([seed, 5])
    wide, high = SIZE
    count = round(seconds * RATE)
    ground = leaves(seed, 3 * wide, 2 * high, 60, 200)
    tall, broad = int(random.uniform(0.3, 0.55) * high), int(random.uniform(0.1, 0.18) * wide)
    patch = leaves(seed + 1000, broad, tall, 0, 255) if seed % 2 else 255 - leaves(
        seed + 1000, broad, tall, 120, 255
    )  # fmt: skip
    mask = np.zeros((tall, broad), np.float32)
    cv2.ellipse(mask, (broad // 2, tall // 2), (broad // 2, tall // 2), 0, 0, 360, 1.0, -1)
    begin, end = random.uniform(0.02, 0.2), random.uniform(0.55, 0.8)
    if seed % 3 == 0:
        begin, end = end, begin
    top = random.uniform(0.1, 0.4)
    frames, boxes = [], []
    for k in range(count):
        t = k / max(1, count - 1)
        at = wide / 2 + pan * wide * k / RATE + wide / 3
        view = cv2.getRectSubPix(ground, SIZE, (at % (2 * wide) + wide / 2, high))
        x = (begin + (end - begin) * (t + 0.06 * np.sin(5 * t))) * wide
        y = (top + 0.03 * np.sin(9 * t)) * high
        x0, y0 = round(x), round(y)
        picture = view.astype(np.float32)
        if subject:
            area = picture[y0 : y0 + tall, x0 : x0 + broad]
            m = mask[: area.shape[0], : area.shape[1], None]
            area[:] = area * (1 - m) + patch[: area.shape[0], : area.shape[1]] * m
        picture += random.normal(0, 2.5, picture.shape)
        frames.append(np.clip(picture, 0, 255).astype(np.uint8))
        right, bottom = min(wide, x0 + broad), min(high, y0 + tall)
        boxes.append((x0 / wide, y0 / high, (right - x0) / wide, (bottom - y0) / high))
    return Film(np.stack(frames), np.array(boxes))


def thumbnails(film_frames: np.ndarray) -> np.ndarray:
    """As the strip has them: uint8 [n, 27, 48, 3]."""
    return np.stack([cv2.resize(f, (48, 27), interpolation=cv2.INTER_AREA) for f in film_frames])


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[:2] + a[2:4], b[:2] + b[2:4])
    common = float(np.prod(np.maximum(high - low, 0)))
    return common / float(a[2] * a[3] + b[2] * b[3] - common)


class Index:
    """Frame times of a constant rate."""

    def __init__(self, frames: int, rate: int = RATE) -> None:
        self.pts, self._rate = [512 * k for k in range(frames)], rate

    def __len__(self) -> int:
        return len(self.pts)

    def time_seconds(self, number: int) -> Fraction:
        return Fraction(number, self._rate)
