"""When a shot's subject is in view, and how much it moves by itself. Pure; all from the boxes and profiles of a shot.

Boxes come about twice a second. Who walks out leaves boxes behind that touch an edge of the picture and shrink towards it, first
of himself, then of his shadow: from the first of these on he counts as gone. Who stands still and is no longer found, away from
the edges, is there a little longer. Where nobody is, nothing moves and the camera stands, there is nothing to see; a back that
does not move is little more.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from montage_dask.records import Shot, Subject

Floats = NDArray[np.float64]

LEAST_AREA = 0.008
"""Share of the picture from which on a subject counts."""

LONGEST_GAP_SECONDS = 1.1
"""Between two boxes of one subject."""

HELD_SECONDS = 0.45
"""Behind the last box of one that is away from the edges."""

TOUCHED_SECONDS = 0.2
"""Behind the last box of one that is at an edge."""

LEAVING_SECONDS = 1.25
"""Before the last box: a way out that takes longer than this is a subject at the edge before that."""

EDGE, BESIDE, UPRIGHT = 0.015, 0.04, 0.15
"""Shares of the picture: so near to an edge a box touches it; so far its inner edge moves on towards the left or right edge, and
the upper or lower one, when it leaves: who stands upright often touches these."""

SHRUNK = 0.7
"""Of what it reached into the picture: a subject at an edge that reaches no further in has gone for the most part."""

JUMP = 0.5
"""Of the picture: boxes that lie further apart are of two subjects."""

STEP_SECONDS = 0.1
"""Of what `sample` gives."""

FACE_HEIGHTS = 3.0
"""A face is framed as a figure that is so many times as high."""

STILL_MOTION = 0.08
"""Motion of a picture in which only noise and leaves move."""

STANDING = ("static", "handheld")
"""Kinds of camera that do not go anywhere."""

STANDS = 0.7
"""Of nothing to see, where somebody is in view who does not move and whose face is not seen."""

COLOURFUL, PLACE_WORTH = 0.5, 0.4
"""Colourfulness from which on a place without anybody is worth a look, and how much: a mountain at rest, not an empty road."""

FACE_SECONDS = 0.6
"""To both sides of a look with a face, in which it is seen."""

CALMEST = 0.25
"""Quantile of a shot's motion that its camera and its background make all the time."""


def in_view(shot: Shot) -> list[tuple[float, float]]:
    """Stretches of a shot with its subject in view, [start, stop) in seconds from the start of the shot, in order.

    Empty where nobody is seen who is large enough.
    """
    each = _frame_seconds(shot)
    boxes = [s for s in shot.subjects if s.width * s.height >= LEAST_AREA]
    at = [(s.frame - shot.start_frame) * each for s in boxes]
    runs: list[list[int]] = []
    for k in range(len(boxes)):
        near = k > 0 and at[k] - at[k - 1] <= LONGEST_GAP_SECONDS
        if runs and near and _apart(boxes[k - 1], boxes[k]) <= JUMP:
            runs[-1].append(k)
        else:
            runs.append([k])
    duration = float(shot.duration_seconds)
    found: list[tuple[float, float]] = []
    for run in runs:
        start, last = at[run[0]], at[run[-1]]
        if start <= HELD_SECONDS:
            start = 0.0
        members = [boxes[k] for k in run]
        at_edge = any(touches(members[-1]) for touches, _, _ in _SIDES)
        stop = last + (TOUCHED_SECONDS if at_edge else HELD_SECONDS)
        left, shrunk = _leaves(members), _shrinks(members)
        if left is not None:
            stop = max(at[run[left]], last - LEAVING_SECONDS)
        if shrunk:
            stop = min(stop, (at[run[shrunk - 1]] + at[run[shrunk]]) / 2)
        elif left is None and duration - last <= LONGEST_GAP_SECONDS:
            stop = duration
        stop = min(stop, duration)
        if stop <= start:
            continue
        if found and start - found[-1][1] <= STEP_SECONDS:
            found[-1] = (found[-1][0], max(found[-1][1], stop))
        else:
            found.append((start, stop))
    return found


