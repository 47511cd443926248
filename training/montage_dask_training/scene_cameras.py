"""Cameras that move over pictures: shots of 48×27 thumbnails from photos and from pictures that are drawn.

Everything follows from a random generator. Pictures are a few hundred pixels wide; a frame is warped at twice the size of a
thumbnail and averaged down, as the strip averages whole pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from montage_dask.analysis.features import HEIGHT, WIDTH, Bytes
from montage_dask.media.demo_draw import opencv

PICTURE_WIDTH = 420
"""Pixels across of a picture that cameras move over."""

Path_ = NDArray[np.float64]


def camera(rng: np.random.Generator, frames: int, tempo: float = 1.0) -> Path_:
    """Where a camera looks: [frames, 4] of centre x and y (0 … 1), share of the picture's width, and angle in degrees.

    Args:
        rng: decides everything.
        frames: how many.
        tempo: how much happens from frame to frame; 1 is what does at 25 frames a second.
    """
    style = rng.choice(6, p=(0.3, 0.26, 0.2, 0.08, 0.06, 0.1))
    share = rng.uniform(0.3, 0.8)
    start = np.array([*rng.uniform(share / 2, 1 - share / 2, 2), share, rng.normal(0, 2)])
    t = np.arange(frames) * tempo / 25.0
    path = np.repeat(start[None], frames, 0)
    if style == 1:  # a slow pan, tilt or zoom
        speed = rng.normal(0, 0.035, 2) * share
        path[:, :2] += t[:, None] * speed
        path[:, 2] *= np.exp(rng.normal(0, 0.06) * t)
    elif style == 2:  # held in the hand
        path[:, :2] += _wander(rng, frames, 2, rng.uniform(0.004, 0.02)) * share
        path[:, 2] *= np.exp(_wander(rng, frames, 1, 0.01)[:, 0])
        path[:, 3] += _wander(rng, frames, 1, 0.8)[:, 0]
    elif style == 3:  # a whip: at rest, very fast, at rest
        centre, width = rng.uniform(0, frames), rng.uniform(2, 10)
        rise = 1 / (1 + np.exp(-(np.arange(frames) - centre) / width))
        path[:, :2] += rise[:, None] * rng.normal(0, 0.45, 2) * (1, 0.3)
    elif style == 4:  # shaken
        path[:, :2] += rng.normal(0, rng.uniform(0.005, 0.05), (frames, 2)) * share
        path[:, :2] += _wander(rng, frames, 2, 0.02) * share
    elif style == 5:  # fast and even: from a car, after a runner
        speed = rng.normal(0, 0.35, 2) * share * (1, 0.2)
        path[:, :2] += t[:, None] * speed
        path[:, :2] += _wander(rng, frames, 2, 0.006) * share
    if rng.random() < 0.12:  # a jolt
        path[rng.integers(frames) :, :2] += rng.normal(0, 0.08, 2) * share
    return path


def _wander(rng: np.random.Generator, frames: int, columns: int, size: float) -> Path_:
    """Smooth random movement with deviation `size`."""
    raw = rng.normal(0, 1, (frames + 24, columns))
    width = rng.uniform(2, 9)
    kernel = np.exp(-0.5 * (np.arange(-12, 13) / width) ** 2)
    kernel /= np.sqrt((kernel**2).sum())
    smooth = [np.convolve(raw[:, c], kernel, "valid") for c in range(columns)]
    return np.stack(smooth, axis=1) * size


def filmed(picture: Bytes, path: Path_, aspect: float = 9 / 16) -> Bytes:
    """What a camera on a path sees of a picture: uint8 [frames, 54, 96, 3], which `small` makes thumbnails of.

    Args:
        picture: uint8 [height, width, 3].
        path: from `camera`.
        aspect: height of what is seen, as a share of its width.
    """
    height, width = picture.shape[:2]
    out = np.empty((len(path), 2 * HEIGHT, 2 * WIDTH, 3), np.uint8)
    for number, (x, y, share, angle) in enumerate(path):
        across = share * width / (2 * WIDTH)
        down = share * width * aspect / (2 * HEIGHT)
        cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        # Maps pixels of the view to pixels of the picture.
        view = np.array([[cos * across, -sin * down, 0.0], [sin * across, cos * down, 0.0]])
        view[:, 2] = (x * width, y * height) - view[:, :2] @ (WIDTH, HEIGHT)
        cv2.warpAffine(
            picture, view, (2 * WIDTH, 2 * HEIGHT), dst=out[number],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT_101,
        )  # fmt: skip
    return out


def small(frames: Bytes) -> Bytes:
    """Pictures averaged down to thumbnails: uint8 [n, 27, 48, 3]."""
    if frames.shape[1:3] == (2 * HEIGHT, 2 * WIDTH):
        quarters = frames.reshape(-1, HEIGHT, 2, WIDTH, 2, 3).astype(np.uint16)
        return ((quarters.sum(axis=(2, 4)) + 2) >> 2).astype(np.uint8)
    size = (WIDTH, HEIGHT)
    return np.stack([cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in frames])


def photo(path: str) -> Bytes:
    """A picture file as RGB, PICTURE_WIDTH pixels wide.

    Raises:
        OSError: it cannot be read.
    """
    opencv()
    from PIL import Image

    with Image.open(path) as opened:
        opened.draft("RGB", (PICTURE_WIDTH * 2, PICTURE_WIDTH * 2))
        whole = np.asarray(opened.convert("RGB"))
    height = max(120, round(PICTURE_WIDTH * whole.shape[0] / whole.shape[1]))
    return cv2.resize(whole, (PICTURE_WIDTH, height), interpolation=cv2.INTER_AREA)


# Pictures that are drawn ------------------------------------------------------------------------


def _noise(rng: np.random.Generator, height: int, width: int, channels: int = 1) -> Path_:
    """Smooth noise of several sizes, -1 … 1 or so."""
    total = np.zeros((height, width, channels))
    roughness = rng.uniform(0.35, 0.75)
    for octave in range(1, 7):
        cells = 2**octave
        coarse = rng.normal(size=(cells, cells * 2, channels)).astype(np.float32)
        fine = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        total += fine.reshape(height, width, channels) * roughness**octave
    return total / (np.abs(total).max() + 1e-6)


def _colours(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    """A few colours that go together, or not: float32 [count, 3], 0 … 255."""
    base, spread = rng.uniform(20, 235, 3), rng.uniform(10, 80)
    grey = rng.random() < 0.15
    found = np.clip(base + rng.normal(0, spread, (count, 3)), 0, 255)
    if grey:
        found = np.repeat(found.mean(axis=1, keepdims=True), 3, axis=1)
    return found.astype(np.float32)


def cloudy(rng: np.random.Generator) -> Bytes:
    """A field of noise in a few colours: water, sky, leaves, walls."""
    height, width = 236, PICTURE_WIDTH
    field = _noise(rng, height, width)[..., 0] * rng.uniform(0.5, 1.6)
    stops = _colours(rng, int(rng.integers(2, 6)))
    place = np.clip((field + 1) / 2, 0, 0.999) * (len(stops) - 1)
    low = place.astype(int)
    part = (place - low)[..., None]
    picture = stops[low] * (1 - part) + stops[low + 1] * part
    picture += _noise(rng, height, width, 3) * rng.uniform(0, 40)
    return np.clip(picture, 0, 255).astype(np.uint8)


def furnished(rng: np.random.Generator) -> Bytes:
    """Rectangles, discs and lines before a soft ground: rooms, streets, screens."""
    canvas = cloudy(rng) if rng.random() < 0.6 else _gradient(rng)
    height, width = canvas.shape[:2]
    colours = _colours(rng, 12)
    if rng.random() < 0.4:
        colours = rng.uniform(0, 255, (12, 3)).astype(np.float32)
    for _ in range(int(rng.integers(3, 40))):
        colour = [float(c) for c in colours[rng.integers(12)]]
        x, y = int(rng.integers(-20, width)), int(rng.integers(-20, height))
        size = rng.lognormal(3.2, 0.8, 2)
        match rng.integers(4):
            case 0:
                corner = (x + int(size[0]), y + int(size[1]))
                cv2.rectangle(canvas, (x, y), corner, colour, -1, cv2.LINE_AA)
            case 1:
                cv2.circle(canvas, (x, y), int(size[0] / 2) + 2, colour, -1, cv2.LINE_AA)
            case 2:
                end = (x + int(rng.normal(0, 120)), y + int(rng.normal(0, 80)))
                cv2.line(canvas, (x, y), end, colour, int(rng.integers(1, 9)), cv2.LINE_AA)
            case _:
                axes = (int(size[0]), int(size[1] / 2) + 1)
                angle = float(rng.uniform(0, 180))
                cv2.ellipse(canvas, (x, y), axes, angle, 0, 360, colour, -1, cv2.LINE_AA)
    return canvas


def _gradient(rng: np.random.Generator) -> Bytes:
    corners = _colours(rng, 4).reshape(2, 2, 3)
    size = (PICTURE_WIDTH, 236)
    canvas = cv2.resize(corners, size, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(np.clip(canvas, 0, 255).astype(np.uint8))


def crowded(rng: np.random.Generator) -> Bytes:
    """Many small things of alike colours: crowds, woods, shelves."""
    canvas = cloudy(rng)
    height, width = canvas.shape[:2]
    colours = _colours(rng, 20)
    step = int(rng.integers(7, 26))
    for y in range(0, height + step, step):
        for x in range(0, width + step, step):
            if rng.random() < 0.75:
                spot = (int(x + rng.normal(0, step / 3)), int(y + rng.normal(0, step / 3)))
                colour = [float(c) for c in colours[rng.integers(20)]]
                axes = (
                    int(step * rng.uniform(0.2, 0.6)) + 1,
                    int(step * rng.uniform(0.2, 0.8)) + 1,
                )
                cv2.ellipse(canvas, spot, axes, 0, 0, 360, colour, -1, cv2.LINE_AA)
    return canvas


def woven(rng: np.random.Generator) -> Bytes:
    """Stripes and checks before a soft ground."""
    canvas = cloudy(rng).astype(np.float32)
    y, x = np.mgrid[0 : canvas.shape[0], 0 : canvas.shape[1]]
    for colour in _colours(rng, int(rng.integers(1, 4))):
        angle, wave = rng.uniform(0, np.pi), rng.uniform(8, 70)
        stripes = np.sin((np.cos(angle) * x + np.sin(angle) * y) * 2 * np.pi / wave) > 0.2
        canvas[stripes] = canvas[stripes] * 0.4 + colour * 0.6
    return canvas.astype(np.uint8)


DRAWN: Mapping[str, Callable[[np.random.Generator], Bytes]] = {
    "cloudy": cloudy,
    "furnished": furnished,
    "crowded": crowded,
    "woven": woven,
}


# What moves before the camera -------------------------------------------------------------------


def add_movers(rng: np.random.Generator, frames: Bytes, tempo: float = 1.0) -> None:
    """Draw things that move: people, cars, hands, now and then one so large that it hides the view."""
    count, height, width = len(frames), frames.shape[1], frames.shape[2]
    t = np.arange(count)
    for _ in range(int(rng.choice(7, p=(0.3, 0.24, 0.16, 0.1, 0.08, 0.06, 0.06)))):
        colour = [float(c) for c in rng.uniform(0, 255, 3)]
        large = rng.random() < 0.15
        size = rng.uniform(0.35, 0.8) * width if large else rng.lognormal(2.2, 0.6)
        tall = size * rng.uniform(0.5, 2.2)
        speed = rng.normal(0, 2.4 if large else 1.0, 2) * (tempo, 0.35 * tempo)
        start = rng.uniform(0, 1, 2) * (width, height)
        if large:  # passes at some time
            start = np.array([width / 2, height / 2]) - speed * rng.uniform(0, count)
        elif rng.random() < 0.4:  # comes in from outside, as on a road
            start = start - speed * rng.uniform(0, count)
        sway = _wander(rng, count, 2, rng.uniform(0, 4))
        places = start + t[:, None] * speed + sway
        angle, box = float(rng.uniform(0, 180)), rng.random() < 0.4
        shade = rng.uniform(0.4, 1.0)
        other = [c * shade for c in colour]
        for frame, (x, y) in zip(frames, places, strict=True):
            if not (-size < x < width + size and -tall < y < height + tall):
                continue
            spot = (int(x), int(y))
            axes = (max(1, int(size / 2)), max(1, int(tall / 2)))
            if box:
                a, b = (
                    (spot[0] - axes[0], spot[1] - axes[1]),
                    (spot[0] + axes[0], spot[1] + axes[1]),
                )
                cv2.rectangle(frame, a, b, colour, -1, cv2.LINE_AA)
            else:
                cv2.ellipse(frame, spot, axes, angle, 0, 360, colour, -1, cv2.LINE_AA)
            head = (spot[0], spot[1] - axes[1])
            cv2.circle(frame, head, max(1, axes[0] // 2), other, -1, cv2.LINE_AA)
