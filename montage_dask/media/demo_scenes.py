"""Moving pictures made of nothing, for the demo footage: each scene yields RGB frames.

A scene is a function (rng, width, height, frames, fps) -> iterator of uint8 arrays (height, width, 3). Soft fields are computed
small and enlarged; lines and shapes are drawn at full size. Positions follow seconds, so the rate does not change the speed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
Field = npt.NDArray[np.float32]
Scene = Callable[[np.random.Generator, int, int, int, float], Iterator[Picture]]
Colour = tuple[int, int, int]


def _cv2() -> Any:
    # Imported late: workers that never draw start faster without it.
    import cv2

    return cv2


def _ramp(*stops: Colour, size: int = 256) -> Picture:
    """A colour ramp through evenly spaced stops, shape (size, 3)."""
    at = np.linspace(0, len(stops) - 1, size)
    known = np.arange(len(stops))
    channels = [np.interp(at, known, [stop[c] for stop in stops]) for c in range(3)]
    return np.stack(channels, axis=1).astype(np.uint8)


def _paint(field: Field, ramp: Picture) -> Picture:
    """Colours of a field of 0 … 1."""
    return ramp[np.clip(field * 255, 0, 255).astype(np.uint8)]


def _enlarge(picture: Picture, width: int, height: int) -> Picture:
    cv2 = _cv2()
    large: Picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
    return large


def _grid(width: int, height: int) -> tuple[Field, Field]:
    """x and y of every pixel: y in -0.5 … 0.5, x in the same unit."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return (x - (width - 1) / 2) / height, (y - (height - 1) / 2) / height


