"""Text that belongs to a scene, and surfaces that look like text and are none: what a camera saw, not what was laid over it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from montage_dask_training.graphics_drawing import Drawer

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]

SIGNS = ("board", "front", "cover", "plate", "jersey")
HELD_OUT_SIGNS = ("poster",)
"""Only the test knows these."""

SURFACES = (
    "brick",
    "lattice",
    "windows",
    "leaves",
    "neon",
    "stripes",
    "strokes",
    "tiles",
    "wall",
    "wall",
)
HELD_OUT_SURFACES = ("pebbles",)
"""Only the test knows these."""

PICTURED = ("leaves", "strokes", "tiles", "wall", "pebbles")
"""So much like what a camera sees that they are no cards."""


def _text(
    drawer: Drawer, board: Image.Image, rows: int, ink: tuple[int, ...], share: float
) -> None:
    draw, high = ImageDraw.Draw(board), board.height
    size = high * share / rows
    for row in range(rows):
        words = drawer.words(1, 2 if rows < 3 else 3)
        font = drawer.font(size)
        while size > 8 and font.getlength(words) > board.width * 0.95:
            size *= 0.85
            font = drawer.font(size)
        at = (board.width / 2, high * (row + 0.5) / rows)
        draw.text(at, words, font=font, fill=ink, anchor="mm")


def _drawn_sign(drawer: Drawer, kind: str) -> Image.Image:
    """A board with what stands on it, RGBA, at the size of the drawn picture."""
    rng = drawer.rng
    light = bool(rng.random() < 0.5)
    shape = {
        "board": (rng.uniform(60, 220), rng.uniform(24, 90)),
        "front": (rng.uniform(160, 420), rng.uniform(24, 60)),
        "cover": (rng.uniform(50, 120), rng.uniform(70, 160)),
        "plate": (rng.uniform(30, 90), rng.uniform(9, 24)),
        "jersey": (rng.uniform(40, 110), rng.uniform(30, 90)),
        "poster": (rng.uniform(70, 150), rng.uniform(90, 170)),
    }[kind]
    wide, high = int(shape[0]), int(shape[1])
    back = (*drawer.colour(light), 0 if kind == "jersey" else 255)
    board = Image.new("RGBA", (wide, high), back)
    ink = (*drawer.colour(not light), 255)
    if kind in ("cover", "poster"):
        draw = ImageDraw.Draw(board)
        for _ in range(int(rng.integers(1, 4))):
            x, y = rng.uniform(0, 0.7, 2) * [wide, high]
            box = (x, y, x + rng.uniform(0.1, 0.6) * wide, y + rng.uniform(0.1, 0.5) * high)
            (draw.ellipse if rng.random() < 0.5 else draw.rectangle)(box, fill=drawer.colour())
    rows = {
        "board": (1, 4),
        "front": (1, 2),
        "cover": (2, 6),
        "plate": (1, 2),
        "jersey": (1, 3),
        "poster": (3, 7),
    }[kind]
    _text(drawer, board, int(rng.integers(*rows)), ink, rng.uniform(0.5, 0.9))
    return board


def add_sign(drawer: Drawer, picture: Picture, kind: str) -> Picture:
    """A sign in a scene: turned and tilted, lit and blurred as what is around it, and behind things.

    Args:
        drawer: draws it.
        picture: uint8 [height, width, 3].
        kind: one of SIGNS or HELD_OUT_SIGNS.

    Returns:
        Another picture.
    """
    rng = drawer.rng
    rows, columns = picture.shape[:2]
    board = np.asarray(_drawn_sign(drawer, kind), np.float32)
    high, wide = board.shape[:2]
    corners = np.array([[0, 0], [wide, 0], [wide, high], [0, high]], np.float32)
    turn = np.deg2rad(rng.uniform(-25, 25) if rng.random() < 0.6 else rng.uniform(-6, 6))
    middle = np.array([rng.uniform(0.08, 0.92) * columns, rng.uniform(0.08, 0.92) * rows])
    grown = (corners - [wide / 2, high / 2]) * rng.uniform(0.5, 1.3)
    turned = grown @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    # Seen from a side: one edge is nearer.
    near, edge = rng.uniform(-0.3, 0.3), (turned[1] - turned[0]) / 2
    turned[[0, 3]] += edge * abs(near) + (turned[[3, 0]] - turned[[0, 3]]) * max(0.0, near) / 2
    turned[[1, 2]] += (turned[[2, 1]] - turned[[1, 2]]) * max(0.0, -near) / 2 - edge * abs(near)
    turned += rng.normal(0, 0.04, (4, 2)) * [wide, high]
    matrix = cv2.getPerspectiveTransform(corners, (turned + middle).astype(np.float32))
    light = (
        cv2.resize(cv2.GaussianBlur(picture, (0, 0), 12), (columns, rows))
        .mean(axis=2)
        .astype(np.float32)
    )
    laid = cv2.warpPerspective(board[..., :3], matrix, (columns, rows))
    alpha = cv2.warpPerspective(board[..., 3] / 255, matrix, (columns, rows))
    blur = float(np.exp(rng.uniform(np.log(0.6), np.log(2.6))))
    laid, alpha = cv2.GaussianBlur(laid, (0, 0), blur), cv2.GaussianBlur(alpha, (0, 0), blur)
    if rng.random() < 0.3:
        alpha *= 1 - _things(rng, rows, columns, middle, wide)
    at = (int(np.clip(middle[1], 0, rows - 1)), int(np.clip(middle[0], 0, columns - 1)))
    lit = np.clip(0.35 + 0.65 * light / max(20.0, float(light[at])), 0.3, 1.3) * rng.uniform(
        0.5, 1.0
    )
    weight = alpha[..., None]
    made = (laid * lit[..., None] + rng.uniform(0, 20)) * weight + picture * (1 - weight)
    return np.clip(made, 0, 255).astype(np.uint8)


def _things(
    rng: np.random.Generator, rows: int, columns: int, middle: NDArray[np.float64], wide: int
) -> Floats:
    """Where something stands before a sign: poles, heads."""
    hole = np.zeros((rows, columns), np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        x, y = middle + rng.normal(0, 0.4, 2) * wide
        if rng.random() < 0.5:
            cv2.line(
                hole, (int(x), 0), (int(x + rng.normal(0, 20)), rows), 255, int(rng.integers(3, 12))
            )
        else:
            cv2.ellipse(
                hole, ((x, y), tuple(rng.uniform(10, 50, 2)), float(rng.uniform(0, 180))), 255, -1
            )
    return cv2.GaussianBlur(hole, (0, 0), 1.5).astype(np.float32) / 255


def surface(rng: np.random.Generator, rows: int, columns: int, kind: str) -> Picture:
    """A surface with a pattern, lit and seen from somewhere: uint8 [rows, columns, 3]."""
    made = _SURFACES[kind](rng, rows, columns)
    if kind not in ("neon", "leaves", "wall") and rng.random() < 0.75:
        corners = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], np.float32)
        away = corners + rng.uniform(0, 0.5, (4, 2)) * [columns, rows] * np.array(
            [[-1, -1], [1, -1], [1, 1], [-1, 1]]
        )
        matrix = cv2.getPerspectiveTransform(corners, away.astype(np.float32))
        made = cv2.warpPerspective(made, matrix, (columns, rows), borderMode=cv2.BORDER_REFLECT)
    light = cv2.resize(
        rng.uniform(0.45, 1.1, (3, 4)).astype(np.float32),
        (columns, rows),
        interpolation=cv2.INTER_CUBIC,
    )
    grain = cv2.resize(
        rng.normal(0, rng.uniform(2, 14), (rows // 2, columns // 2)).astype(np.float32),
        (columns, rows),
    )
    return np.clip(made * light[..., None] + grain[..., None], 0, 255).astype(np.uint8)


def _plain(rng: np.random.Generator, rows: int, columns: int) -> tuple[Floats, NDArray[np.float64]]:
    base = rng.uniform(30, 220, 3)
    return np.ones((rows, columns, 3), np.float32) * base.astype(np.float32), base


def _brick(rng: np.random.Generator, rows: int, columns: int) -> Floats:
    made, base = _plain(rng, rows, columns)
    high = int(rng.uniform(8, 36))
    wide, gap = int(high * rng.uniform(1.2, 3.2)), max(1, int(high * rng.uniform(0.05, 0.2)))
    tone = np.clip(base + rng.uniform(-90, 90, 3), 10, 245)
    for row in range(rows // high + 1):
        for column in range(-1, columns // wide + 1):
            x, y = column * wide + (row % 2) * wide // 2, row * high
            c = np.clip(tone + rng.normal(0, 14), 0, 255)
            cv2.rectangle(made, (x, y), (x + wide - gap, y + high - gap), c.tolist(), -1)
    return made


def _lattice(rng: np.random.Generator, rows: int, columns: int) -> Floats:
    made, base = _plain(rng, rows, columns)
    step, width = rng.uniform(10, 60), int(rng.integers(1, 6))
    c = np.clip(base + rng.choice([-1, 1]) * rng.uniform(40, 140, 3), 0, 255).tolist()
    turn = rng.uniform(0, np.pi)
    for angle in (turn, turn + rng.choice([np.pi / 2, np.pi / 3])):
        along, across = (
            np.array([np.cos(angle), np.sin(angle)]),
            np.array([-np.sin(angle), np.cos(angle)]),
        )
        for k in np.arange(-columns, columns, step):
            middle = np.array([columns, rows]) / 2 + across * k
            a, b = middle - along * 2 * columns, middle + along * 2 * columns
            cv2.line(made, (int(a[0]), int(a[1])), (int(b[0]), int(b[1])), c, width, cv2.LINE_AA)
    return made


def _windows(rng: np.random.Generator, rows: int, columns: int) -> Floats:
    made, base = _plain(rng, rows, columns)
    w, h = rng.uniform(14, 70, 2)
    for y in np.arange(rng.uniform(0, h), rows, h):
        for x in np.arange(rng.uniform(0, 4), columns, w):
            c = np.clip(base + rng.uniform(-130, 130), 0, 255)
            far = (int(x + w * 0.6), int(y + h * 0.65))
            cv2.rectangle(made, (int(x), int(y)), far, c.tolist(), -1)
            if rng.random() < 0.4:
                cv2.line(
                    made, (int(x + w * 0.3), int(y)), (int(x + w * 0.3), far[1]), base.tolist(), 1
                )
    return made


def _leaves(rng: np.random.Generator, rows: int, columns: int) -> Floats:
    made, base = _plain(rng, rows, columns)
    length = rng.uniform(5, 40)
    for _ in range(int(rng.integers(150, 500))):
        centre = rng.uniform(0, 1, 2) * [columns, rows]
        c = np.clip(base + rng.normal(0, 60) + rng.normal(0, 15, 3), 0, 255)
        axes = (length * rng.uniform(0.5, 1.3), length * rng.uniform(0.1, 0.5))
        cv2.ellipse(
            made, (tuple(centre), axes, float(rng.uniform(0, 180))), c.tolist(), -1, cv2.LINE_AA
        )
    return made


def _neon(rng: np.random.Generator, rows: int, columns: int) -> Floats:
    made = np.zeros((rows, columns, 3), np.float32) + rng.uniform(0, 40, 3).astype(np.float32)
    t = np.linspace(0, 2 * np.pi, 240)
    for _ in range(int(rng.integers(1, 5))):
        a, b = rng.integers(1, 6, 2)
        r = rng.uniform(0.1, 0.45, 2) * [columns, rows]
        middle = rng.uniform(0.25, 0.75, 2) * [columns, rows]
        shift = rng.uniform(0, 2 * np.pi, 2)
        points = np.stack(
            [
                middle[0] + r[0] * np.sin(a * t + shift[0]),
                middle[1] + r[1] * np.sin(b * t + shift[1]),
            ],
            1,
        )
        wire = np.zeros_like(made)
        cv2.polylines(
            wire,
            [points.astype(np.int32)],
            False,
            rng.uniform(60, 255, 3).tolist(),
            int(rng.integers(1, 7)),
            cv2.LINE_AA,
        )
        made += wire + cv2.GaussianBlur(wire, (0, 0), rng.uniform(2, 9)) * rng.uniform(0.3, 1.5)
    return np.minimum(made, 255)


def _stripes(rng: np.random.Generator, rows: int, columns: int) -> Floats:
    made, base = _plain(rng, rows, columns)
    x, upright = 0.0, rng.random() < 0.5
    while x < max(rows, columns):
        width = rng.uniform(2, 30)
        c = np.clip(base + rng.uniform(-110, 110), 0, 255).tolist()
        far = (columns, int(x + width)) if upright else (int(x + width), rows)
        cv2.rectangle(made, (0, int(x)) if upright else (int(x), 0), far, c, -1)
        x += width
    return made


def _pebbles(rng: np.random.Generator, rows: int, columns: int) -> Floats:
    made, base = _plain(rng, rows, columns)
    size = rng.uniform(6, 30)
    for _ in range(400):
        centre = rng.uniform(0, 1, 2) * [columns, rows]
        c = np.clip(base + rng.normal(0, 50), 0, 255) * np.ones(3)
        axes = size * rng.uniform(0.5, 1.4, 2)
        cv2.ellipse(
            made,
            (tuple(centre), tuple(axes), float(rng.uniform(0, 180))),
            c.tolist(),
            -1,
            cv2.LINE_AA,
        )
    return made


def _strokes(rng: np.random.Generator, rows: int, columns: int) -> Floats:
    """Short strokes along a field: brushwork, bark, fur, trees."""
    made, base = _plain(rng, rows, columns)
    length, width = rng.uniform(6, 60), int(rng.integers(1, 7))
    turn, bend = rng.uniform(0, np.pi), rng.uniform(0, 3)
    for _ in range(int(rng.integers(200, 700))):
        x, y = rng.uniform(0, 1, 2) * [columns, rows]
        angle = turn + bend * np.sin(x / columns * 5) * np.cos(y / rows * 4) + rng.normal(0, 0.15)
        c = np.clip(base + rng.normal(0, 55) + rng.normal(0, 18, 3), 0, 255).tolist()
        dx, dy = length * rng.uniform(0.4, 1.3) * np.array([np.cos(angle), np.sin(angle)])
        cv2.line(made, (int(x), int(y)), (int(x + dx), int(y + dy)), c, width, cv2.LINE_AA)
    return made


def _tiles(rng: np.random.Generator, rows: int, columns: int) -> Floats:
    """Plates with six corners, each shaded a little, with dark gaps."""
    made, base = _plain(rng, rows, columns)
    made *= rng.uniform(0.05, 0.5)
    r = rng.uniform(10, 70)
    corners = np.deg2rad(np.arange(6) * 60 + rng.choice([0, 30]))
    for row, y in enumerate(np.arange(0, rows + r, r * 1.6)):
        for x in np.arange((row % 2) * r * 0.95, columns + r, r * 1.9):
            c = np.clip(base * rng.uniform(0.8, 1.15), 0, 255).tolist()
            hexagon = np.stack([x + 0.9 * r * np.cos(corners), y + 0.9 * r * np.sin(corners)], 1)
            cv2.fillPoly(made, [hexagon.astype(np.int32)], c, cv2.LINE_AA)
    return made


def _wall(rng: np.random.Generator, rows: int, columns: int) -> Floats:
    """A wall, a floor or a road, smooth but for light, with a few shaded things before it."""
    made, base = _plain(rng, rows, columns)
    floor = int(rows * rng.uniform(0.4, 1.1))
    made[floor:] = np.clip(base * rng.uniform(0.6, 1.4), 0, 255)
    made = cv2.GaussianBlur(made, (0, 0), rng.uniform(0.5, 4))
    shade = np.linspace(rng.uniform(0.7, 1.3), rng.uniform(0.7, 1.3), columns, dtype=np.float32)
    for _ in range(int(rng.integers(0, 5))):
        wide, high = rng.uniform(0.04, 0.3, 2) * [columns, 2 * rows]
        x, y = rng.uniform(0, 1) * columns, rows * rng.uniform(0.3, 1)
        thing = np.zeros((rows, columns), np.float32)
        if rng.random() < 0.5:
            cv2.ellipse(
                thing,
                ((x, y - high / 2), (wide, high), float(rng.normal(0, 8))),
                1.0,
                -1,
                cv2.LINE_AA,
            )
        else:
            cv2.rectangle(
                thing, (int(x - wide / 2), int(y - high)), (int(x + wide / 2), int(y)), 1.0, -1
            )
        shadow = np.roll(
            cv2.GaussianBlur(thing, (0, 0), rng.uniform(3, 15)), int(rng.normal(0, 12)), 1
        )
        made *= (1 - rng.uniform(0.1, 0.5) * shadow)[..., None]
        round_ = 0.6 + 0.5 * np.sin(
            (np.arange(columns) - x) / wide * 2.5 + rng.uniform(-1, 1)
        ).astype(np.float32)
        colour = rng.uniform(20, 235, 3).astype(np.float32)
        weight = cv2.GaussianBlur(thing, (0, 0), rng.uniform(0.5, 1.5))[..., None]
        made = made * (1 - weight) + colour * round_[None, :, None] * weight
    result: Floats = np.clip(made * shade[None, :, None], 0, 255)
    return result


_SURFACES: Mapping[str, Callable[[np.random.Generator, int, int], Floats]] = {
    "brick": _brick, "lattice": _lattice, "windows": _windows, "leaves": _leaves, "neon": _neon, "stripes": _stripes,
    "strokes": _strokes, "tiles": _tiles, "wall": _wall,
    "pebbles": _pebbles,
}  # fmt: skip
