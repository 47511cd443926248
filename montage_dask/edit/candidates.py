"""The parts of shots that an edit may choose from, as arrays.

A short shot is one candidate, a long one offers several parts. All contents lie behind one another on
one axis of ticks, so that "do these two parts show the same" is a comparison of two intervals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from montage_dask.edit.choose import Pin
from montage_dask.edit.contents import TICKS_PER_SECOND, find_contents
from montage_dask.records import Shot, Source

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.intp]
Flags: TypeAlias = NDArray[np.bool_]

VIEW_SECONDS = 5.0
"""A shot this long still looks like one picture; a longer one is worth several."""
SUBJECT_AREA, SUBJECT_SECONDS = 0.008, 0.6
"""Share of the picture from which on a subject counts; distance from a look with one at which it is still there."""
MAXIMUM_PARTS = 48
"""Of one shot: keeps an hour-long take from being the whole table."""
TOLERANCE_SECONDS = 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """C parts of S shots."""

    shots: tuple[Shot, ...]
    shot: Ints
    """[C] index into `shots`."""
    anchor: Floats
    """[C] where the part begins, seconds from the start of its shot."""
    quality: Floats
    """[C] mean quality of the part, 0 … 1."""
    motion: Floats
    """[C] motion of the part as a rank among all, 0 … 1: still footage has its lively parts too."""
    intensity: Floats
    """[C] rank of motion, colour and contrast together, 0 … 1: what tension asks for."""
    action: Floats
    """[C] rank of the strongest moment of the part, 0 … 1."""
    subject: Floats
    """[C] how much of the part has a subject in view that is large enough, 0 … 1."""
    pin: Ints
    """[C] number of the pin that the part fulfils, −1 for none."""
    free: Flags
    """[C] whether any slot may take it (False: only its pin's slot)."""
    duration: Floats
    """[S] seconds."""
    base: Ints
    """[S] first tick of the shot on the common axis."""
    ticks: int
    """Length of the common axis."""
    embedding: NDArray[np.float32]
    """[S, D] unit vectors."""
    group: Ints
    """[S] duplicate group, −1 for none."""
    content: Ints
    """[S] number of what the shot shows: parts of one take share it, and duplicates."""
    source: Ints
    """[S] number of the source."""
    good: Flags
    """[S] whether the shot is worth showing before any other is shown twice."""
    views: Floats
    """[S] how many different pictures its content holds, at least 1."""
    order: Ints
    """[S] place of the shot in the order of filming."""

    def positions(self, need_seconds: float) -> Floats:
        """[C] where each part begins when it must last `need_seconds`, from the start of its shot.

        A part near the end of its shot moves forward; it is negative when the shot is too short.
        """
        return np.minimum(self.anchor, self.duration[self.shot] - need_seconds)

    def fits(self, need_seconds: float) -> Flags:
        """[C] whether the shot is long enough."""
        return self.duration[self.shot] - need_seconds >= -TOLERANCE_SECONDS

    def interval(self, positions: Floats, need_seconds: float) -> tuple[Ints, Ints]:
        """[C] the ticks [start, stop) of each part on the common axis."""
        base = self.base[self.shot]
        start = np.floor(np.maximum(positions, 0) * TICKS_PER_SECOND + 1e-6).astype(np.intp)
        stop = np.ceil((positions + need_seconds) * TICKS_PER_SECOND - 1e-6).astype(np.intp)
        return base + start, base + np.maximum(stop, start + 1)


def find_candidates(
    shots: Sequence[Shot],
    sources: Mapping[str, Source],
    needs_seconds: Floats,
    pins: Sequence[Pin] = (),
) -> Candidates:
    """The table of candidates.

    Args:
        shots: what may be chosen freely.
        sources: by identity.
        needs_seconds: how much source time the slots need; parts are as long as the usual one.
        pins: what must be shown; their shots join the table.
    """
    table = list(dict.fromkeys(shots))
    allowed = len(table)
    table = list(dict.fromkeys([*table, *(s for pin in pins for s in pin.shots)]))
    number = {shot: k for k, shot in enumerate(table)}
    usual = float(np.quantile(needs_seconds, 0.6))
    rows: list[tuple[int, float, int]] = []
    for k, shot in enumerate(table):
        rows += [(k, anchor, -1) for anchor in _anchors(float(shot.duration_seconds), usual)]
    for p, pin in enumerate(pins):
        for shot in pin.shots:
            if pin.at_seconds is not None:
                rows.append((number[shot], float(pin.at_seconds - shot.start_seconds), p))
            else:
                parts = _anchors(float(shot.duration_seconds), usual)
                rows += [(number[shot], anchor, p) for anchor in parts]
    shot_of = np.array([r[0] for r in rows], np.intp)
    anchor = np.array([r[1] for r in rows])
    duration = np.array([float(s.duration_seconds) for s in table])
    quality, motion, peak = _measured(table, shot_of, anchor, usual)
    look = np.array([0.5 * s.colourfulness + 0.5 * min(1.0, 3 * s.contrast) for s in table])
    moving = ranks(motion)
    contents = find_contents(table)
    identities = sorted({s.source for s in table}, key=lambda i: (sources[i].path, i))
    source_number = {identity: k for k, identity in enumerate(identities)}
    filmed = sorted(range(len(table)), key=lambda k: _filmed(table[k], source_number))
    order = np.empty(len(table), np.intp)
    order[filmed] = np.arange(len(table))
    pin_of = np.array([r[2] for r in rows], np.intp)
    return Candidates(
        shots=tuple(table),
        shot=shot_of,
        anchor=anchor,
        quality=quality,
        motion=moving,
        intensity=ranks(0.6 * moving + 0.4 * look[shot_of]),
        action=ranks(peak),
        subject=_subjects(table, shot_of, anchor, usual),
        pin=pin_of,
        free=(pin_of < 0) & (shot_of < allowed),
        duration=duration,
        base=contents.base,
        ticks=contents.ticks,
        embedding=_embeddings(table),
        group=np.array([s.duplicate_group for s in table], np.intp),
        content=contents.number,
        source=np.array([source_number[s.source] for s in table], np.intp),
        good=good_shots(table) & (np.arange(len(table)) < allowed),
        views=_views(contents.number, table),
        order=order,
    )


def good_shots(shots: Sequence[Shot]) -> Flags:
    """[S] whether a shot is no worse than half as good as what the better ones are, or the best that its clip has."""
    quality = np.array([s.quality for s in shots])
    best: dict[str, float] = {}
    for shot in shots:
        best[shot.source] = max(best.get(shot.source, 0.0), shot.quality)
    own = np.array([s.quality >= best[s.source] for s in shots])
    flags: Flags = (quality >= 0.5 * np.quantile(quality, 0.75) - 1e-12) | own
    return flags


def _views(content: Ints, shots: Sequence[Shot]) -> Floats:
    """[S] seconds of the longest take of each content, in views."""
    seconds: dict[tuple[int, str, int], float] = {}
    for number, shot in zip(content.tolist(), shots, strict=True):
        take = (number, shot.source, shot.index)
        seconds[take] = seconds.get(take, 0.0) + float(shot.duration_seconds)
    longest = np.zeros(int(content.max(initial=-1)) + 1)
    for (number, _, _), length in seconds.items():
        longest[number] = max(longest[number], length)
    views: Floats = np.maximum(1.0, longest[content] / VIEW_SECONDS)
    return views


def _filmed(shot: Shot, source_number: Mapping[str, int]) -> tuple[int, int]:
    return source_number[shot.source], shot.start_frame


def _anchors(duration: float, usual: float) -> list[float]:
    """Starts of parts of the usual length that fill a shot, evenly and without overlap."""
    # One tick apart, so that rounding to ticks never makes neighbours overlap.
    step = usual + 1.5 / TICKS_PER_SECOND
    count = max(1, min(MAXIMUM_PARTS, math.floor((duration + step - usual) / step)))
    spare = max(0.0, duration - count * step)
    return [k * (step + spare / count) for k in range(count)]


def _measured(
    shots: Sequence[Shot], shot_of: Ints, anchor: Floats, usual: float
) -> tuple[Floats, Floats, Floats]:
    """[C] mean quality, mean motion and greatest motion of each part, from the profiles."""
    quality, motion, peak = (np.empty(len(anchor)) for _ in range(3))
    lengths = [float(s.duration_seconds) for s in shots]
    sums = [
        (
            tuple(accumulate(s.quality_profile, initial=0.0)),
            tuple(accumulate(s.motion_profile, initial=0.0)),
        )
        for s in shots
    ]
    for row, (k, begin) in enumerate(zip(shot_of.tolist(), anchor.tolist(), strict=True)):
        shot = shots[k]
        steps = len(shot.motion_profile)
        if not steps:
            quality[row], motion[row], peak[row] = shot.quality, shot.motion, shot.motion
            continue
        per_second = (shot.stop_frame - shot.start_frame) / shot.profile_step_frames / lengths[k]
        first = min(int(begin * per_second), steps - 1)
        last = min(max(first + 1, math.ceil((begin + usual) * per_second)), steps)
        good, moved = sums[k]
        quality[row] = (good[last] - good[first]) / (last - first)
        motion[row] = (moved[last] - moved[first]) / (last - first)
        peak[row] = max(shot.motion_profile[first:last])
    return quality, motion, peak


def _subjects(shots: Sequence[Shot], shot_of: Ints, anchor: Floats, usual: float) -> Floats:
    """[C] share of each part's time near a look with a subject of a size worth showing."""
    found = np.zeros(len(anchor))
    times = []
    for shot in shots:
        each = float(shot.duration_seconds) / max(1, shot.stop_frame - shot.start_frame)
        large = [s for s in shot.subjects if s.width * s.height >= SUBJECT_AREA]
        times.append(np.array([(s.frame - shot.start_frame) * each for s in large]))
    places = (np.arange(6) + 0.5) / 6 * usual
    for row, (k, begin) in enumerate(zip(shot_of.tolist(), anchor.tolist(), strict=True)):
        at = times[k]
        if len(at):
            there = np.minimum(begin + places, float(shots[k].duration_seconds))
            behind = np.clip(np.searchsorted(at, there), 1, max(1, len(at) - 1))
            after, before = at[np.minimum(behind, len(at) - 1)], at[behind - 1]
            near = np.minimum(np.abs(after - there), np.abs(before - there))
            found[row] = float((near <= SUBJECT_SECONDS).mean())
    return found


def ranks(values: Floats) -> Floats:
    """0 … 1: the share of values below each one; equal values get equal ranks."""
    ordered = np.sort(values)
    low = np.searchsorted(ordered, values, "left")
    high = np.searchsorted(ordered, values, "right")
    return (low + high) / (2.0 * len(values))


def _embeddings(shots: Sequence[Shot]) -> NDArray[np.float32]:
    size = max((len(s.embedding) for s in shots), default=0) or 1
    result = np.zeros((len(shots), size), np.float32)
    for row, shot in zip(result, shots, strict=True):
        row[: len(shot.embedding)] = shot.embedding
    return result
