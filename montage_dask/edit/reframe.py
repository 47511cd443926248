"""Which part of a picture stays where it must be cropped: a calm path that keeps the subject in view. Pure and deterministic.

The window of an event stands still where the subject fits into it all the time; else it follows, no more than it must: a path
that is as smooth as the subject's boxes allow (least squares over the path, its steps and its bends), of limited speed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from montage_dask.edit.choose import Selector, holds, parse_selector, resolve_named
from montage_dask.edit.layout import handles
from montage_dask.edit.views import EDGE
from montage_dask.errors import UsageError, printable
from montage_dask.records import Event, Focus, Shot, Source, Subject, Timeline

Floats = NDArray[np.float64]

COVER = "cover"
"""The fit that crops around the subject; "centre" crops in the middle."""

SAME_SHAPE = Fraction(1, 100)
"""Shapes that differ by less are taken for one: nothing is cropped (see `render.filters`)."""

STEP_SECONDS = 0.2
"""From one point of a path to the next."""

LONGEST_HOLD_SECONDS = 1.2
"""Before the first, behind the last and between two boxes: for so long a box is taken for the subject's place."""

FACE = (0.6, 0.6, 1.0)
"""A face is kept with hair, shoulders and air: shares of its size added at each side, above, and below."""

MARGIN = 0.06
"""Of the window, that stays free beside a subject where there is room."""

PART, PART_SECONDS = 0.6, 10.0
"""Share of a box that was seen before, up to which one that lies upon it is a part of it, and for how long."""

SPEED = 1.25
"""Windows a second, at most."""

STEPS_COUNT, BENDS_COUNT, ROUNDS = 0.6, 14.0, 40
"""What a step and a bend of the path cost against a subject that leaves the window; rounds of the fit."""

TOLERANCE = 4
"""In units of `Focus`: points that lie so near to a straight line are left out."""

