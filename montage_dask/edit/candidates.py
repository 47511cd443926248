"""The parts of shots that an edit may choose from, as arrays.

A short shot is one candidate, a long one offers several parts. All contents lie behind one another on
one axis of ticks, so that "do these two parts show the same" is a comparison of two intervals.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from montage_dask.edit.choose import Pin
from montage_dask.edit.contents import TICKS_PER_SECOND, Contents, find_contents
from montage_dask.edit.views import STEP_SECONDS, faces, standing, view_of
from montage_dask.records import Shot, Source

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.intp]
Flags: TypeAlias = NDArray[np.bool_]

VIEW_SECONDS = 5.0
"""A shot this long still looks like one picture; a longer one is worth several."""
REACH_SECONDS = 0.8
"""So far an in-point may still move from where selection shows a part."""
MAXIMUM_PARTS = 48
"""Of one shot: keeps an hour-long take from being the whole table."""
TOLERANCE_SECONDS = 1e-10
ALL = slice(None)


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """C parts of S shots."""

    shots: tuple[Shot, ...]
    usual_seconds: float
    """How long parts are taken to be."""
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
    seen: Floats
    """[T] whether a subject is in view, 0 or 1, every tenth of a second of all shots, one behind the other."""
    seen_base: Ints
    """[S + 1] where in `seen` each shot begins, and the last one ends."""
    bare_sums: Floats
    """[T + 1] sums over the ticks, as those of `seen`, of how little there is to see, up to each."""
    face_sums: Floats
    """[T + 1] the same of whether a face is seen."""
    stir_sums: Floats
    """[T + 1] the same of how much subjects move."""
    stands: Flags
    """[S] whether the camera does not go anywhere."""
    still: Floats
    """[S] how little there is to see in a shot, 0 … 1."""
    colour: Floats
    """[S] how colourful a shot is, 0 … 1."""
    pin: Ints
    """[C] number of the pin that the part fulfils, −1 for none."""
    free: Flags
    """[C] whether any slot may take it (False: only its pin's slot)."""
    duration: Floats
    """[S] seconds."""
    base: Ints
    """[S] first tick of the shot on the common axis."""
    embedding: NDArray[np.float32]
    """[S, D] unit vectors."""
    group: Ints
    """[S] duplicate group, −1 for none."""
    span: Ints
    """[S, 2] the ticks [start, stop) of all that shows the content of the shot."""
    content: Ints
    """[S] number of what the shot shows: parts of one take share it, and duplicates."""
    source: Ints
    """[S] number of the source."""
    good: Flags
    """[S] whether the shot is worth showing before any other is shown twice."""
    views: Floats
    """[S] how many different pictures its content holds, at least 1: where nothing happens there is only one."""
    order: Ints
    """[S] place of the shot in the order of filming."""

    def positions(self, need_seconds: float, rows: Ints | slice = ALL) -> Floats:
        """[rows] where each part begins when it must last `need_seconds`, from the start of its shot.

        A part near the end of its shot moves forward; it is negative when the shot is too short.
        """
        return np.minimum(self.anchor[rows], self.duration[self.shot[rows]] - need_seconds)

    def fits(self, need_seconds: float) -> Flags:
        """[C] whether the shot is long enough."""
        return self.duration[self.shot] - need_seconds >= -TOLERANCE_SECONDS

    def ends_empty(self, need_seconds: float) -> Floats:
        """[C] 1 where a shot has a subject, and it is out of view when the part has lasted `need_seconds`, wherever near its
        place the part begins; else 0, as where the camera goes somewhere: then there is the place to see."""
        room = np.maximum(0.0, self.duration[self.shot] - need_seconds)
        place = np.minimum(self.anchor, room)
        there = np.zeros(len(self.shot))
        for shift in np.linspace(-REACH_SECONDS, REACH_SECONDS, 5):
            there = np.maximum(
                there, self._seen_before(np.clip(place + shift, 0, room) + need_seconds)
            )
        return np.where(self._has_subject() & self.stands[self.shot], 1 - there, 0.0)

    def ends_seen(self, need_seconds: float) -> Floats:
        """[C] 1 where a subject is in view when the part has lasted `need_seconds`, else 0."""
        return self._seen_before(np.maximum(0, self.positions(need_seconds)) + need_seconds)

    def begins_empty(self, need_seconds: float) -> Floats:
        """[C] 1 where a shot has a subject, and it is not yet in view when a part that lasts `need_seconds` begins; else 0."""
        begins = np.maximum(0, self.positions(need_seconds)) + 2 * STEP_SECONDS
        return np.where(self._has_subject(), 1 - self._seen_before(begins), 0.0)

    def _has_subject(self) -> Flags:
        """[C] whether somebody is in view in the shot of each part at any time."""
        has: Flags = np.add.reduceat(self.seen, self.seen_base[:-1]) > 0
        return has[self.shot]

    def _seen_before(self, ends: Floats) -> Floats:
        """[C] 1 where a subject is in view just before a time in the shot of each part, in seconds; else 0."""
        first, last = self.seen_base[self.shot], self.seen_base[self.shot + 1] - 1
        tick = ((ends - STEP_SECONDS / 2) / STEP_SECONDS).astype(int)
        found: Floats = self.seen[np.clip(first + tick, first, last)]
        return found

    def bare(self, need_seconds: float) -> Floats:
        """[C] how little there is to see in a part that lasts `need_seconds`, 0 … 1."""
        return self._mean(self.bare_sums, need_seconds)

    def faces(self, need_seconds: float, since: float = 0.0) -> Floats:
        """[C] share of a part that lasts `need_seconds`, or of it behind a share of it, in which a face is seen."""
        return self._mean(self.face_sums, need_seconds, since)

    def stir(self, need_seconds: float, since: float = 0.0) -> Floats:
        """[C] how much subjects move in such a part, 0 … 1."""
        return self._mean(self.stir_sums, need_seconds, since)

    def _mean(self, sums: Floats, need_seconds: float, since: float = 0.0) -> Floats:
        """[C] mean of what `sums` add up over a part that lasts `need_seconds`, behind a share of it."""
        first, last = self.seen_base[self.shot], self.seen_base[self.shot + 1]
        begin = np.maximum(0, self.positions(need_seconds)) + since * need_seconds
        start = np.clip(first + np.rint(begin / STEP_SECONDS).astype(int), first, last - 1)
        ticks = max(1, round((1 - since) * need_seconds / STEP_SECONDS))
        stop = np.clip(start + ticks, start + 1, last)
        mean: Floats = (sums[stop] - sums[start]) / (stop - start)
        return mean

    def interval(
        self, positions: Floats, need_seconds: float, rows: Ints | slice = ALL
    ) -> tuple[Ints, Ints]:
        """[rows] the ticks [start, stop) of each part on the common axis."""
        base = self.base[self.shot[rows]]
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
    views = [view_of(shot) for shot in table]
    seen = [view.seen for view in views]
    still = np.array([view.nothing.mean() for view in views])
    rows: list[tuple[int, float, int]] = []
    for k, shot in enumerate(table):
        parts = _anchors(float(shot.duration_seconds), usual, seen[k])
        rows += [(k, anchor, -1) for anchor in parts]
    for p, pin in enumerate(pins):
        for shot in pin.shots:
            if pin.at_seconds is not None:
                rows.append((number[shot], float(pin.at_seconds - shot.start_seconds), p))
            else:
                parts = _anchors(float(shot.duration_seconds), usual, seen[number[shot]])
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
        usual_seconds=usual,
        shot=shot_of,
        anchor=anchor,
        quality=quality,
        motion=moving,
        intensity=ranks(0.6 * moving + 0.4 * look[shot_of]),
        action=ranks(peak),
        subject=_subjects(seen, shot_of, anchor, usual),
        seen=np.concatenate(seen),
        seen_base=np.cumsum([0, *(len(one) for one in seen)]),
        bare_sums=_summed(view.nothing for view in views),
        face_sums=_summed(faces(shot).astype(np.float64) for shot in table),
        stir_sums=_summed(view.ticks() for view in views),
        stands=np.array([standing(shot) for shot in table]),
        still=still,
        colour=np.array([s.colourfulness for s in table]),
        pin=pin_of,
        free=(pin_of < 0) & (shot_of < allowed),
        duration=duration,
        base=contents.base,
        embedding=_embeddings(table),
        group=np.array([s.duplicate_group for s in table], np.intp),
        span=_spans(contents, duration),
        content=contents.number,
        source=np.array([source_number[s.source] for s in table], np.intp),
        good=good_shots(table) & (np.arange(len(table)) < allowed),
        views=_views(contents.number, table, still),
        order=order,
    )