def _bloom(picture: Picture, strength: float = 0.9) -> Picture:
    """Add a glow around what is bright."""
    cv2 = _cv2()
    height, width = picture.shape[:2]
    small = cv2.resize(picture, (width // 8, height // 8), interpolation=cv2.INTER_AREA)
    wide = cv2.resize(cv2.GaussianBlur(small, (0, 0), 2.2), (width, height))
    glowing: Picture = cv2.addWeighted(picture, 1.0, wide, strength, 0)
    return glowing


def _ridge(rng: np.random.Generator, length: int, roughness: float) -> Field:
    """A periodic mountain line of 0 … 1, shape (length,)."""
    x = np.linspace(0, 2 * np.pi, length, endpoint=False)
    line = np.zeros(length)
    for octave in range(1, 40):
        line += rng.normal() * octave**-roughness * np.cos(octave * x + rng.uniform(0, 2 * np.pi))
    line -= line.min()
    return (line / line.max()).astype(np.float32)


def _fill_below(canvas: Picture, line: Field, colour: Colour) -> None:
    """Fill everything below a line of y coordinates (one per column step)."""
    height, width = canvas.shape[:2]
    x = np.linspace(0, width - 1, len(line))
    points = np.stack([x, line], axis=1)
    outline = np.concatenate([points, [[width - 1, height], [0, height]]])
    cv2 = _cv2()
    cv2.fillPoly(canvas, [np.round(outline * 8).astype(np.int32)], colour, cv2.LINE_AA, 3)


def aurora(
    rng: np.random.Generator, width: int, height: int, frames: int, fps: float
) -> Iterator[Picture]:
    """Northern lights over a dark forest; calm."""
    cv2 = _cv2()
    columns, rows = 240, 240 * height // width
    x, y = _grid(columns, rows)
    x0 = x[0]
    night = _paint(
        np.linspace(0, 1, rows, dtype=np.float32)[:, None] + 0 * x, _ramp((4, 6, 26), (14, 30, 66))
    )
    stars = np.zeros((height, width, 3), np.uint8)
    for _ in range(220):
        spot = (int(rng.integers(width)), int(rng.integers(height * 3 // 4)))
        cv2.circle(stars, spot, 1, [int(rng.integers(60, 230))] * 3, -1, cv2.LINE_AA)
    trees = np.full(width, float(height), np.float32)
    across = np.arange(width)
    for _ in range(130):
        top = height * rng.uniform(0.80, 0.93)
        trees = np.minimum(
            trees, top + np.abs(across - rng.uniform(0, width)) * rng.uniform(2.2, 4.0)
        )
    hills = height * (0.93 - 0.05 * _ridge(rng, width, 2.0))
    trees = np.minimum(trees, hills).astype(np.float32)
    phase = rng.uniform(0, 6, 12)
    curtains = [
        (0.14, 0.16, (70, 255, 150)),
        (0.02, 0.22, (40, 210, 220)),
        (-0.08, 0.26, (170, 80, 255)),
    ]
    for frame in range(frames):
        t = frame / fps
        light = night.astype(np.float32)
        for k, (base, tall, colour) in enumerate(curtains):
            foot = (
                base
                + 0.07 * np.sin(2.1 * x0 + 0.5 * t + phase[k])
                + 0.03 * np.sin(5 * x0 - 0.8 * t + phase[k + 3])
            )
            rays = (
                0.55
                + 0.25 * np.sin(19 * x0 + 1.3 * t + phase[k + 6])
                + 0.2 * np.sin(43 * x0 - 2.1 * t + phase[k])
            )
            above = foot[None, :] - y
            veil = (
                np.where(
                    above > 0, np.exp(-above / (tall * (0.6 + 0.4 * rays))), np.exp(above / 0.015)
                )
                * rays
            )
            light += (
                veil[..., None] * np.array(colour, np.float32) * (0.75 + 0.25 * np.sin(0.9 * t + k))
            )
        picture = cv2.add(_enlarge(np.clip(light, 0, 255).astype(np.uint8), width, height), stars)
        _fill_below(picture, trees, (3, 6, 12))
        yield picture


def sunset(
    rng: np.random.Generator, width: int, height: int, frames: int, fps: float
) -> Iterator[Picture]:
    """A drive into a striped sun, over a neon grid."""
    cv2 = _cv2()
    horizon = int(height * 0.62)
    ramp = _ramp((22, 8, 60), (96, 20, 110), (226, 60, 110), (255, 150, 90), (255, 214, 140))
    sky = np.repeat(ramp[np.linspace(0, 255, horizon).astype(int)][:, None], width, axis=1)
    sun = sky.copy()
    radius = int(height * 0.27)
    centre = (width // 2, int(horizon * 0.72))
    disc = np.zeros((horizon, width, 3), np.uint8)
    tall = np.clip((np.arange(horizon) - centre[1] + radius) / (2 * radius), 0, 1)
    disc[:] = _ramp((255, 240, 120), (255, 120, 110), (240, 40, 150))[(tall * 255).astype(int)][
        :, None
    ]
    mask = np.zeros((horizon, width), np.uint8)
    cv2.circle(mask, centre, radius, 255, -1, cv2.LINE_AA)
    layers = [(_ridge(rng, 4 * width, 1.5), 0.30, 22, (92, 24, 104)), (_ridge(rng, 4 * width, 1.3), 0.19, 60, (54, 14, 82)),
              (_ridge(rng, 4 * width, 1.2), 0.10, 150, (24, 8, 52))]  # fmt: skip
    floor_ramp = _ramp((70, 14, 92), (12, 6, 34))
    floor = np.repeat(
        floor_ramp[np.linspace(0, 255, height - horizon).astype(int)][:, None], width, axis=1
    )
    for frame in range(frames):
        t = frame / fps
        slit = ((tall * 9 + 0.35 * t) % 1 < 0.12 + 0.4 * np.maximum(tall - 0.4, 0)) & (tall > 0.42)
        alpha = (mask * ~slit[:, None])[..., None].astype(np.uint16)
        sun = ((disc * alpha + sky * (255 - alpha)) // 255).astype(np.uint8)
        picture = np.concatenate([sun, floor])
        for line, tallness, speed, colour in layers:
            shift = int(speed * t * height / 540)
            part = np.take(line, np.arange(shift, shift + width), mode="wrap")
            _fill_below(picture[:horizon], horizon - height * tallness * part, colour)
        neon = np.zeros_like(picture)
        for k in range(-14, 15):
            foot = width / 2 + (k + 0.35 * np.sin(0.6 * t)) * width * 0.22
            cv2.line(
                neon,
                (int(width / 2 + k * width * 0.035), horizon),
                (int(foot), height),
                (255, 70, 200),
                1,
                cv2.LINE_AA,
            )
        for k in range(14):
            depth = (k + 1 - (1.8 * t) % 1) / 2.2
            if depth > 0.4:
                row = horizon + (height - horizon) * 0.42 / depth
                cv2.line(
                    neon,
                    (0, int(row)),
                    (width, int(row)),
                    (90, 220, 255),
                    1 + int(1 / depth),
                    cv2.LINE_AA,
                )
        cv2.line(neon, (0, horizon), (width, horizon), (255, 190, 240), 2)
        yield cv2.add(picture, _bloom(neon, 1.4))


def _sprite(radius: int, rim: float) -> Field:
    """A soft disc of 0 … 1, brighter at its rim, shape (2r+1, 2r+1)."""
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float32) / radius
    r = np.hypot(x, y)
    inside: Field = np.clip((1 - r) * max(radius / 3, 2), 0, 1) * (1 - rim + rim * r**4)
    return inside


def _add_sprite(canvas: Field, sprite: Field, x: int, y: int, colour: Sequence[float]) -> None:
    """Add a coloured sprite centred at (x, y); what lies outside is cut off."""
    r = sprite.shape[0] // 2
    top, left = max(y - r, 0), max(x - r, 0)
    bottom, right = min(y + r + 1, canvas.shape[0]), min(x + r + 1, canvas.shape[1])
    if top < bottom and left < right:
        part = sprite[top - y + r : bottom - y + r, left - x + r : right - x + r]
        canvas[top:bottom, left:right] += part[..., None] * np.asarray(colour, np.float32)


def city_lights(
    rng: np.random.Generator, width: int, height: int, frames: int, fps: float
) -> Iterator[Picture]:
    """City lights at night, out of focus, slowly pulled; calm."""
    w, h = width // 2, height // 2
    colours = [
        (255, 170, 70),
        (255, 110, 50),
        (255, 60, 70),
        (90, 190, 255),
        (255, 220, 150),
        (80, 255, 200),
    ]
    lights = [(rng.uniform(-0.1, 1.1), rng.uniform(0.25, 0.95), rng.uniform(0.4, 1.0), colours[rng.integers(6)], rng.uniform(0, 6))
              for _ in range(46)]  # fmt: skip
    rows = np.linspace(0, 1, h, dtype=np.float32)[:, None]
    ground = _paint(
        rows + np.zeros((h, w), np.float32), _ramp((6, 8, 22), (20, 16, 44), (48, 22, 40))
    ).astype(np.float32)
    for frame in range(frames):
        t = frame / fps
        canvas = ground.copy()
        focus = 0.6 + 0.4 * np.cos(1.1 * t)
        for x, y, near, colour, phase in lights:
            radius = max(3, int(h * 0.10 * near * (0.35 + focus)))
            at = (x + 0.06 * t * near) % 1.2 - 0.1
            glow = (0.34 + 0.1 * np.sin(2.5 * t + phase)) / (0.45 + 0.6 * focus)
            sway = int(h * (y + 0.01 * np.sin(t + phase)))
            _add_sprite(
                canvas, _sprite(radius, 0.35), int(w * at), sway, [c * glow for c in colour]
            )
        yield _enlarge(np.clip(canvas, 0, 255).astype(np.uint8), width, height)


def lanterns(
    rng: np.random.Generator, width: int, height: int, frames: int, fps: float
) -> Iterator[Picture]:
    """Paper lanterns that rise over still water at dusk; calm, made for upright pictures."""
    w, h = width // 2, height // 2
    shore = int(h * 0.74)
    ramp = _ramp((12, 14, 48), (48, 30, 92), (150, 60, 110), (244, 134, 96))
    sky = np.repeat(ramp[np.linspace(0, 255, shore).astype(int)][:, None], w, axis=1)
    _fill_below(sky, shore - 0.07 * h * _ridge(rng, 200, 1.6) - 0.02 * h, (26, 16, 50))
    items = sorted(
        (rng.uniform(0.25, 1.0), rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0, 6))
        for _ in range(34)
    )
    rows = np.arange(h - shore)
    for frame in range(frames):
        t = frame / fps
        canvas = sky.astype(np.float32)
        for near, x, y, phase in items:
            up = (y + 0.10 * near * t) % 1.0
            px, py = int(w * (x + 0.02 * np.sin(0.9 * t + phase))), int(shore * (1.02 - 1.1 * up))
            size = int(4 + 13 * near)
            flicker = 0.8 + 0.2 * np.sin(9 * t + 5 * phase)
            _add_sprite(
                canvas,
                _sprite(4 * size, 0.0) ** 2,
                px,
                py,
                [70 * flicker * near, 30 * flicker * near, 8 * near],
            )
            cube = canvas[
                max(py - size, 0) : max(py + size, 0),
                max(px - size * 2 // 3, 0) : max(px + size * 2 // 3, 0),
            ]
            heat = (
                np.linspace(0.55, 1.0, cube.shape[0], dtype=np.float32)[:, None, None]
                if cube.size
                else 0
            )
            cube[:] = np.array([255, 176, 84], np.float32) * heat * flicker
        mirrored = np.clip(
            shore - 1 - rows * 2 - (2.5 * np.sin(rows * 0.8 - 4 * t)).astype(int), 0, shore - 1
        )
        water = canvas[mirrored] * 0.55 + np.array([4, 6, 20], np.float32)
        ripple = np.roll(water, 1, axis=1) * 0.5 + water * 0.5
        yield _enlarge(
            np.clip(np.concatenate([canvas, ripple]), 0, 255).astype(np.uint8), width, height
        )


def kaleidoscope(
    rng: np.random.Generator, width: int, height: int, frames: int, fps: float
) -> Iterator[Picture]:
    """A turning mandala of six mirrors; wild."""
    cv2 = _cv2()
    size = 512
    texture = _paint(
        np.linspace(0, 1, size, dtype=np.float32)[:, None] + np.zeros((size, size), np.float32),
        _ramp((20, 10, 60), (120, 20, 110), (20, 60, 110), (20, 10, 60)),
    )
    paints = [
        (255, 200, 60),
        (255, 80, 120),
        (60, 220, 220),
        (250, 250, 240),
        (140, 90, 255),
        (255, 130, 40),
        (30, 200, 140),
    ]
    for _ in range(70):
        spot = (int(rng.integers(size)), int(rng.integers(size)))
        colour = paints[rng.integers(len(paints))]
        radius = int(rng.integers(8, 46))
        if rng.random() < 0.5:
            cv2.circle(texture, spot, radius, colour, int(rng.choice([-1, 4, 8])), cv2.LINE_AA)
        else:
            turn = rng.uniform(0, 6) + np.array([0, 2.1, 4.2])
            points = np.stack([np.cos(turn), np.sin(turn)], 1) * radius + spot
            cv2.fillPoly(texture, [points.astype(np.int32)], colour, cv2.LINE_AA)
    x, y = _grid(width, height)
    r = np.hypot(x, y)
    sector = np.pi / 6
    folded = np.abs((np.arctan2(y, x) + sector) % (2 * sector) - sector)
    shade = np.clip(1.15 - 0.75 * r, 0, 1)[..., None]
    along, aside = r * np.cos(folded), r * np.sin(folded)
    for frame in range(frames):
        t = frame / fps
        turn, zoom = 0.9 * t, 420 + 130 * np.sin(1.7 * t)
        c, s = np.float32(zoom * np.cos(turn)), np.float32(zoom * np.sin(turn))
        u = c * along - s * aside + np.float32(60 * t)
        v = s * along + c * aside + np.float32(size / 2 + 90 * np.sin(0.8 * t))
        picture = cv2.remap(texture, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        yield (picture * shade).astype(np.uint8)


def starfield(
    rng: np.random.Generator, width: int, height: int, frames: int, fps: float
) -> Iterator[Picture]:
    """A jump through the stars, past a nebula; wild."""
    cv2 = _cv2()
    x, y = _grid(160, 160 * height // width)
    cloud = np.zeros_like(x)
    for octave in range(1, 7):
        a, b, p, q = rng.normal(0, 2.2 * octave, 2).tolist() + rng.uniform(0, 6, 2).tolist()
        cloud += np.sin(a * x + p + np.sin(b * y + q)) * np.sin(b * x - a * y + q) / octave
    nebula = _paint(
        np.clip(0.22 + 0.26 * cloud, 0, 1) * np.exp(-1.2 * np.hypot(x, y)),
        _ramp((2, 2, 12), (30, 14, 90), (150, 30, 130), (255, 120, 110)),
    )
    backdrop = _enlarge(nebula, width * 5 // 4, height * 5 // 4)
    stars = np.stack(
        [rng.uniform(-1.6, 1.6, 420), rng.uniform(-1, 1, 420), rng.uniform(0.05, 1, 420)], axis=1
    )
    tints = np.array([(255, 255, 255), (170, 200, 255), (255, 220, 180)])[rng.integers(3, size=420)]
    for frame in range(frames):
        t = frame / fps
        speed = 0.35 + 0.45 * (0.5 - 0.5 * np.cos(1.6 * t))
        drift = int(width / 16 * (1 + np.sin(0.5 * t))), int(height / 16 * (1 + np.cos(0.4 * t)))
        picture = backdrop[drift[1] : drift[1] + height, drift[0] : drift[0] + width].copy()
        depth = (stars[:, 2] - speed * t) % 1.0 * 0.98 + 0.02
        tail = depth + speed * 0.055
        for k in range(len(stars)):
            near, far = stars[k, :2] / depth[k] * height / 3, stars[k, :2] / tail[k] * height / 3
            head = (int(width / 2 + near[0]), int(height / 2 + near[1]))
            if 0 <= head[0] < width and 0 <= head[1] < height:
                colour = (tints[k] * min(1.0, 1.25 - depth[k])).tolist()
                cv2.line(
                    picture,
                    (int(width / 2 + far[0]), int(height / 2 + far[1])),
                    head,
                    colour,
                    1 + int(0.25 / depth[k]) // 2,
                    cv2.LINE_AA,
                )
        yield _bloom(picture, 0.7)