_PLACE = re.compile(r"\s*(\d*\.?\d+)\s*,\s*(\d*\.?\d+)\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class FocusByHand:
    """Where a person says that the middle of the window belongs: `--focus CLIP[@t]=x,y`."""

    selector: Selector
    x: float
    """Share of the width, 0 (left) … 1."""
    y: float
    """Share of the height, 0 (top) … 1."""


def parse_focus(text: str) -> FocusByHand:
    """The focus of "CLIP=x,y" or "CLIP@t=x,y".

    Raises:
        UsageError: it is none.
    """
    name, found, place = text.rpartition("=")
    match = _PLACE.fullmatch(place)
    if not found or match is None or not all(float(v) <= 1 for v in match.groups()):
        raise UsageError(
            f"--focus {printable(text)}: expected CLIP=x,y or CLIP@t=x,y, x and y from 0 (left, top) to 1"
        )
    return FocusByHand(parse_selector(name), float(match[1]), float(match[2]))


def reframed(
    timeline: Timeline,
    shots: Sequence[Shot],
    sources: Mapping[str, Source],
    *,
    fit: str,
    by_hand: Sequence[FocusByHand] = (),
) -> Timeline:
    """The timeline with the path of each event's window, where its picture is cropped.

    Args:
        timeline: the montage.
        shots: whose subjects are known; events of others keep what they have.
        sources: by identity.
        fit: how other shapes are fitted; only "cover" follows anybody.
        by_hand: what a person set, which wins; the last one that names an event.

    Raises:
        UsageError: one of them names no clip.
    """
    known: dict[tuple[str, int], list[Shot]] = {}
    for shot in shots:
        known.setdefault((shot.source, shot.index), []).append(shot)
    named = [(one, *resolve_named(one.selector, sources)) for one in by_hand]
    transitions = [e.transition for e in timeline.events]
    events = []
    for number, event in enumerate(timeline.events):
        shape = Fraction(timeline.width, timeline.height)
        window = window_of(sources[event.source], shape) if fit == COVER else None
        if window is None:
            events.append(replace(event, focus=()))
            continue
        here = known.get((event.source, event.shot), [])
        set_by_hand = [
            one
            for one, found, meant in named
            if event.source in found
            and (meant.at_seconds is None or any(holds(s, meant, found) for s in here))
        ]
        if set_by_hand:
            x, y = set_by_hand[-1].x, set_by_hand[-1].y
            events.append(replace(event, focus=(_point(0, x, y),)))
        elif here:
            span = handles(transitions, number)
            events.append(replace(event, focus=_path(event, here, timeline.fps, window, span)))
        else:
            events.append(event)
    return replace(timeline, events=tuple(events))


def window_of(source: Source, shape: Fraction) -> tuple[float, float] | None:
    """The part of a picture that a shape shows, in shares of its width and height; None where it is all of it.

    Args:
        source: the source.
        shape: width / height of the output.
    """
    ratio = Fraction(source.width, source.height) / shape
    if abs(ratio - 1) < SAME_SHAPE:
        return None
    return (float(1 / ratio), 1.0) if ratio > 1 else (1.0, float(ratio))


def kept_share(subject: Subject, centre: tuple[float, float], window: tuple[float, float]) -> float:
    """The share of a subject's box that lies in a window about a centre."""
    kept = 1.0
    for middle, size, low, length in zip(
        centre, window, (subject.x, subject.y), (subject.width, subject.height), strict=True
    ):
        begin = min(max(middle - size / 2, 0.0), 1.0 - size)
        common = min(begin + size, low + length) - max(begin, low)
        kept *= max(0.0, common) / max(length, 1e-9)
    return min(1.0, kept)


def seconds_of(shot: Shot, frame: int) -> float:
    """Source time of a frame of a shot, from the first frame of the source; frames taken for evenly spaced."""
    each = float(shot.duration_seconds) / max(1, shot.stop_frame - shot.start_frame)
    return float(shot.start_seconds) + (frame - shot.start_frame) * each


def _path(
    event: Event,
    parts: Sequence[Shot],
    fps: Fraction,
    window: tuple[float, float],
    handles_frames: tuple[int, int],
) -> tuple[Focus, ...]:
    shot = parts[0]
    subjects = _whole(
        sorted({s for part in parts for s in part.subjects}, key=lambda s: s.frame), shot
    )
    lead, tail = handles_frames
    step = max(1, round(float(fps) * STEP_SECONDS))
    frames = np.arange(-lead, event.frames + tail + step, step)
    times = np.array([float(event.seconds_at(int(f), fps)) for f in frames])
    boxes, weights = _boxes(shot, subjects, times)
    if not weights.any():
        return ()
    step_seconds = step / float(fps)
    centres = [
        np.full(len(frames), 0.5)
        if size >= 1
        else _smooth(boxes[:, axis], boxes[:, axis + 2], weights, size, step_seconds)
        for axis, size in enumerate(window)
    ]
    points = [_point(int(f), x, y) for f, x, y in zip(frames, centres[0], centres[1], strict=True)]
    return _thinned(points)


def _whole(subjects: Sequence[Subject], shot: Shot) -> list[Subject]:
    """Subjects, each with what stood still of it: where only a hand moves, all of who was seen there before is the subject."""
    found: list[Subject] = []
    seen: Subject | None = None
    for one in subjects:
        if seen is None or not _part_of(
            one, seen, seconds_of(shot, one.frame) - seconds_of(shot, seen.frame)
        ):
            seen = one
            found.append(one)
            continue
        x, y = min(one.x, seen.x), min(one.y, seen.y)
        right = max(one.x + one.width, seen.x + seen.width)
        low = max(one.y + one.height, seen.y + seen.height)
        found.append(replace(one, x=x, y=y, width=right - x, height=low - y))
    return found


def _part_of(one: Subject, seen: Subject, seconds: float) -> bool:
    """Whether a box is a part of one that was seen so long before: small, within its reach, and not on its way out."""
    if "face" in (one.kind, seen.kind):
        return False
    small = one.width * one.height < PART * seen.width * seen.height
    beside = max(one.x - seen.x - seen.width, seen.x - one.x - one.width)
    above = max(one.y - seen.y - seen.height, seen.y - one.y - one.height)
    out = one.x <= EDGE or one.x + one.width >= 1 - EDGE
    return small and max(beside, above) < 0 and not out and seconds <= PART_SECONDS


def _point(frame: int, x: float, y: float) -> Focus:
    return Focus(frame, round(x * Focus.UNIT), round(y * Focus.UNIT))


def _boxes(shot: Shot, subjects: Sequence[Subject], times: Floats) -> tuple[Floats, Floats]:
    """The subject's box at each time, left, top, right, lower edge: [n, 4]; and how much it counts: [n]."""
    boxes, weights = np.zeros((len(times), 4)), np.zeros(len(times))
    if not subjects:
        return boxes, weights
    at = np.array([seconds_of(shot, s.frame) for s in subjects])
    edges = np.array([_edges(s) for s in subjects])
    sure = np.array([1.0 if s.kind == "face" else 0.3 + 0.7 * s.confidence for s in subjects])
    for axis in range(4):
        boxes[:, axis] = np.interp(times, at, edges[:, axis])
    after = np.searchsorted(at, times)
    before = np.clip(after - 1, 0, len(at) - 1)
    after = np.clip(after, 0, len(at) - 1)
    distance = np.minimum(np.abs(times - at[before]), np.abs(times - at[after]))
    weights[:] = np.interp(times, at, sure)
    weights[distance > LONGEST_HOLD_SECONDS] = 0
    return boxes, weights


def _edges(subject: Subject) -> tuple[float, float, float, float]:
    beside, above, below = FACE if subject.kind == "face" else (0.0, 0.0, 0.0)
    return (
        max(0.0, subject.x - beside * subject.width),
        max(0.0, subject.y - above * subject.height),
        min(1.0, subject.x + (1 + beside) * subject.width),
        min(1.0, subject.y + (1 + below) * subject.height),
    )


def _smooth(low_edge: Floats, high_edge: Floats, weights: Floats, size: float, step_seconds: float) -> Floats:  # fmt: skip
    """The middles of a window of a size along one axis."""
    half = size / 2
    room = np.maximum(0.0, size - (high_edge - low_edge))
    margin = np.minimum(MARGIN * size, room / 2)
    # Between these the middle may lie with all of the subject in view; of one that is too large, with as much as can be.
    low, high = high_edge - half + margin, low_edge + half - margin
    low, high = np.minimum(low, high), np.maximum(low, high)
    low, high = np.clip(low, half, 1 - half), np.clip(high, half, 1 - half)
    there = weights > 0
    middle = np.clip((low_edge + high_edge) / 2, half, 1 - half)
    begin, end = float(low[there].max()), float(high[there].min())
    if begin <= end:
        wish = float((middle * weights).sum() / weights.sum())
        return np.full(len(low), min(max(wish, begin), end))
    count = len(low)
    steps, bends = np.diff(np.eye(count), axis=0), np.diff(np.eye(count), n=2, axis=0)
    stiff = STEPS_COUNT * steps.T @ steps + BENDS_COUNT * bends.T @ bends
    # Where nobody is, the path goes its way; without any weight it were not determined.
    counted = np.maximum(weights, 1e-4)
    solve = np.linalg.inv(np.diag(counted) + stiff / 4)
    path = middle.copy()
    for _ in range(ROUNDS):
        path = solve @ (counted * np.clip(path, low, high))
    path = _limited(path, SPEED * size * step_seconds)
    return np.clip(path, half, 1 - half)


def _limited(path: Floats, most: float) -> Floats:
    """A path whose steps are none longer than `most`: the mean of one that is limited from the front and one from behind."""
    both = []
    for course in (path, path[::-1]):
        made = course.copy()
        for k in range(1, len(made)):
            made[k] = made[k - 1] + min(max(course[k] - made[k - 1], -most), most)
        both.append(made)
    return (both[0] + both[1][::-1]) / 2


def _thinned(points: Sequence[Focus]) -> tuple[Focus, ...]:
    """Points without those that lie on a line between others; one point where the window stands still."""
    if all(abs(p.x - points[0].x) <= 1 and abs(p.y - points[0].y) <= 1 for p in points):
        return (replace(points[0], frame=0),)
    kept = [points[0]]
    first = 0
    for last in range(2, len(points)):
        if not _straight(points[first : last + 1]):
            first = last - 1
            kept.append(points[first])
    return (*kept, points[-1])


def _straight(points: Sequence[Focus]) -> bool:
    a, b = points[0], points[-1]
    span = b.frame - a.frame
    return all(
        math.fabs(a.x + (b.x - a.x) * (p.frame - a.frame) / span - p.x) <= TOLERANCE
        and math.fabs(a.y + (b.y - a.y) * (p.frame - a.frame) / span - p.y) <= TOLERANCE
        for p in points[1:-1]
    )