def _summed(ticks: Iterable[Floats]) -> Floats:
    """[T + 1] sums of the values of all shots, one behind the other, up to each."""
    sums: Floats = np.concatenate([[0.0], np.cumsum(np.concatenate(list(ticks)))])
    return sums


def _spans(contents: Contents, duration: Floats) -> Ints:
    """[S, 2] the ticks of the content of each shot."""
    count = int(contents.number.max(initial=-1)) + 1
    first, last = np.full(count, np.iinfo(np.intp).max), np.zeros(count, np.intp)
    np.minimum.at(first, contents.number, contents.base)
    stop = contents.base + np.ceil(duration * TICKS_PER_SECOND).astype(np.intp)
    np.maximum.at(last, contents.number, stop)
    return np.stack([first, last], axis=1)[contents.number]


def good_shots(shots: Sequence[Shot]) -> Flags:
    """[S] whether a shot is no worse than half as good as what the better ones are, or the best that its clip has."""
    quality = np.array([s.quality for s in shots])
    best: dict[str, float] = {}
    for shot in shots:
        best[shot.source] = max(best.get(shot.source, 0.0), shot.quality)
    own = np.array([s.quality >= best[s.source] for s in shots])
    flags: Flags = (quality >= 0.5 * np.quantile(quality, 0.75) - 1e-12) | own
    return flags


