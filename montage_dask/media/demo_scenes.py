"""Landscapes and lights for the demo footage: each scene yields RGB frames.

Soft fields are computed small and enlarged; lines and shapes are drawn at full size. Positions follow seconds, so the rate does
not change the speed.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from montage_dask.media.demo_draw import (
    Picture,
    add_sprite,
    bloom,
    colour_ramp,
    enlarged,
    fill_below,
    light_spot,
    opencv,
    out_of_focus,
    painted,
    pixel_grid,
    ridge,
)


def aurora(
    rng: np.random.Generator, width: int, height: int, frames: int, fps: float
) -> Iterator[Picture]:
    """Northern lights over a dark forest; calm."""
    cv2 = opencv()
    columns, rows = 240, 240 * height // width
    x, y = pixel_grid(columns, rows)
    x0 = x[0]
    night = painted(
        np.linspace(0, 1, rows, dtype=np.float32)[:, None] + 0 * x,
        colour_ramp((4, 6, 26), (14, 30, 66)),
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
    hills = height * (0.93 - 0.05 * ridge(rng, width, 2.0))
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
        picture = cv2.add(enlarged(np.clip(light, 0, 255).astype(np.uint8), width, height), stars)
        fill_below(picture, trees, (3, 6, 12))
        yield picture


def sunset(
    rng: np.random.Generator, width: int, height: int, frames: int, fps: float
) -> Iterator[Picture]:
    """A drive into a striped sun, over a neon grid."""
    cv2 = opencv()
    horizon = int(height * 0.62)
    ramp = colour_ramp((16, 8, 56), (84, 20, 110), (214, 56, 116), (255, 140, 92), (255, 206, 136))
    backdrop = np.zeros((height, width, 3), np.uint8)
    backdrop[:horizon] = ramp[np.linspace(0, 255, horizon).astype(int)][:, None]
    backdrop[horizon:] = colour_ramp((64, 12, 88), (10, 6, 32))[
        np.linspace(0, 255, height - horizon).astype(int)
    ][:, None]
    for _ in range(90):
        spot = (int(rng.integers(width)), int(rng.integers(horizon // 2)))
        cv2.circle(backdrop, spot, 1, [int(rng.integers(90, 220))] * 3, -1, cv2.LINE_AA)
    radius = int(height * 0.24)
    top, left = int(horizon * 0.62) - radius, width // 2 - radius
    rows = np.linspace(0, 1, 2 * radius)
    disc = np.repeat(
        colour_ramp((255, 244, 130), (255, 130, 100), (240, 40, 150))[(rows * 255).astype(int)][
            :, None
        ],
        2 * radius,
        axis=1,
    )
    round_mask = np.zeros((2 * radius, 2 * radius), np.uint8)
    cv2.circle(round_mask, (radius, radius), radius - 1, 255, -1, cv2.LINE_AA)
    behind = backdrop[top : top + 2 * radius, left : left + 2 * radius].copy()
    layers = [
        (ridge(rng, 1600, 1.5), 0.20, 8, (92, 24, 104)),
        (ridge(rng, 1600, 1.3), 0.13, 24, (54, 14, 82)),
        (ridge(rng, 1600, 1.1), 0.07, 64, (24, 8, 52)),
    ]
    for frame in range(frames):
        t = frame / fps
        picture = backdrop.copy()
        slit = (rows > 0.40) & ((rows * 8 - 0.5 * t) % 1 < 0.10 + 0.55 * (rows - 0.40))
        alpha = (round_mask * ~slit[:, None]).astype(np.uint16)[..., None]
        blend = (disc * alpha + behind * (255 - alpha)) >> 8
        picture[top : top + 2 * radius, left : left + 2 * radius] = blend
        for line, tallness, speed, colour in layers:
            part = np.take(line, np.arange(400) + int(speed * t), mode="wrap")
            fill_below(picture[:horizon], horizon - height * tallness * part, colour)
        neon = np.zeros((height - horizon, width, 3), np.uint8)
        for k in range(-14, 15):
            foot = width / 2 + (k + 0.35 * np.sin(0.6 * t)) * width * 0.22
            head = (int(width / 2 + k * width * 0.035), 0)
            cv2.line(neon, head, (int(foot), height), (220, 60, 190), 1, cv2.LINE_AA)
        for k in range(12):
            depth = (k + 1 - (1.8 * t) % 1) / 2.2
            row = int((height - horizon) * 0.42 / max(depth, 0.05))
            thick = 1 + int(0.9 / max(depth, 0.2))
            cv2.line(neon, (0, row), (width, row), (70, 190, 240), thick, cv2.LINE_AA)
        picture[horizon:] = cv2.add(picture[horizon:], bloom(neon, 0.9))
        cv2.line(picture, (0, horizon), (width, horizon), (255, 190, 240), 2)
        yield picture


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
    lights = [
        (
            *rng.uniform((-0.1, 0.12, 0.4), (1.1, 0.95, 1.0)),
            colours[rng.integers(6)],
            rng.uniform(0, 6),
        )
        for _ in range(54)
    ]
    rows = np.linspace(0, 1, h, dtype=np.float32)[:, None]
    ground = painted(
        rows + np.zeros((h, w), np.float32), colour_ramp((6, 8, 22), (20, 16, 44), (48, 22, 40))
    ).astype(np.float32)
    for frame in range(frames):
        t = frame / fps
        canvas = ground.copy()
        focus = 0.6 + 0.4 * np.cos(1.1 * t)
        for x, y, near, colour, phase in lights:
            radius = max(3, int(h * 0.10 * near * (0.35 + focus)))
            at = (x + 0.06 * t * near) % 1.2 - 0.1
            glow = (0.42 + 0.1 * np.sin(2.5 * t + phase)) / (0.42 + 0.58 * focus)
            sway = int(h * (y + 0.01 * np.sin(t + phase)))
            add_sprite(canvas, out_of_focus(radius), int(w * at), sway, [c * glow for c in colour])
        yield enlarged(np.clip(canvas, 0, 255).astype(np.uint8), width, height)


def lanterns(
    rng: np.random.Generator, width: int, height: int, frames: int, fps: float
) -> Iterator[Picture]:
    """Paper lanterns that rise over still water at dusk; calm, made for upright pictures."""
    cv2 = opencv()
    w, h = width // 4, height // 4
    shore = int(h * 0.74)
    ramp = colour_ramp((8, 12, 44), (30, 26, 84), (104, 48, 104), (226, 116, 92))
    sky = np.repeat(ramp[np.linspace(0, 255, shore).astype(int)][:, None], w, axis=1)
    sky = sky.astype(np.float32)
    hills = 4 * (shore - 0.02 * h - 0.07 * h * ridge(rng, 200, 1.6))
    items = sorted(
        (rng.uniform(0.25, 1.0), rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0, 6))
        for _ in range(30)
    )
    body = np.array(
        [[-0.8, 1.0], [-1.0, -0.9], [-0.5, -1.25], [0.5, -1.25], [1.0, -0.9], [0.8, 1.0]]
    )
    rows = np.arange(height - 4 * shore)
    for frame in range(frames):
        t = frame / fps
        air = sky.copy()
        placed = []
        for near, x, y, phase in items:
            up = (y + 0.09 * near * t) % 1.0
            spot = (w * (x + 0.025 * np.sin(0.9 * t + phase)), shore * (1.04 - 1.12 * up))
            flicker = near * (0.8 + 0.2 * np.sin(9 * t + 5 * phase))
            light = [150 * flicker, 78 * flicker, 24 * flicker]
            add_sprite(air, light_spot(int(6 + 22 * near)), int(spot[0]), int(spot[1]), light)
            placed.append((near, 4 * spot[0], 4 * spot[1], phase))
        picture = enlarged(np.clip(air, 0, 255).astype(np.uint8), width, 4 * shore)
        fill_below(picture, hills, (22, 14, 46))
        for near, px, py, phase in placed:
            size, sway = height * 0.021 * near, 0.10 * np.sin(1.3 * t + phase)
            shape = body * size + [px, py]
            shape[:, 0] += sway * (py - shape[:, 1])
            dusk = 0.7 + 0.3 * near
            outer, inner = (
                [int(c * dusk) for c in (246, 138, 58)],
                [int(c * dusk) for c in (255, 226, 150)],
            )
            cv2.fillPoly(picture, [np.round(shape * 8).astype(np.int32)], outer, cv2.LINE_AA, 3)
            flame = (round(8 * px), round(8 * (py + 0.45 * size)))
            axes = (round(8 * 0.5 * size), round(8 * 0.55 * size))
            cv2.ellipse(picture, flame, axes, 0, 0, 360, inner, -1, cv2.LINE_AA, 3)
        lap = (5 * np.sin(rows * (0.35 - 0.0005 * rows) - 4 * t) * (0.3 + rows / len(rows))).astype(
            int
        )
        water = picture[np.clip(4 * shore - 1 - rows * 2 - lap, 0, 4 * shore - 1)]
        water = cv2.addWeighted(water, 0.5, water, 0, 6)
        yield np.concatenate([picture, water])


def starfield(
    rng: np.random.Generator, width: int, height: int, frames: int, fps: float
) -> Iterator[Picture]:
    """A jump through the stars, past a nebula; wild."""
    cv2 = opencv()
    x, y = pixel_grid(160, 160 * height // width)
    cloud = np.zeros_like(x)
    for octave in range(1, 7):
        a, b, p, q = rng.normal(0, 2.2 * octave, 2).tolist() + rng.uniform(0, 6, 2).tolist()
        cloud += np.sin(a * x + p + np.sin(b * y + q)) * np.sin(b * x - a * y + q) / octave
    haze = np.clip(0.42 + 0.34 * cloud, 0, 1) * np.exp(-0.5 * np.hypot(x, y))
    nebula = painted(
        haze, colour_ramp((4, 3, 20), (34, 16, 96), (170, 34, 130), (255, 120, 90), (255, 226, 170))
    )
    backdrop = enlarged(nebula, width * 5 // 4, height * 5 // 4)
    count = 360
    stars = np.stack([rng.uniform(-1.7, 1.7, count), rng.uniform(-1, 1, count)], axis=1)
    stars += 0.06 * np.sign(stars)  # none comes straight at the viewer
    start = rng.uniform(0, 1, count)
    tints = np.array([(255, 255, 255), (150, 200, 255), (255, 214, 160)])[
        rng.integers(3, size=count)
    ]
    middle = np.array([width / 2, height / 2])
    for frame in range(frames):
        t = frame / fps
        # The way flown is the integral of a speed that surges.
        speed = 0.7 - 0.5 * np.cos(1.6 * t)
        way = 0.7 * t - 0.5 / 1.6 * np.sin(1.6 * t)
        left, top = int(width / 8 * (1 + np.sin(0.5 * t))), int(height / 8 * (1 + np.cos(0.4 * t)))
        picture = backdrop[top : top + height, left : left + width].copy()
        depth = (start - way) % 1.0 * 0.97 + 0.03
        heads = stars / depth[:, None] * height * 0.42 + middle
        tails = stars / (depth + 0.11 * speed)[:, None] * height * 0.42 + middle
        seen = ((heads > 0) & (heads < [width, height])).all(axis=1)
        for k in np.flatnonzero(seen):
            colour = (tints[k] * min(1.0, 1.3 - depth[k])).tolist()
            tail, head = tuple(tails[k].astype(int).tolist()), tuple(heads[k].astype(int).tolist())
            cv2.line(picture, tail, head, colour, 1 + int(0.3 / depth[k] > 1), cv2.LINE_AA)
        yield bloom(picture, 0.5)
