"""Geometry, lines and patterns for the demo footage (see `demo_scenes`)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from montage_dask.media.demo_draw import (
    Picture,
    bloom,
    colour_ramp,
    enlarged,
    opencv,
    painted,
    pixel_grid,
)


def wireframe(
    rng: np.random.Generator, width: int, height: int, frames: int, fps: float
) -> Iterator[Picture]:
    """A knot of neon wire that turns and leaves light trails."""
    cv2 = opencv()
    around = np.linspace(0, 2 * np.pi, 181)
    radius = 1 + 0.42 * np.cos(3 * around)
    spine = np.stack(
        [radius * np.cos(2 * around), radius * np.sin(2 * around), 0.6 * np.sin(3 * around)], axis=1
    )
    ahead = np.gradient(spine, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    side = np.cross(ahead, [0.0, 0.0, 1.0])
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    up = np.cross(side, ahead)
    strands = [
        spine + 0.2 * (np.cos(a) * side + np.sin(a) * up)
        for a in np.linspace(0, 2 * np.pi, 6, endpoint=False)
    ]
    ramp = colour_ramp(
        (40, 240, 255), (120, 90, 255), (255, 60, 180), (255, 190, 70), (40, 240, 255)
    )
    trail = np.zeros((height, width, 3), np.uint8)
    offset = rng.uniform(0, 6)
    for frame in range(frames):
        t = frame / fps
        a, b = 0.9 * t + offset, 0.6 * t
        turn = np.array(
            [[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]]
        ) @ np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
        lines = np.zeros_like(trail)
        flat = []
        for strand in strands:
            p = strand @ turn.T
            scale = height * 0.95 / (p[:, 2:] + 3.4)
            flat.append(np.round((p[:, :2] * scale + [width / 2, height / 2]) * 8).astype(np.int32))
        for k in range(0, 180, 3):
            colour = ramp[int(k / 180 * 255 + 60 * t) % 256].tolist()
            ring = np.stack([points[k] for points in flat])
            cv2.polylines(
                lines,
                [ring, *(points[k : k + 4] for points in flat)],
                False,
                colour,
                1,
                cv2.LINE_AA,
                3,
            )
        trail = cv2.addWeighted(cv2.GaussianBlur(trail, (3, 3), 0), 0.80, lines, 0.55, 0)
        yield bloom(cv2.add(cv2.add(trail, lines), np.array([10, 6, 24, 0], np.float64)), 1.0)


def tunnel(
    rng: np.random.Generator, width: int, height: int, frames: int, fps: float
) -> Iterator[Picture]:
    """A flight through a tunnel of coloured panels; wild."""
    w, h = width // 2, height // 2
    x, y = pixel_grid(w, h)
    ramp = colour_ramp(
        (255, 40, 120),
        (255, 150, 40),
        (250, 240, 120),
        (40, 220, 190),
        (40, 90, 255),
        (150, 40, 240),
        (255, 40, 120),
    )
    lit = rng.uniform(0.25, 1.0, (64, 16)).astype(np.float32)
    for frame in range(frames):
        t = frame / fps
        cx, cy = x - np.float32(0.16 * np.sin(1.3 * t)), y - np.float32(0.12 * np.cos(1.7 * t))
        r = np.sqrt(cx * cx + cy * cy) + 1e-3
        depth = np.float32(0.32) / r
        along = depth * 3 + np.float32(5.5 * t)
        around = (np.arctan2(cy, cx) / (2 * np.pi) * 16 + 0.8 * depth + 1.1 * t) % 16
        panel = lit[along.astype(np.int32) % 64, around.astype(np.int32) % 16]
        seam = np.minimum(
            np.minimum(along % 1, 1 - along % 1) * 14, np.minimum(around % 1, 1 - around % 1) * 14
        )
        shine = panel * np.clip(seam, 0.06, 1) * np.clip(r * 3.2, 0, 1)
        hue = painted(((along * 0.045 + 0.06 * t) % 1).astype(np.float32), ramp)
        heart = np.exp(-((r * 9) ** 2))[..., None] * np.array([255, 240, 220], np.float32)
        yield enlarged(
            np.clip(hue * shine[..., None] + heart, 0, 255).astype(np.uint8), width, height
        )


def waves(
    rng: np.random.Generator, width: int, height: int, frames: int, fps: float
) -> Iterator[Picture]:
    """A sea of glowing lines under a moon."""
    cv2 = opencv()
    ramp = colour_ramp((60, 30, 160), (30, 120, 220), (60, 230, 210), (250, 250, 210))
    x = np.linspace(-1, 1, 72)
    across = np.linspace(0, width - 1, 72)
    phase = rng.uniform(0, 6, 3)
    gx, gy = pixel_grid(width // 4, height // 4)
    moon = np.hypot(gx - 0.38, gy + 0.30)
    sky = np.exp(-moon * 3.2)[..., None] * np.array([120, 110, 150], np.float32) + np.array(
        [8, 10, 34]
    )
    backdrop = enlarged(sky.astype(np.uint8), width, height)
    spot = (int(width / 2 + 0.38 * height), int(0.2 * height))
    cv2.circle(backdrop, spot, int(height * 0.085), (250, 240, 214), -1, cv2.LINE_AA)
    for frame in range(frames):
        t = frame / fps
        picture = backdrop.copy()
        for k in range(33):
            z = k / 32
            swell = np.sin(3.1 * x + 1.7 * t + 6 * z + phase[0])
            swell += 0.7 * np.sin(7 * x - 2.3 * t + 9 * z + phase[1])
            swell += 0.35 * np.sin(17 * x + 3.9 * t + 21 * z + phase[2])
            row = height * (0.34 + 0.84 * z**1.4) - height * (0.014 + 0.06 * z) * swell
            points = np.round(np.stack([across, row], axis=1) * 8).astype(np.int32)
            # Down to below the next line only: that one hides the rest.
            deep = round(8 * (row.max() + height * (0.06 + 0.12 * z)))
            floor = np.array([[width * 8, deep], [0, deep]], np.int32)
            dark = (ramp[int(60 * z)] * 0.22).astype(int).tolist()
            cv2.fillPoly(picture, [np.concatenate([points, floor])], dark, cv2.LINE_8, 3)
            bright = ramp[int(np.clip(70 + 150 * z + 30 * np.sin(2 * t + 5 * z), 0, 255))].tolist()
            cv2.polylines(picture, [points], False, bright, 1 + int(1.6 * z), cv2.LINE_AA, 3)
        yield bloom(picture, 0.5)


def dancing_shapes(
    rng: np.random.Generator, width: int, height: int, frames: int, fps: float
) -> Iterator[Picture]:
    """Flat discs, arcs and bars on paper, turning in steps."""
    cv2 = opencv()
    inks = [(228, 72, 60), (28, 74, 140), (246, 180, 50), (30, 30, 36), (60, 150, 140)]
    items = [
        (
            *rng.uniform((0.1, 0.15, 0.09), (0.9, 0.85, 0.26)),
            k % 3,
            inks[rng.integers(5)],
            (-1) ** k,
        )
        for k in range(22)
    ]
    for frame in range(frames):
        t = frame / fps
        beat = np.floor(2 * t) + (2 * t % 1) ** 0.35
        picture = np.zeros((height, width, 3), np.uint8)
        picture[:] = (244, 236, 220)
        for x, y, size, kind, ink, way in items:
            grow = size * height * (0.85 + 0.25 * np.exp(-4 * (2 * t % 1)))
            spot = (
                int(width * x + way * 0.08 * width * np.sin(0.8 * beat)),
                int(height * (y + 0.05 * np.cos(beat + 6 * x))),
            )
            angle = way * 45 * beat
            if kind == 0:
                cv2.circle(picture, spot, int(grow), ink, -1, cv2.LINE_AA)
            elif kind == 1:
                cv2.ellipse(
                    picture,
                    spot,
                    (int(grow), int(grow)),
                    angle,
                    0,
                    180,
                    ink,
                    int(height * 0.035),
                    cv2.LINE_AA,
                )
            else:
                box = cv2.boxPoints((spot, (grow * 2.4, grow * 0.45), angle))
                cv2.fillPoly(picture, [box.astype(np.int32)], ink, cv2.LINE_AA)
        yield picture


def tiles(
    rng: np.random.Generator, width: int, height: int, frames: int, fps: float
) -> Iterator[Picture]:
    """A wall of quarter circles that flip one after another."""
    cv2 = opencv()
    side = height // 4
    pairs = [
        ((22, 60, 70), (244, 200, 110)),
        ((226, 92, 70), (250, 236, 214)),
        ((40, 140, 140), (20, 34, 52)),
        ((250, 236, 214), (226, 92, 70)),
    ]
    faces = []
    for ground, ink in pairs:
        face = np.zeros((side, side, 3), np.uint8)
        face[:] = ground
        cv2.circle(face, (0, 0), side - 4, ink, -1, cv2.LINE_AA)
        cv2.circle(face, (0, 0), side // 2, ground, -1, cv2.LINE_AA)
        cv2.circle(face, (0, 0), side // 4, ink, -1, cv2.LINE_AA)
        faces.append([np.ascontiguousarray(np.rot90(face, k)) for k in range(4)])
    columns = -(-width // side)
    kinds = rng.integers(4, size=(4, columns))
    turns = rng.integers(4, size=(4, columns))
    starts = rng.uniform(0, 1, size=(4, columns))
    for frame in range(frames):
        t = frame / fps
        picture = np.zeros((4 * side, columns * side, 3), np.uint8)
        picture[:] = (20, 34, 52)
        for row in range(4):
            for column in range(columns):
                clock = 1.4 * t + starts[row, column]
                step, part = int(clock), min(1.0, (clock % 1) * 3)
                face = faces[(kinds[row, column] + step) % 4][(turns[row, column] + step) % 4]
                wide = max(2, int(side * np.sin(part * np.pi / 2)))
                left = column * side + (side - wide) // 2
                picture[row * side : (row + 1) * side, left : left + wide] = cv2.resize(
                    face, (wide, side), interpolation=cv2.INTER_AREA
                )
        yield (
            np.ascontiguousarray(picture[:height, :width])
            if picture.shape[0] >= height
            else enlarged(picture[:, :width], width, height)
        )


def lava(
    rng: np.random.Generator, width: int, height: int, frames: int, fps: float
) -> Iterator[Picture]:
    """Drops of light that flow into each other; calm and colourful."""
    w, h = width // 3, height // 3
    x, y = pixel_grid(w, h)
    ramp = colour_ramp(
        (24, 6, 40), (60, 10, 80), (200, 30, 90), (255, 120, 60), (255, 220, 120), (255, 250, 230)
    )
    drops = rng.uniform(0, 6, (7, 2))
    for frame in range(frames):
        t = frame / fps
        field = np.zeros_like(x)
        for k, (p, q) in enumerate(drops):
            cx, cy = (
                np.float32(0.62 * np.sin(0.55 * t + p)),
                np.float32(0.4 * np.sin((0.7 + 0.05 * k) * t + q)),
            )
            field += np.float32(0.012 + 0.002 * k) / ((x - cx) ** 2 + (y - cy) ** 2 + 0.004)
        glow = 1 - np.exp(-0.38 * field)
        yield enlarged(
            painted((glow**1.3 * 1.0 + 0.04 * np.sin(6 * y + t)).astype(np.float32), ramp),
            width,
            height,
        )


def kaleidoscope(
    rng: np.random.Generator, width: int, height: int, frames: int, fps: float
) -> Iterator[Picture]:
    """A turning mandala of six mirrors; wild."""
    cv2 = opencv()
    size = 512
    texture = painted(
        np.linspace(0, 1, size, dtype=np.float32)[:, None] + np.zeros((size, size), np.float32),
        colour_ramp((20, 10, 60), (120, 20, 110), (20, 60, 110), (20, 10, 60)),
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
    for _ in range(120):
        spot = (int(rng.integers(size)), int(rng.integers(size)))
        colour = paints[rng.integers(len(paints))]
        radius = int(rng.integers(8, 46))
        if rng.random() < 0.5:
            cv2.circle(texture, spot, radius, colour, int(rng.choice([-1, 4, 8])), cv2.LINE_AA)
        else:
            corners = rng.uniform(0, 6) + np.array([0, 2.1, 4.2])
            points = np.stack([np.cos(corners), np.sin(corners)], 1) * radius + spot
            cv2.fillPoly(texture, [points.astype(np.int32)], colour, cv2.LINE_AA)
    x, y = pixel_grid(width, height)
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
