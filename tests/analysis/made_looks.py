"""Drawn scenes at several moments, and what happens to a shot on its way: grades, exposures, crops, codecs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import cv2
import numpy as np

from montage_dask.media import demo_scenes, demo_shapes
from montage_dask.render.grade import PRESETS

Picture = np.ndarray
SIZE = (192, 108)
SEED = 4711
"""Not a seed that the weights of the descriptor were chosen on."""

SCENES = (
    *(demo_scenes.aurora, demo_scenes.sunset, demo_scenes.city_lights, demo_scenes.lanterns),
    *(demo_scenes.starfield, demo_shapes.wireframe, demo_shapes.tunnel, demo_shapes.waves),
    *(demo_shapes.tiles, demo_shapes.lava, demo_shapes.kaleidoscope),
)


@cache
def moments() -> tuple[tuple[Picture, ...], ...]:
    """Of each scene two pictures, 0.4 s apart."""
    made = []
    for number, scene in enumerate(SCENES):
        random = np.random.default_rng([SEED, number])
        frames = [p.copy() for p in scene(random, *SIZE, 3, 5.0)]
        made.append((frames[0], frames[2]))
    return tuple(made)


def thumbnail(picture: Picture) -> Picture:
    return cv2.resize(picture, (48, 27), interpolation=cv2.INTER_AREA)


def _bytes(values: Picture) -> Picture:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _graded(name: str) -> Callable[[Picture], Picture]:
    return lambda p: _bytes(255 * np.clip(PRESETS[name](p / 255.0), 0, 1))


def _cropped(part: float, right: float = 0.0, down: float = 0.0) -> Callable[[Picture], Picture]:
    def crop(picture: Picture) -> Picture:
        height, width = (round(side * part) for side in picture.shape[:2])
        y = round((picture.shape[0] - height) * (0.5 + down))
        x = round((picture.shape[1] - width) * (0.5 + right))
        return cv2.resize(picture[y : y + height, x : x + width], SIZE)

    return crop


def _encoded(picture: Picture) -> Picture:
    small = cv2.resize(picture, (SIZE[0] // 2, SIZE[1] // 2))
    _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 12])
    return cv2.resize(cv2.imdecode(data, cv2.IMREAD_COLOR), SIZE)


VERSIONS: Mapping[str, Callable[[Picture], Picture]] = {
    "another moment": lambda p: p,
    "teal and orange": _graded("teal-orange"),
    "black and white": _graded("noir"),
    "vintage": _graded("vintage"),
    "brighter": lambda p: _bytes(255 * (p / 255.0) ** 0.7 * 1.15),
    "darker": lambda p: _bytes(255 * (p / 255.0) ** 1.2 * 0.65),
    "warmer": lambda p: _bytes(p * [1.2, 1.0, 0.8]),
    "cooler": lambda p: _bytes(p * [0.85, 1.0, 1.2]),
    "cropped": _cropped(0.85, 0.2, 0.1),
    "zoomed": _cropped(0.72),
    "mirrored": lambda p: p[:, ::-1].copy(),
    "encoded badly": _encoded,
}
"""Ways in which a shot comes back."""


def in_the_colours_of(picture: Picture, other: Picture) -> Picture:
    """The picture with the mean and covariance of the other's colours: a histogram's worst case."""
    a, b = (p.reshape(-1, 3) / 255.0 for p in (picture, other))
    root_a, root_b = (np.linalg.cholesky(np.cov(v.T) + 1e-4 * np.eye(3)) for v in (a, b))
    moved = (a - a.mean(0)) @ np.linalg.inv(root_a).T @ root_b.T + b.mean(0)
    return _bytes(255 * moved).reshape(picture.shape)
