"""Clips whose truth is known: walkers and faces with their boxes, titles, cards, black and blur with their times, and a copy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from montage_dask_training import scene_cameras
from montage_dask_training.graphics_captions import overlay
from montage_dask_training.graphics_cards import card
from montage_dask_training.graphics_drawing import Drawer

RATE = 25
WIDE, HIGH = 480, 270

Picture = NDArray[np.uint8]
Box = tuple[float, float, float, float]
"""Left, top, width, height in shares of the picture."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What is in a clip."""

    junk: tuple[tuple[str, float, float], ...] = ()
    """Kind, start and stop in seconds."""
    unclear: tuple[tuple[float, float], ...] = ()
    """Seconds where nobody could say: words that fade, a change between two pictures."""
    boxes: tuple[Box | None, ...] | None = None
    """Of the subject, by frame; None: not known."""
    face: bool = False
    """Whether the subject is a face."""
    content: str = ""
    """Clips with the same show the same at the same time."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One clip to make."""

    name: str
    seconds: float = 7.0
    subject: str = "walker"
    """walker, face or empty for none."""
    speed: float = 0.1
    """Of the subject, in picture widths a second."""
    camera: str = "static"
    """static, pan or hand."""
    text: str = ""
    """A layout of captions."""
    text_seconds: tuple[float, float] = (0.0, 0.0)
    before: str = ""
    """A card of this kind, or black, for `before_seconds` before it: another shot."""
    before_seconds: float = 0.0
    blurred_seconds: float = 0.0
    """At its end."""
    black: bool = False
    """Nothing but black below the text."""


PLANS = (
    *(Plan(f"walker {k}.mp4", 7.0, speed=s, camera=c) for k, (s, c) in enumerate(
        ((0.06, "static"), (0.1, "static"), (0.14, "hand"), (0.2, "static"), (0.1, "pan"), (0.3, "hand"), (0.45, "static"))
    )),
    Plan("face 0.mp4", 7.0, "face", 0.05),
    Plan("face 1.mp4", 7.0, "face", 0.08, "hand"),
    Plan("titled.mp4", 8.0, speed=0.1, text="title", text_seconds=(2.0, 4.5)),
    Plan("drawn.mp4", 9.0, speed=0.12, camera="pan", text="drawn", text_seconds=(0.0, 3.5)),
    Plan("subtitled.mp4", 6.0, speed=0.1, text="subtitle", text_seconds=(0.0, 6.0)),
    Plan("bars first.mp4", 6.0, speed=0.16, before="bars", before_seconds=3.0),
    Plan("slide first.mp4", 6.0, speed=0.08, before="slide", before_seconds=3.0),
    Plan("black and blur.mp4", 7.0, speed=0.1, before="black", before_seconds=1.5, blurred_seconds=2.0),
    Plan("credits.mp4", 6.0, "", text="credits", text_seconds=(0.0, 6.0), black=True),
)  # fmt: skip

COPIES = {"walker 1 copy.mp4": "walker 1.mp4"}
"""Smaller and worse: the same content."""


