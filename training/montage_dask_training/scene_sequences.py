"""Sequences of shots with known transitions: what the scene network learns from and is measured on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montage_dask.analysis.features import Bytes, likeness
from montage_dask.analysis.strip import Strip
from montage_dask.media import demo_scenes, demo_shapes
from montage_dask_training import scene_cameras, scene_damage
from montage_dask_training.scene_transitions import (
    HELD_OUT_SHAPES,
    KINDS,
    MIX,
    SHAPES,
)

SEQUENCE_FRAMES = 320

SHARES = (0.42, 0.22, 0.14, 0.22)
"""Of cuts, dissolves, fades and wipes among the transitions."""

Shooter = Callable[[np.random.Generator, int], Bytes]


@dataclass(frozen=True, slots=True)
class Truth:
    """One transition that was made."""

    kind: int
    """Place in KINDS."""
    start: int
    """First frame that shows both; of a cut, the first frame of the new shot."""
    stop: int
    """Behind the last such frame; equal to start for a cut."""


def shooters(
    sources: Sequence[Mapping[str, Any]], inputs: Mapping[str, str]
) -> tuple[Shooter, ...]:
    """What makes shots, one for each source.

    Args:
        sources: {"drawn": style}, {"demo": scene}, {"picture": identity} or {"video": identity, "segments": […]}.
        inputs: paths of pictures and strips by identity.
    """
    return tuple(_shooter(s, inputs) for s in sources)


def _shooter(source: Mapping[str, Any], inputs: Mapping[str, str]) -> Shooter:
    if "drawn" in source:
        return lambda rng, n: _drawn(rng, n, source["drawn"])
    if "demo" in source:
        return lambda rng, n: _demo(rng, n, source["demo"])
    if "picture" in source:
        picture = scene_cameras.photo(inputs[source["picture"]])
        return lambda rng, n: _over(rng, n, picture)
    strip = Strip(_folder(inputs[source["video"]]))
    return lambda rng, n: _footage(rng, n, strip, source["segments"])


def _folder(path: str) -> Any:
    from pathlib import Path

    return Path(path)


def _over(rng: np.random.Generator, frames: int, picture: Bytes) -> Bytes:
    aspect = 9 / 16 if rng.random() < 0.7 else rng.uniform(0.4, 1.5)
    # Some footage has 10 or 12 frames a second.
    tempo = float(rng.choice([1.0, 1.0, 1.0, 2.0, 3.0]))
    seen = scene_cameras.filmed(picture, scene_cameras.camera(rng, frames, tempo), aspect)
    if rng.random() < 0.65:
        scene_cameras.add_movers(rng, seen, tempo)
    return scene_cameras.small(seen)


def _drawn(rng: np.random.Generator, frames: int, style: str) -> Bytes:
    return _over(rng, frames, scene_cameras.DRAWN[style](rng))


def _demo(rng: np.random.Generator, frames: int, name: str) -> Bytes:
    scene = getattr(demo_scenes, name, None) or getattr(demo_shapes, name)
    fps = float(rng.choice([12.5, 24, 25, 30, 50]))
    return scene_cameras.small(np.stack(list(scene(rng, 96, 54, frames, fps))))


def _footage(
    rng: np.random.Generator, frames: int, strip: Strip, segments: Sequence[Sequence[int]]
) -> Bytes:
    """A piece of real footage, to and fro where it is too short."""
    start, stop = segments[int(rng.integers(len(segments)))]
    length = min(frames, stop - start)
    first = int(rng.integers(start, stop - length + 1))
    piece = strip.thumbnails(first, first + length)
    if rng.random() < 0.5:
        piece = piece[:, :, ::-1]
    if rng.random() < 0.3:
        piece = piece[::-1]
    there_and_back = np.concatenate([piece, piece[::-1]])
    return there_and_back[np.arange(frames) % len(there_and_back)]


def sequence(
    rng: np.random.Generator,
    shoot: Sequence[Shooter],
    *,
    held_out_shapes: bool,
    only: str | None = None,
) -> tuple[Bytes, tuple[Truth, ...]]:
    """One sequence of SEQUENCE_FRAMES frames.

    Args:
        rng: decides everything.
        shoot: sources of shots.
        held_out_shapes: half of the wipes have shapes that the training does not know.
        only: one of KINDS that all transitions are of ("none": there are none); None: all kinds.

    Returns:
        uint8 [frames, 27, 48, 3], and its transitions in order.
    """
    plan = _plan(rng, only)
    starts = [0, *(t.start for t in plan)]
    stops = [*(t.stop for t in plan), SEQUENCE_FRAMES]
    canvas = np.empty((SEQUENCE_FRAMES, 27, 48, 3), np.uint8)
    before: Bytes | None = None
    same: Shooter | None = None
    for number, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        # Now and then the same place again, from elsewhere.
        source = same if same and rng.random() < 0.2 else shoot[int(rng.integers(len(shoot)))]
        shot = _shot(rng, source, stop - start)
        for _ in range(3):
            if before is None or not _alike(before[-1], shot[0]):
                break
            source = shoot[int(rng.integers(len(shoot)))]
            shot = _shot(rng, source, stop - start)
        if before is not None:
            made = plan[number - 1]
            length = made.stop - made.start
            if length:
                shapes = HELD_OUT_SHAPES if held_out_shapes and rng.random() < 0.5 else SHAPES
                shape = str(rng.choice(shapes))
                mix = MIX[KINDS[made.kind]]
                canvas[start : start + length] = mix(rng, before[-length:], shot[:length], shape)
            elif rng.random() < 0.06:  # a frame of both, as conversions of the rate leave behind
                shot[0] = (shot[0].astype(np.uint16) + before[-1]) // 2
            canvas[start + length : stop] = shot[length:]
        else:
            canvas[start:stop] = shot
        before, same = shot, source
    return _damaged(rng, canvas, plan)


def _plan(rng: np.random.Generator, only: str | None) -> tuple[Truth, ...]:
    """Where transitions are, and of which kind."""
    found: list[Truth] = []
    quick = rng.random() < 0.25
    at = 0 if rng.random() < 0.86 else SEQUENCE_FRAMES
    if only is not None:
        at = SEQUENCE_FRAMES if only == "none" else 0
    while True:
        rest = rng.integers(12, 40) if quick else 12 + int(rng.exponential(55))
        kind = int(rng.choice(4, p=SHARES)) + 1 if only is None else KINDS.index(only)
        length = 0
        if kind == 2:
            length = int(np.clip(np.exp(rng.uniform(np.log(4), np.log(62))), 4, 60))
        elif kind == 3:
            length = int(np.clip(np.exp(rng.uniform(np.log(6), np.log(72))), 6, 70))
        elif kind == 4:
            length = int(np.clip(np.exp(rng.uniform(np.log(5), np.log(50))), 5, 48))
        start = at + int(rest)
        if start + length + 12 > SEQUENCE_FRAMES:
            return tuple(found)
        found.append(Truth(kind, start, start + length))
        at = start + length


def _shot(rng: np.random.Generator, source: Shooter, frames: int) -> Bytes:
    shot = source(rng, frames)
    if rng.random() < 0.5:
        shot = scene_damage.graded(rng, shot)
    if rng.random() < 0.15:
        shot = scene_damage.hazy(rng, shot)
    if rng.random() < 0.2:
        shot = scene_damage.adapting(rng, shot)
    if rng.random() < 0.35:
        shot = scene_damage.unsteady(rng, shot)
    if rng.random() < 0.08:
        shot = scene_damage.boxed(rng, shot)
    return np.ascontiguousarray(shot)


def _alike(left: Bytes, right: Bytes) -> bool:
    """Whether nobody would see a transition between the two."""
    apart = np.abs(left.astype(np.int16) - right).mean()
    return bool(apart < 9 or likeness(left, right) > 0.8)


def _damaged(
    rng: np.random.Generator, frames: Bytes, plan: tuple[Truth, ...]
) -> tuple[Bytes, tuple[Truth, ...]]:
    if rng.random() < 0.08:
        frames = np.repeat(frames.mean(axis=-1, keepdims=True).astype(np.uint8), 3, axis=-1)
    if rng.random() < 0.25:
        frames = scene_damage.titled(rng, frames)
    if rng.random() < 0.2:
        frames = scene_damage.boxed(rng, frames)
    if rng.random() < 0.75:
        frames = scene_damage.noisy(rng, frames)
    if rng.random() < 0.2:
        index = scene_damage.retimed(rng, len(frames))
        frames, plan = frames[index], _retimed(plan, index)
    return frames, plan


def _retimed(plan: Sequence[Truth], index: NDArray[np.int64]) -> tuple[Truth, ...]:
    """The transitions where frames were repeated; what fell off the end is gone."""
    found = []
    for one in plan:
        start, stop = (int(np.searchsorted(index, at)) for at in (one.start, one.stop))
        if stop + 4 < len(index):
            found.append(Truth(one.kind, start, max(start, stop)))
    return tuple(found)
