"""The parts of shots that an edit may choose from, as arrays.

A short shot is one candidate, a long one offers several parts. All contents lie behind one another on
one axis of ticks, so that "do these two parts show the same" is a comparison of two intervals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from montage_dask.edit.choose import Pin
from montage_dask.edit.contents import TICKS_PER_SECOND, Contents, find_contents
from montage_dask.edit.parts import Floats as Floats
from montage_dask.edit.parts import Ints as Ints
from montage_dask.edit.parts import anchors, measured, subjects
from montage_dask.edit.views import STEP_SECONDS, faces, standing, view_of
from montage_dask.records import Shot, Source

Flags: TypeAlias = NDArray[np.bool_]

VIEW_SECONDS = 5.0
"""A shot this long still looks like one picture; a longer one is worth several."""
REACH_SECONDS = 0.8
"""So far an in-point may still move from where selection shows a part."""
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
        parts = anchors(float(shot.duration_seconds), usual, seen[k])
        rows += [(k, anchor, -1) for anchor in parts]
    for p, pin in enumerate(pins):
        for shot in pin.shots:
            if pin.at_seconds is not None:
                rows.append((number[shot], float(pin.at_seconds - shot.start_seconds), p))
            else:
                parts = anchors(float(shot.duration_seconds), usual, seen[number[shot]])
                rows += [(number[shot], anchor, p) for anchor in parts]
    shot_of = np.array([r[0] for r in rows], np.intp)
    anchor = np.array([r[1] for r in rows])
    duration = np.array([float(s.duration_seconds) for s in table])
    quality, motion, peak = measured(table, shot_of, anchor, usual)
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
        subject=subjects(seen, shot_of, anchor, usual),
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