def _apart(a: Subject, b: Subject) -> float:
    """Distance of the middles of two boxes, the greater of both axes."""
    across = abs(a.x + a.width / 2 - b.x - b.width / 2)
    return max(across, abs(a.y + a.height / 2 - b.y - b.height / 2))


def _leaves(run: Sequence[Subject]) -> int | None:
    """The first of the boxes with which the subject leaves over an edge; None where it does not."""
    for touches, inner, least in _SIDES:
        first = len(run)
        while first and touches(run[first - 1]):
            first -= 1
        way = [inner(s) for s in run[first:]]
        if len(way) > 1 and max(way[1:]) - way[0] >= least:
            return first
        if len(way) == 1 and first and least == BESIDE and way[0] - inner(run[first - 1]) >= least:
            return first
    return None


def _shrinks(run: Sequence[Subject]) -> int:
    """The first of the last boxes of a subject that has gone over an edge for the most part; 0 where it has not."""
    for number, (touches, _, least) in enumerate(_SIDES):
        first = len(run)
        while first and touches(run[first - 1]):
            first -= 1
        if first == len(run):
            continue
        # How far it reaches into the picture tells how much is left; who stands upright and moves only the head
        # at the upper edge, is as whole as before.
        reach = [s.width if number < 2 else s.height for s in run]
        whole = max(reach if least == BESIDE else reach[first:])
        last = len(run)
        while last > first and reach[last - 1] <= SHRUNK * whole:
            last -= 1
        if last < len(run):
            return last
    return 0


_SIDES = (
    (lambda s: s.x <= EDGE, lambda s: 1 - (s.x + s.width), BESIDE),
    (lambda s: s.x + s.width >= 1 - EDGE, lambda s: s.x, BESIDE),
    (lambda s: s.y <= EDGE, lambda s: 1 - (s.y + s.height), UPRIGHT),
    (lambda s: s.y + s.height >= 1 - EDGE, lambda s: s.y, UPRIGHT),
)
"""For each edge: whether a box touches it, and how near its inner edge is to it, 0 … 1; how far that moves."""


def _steps(shot: Shot) -> int:
    """Tenths of a second of a shot."""
    return max(1, math.ceil(float(shot.duration_seconds) / STEP_SECONDS))


def _middles(steps: int) -> Floats:
    """[n] the middle of every tenth of a second, in seconds from the start of the shot."""
    return np.asarray((np.arange(steps) + 0.5) * STEP_SECONDS, np.float64)


def _frame_seconds(shot: Shot) -> float:
    """How long a frame of a shot stays, on the mean."""
    return float(shot.duration_seconds) / max(1, shot.stop_frame - shot.start_frame)


def sample(shot: Shot) -> Floats:
    """1 where the subject is in view, else 0, at the middle of every tenth of a second of a shot: [n]."""
    middles = _middles(_steps(shot))
    seen = np.zeros(len(middles))
    for start, stop in in_view(shot):
        seen[(middles >= start) & (middles < stop)] = 1.0
    return seen


def nothing(shot: Shot, seen: Floats) -> Floats:
    """How little there is to see, every tenth of a second: 1 where nobody is in view, nothing moves and the camera stands, less
    where it is a colourful place that nobody ever enters, or somebody stands whose face is not seen; else 0.

    Args:
        shot: the shot.
        seen: of it, see `sample`.
    """
    if not standing(shot):
        return np.zeros(len(seen))
    times, motion = _motion(shot)
    still = np.interp(_middles(len(seen)), times, motion) < STILL_MOTION
    place = 0.0 if seen.any() else PLACE_WORTH * min(1.0, shot.colourfulness / COLOURFUL)
    there = np.where(faces(shot), 1.0, STANDS)
    return np.where(still, 1 - place - there * seen, 0.0)