def _views(content: Ints, shots: Sequence[Shot], still: Floats) -> Floats:
    """[S] seconds of the longest take of each content in which there is something to see, in views."""
    seconds: dict[tuple[int, str, int], float] = {}
    for number, shot, bare in zip(content.tolist(), shots, still.tolist(), strict=True):
        take = (number, shot.source, shot.index)
        seconds[take] = seconds.get(take, 0.0) + float(shot.duration_seconds) * (1 - bare)
    longest = np.zeros(int(content.max(initial=-1)) + 1)
    for (number, _, _), length in seconds.items():
        longest[number] = max(longest[number], length)
    views: Floats = np.maximum(1.0, longest[content] / VIEW_SECONDS)
    return views


def _filmed(shot: Shot, source_number: Mapping[str, int]) -> tuple[int, int]:
    return source_number[shot.source], shot.start_frame


def _anchors(duration: float, usual: float, seen: Floats) -> list[float]:
    """Starts of parts of the usual length that fill a shot without overlap: evenly, or with a subject in view to their ends.

    Args:
        duration: of the shot, seconds.
        usual: length of a part, seconds.
        seen: whether a subject is in view, see `views.sample`.
    """
    # One tick apart, so that rounding to ticks never makes neighbours overlap.
    step = usual + 1.5 / TICKS_PER_SECOND
    count = max(1, min(MAXIMUM_PARTS, math.floor((duration + step - usual) / step)))
    spare = max(0.0, duration - count * step)
    evenly = [k * (step + spare / count) for k in range(count)]
    starts = math.floor((duration - usual) / STEP_SECONDS) + 1
    if not seen.any() or starts < 2:
        return evenly
    length, apart = max(1, round(usual / STEP_SECONDS)), math.ceil(step / STEP_SECONDS)
    sums = np.concatenate([[0.0], np.cumsum(seen), np.full(length, seen.sum())])
    begin = np.arange(starts)
    last = np.minimum(begin + length, len(seen)) - 1
    worth = (sums[begin + length] - sums[begin]) / length + 0.3 * seen[begin] + seen[last]
    # Exactly as many parts as evenly: the best last start of c parts, up to each start.
    best = np.zeros(starts)
    came: list[Ints] = []
    for number in range(count):
        total = worth.copy()
        if number:
            total[:apart] = -np.inf
            total[apart:] += best[: starts - apart] if starts > apart else 0
        best = np.maximum.accumulate(total)
        new = np.concatenate([[True], best[1:] > best[:-1]])
        came.append(np.maximum.accumulate(np.where(new, begin, 0)))
    if not np.isfinite(best[-1]):
        return evenly
    at, found = starts - 1, []
    for where in reversed(came):
        at = int(where[at])
        found.append(at * STEP_SECONDS)
        at -= apart
    return found[::-1]


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


def _subjects(seen: Sequence[Floats], shot_of: Ints, anchor: Floats, usual: float) -> Floats:
    """[C] share of each part's time with a subject in view."""
    found = np.zeros(len(anchor))
    sums = [np.concatenate([[0.0], np.cumsum(one)]) for one in seen]
    for row, (k, begin) in enumerate(zip(shot_of.tolist(), anchor.tolist(), strict=True)):
        first = min(int(begin / STEP_SECONDS), len(seen[k]) - 1)
        last = min(max(first + 1, round((begin + usual) / STEP_SECONDS)), len(seen[k]))
        found[row] = (sums[k][last] - sums[k][first]) / (last - first)
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
