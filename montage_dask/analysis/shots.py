"""What is in each shot: how sharp, bright and lively it is, what it looks like, its course.

Read from the strip, shot after shot; only the scalar features of a source (20 bytes a frame) are
in memory at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from montage_dask.analysis import embedding, features
from montage_dask.analysis.features import Floats
from montage_dask.analysis.small_pictures import SHARPNESS_STEP
from montage_dask.analysis.strip import Strip
from montage_dask.analysis.subjects import find_subjects
from montage_dask.analysis.usability import find_unusable
from montage_dask.records import Boundary, Shot, Source

if TYPE_CHECKING:
    from montage_dask.media.index import FrameIndex

Doubles: TypeAlias = NDArray[np.float64]

VERSION = 6
"""Raised when the same strip and boundaries give other shots."""

PROFILE_STEP_SECONDS = 0.25

_MOTION_SCALE = 0.03
"""Change per 1/25 s (0 … 1) that counts as motion 0.63: a fast pan."""

_KEY_FRAMES = 3
"""Frames per shot that its embedding is made of."""


def describe_shots(
    source: Source,
    index: FrameIndex,
    strip: Strip,
    boundaries: Sequence[Boundary],
    *,
    kind: str = "strip",
    model: str | None = None,
    device: str = "cpu",
) -> tuple[Shot, ...]:
    """The shots between the boundaries; together with these they are the whole source.

    Args:
        source: the source.
        index: its frame times.
        strip: complete.
        boundaries: from `scenes.detect_boundaries`.
        kind: which embedding: strip, or a network's (clip, dino), for which the key frames are decoded in full.
        model: the weights of the network; see `embedding.embed_pictures`.
        device: that the network runs on.

    Raises:
        StoreError: a window of the strip is missing.
        UsageError: the network is not there; says what to do.
    """
    columns = {name: strip.feature(name) for name in features.COLUMNS}
    columns["motion"] = _per_25th(columns["motion"], source, index)
    step = max(1, round(PROFILE_STEP_SECONDS * float(source.frame_rate)))
    starts = [0, *(b.stop_frame for b in boundaries)]
    stops = [*(b.start_frame for b in boundaries), strip.frames]

    def look(start: int, stop: int) -> Floats:
        frames = _key_frames(start, stop)
        if kind == "strip":
            return embedding.embed(np.concatenate([strip.thumbnails(f, f + 1) for f in frames]))
        pictures = [_picture(source, index, f) for f in frames]
        return embedding.embed_pictures(pictures, kind=kind, model=model, device=device)

    return tuple(
        replace(
            _describe(source, index, strip, columns, number, start, stop, step, look(start, stop)),
            boundary=begins,
            boundary_seconds=None if begins is None else index.time_seconds(begins.start_frame),
        )
        for number, (start, stop, begins) in enumerate(
            zip(starts, stops, [None, *boundaries], strict=True)
        )
    )


def _per_25th(change: Floats, source: Source, index: FrameIndex) -> Floats:
    """Change between neighbouring frames scaled to 1/25 s, so that frame rates compare."""
    ticks = np.diff(np.asarray(index.pts, np.int64), prepend=index.pts[0])
    seconds = np.maximum(ticks * float(source.time_base), 1e-3)
    return (change / (25.0 * seconds)).astype(np.float32)


def _describe(
    source: Source,
    index: FrameIndex,
    strip: Strip,
    columns: dict[str, Floats],
    number: int,
    start: int,
    stop: int,
    step: int,
    look: Floats,
) -> Shot:
    part = {name: values[start:stop].astype(np.float64) for name, values in columns.items()}
    part["sharpness"] = _sharpness(columns["sharpness"], start, stop)
    quality = quality_of(part["sharpness"], part["exposure"], part["contrast"])
    # The first frame's change is the cut, not motion in the shot.
    moving = part["motion"].copy()
    moving[0] = moving[1] if stop - start > 1 else 0.0
    middle = (start + stop) // 2
    end = index.time_seconds(stop) if stop < len(index) else source.duration_seconds
    subjects, camera = find_subjects(source, index, strip, start, stop)
    return Shot(
        source=source.identity,
        index=number,
        start_frame=start,
        stop_frame=stop,
        start_seconds=index.time_seconds(start),
        stop_seconds=end,
        sharpness=_round(part["sharpness"].mean()),
        exposure=_round(part["exposure"].mean()),
        contrast=_round(part["contrast"].mean()),
        colourfulness=_round(part["colourfulness"].mean()),
        motion=_round(_motion_scale(moving.mean())),
        quality=_round(quality.mean()),
        embedding=embedding.joined(look),
        colour=_colour(
            np.concatenate([strip.thumbnails(f, f + 1) for f in _key_frames(start, stop)])
        ),
        perceptual_hash=f"{int(strip.feature('hash', middle, middle + 1)[0]):016x}",
        profile_step_frames=step,
        motion_profile=tuple(_round(v) for v in _motion_scale(_profile(moving, step))),
        quality_profile=tuple(_round(v) for v in _profile(quality, step)),
        unusable=find_unusable(source, index, strip, start, stop, columns),
        subjects=subjects,
        camera=camera,
    )


def _sharpness(values: Floats, start: int, stop: int) -> Doubles:
    """Sharpness per frame, from frames of the shot that were measured, where there are any."""
    frames = np.arange(start, stop)
    measured = frames // SHARPNESS_STEP * SHARPNESS_STEP
    measured[measured < start] += SHARPNESS_STEP
    measured[measured >= stop] = stop - 1
    return values[measured].astype(np.float64)


def quality_of(sharpness: Doubles, exposure: Doubles, contrast: Doubles) -> Doubles:
    """0 … 1 per frame: 1 is sharp, neither dark nor burnt out, and shows something.

    A product, because one defect is enough to spoil a picture; what is only soft is still usable.
    """
    lit = np.clip((exposure - 0.03) / 0.15, 0, 1) * np.clip((0.98 - exposure) / 0.12, 0, 1)
    filled = np.clip((contrast - 0.01) / 0.09, 0, 1)
    crisp = 0.25 + 0.75 * np.clip(sharpness / 0.6, 0, 1)
    result: Doubles = lit * filled * crisp
    return result


def _colour(thumbnails: features.Bytes) -> tuple[float, ...]:
    """Mean and covariance of R'G'B', from exact sums; see `Shot.colour`."""
    pixels = thumbnails.reshape(-1, 3).astype(np.int64)
    n, total = len(pixels), pixels.sum(axis=0)
    products = n * (pixels.T @ pixels) - np.outer(total, total)
    covariance = products[np.triu_indices(3)] / float((255 * n) ** 2)
    return tuple(round(float(v), 6) for v in (*(total / (255.0 * n)), *covariance))


def _key_frames(start: int, stop: int) -> list[int]:
    """A few frames spread over the shot."""
    return [start + (stop - start) * (2 * k + 1) // (2 * _KEY_FRAMES) for k in range(_KEY_FRAMES)]


def _picture(source: Source, index: FrameIndex, frame: int) -> features.Bytes:
    """One frame as shown, small enough for any network: uint8 [h, w, 3]."""
    from montage_dask.media.decode import decode_frames, show_rgb

    ((_, decoded),) = decode_frames(source, index, frame, frame + 1)
    return show_rgb(decoded, source, max_width=640, max_height=640)


def _profile(values: Doubles, step: int) -> Doubles:
    """Means over steps; the last step may be shorter."""
    starts = np.arange(0, len(values), step)
    lengths = np.diff(np.append(starts, len(values)))
    means: Doubles = np.add.reduceat(values, starts) / lengths
    return means


def _motion_scale(change: Any) -> Any:
    """Change per 1/25 s as motion, 0 … 1: steep where footage differs, flat where all is a blur."""
    return 1.0 - np.exp(-change / _MOTION_SCALE)


def _round(value: float) -> float:
    """Four digits: no use of more, and records stay small."""
    return round(float(value), 4)