def standing(shot: Shot) -> bool:
    """Whether the camera does not go anywhere, as far as is known."""
    return shot.camera is None or shot.camera.kind in STANDING


def faces(shot: Shot) -> NDArray[np.bool_]:
    """Whether a face is seen, at the middle of every tenth of a second: [n]."""
    each, middles = _frame_seconds(shot), _middles(_steps(shot))
    found = np.zeros(len(middles), np.bool_)
    for subject in shot.subjects:
        if subject.kind == "face":
            found |= np.abs(middles - (subject.frame - shot.start_frame) * each) <= FACE_SECONDS
    return found


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What there is to see in a shot, and when."""

    seen: Floats
    """[n] 1 where the subject is in view, else 0; see `sample`."""
    nothing: Floats
    """[n] how little there is to see, 0 … 1; see `nothing`."""
    times: Floats
    """[m] seconds from the start of the shot."""
    motion: Floats
    """[m] how much the subject moves then, apart from the camera, 0 … 1."""

    def ticks(self) -> Floats:
        """[n] the motion at the times of `seen`."""
        return np.asarray(np.interp(_middles(len(self.seen)), self.times, self.motion), np.float64)


def view_of(shot: Shot) -> View:
    """The view of a shot.

    A camera moves all the time: what a shot's motion rises over that is the subject, while it is in view. Of a shot that has no
    subject, all that rises counts.
    """
    times, motion = _motion(shot)
    rise = np.maximum(0.0, motion - np.quantile(motion, CALMEST))
    seen = sample(shot)
    if seen.any():
        there = seen[np.minimum((times / STEP_SECONDS).astype(int), len(seen) - 1)]
        rise = rise * there
    return View(seen, nothing(shot, seen), times, np.asarray(rise, np.float64))


def _motion(shot: Shot) -> tuple[Floats, Floats]:
    """[m] seconds from the start of a shot, [m] its motion then."""
    motion = np.array(shot.motion_profile or (shot.motion,), np.float64)
    if len(motion) == 1:
        step = float(shot.duration_seconds)
    else:
        share = shot.profile_step_frames / (shot.stop_frame - shot.start_frame)
        step = float(shot.duration_seconds) * share
    return np.asarray((np.arange(len(motion)) + 0.5) * step, np.float64), motion


def course(shot: Shot) -> Floats:
    """How fast a subject goes to the right and down (picture sizes a second) and how high it is (share of the picture), at the
    middle of every tenth of a second: [n, 3]; zeros where nobody is in view. A face stands for a head and shoulders.
    """
    each, middles = _frame_seconds(shot), _middles(_steps(shot))
    found = np.zeros((len(middles), 3))
    boxes = [s for s in shot.subjects if s.width * s.height >= LEAST_AREA]
    for a, b in itertools.pairwise(boxes):
        first, last = ((s.frame - shot.start_frame) * each for s in (a, b))
        if last - first > LONGEST_GAP_SECONDS or _apart(a, b) > JUMP:
            continue
        here = slice(*np.searchsorted(middles, [first, last]).tolist())
        found[here, 0] = _way(a.x, a.width, b.x, b.width) / (last - first)
        found[here, 1] = _way(a.y, a.height, b.y, b.height) / (last - first)
        found[here, 2] = (b.height + a.height) / 2 * (FACE_HEIGHTS if a.kind == "face" else 1)
    return found


def _way(low: float, size: float, next_low: float, next_size: float) -> float:
    """How far a box goes along one axis: its middle, or its inner edge while the outer one is outside the picture."""
    first, second = (low, low + size), (next_low, next_low + next_size)
    if min(first[0], second[0]) <= EDGE and max(first[1], second[1]) < 1 - EDGE:
        return second[1] - first[1]
    if max(first[1], second[1]) >= 1 - EDGE and min(first[0], second[0]) > EDGE:
        return second[0] - first[0]
    return (sum(second) - sum(first)) / 2
