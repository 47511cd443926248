"""What happens to pictures without a transition: flashes, exposure, titles, letterboxes, noise, frames lost or repeated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from montage_dask.analysis.features import HEIGHT, WIDTH, Bytes


def graded(rng: np.random.Generator, frames: Bytes) -> Bytes:
    """Another brightness, contrast, saturation and tint, the same for the whole shot."""
    values = frames.astype(np.float32)
    gamma, gain = np.exp(rng.normal(0, 0.3)), np.exp(rng.normal(-0.05, 0.25))
    values = 255 * (values / 255) ** gamma * gain + rng.normal(0, 10)
    grey = values.mean(axis=-1, keepdims=True)
    values = grey + (values - grey) * rng.uniform(0.0, 1.3)
    values *= 1 + rng.normal(0, 0.06, 3)
    return _bytes(values)


def unsteady(rng: np.random.Generator, frames: Bytes) -> Bytes:
    """Changes of light within a shot that are no transitions: flashes, lost frames, new exposure, flicker."""
    count = len(frames)
    values = frames.astype(np.float32)
    draw = rng.random()
    if draw < 0.3:
        for _ in range(int(rng.integers(1, 5))):
            _flash(rng, values)
    elif draw < 0.4:
        at, length = int(rng.integers(count)), int(rng.integers(1, 4))
        values[at : at + length] = (
            rng.choice([0.0, 255.0]) if rng.random() < 0.8 else rng.uniform(0, 255, 3)
        )
    elif draw < 0.65:
        length = int(rng.integers(1, 25))
        ramp = np.clip((np.arange(count) - rng.uniform(0, count)) / length, 0, 1)
        gain, offset = np.exp(rng.normal(0, 0.4)), rng.normal(0, 20)
        values *= (1 + ramp * (gain - 1))[:, None, None, None].astype(np.float32)
        values += (ramp * offset)[:, None, None, None].astype(np.float32)
    elif draw < 0.8:
        size = rng.uniform(0.01, 0.25)
        flicker = (
            np.exp(rng.normal(0, size, count))
            if rng.random() < 0.6
            else (1 + size * np.sign(np.sin(np.arange(count) * rng.uniform(0.3, 3))))
        )
        values *= flicker[:, None, None, None].astype(np.float32)
    else:  # a light that comes on in a part of the picture
        at = int(rng.integers(count))
        values[at:] += (_spot(rng) * rng.uniform(20, 120))[None]
    return _bytes(values)


def hazy(rng: np.random.Generator, frames: Bytes) -> Bytes:
    """Little contrast, the same for the whole shot: roads, fog, walls."""
    values = frames.astype(np.float32)
    middle = values.mean()
    return _bytes(middle + (values - middle) * rng.uniform(0.1, 0.6))


def adapting(rng: np.random.Generator, frames: Bytes) -> Bytes:
    """A camera that slowly finds another exposure, as when something has left the picture; or a light comes on slowly."""
    count = len(frames)
    length = rng.uniform(8, 120)
    t = np.clip((np.arange(count) - rng.uniform(-length / 2, count)) / length, 0, 1)
    share = (t * t * (3 - 2 * t)).astype(np.float32)[:, None, None, None]
    where = np.float32(1) if rng.random() < 0.6 else 0.4 + 0.6 * _spot(rng)
    gain, offset = np.exp(rng.normal(0, 0.45)), rng.normal(0, 15)
    values = frames.astype(np.float32)
    values += share * where * (values * np.float32(gain - 1) + np.float32(offset))
    return _bytes(values)


def _spot(rng: np.random.Generator) -> NDArray[np.float32]:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    cx, cy, size = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT), rng.uniform(4, 25)
    spot = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * size**2))[..., None]
    return (spot * rng.uniform(0.5, 1, 3)).astype(np.float32)


def _flash(rng: np.random.Generator, values: NDArray[np.float32]) -> None:
    at, length = int(rng.integers(len(values))), int(rng.integers(1, 8))
    stop = min(at + length, len(values))
    fall = np.exp(-np.arange(stop - at) / rng.uniform(0.7, 4)).astype(np.float32)[
        :, None, None, None
    ]
    light = rng.uniform(60, 300)
    where = _spot(rng) * 1.5 if rng.random() < 0.35 else np.float32(1)
    if rng.random() < 0.25:  # to white, not only brighter
        values[at:stop] += (255 - values[at:stop]) * np.clip(fall * rng.uniform(0.5, 1), 0, 1)
    else:
        values[at:stop] += fall * light * where


def titled(rng: np.random.Generator, frames: Bytes) -> Bytes:
    """Lettering or a logo that comes and goes, at once or slowly."""
    count = len(frames)
    values = frames.astype(np.float32)
    for _ in range(int(rng.integers(1, 4))):
        tall, wide = int(rng.integers(2, 10)), int(rng.integers(5, 42))
        y, x = int(rng.integers(0, HEIGHT - tall)), int(rng.integers(0, WIDTH - wide))
        ink = rng.uniform(0, 1, (tall, wide, 1)).astype(np.float32) ** 2
        if rng.random() < 0.3:
            ink = np.maximum(ink, 0.8)
        colour = rng.choice([0.0, 255.0]) if rng.random() < 0.6 else rng.uniform(0, 255, 3)
        start, length, ramp = rng.integers(count), rng.integers(15, 120), rng.integers(1, 15)
        t = np.arange(count)
        there = np.clip(np.minimum(t - start, start + length - t) / ramp, 0, 1)
        share = there[:, None, None, None].astype(np.float32) * ink
        part = values[:, y : y + tall, x : x + wide]
        part += (colour - part) * share
    return _bytes(values)


def boxed(rng: np.random.Generator, frames: Bytes) -> Bytes:
    """Black bars above and below, or on both sides."""
    frames = frames.copy()
    if rng.random() < 0.65:
        bar = int(rng.integers(1, 6))
        frames[:, :bar] = frames[:, HEIGHT - bar :] = 0
    else:
        bar = int(rng.integers(2, 17))
        frames[:, :, :bar] = frames[:, :, WIDTH - bar :] = 0
    return frames


def noisy(rng: np.random.Generator, frames: Bytes) -> Bytes:
    """Grain, and what codecs leave behind: blocks that swim and a jolt at every keyframe."""
    size = min(float(rng.lognormal(-0.2, 0.8)), 7.0)
    # Grain comes from a table that is read at another place for each frame.
    table = rng.normal(0, size, 1 << 18).astype(np.float32)
    values = frames.astype(np.float32)
    pixels = HEIGHT * WIDTH * 3
    for number, offset in enumerate(rng.integers(0, len(table) - pixels, len(frames))):
        values[number] += table[offset : offset + pixels].reshape(HEIGHT, WIDTH, 3)
    if rng.random() < 0.4:
        group, strength = int(rng.integers(8, 60)), rng.uniform(0.3, 3)
        for start in range(int(rng.integers(group)), len(frames), group):
            coarse = rng.normal(0, strength, (7, 12, 1)).astype(np.float32)
            swim = np.repeat(np.repeat(coarse, 4, 0), 4, 1)[:HEIGHT]
            values[start : start + group] += swim
    return _bytes(values)


def retimed(rng: np.random.Generator, frames: int) -> NDArray[np.int64]:
    """Which frame is shown when frames are repeated or lost, as rates are converted: int64 [frames], not falling."""
    draw = rng.random()
    if draw < 0.35:
        index = np.arange(frames) // 2
    elif draw < 0.6:
        index = np.floor(np.arange(frames) * rng.choice([0.8, 0.96, 24 / 30, 12 / 25])).astype(
            np.int64
        )
    else:
        stays = rng.random(frames) < rng.uniform(0.01, 0.12)
        index = np.arange(frames)
        index[stays] = np.maximum(index[stays] - 1, 0)
        index = np.maximum.accumulate(index)
    return index


def _bytes(values: NDArray[np.float32]) -> Bytes:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
