"""Where the eye goes in a shot, and how the camera moves: faces, else what moves apart from the camera.

Faces were found in the stills (`looks`). What moves is found in the strip's thumbnails: the camera's shift and zoom between
two looks is fitted robustly, the picture is laid over the one before and the one behind by it, and what differs from both is
the subject, where it is now. All of it depends on the frames of the shot only.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from montage_dask.analysis import looks
from montage_dask.analysis.features import HEIGHT, WIDTH, Bytes
from montage_dask.analysis.overlay import Fit, fit_camera, lay_over, slopes_of
from montage_dask.analysis.tremor import rough_shake_percent
from montage_dask.records import Camera, Source, Subject

if TYPE_CHECKING:
    from montage_dask.analysis.strip import Strip
    from montage_dask.media.index import FrameIndex

VERSION = 1
"""Raised when the same strip gives other subjects or another camera."""

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

SLACK_PIXELS = 0.3
"""The camera is not known better than that: edges may differ by as much as they change over so far."""

LEAST_LEVELS = 5.0
"""Grey levels of a difference that counts."""

SHARE = 0.2
"""Of the strongest difference of a thumbnail that still belongs to the subject."""

LEAST_AREA, LARGEST_AREA = 4, 0.5 * WIDTH * HEIGHT
"""Of a moving subject, in pixels of the thumbnail: less is noise, more is the camera or the light."""

LEAST_MASS = 0.25
"""Share of all difference that a subject holds: where everything moves, nothing is the subject."""

HELD_LEVELS, HELD_SURE, LEAST_SURE = 3.0, 0.85, 0.15
"""Grey levels by which the inside of a box changes at most while its subject stands still; how much less sure each look is."""

FIT_LEVELS = 14.0
"""Median difference of laid over thumbnails above which the camera is not known."""

GAP_LOOKS = 2
"""Looks without a face, or with nothing that moves, that do not end a subject."""

SAME_CENTRE = 0.25
"""Distance in picture sizes up to which two boxes may show one subject at neighbouring looks."""

STATIC, ZOOM, SHAKE_PERCENT = 0.012, 0.02, 0.12
"""Picture widths a second; growth a second (natural logarithm); of the width: below these a camera stands still."""


def find_subjects(
    source: Source, index: FrameIndex, strip: Strip, start: int, stop: int
) -> tuple[tuple[Subject, ...], Camera]:
    """The subject of a shot at each look, where there is one, and its camera.

    Args:
        source: the source.
        index: its frame times.
        strip: complete.
        start: first frame of the shot.
        stop: behind its last frame.

    Raises:
        StoreError: a window of the strip is missing.
    """
    step = strip.look_step
    first = -(-start // step) * step
    numbers = np.arange(first, stop, step)
    frames = _lumas(strip, start, stop, numbers)
    slopes = [slopes_of(frame) for frame in frames]
    fits: list[tuple[Fit, Fit]] = []
    for k, here in enumerate(frames[:-1]):
        before = [fits[-1][0].moved] if fits else []
        there = fit_camera(here, frames[k + 1], slopes[k], before)
        fits.append(
            (there, fit_camera(frames[k + 1], here, slopes[k + 1], [-there.moved], back=True))
        )
    moving = [_moving(frames, fits, slopes, k) for k in range(len(frames))]
    seen = strip.looks(first, stop) if len(numbers) else np.zeros((0, looks.BYTES), np.uint8)
    faces = looks.faces_of(seen[: len(numbers)])
    found = _joined(_faces_along(faces), _held(frames, fits, slopes, _along(moving)))
    subjects = tuple(
        Subject(int(number), kind, *(round(float(v), 4) for v in (*box[:4], box[4])))
        for number, one in zip(numbers.tolist(), found, strict=True)
        if one is not None
        for kind, box in (one,)
    )
    return subjects, _camera(source, index, strip, start, stop, numbers, [f for f, _ in fits])


def _lumas(strip: Strip, start: int, stop: int, numbers: NDArray[np.int_]) -> list[Floats]:
    """Luma of some thumbnails of a shot, in grey levels: float32 [27, 48] each."""
    found: list[Floats] = []
    at, wanted = start, set(numbers.tolist())
    for batch in strip.batches(start, stop):
        found += [_luma(batch[n - at]) for n in range(at, at + len(batch)) if n in wanted]
        at += len(batch)
    return found


def _luma(thumbnail: Bytes) -> Floats:
    return (thumbnail.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)).astype(
        np.float32
    )


def _moving(
    frames: list[Floats], fits: list[tuple[Fit, Fit]], slopes: list[Floats], number: int
) -> Doubles | None:
    """The box of what differs from the look before and from the one behind; None where nothing does.

    Who has just stopped differs from the two looks before, who starts from the two behind, and at the ends of a shot there are
    no others.
    """
    here = frames[number]
    back = [fits[k][1] for k in range(number - 1, max(-1, number - 3), -1)]
    on = [fits[k][0] for k in range(number, min(len(fits), number + 2))]
    for near, far in ((back[:1], on[:1]), (back, None), (on, None)):
        if far is None:
            if len(near) < 2:
                continue
            one, two = near
            moved = np.array([one.dx + two.dx, one.dy + two.dy, one.zoom + two.zoom])
            beyond = frames[number - 2] if near is back else frames[number + 2]
            pair = (one, lay_over(here, beyond, moved))
        elif near and far:
            pair = (near[0], far[0])
        else:
            continue
        box = _apart(here, slopes[number], pair)
        if box is not None and (far is not None or _stays(slopes[number], box)):
            return box
    return None


def _stays(slopes: Floats, box: Doubles) -> bool:
    """Whether a box that is as it was at the next look holds somebody: who leaves does so over an edge of the picture."""
    inner = box[0] > 0 and box[1] > 0 and box[0] + box[2] < 1
    return bool(inner) and _textured(slopes, box)


def _textured(slopes: Floats, box: Doubles) -> bool:
    """Whether there is more in a box than in most of the picture: else it is the ground that somebody has left."""
    rows, columns = _part(box[:2], box[:2] + box[2:4])
    edges = np.abs(slopes).max(axis=-1)
    return float(edges[rows, columns].mean()) > max(2.0, 1.2 * float(edges.mean()))


def _part(low: Doubles, high: Doubles) -> tuple[slice, slice]:
    """Rows and columns of a thumbnail under a box."""
    rows = slice(int(low[1] * HEIGHT), int(np.ceil(high[1] * HEIGHT)))
    return rows, slice(int(low[0] * WIDTH), int(np.ceil(high[0] * WIDTH)))


def _apart(here: Floats, slopes: Floats, others: tuple[Fit, Fit]) -> Doubles | None:
    """The box of what differs from two others."""
    if max(f.levels for f in others) > FIT_LEVELS:
        return None
    edges = np.abs(slopes).max(axis=-1)
    allowed = SLACK_PIXELS * cv2.dilate(edges, np.ones((3, 3), np.uint8))
    apart = [np.where(f.seen, np.abs(here - f.over) - allowed - 2 * f.levels, 0) for f in others]
    left = np.maximum(np.minimum(*apart), 0).astype(np.float32)
    strong = cv2.blur(left, (3, 3))
    peak = float(strong.max())
    if peak < LEAST_LEVELS:
        return None
    flags = (strong >= max(LEAST_LEVELS / 2, SHARE * peak)).astype(np.uint8)
    flags = cv2.morphologyEx(flags, cv2.MORPH_CLOSE, np.ones((9, 5), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(flags, connectivity=8)
    masses = [float(strong[labels == k].sum()) for k in range(1, count)]
    largest = 1 + int(np.argmax(masses))
    x, y, wide, high, pixels = (int(v) for v in stats[largest])
    share = masses[largest - 1] / float(strong.sum())
    if not pixels >= LEAST_AREA or wide * high > LARGEST_AREA or share < LEAST_MASS:
        return None
    sure = min(1.0, share * (0.4 + peak / 40))
    return np.array([x / WIDTH, y / HEIGHT, wide / WIDTH, high / HEIGHT, sure])


def _centre(box: Doubles) -> Doubles:
    result: Doubles = box[:2] + box[2:4] / 2
    return result


def _faces_along(faces: Doubles) -> list[Doubles | None]:
    """One face at each look: the one that is large, sure, and near the one of the look before."""
    found: list[Doubles | None] = []
    last: Doubles | None = None
    for some in faces:
        there = [box for box in some if box[4] > 0 and box[2] > 0 and box[3] > 0]
        if not there:
            found.append(None)
            continue

        def worth(box: Doubles, last: Doubles | None = last) -> float:
            near = 0.0 if last is None else float(np.abs(_centre(box) - _centre(last)).max())
            return float(np.sqrt(box[2] * box[3]) * box[4]) - 0.5 * near

        last = max(there, key=worth)
        found.append(last)
    return _bridged(found)


def _along(moving: list[Doubles | None]) -> list[Doubles | None]:
    """Moving boxes without those that stand alone: a subject is there at two looks at least, near each other."""
    kept: list[Doubles | None] = []
    for k, box in enumerate(moving):
        beside = [b for b in moving[max(0, k - 2) : k] + moving[k + 1 : k + 3] if b is not None]
        near = box is not None and any(
            float(np.abs(_centre(box) - _centre(b)).max()) < 2 * SAME_CENTRE for b in beside
        )
        kept.append(box if near else None)
    return _bridged(kept)


def _held(
    frames: list[Floats],
    fits: list[tuple[Fit, Fit]],
    slopes: list[Floats],
    moving: list[Doubles | None],
) -> list[Doubles | None]:
    """Who stops, or has not moved yet, is there all the same: while the picture inside the box stays what it was."""
    held = list(moving)
    for order, fit_of, to in (
        (range(1, len(held)), lambda k: fits[k - 1][1], -1),
        (range(len(held) - 2, -1, -1), lambda k: fits[k][0], 1),
    ):
        for k in order:
            box = held[k + to]
            if held[k] is not None or box is None:
                continue
            fit = fit_of(k)
            if fit.levels > FIT_LEVELS:
                continue
            moved = box.copy()
            # `over` is the neighbour laid over this look: what lies at x here lay at x + dx there.
            moved[:2] -= (fit.dx / WIDTH, fit.dy / HEIGHT)
            low, high = np.clip(moved[:2], 0, 1), np.clip(moved[:2] + moved[2:4], 0, 1)
            if (high - low).min() < 0.03:
                continue
            change = np.abs(frames[k] - fit.over)[_part(low, high)]
            kept = np.concatenate([low, high - low, [box[4] * HELD_SURE]])
            if change.mean() <= HELD_LEVELS + 1.5 * fit.levels and _textured(slopes[k], kept):
                held[k] = kept
    return [None if b is None or b[4] < LEAST_SURE else b for b in held]


def _bridged(boxes: list[Doubles | None]) -> list[Doubles | None]:
    """Short gaps between boxes that show one subject are filled."""
    result = list(boxes)
    known = [k for k, b in enumerate(boxes) if b is not None]
    for a, b in pairwise(known):
        first, second = boxes[a], boxes[b]
        if first is None or second is None:
            continue
        far = float(np.abs(_centre(first) - _centre(second)).max())
        if 1 < b - a <= GAP_LOOKS + 1 and far < SAME_CENTRE * (b - a):
            for k in range(a + 1, b):
                share = (k - a) / (b - a)
                result[k] = first * (1 - share) + second * share
    return result


def _joined(
    faces: list[Doubles | None], moving: list[Doubles | None]
) -> list[tuple[str, Doubles] | None]:
    """A face where there is one, else what moves."""
    return [
        ("face", face) if face is not None else ("moving", moved) if moved is not None else None
        for face, moved in zip(faces, moving, strict=True)
    ]


def _camera(
    source: Source,
    index: FrameIndex,
    strip: Strip,
    start: int,
    stop: int,
    numbers: NDArray[np.int_],
    fits: list[Fit],
) -> Camera:
    """The kind of a camera's motion in a shot, and how strong it is."""
    at = [float(index.time_seconds(n)) for n in numbers.tolist()]
    known = [
        (f, b - a)
        for f, a, b in zip(fits, at, at[1:], strict=False)
        if f.levels <= FIT_LEVELS and b > a
    ]
    if not known:
        return Camera("static", 0.0)
    speeds = np.array([(f.dx / WIDTH, f.dy / WIDTH, f.zoom) for f, _ in known])
    speeds /= np.array([[seconds] for _, seconds in known])
    across, down, growth = np.median(speeds, axis=0)
    # At the edge of a picture a zoom moves as far as half its width, times the growth.
    strengths = {"pan": abs(across), "tilt": abs(down), "zoom": abs(growth)}
    limits = {"pan": STATIC, "tilt": STATIC, "zoom": ZOOM}
    kind = max(strengths, key=lambda name: strengths[name] / limits[name])
    if strengths[kind] > limits[kind]:
        return Camera(kind, round(float(strengths[kind]), 4))
    middle = (start + stop) // 2
    reach = round(float(source.frame_rate) * 2)
    part = strip.thumbnails(max(start, middle - reach), min(stop, middle + reach))
    shake = rough_shake_percent(part, source.frame_rate, HEIGHT / WIDTH) / 100
    if shake * 100 > SHAKE_PERCENT:
        return Camera("handheld", round(shake, 4))
    return Camera("static", round(float(np.hypot(across, down)), 4))