def make_clips(folder: Path, pictures: Sequence[Path], seed: int = 0) -> dict[Path, Truth]:
    """Make them where they are not there yet.

    Args:
        folder: for them.
        pictures: photographs for backgrounds and clothes; without any they are drawn.
        seed: of everything.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[Path, Truth] = {}
    for number, plan in enumerate(PLANS):
        path, shown = folder / plan.name, _Clip(plan, number, pictures, seed)
        if not path.exists():
            _write(path, shown.frames())
        made[path] = shown.truth()
    for name, original in COPIES.items():
        path, number = folder / name, [p.name for p in PLANS].index(original)
        shown = _Clip(PLANS[number], number, pictures, seed)
        if not path.exists():
            _write(
                path,
                (cv2.resize(f, (320, 180), interpolation=cv2.INTER_AREA) for f in shown.frames()),
                "30",
            )
        made[path] = shown.truth()
    return made


def _write(path: Path, frames: Iterator[Picture], quality: str = "20") -> None:
    import av

    part = path.with_name(f"part of {path.name}")
    with av.open(str(part), "w") as container:
        stream = container.add_stream(
            "libx264", rate=Fraction(RATE), options={"crf": quality, "preset": "veryfast"}
        )
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(frames):
            if not number:
                stream.height, stream.width = picture.shape[:2]
            container.mux(
                stream.encode(
                    av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                )
            )
        container.mux(stream.encode())
    part.rename(path)


class _Clip:
    def __init__(self, plan: Plan, number: int, pictures: Sequence[Path], seed: int) -> None:
        self.plan = plan
        self._rng = np.random.default_rng([seed, number, 3])
        rng = self._rng
        self._ground = _picture(pictures, 2 * number, rng, 3 * WIDE // 2, 3 * HIGH // 2)
        self._before = round(plan.before_seconds * RATE)
        self._count = self._before + round(plan.seconds * RATE)
        cloth = _picture(pictures, 2 * number + 1, rng, 120, 200)
        self._cut = _portrait() if plan.subject == "face" else _figure(cloth, rng)
        drawer = Drawer(np.random.default_rng([seed, number, 4]), [_font()])
        self._text = overlay(drawer, plan.text) if plan.text else None
        self._card = np.zeros((HIGH, WIDE, 3), np.uint8)
        if plan.before not in ("", "black"):
            self._card = cv2.resize(
                card(drawer, plan.before)[0], (WIDE, HIGH), interpolation=cv2.INTER_AREA
            )
        self._path = self._walk()

    def _walk(self) -> NDArray[np.float64]:
        """Left and top of the subject in pixels, by frame of the shot."""
        plan, rng = self.plan, self._rng
        t = np.arange(self._count - self._before) / RATE
        width = self._cut.shape[1]
        way = plan.speed * WIDE * t + rng.uniform(0.02, 0.25) * WIDE
        room = max(1.0, WIDE - width)
        x = room - np.abs(way % (2 * room) - room)  # turns round at the edges
        if rng.random() < 0.5:
            x = room - x
        y = HIGH - self._cut.shape[0] * 1.02 + 3 * np.sin(9 * t) * min(1, plan.speed * 8)
        return np.stack([x, y], 1)

    def truth(self) -> Truth:
        plan, start = self.plan, self.plan.before_seconds
        junk, unclear = [], []
        if plan.before:
            junk.append(("black" if plan.before == "black" else "card", 0.0, start))
        if plan.text:
            first, last = plan.text_seconds
            junk.append(("text", start + first, start + last))
        if plan.blurred_seconds:
            end = self._count / RATE
            junk.append(("blur", end - plan.blurred_seconds, end))
            unclear.append((end - plan.blurred_seconds - 0.2, end - plan.blurred_seconds + 0.2))
        boxes: list[Box | None] | None = None
        if plan.subject:
            left, top, wide, high = FACE if plan.subject == "face" else (0.0, 0.0, 1.0, 1.0)
            rows, columns = self._cut.shape[:2]
            boxes = [None] * self._before
            for x, y in self._path:
                box = (x + left * columns, y + top * rows, wide * columns, high * rows)
                boxes.append((box[0] / WIDE, box[1] / HIGH, box[2] / WIDE, box[3] / HIGH))
        return Truth(tuple(junk), tuple(unclear), tuple(boxes) if boxes else None, plan.subject == "face",
                     f"{plan.name}")  # fmt: skip

    def frames(self) -> Iterator[Picture]:
        plan, rng = self.plan, np.random.default_rng([7, self._count])
        text = None
        if self._text is not None:
            rgba = cv2.resize(self._text.rgba, (WIDE, HIGH), interpolation=cv2.INTER_AREA)
            text = rgba[..., :3], rgba[..., 3:], self._text.dim, self._text.drift
        shake = np.cumsum(rng.normal(0, 0.35, (self._count, 2)), axis=0)
        for k in range(self._count):
            if k < self._before:
                yield self._card
                continue
            gone = (k - self._before) / RATE
            move = shake[k] if plan.camera == "hand" else np.zeros(2)
            move = move + ([12 * gone, 0] if plan.camera == "pan" else [0, 0])
            x, y = (np.array([WIDE, HIGH]) / 4 + move).clip(0, [WIDE // 2 - 2, HIGH // 2 - 2])
            view = cv2.getRectSubPix(self._ground, (WIDE, HIGH), (x + WIDE / 2, y + HIGH / 2))
            if plan.black:
                view = np.zeros_like(view)
            elif plan.subject:
                view = _laid(view, self._cut, self._path[k - self._before])
            first, last = plan.text_seconds
            if text is not None and first <= gone < last:
                colours, alpha, dim, drift = text
                step = round(drift[1] * 2 * gone * HIGH / 288)
                colours, alpha = np.roll(colours, step, axis=0), np.roll(alpha, step, axis=0)
                view = (colours * alpha + view * (dim * (1 - alpha))).astype(np.uint8)
            if plan.blurred_seconds and k >= self._count - plan.blurred_seconds * RATE:
                view = cv2.GaussianBlur(view, (0, 0), 16)
            yield view


def _picture(
    pictures: Sequence[Path], number: int, rng: np.random.Generator, wide: int, high: int
) -> Picture:
    if pictures:
        picture = cv2.imread(str(pictures[number % len(pictures)]), cv2.IMREAD_COLOR)[..., ::-1]
    else:
        picture = scene_cameras.DRAWN[("furnished", "crowded", "cloudy")[number % 3]](rng)
    rows, columns = picture.shape[:2]
    scale = max(wide / columns, high / rows)
    size = (max(wide, round(columns * scale)), max(high, round(rows * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    fit = cv2.resize(np.ascontiguousarray(picture), size, interpolation=way)
    return np.ascontiguousarray(fit[:high, :wide])


def _figure(cloth: Picture, rng: np.random.Generator) -> Picture:
    """Somebody, from a picture: head, body, legs; RGBA."""
    high = int(HIGH * rng.uniform(0.5, 0.8))
    wide = int(high * rng.uniform(0.34, 0.45))
    mask = np.zeros((high, wide), np.uint8)
    cv2.circle(mask, (wide // 2, high // 8), high // 8, 255, -1, cv2.LINE_AA)
    cv2.ellipse(
        mask, ((wide / 2, high * 0.45), (wide * 0.98, high * 0.5), 0.0), 255, -1, cv2.LINE_AA
    )
    for x in (0.32, 0.68):
        cv2.line(
            mask,
            (int(wide * 0.5), int(high * 0.55)),
            (int(wide * x), high),
            255,
            max(3, wide // 5),
            cv2.LINE_AA,
        )
    body = cv2.resize(cloth, (wide, high)).astype(np.float32)
    # Its own light, so that it stands out from what is behind it.
    body = np.clip(body * rng.uniform(0.4, 0.7) if rng.random() < 0.5 else body * 0.5 + 125, 0, 255)
    return np.dstack([body.astype(np.uint8), mask])


FACE: Box = (0.21, 0.29, 0.5, 0.4)
"""Of the face in the cut-out of the portrait."""


def _portrait() -> Picture:
    """Head and shoulders of matplotlib's sample portrait; RGBA."""
    import matplotlib

    path = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)[:520, 40:480, ::-1]
    rows, columns = picture.shape[:2]
    mask = np.zeros((rows, columns), np.uint8)
    cv2.ellipse(mask, ((222.0, 180.0), (250.0, 330.0), 0.0), 255, -1, cv2.LINE_AA)
    cv2.ellipse(mask, ((220.0, 520.0), (430.0, 380.0), 0.0), 255, -1, cv2.LINE_AA)
    high = int(HIGH * 0.9)
    size = (round(columns * high / rows), high)
    return cv2.resize(np.dstack([picture, mask]), size, interpolation=cv2.INTER_AREA)


def _laid(view: Picture, cut: Picture, at: NDArray[np.float64]) -> Picture:
    matrix = np.array([[1, 0, at[0]], [0, 1, at[1]]])
    placed = cv2.warpAffine(cut, matrix, (WIDE, HIGH), flags=cv2.INTER_LINEAR).astype(np.float32)
    alpha = placed[..., 3:] / 255
    return (placed[..., :3] * alpha + view * (1 - alpha)).astype(np.uint8)


def _font() -> str:
    import matplotlib

    return str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf")
