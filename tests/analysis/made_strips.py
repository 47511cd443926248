"""Strips and pictures made up for tests: scenes that move, with known cuts."""

from pathlib import Path

import numpy as np

from montage_dask.analysis.scenes import detect_boundaries
from montage_dask.analysis.strip import Strip, create_strip, write_frames
from montage_dask.records import Boundary

ENDS = ((60, 1.0), (30, 0.25))
"""How far the camera moves across and down, and how fast in each direction."""


def picture(seed: int, height: int = 60, width: int = 110) -> np.ndarray:
    """A smooth picture, larger than a thumbnail, for a camera to move over."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells, weight in ((4, 1.0), (9, 0.6), (22, 0.3)):
        coarse = rng.normal(size=(cells, cells * 2, 3))
        rows = np.linspace(0, cells - 1, height)
        columns = np.linspace(0, cells * 2 - 1, width)
        low = np.floor(rows).astype(int)
        part = (rows - low)[:, None, None]
        tall = coarse[low] * (1 - part) + coarse[np.minimum(low + 1, cells - 1)] * part
        low = np.floor(columns).astype(int)
        part = (columns - low)[None, :, None]
        high = np.minimum(low + 1, cells * 2 - 1)
        total += weight * (tall[:, low] * (1 - part) + tall[:, high] * part)
    centre = rng.uniform(90, 160, 3)
    return np.clip(centre + total * 40, 0, 255).astype(np.uint8)


def scene(seed: int, frames: int, speed: float = 0.3, noise: float = 1.0) -> np.ndarray:
    """A camera that moves over a picture: uint8 [frames, 27, 48, 3]."""
    big = picture(seed)
    rng = np.random.default_rng(seed + 1000)
    shots = []
    for frame in range(frames):
        # To and fro, for a camera does not jump.
        x, y = (int(end - abs(frame * speed * part % (2 * end) - end)) for end, part in ENDS)
        view = big[y : y + 27, x : x + 48]
        shots.append(np.clip(view + rng.normal(0, noise, view.shape), 0, 255))
    return np.array(shots).astype(np.uint8)


def make_strip(
    folder: Path,
    thumbnails: np.ndarray,
    window_frames: int = 100,
    sharpness: float = 0.5,
    look_step: int = 10,
) -> Strip:
    """A strip with these thumbnails, written window by window, last window first; of 24 to 49 frames a second."""
    frames = len(thumbnails)
    create_strip(folder, frames, window_frames, look_step)
    for start in reversed(range(0, frames, window_frames)):
        batch = thumbnails[start : start + window_frames]
        write_frames(
            folder, start, batch, np.full(len(batch), sharpness, np.float32), window_frames,
            look_step=look_step,
        )  # fmt: skip
    return Strip(folder)


def detect_cuts(strip: Strip, **kwargs) -> tuple[int, ...]:
    """Where the boundaries lie; of gradual ones, the middle."""
    return tuple(
        (b.start_frame + b.stop_frame + 1) // 2 for b in detect_boundaries(strip, **kwargs)
    )


def hard(cuts) -> tuple[Boundary, ...]:
    """Cuts as boundaries."""
    return tuple(Boundary("cut", cut, cut, 1.0) for cut in cuts)
