"""What could stand in some places of a montage beside what stays: the best, and the next best. Pure, as all of this room."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from montage_dask.edit.candidates import Floats, find_candidates
from montage_dask.edit.edit import needs_of, use_of
from montage_dask.edit.hand import Shots, event_of
from montage_dask.edit.inpoints import Use, settle
from montage_dask.edit.pacing import slots_between
from montage_dask.edit.reasons import explain, scores_of
from montage_dask.edit.selection import IMPOSSIBLE, Filling, make_problem
from montage_dask.edit.styles import Style
from montage_dask.errors import UsageError
from montage_dask.records import Event, Music, Shot, Source, Timeline


def refill(
    timeline: Timeline,
    numbers: Iterable[int],
    allowed: Sequence[Shot],
    shots: Shots,
    sources: Mapping[str, Source],
    music: Music,
    style: Style,
) -> Timeline:
    """The best other parts for some events, as an edit would choose them beside what stays.

    Args:
        timeline: the montage.
        numbers: of the events, from 0.
        allowed: what they may show.
        shots: all shots that the montage shows.
        sources: by identity.
        music: under it.
        style: what counts.

    Raises:
        UsageError: a shot of the montage is not known, or nothing that is allowed is long enough.
    """
    gaps = _Gaps(timeline, sorted(set(numbers)), allowed, shots, sources, music, style)
    for k in gaps.wanted:
        costs = gaps.costs(k)
        best = int(np.argmin(costs))
        if costs[best] >= IMPOSSIBLE:
            event = timeline.events[k]
            raise UsageError(
                f"event {k} lasts {event.frames / float(timeline.fps):.2f} s, and no other shot is as long: allow more footage"
            )
        gaps.filling.put(k, best)
    filled = gaps.filled()
    events = tuple(filled.get(k, e) for k, e in enumerate(timeline.events))
    return replace(timeline, events=events)


def alternatives(
    timeline: Timeline,
    number: int,
    allowed: Sequence[Shot],
    shots: Shots,
    sources: Mapping[str, Source],
    music: Music,
    style: Style,
    most: int = 6,
) -> tuple[Event, ...]:
    """What an event could show instead, the best first, each of another shot: what `put` takes.

    Args:
        timeline: the montage.
        number: of the event, from 0.
        allowed, shots, sources, music, style: as for `refill`.
        most: so many.

    Raises:
        UsageError: there is no such event, or a shot of the montage is not known.
    """
    event = event_of(timeline, number)
    gaps = _Gaps(timeline, [number], allowed, shots, sources, music, style)
    costs, candidates = gaps.costs(number), gaps.problem.candidates
    seen = {(event.source, event.shot)}
    found: list[Event] = []
    for row in np.argsort(costs, kind="stable"):
        if costs[row] >= IMPOSSIBLE or len(found) == most:
            break
        shot = candidates.shots[candidates.shot[row]]
        if (shot.source, shot.index) not in seen:
            seen.add((shot.source, shot.index))
            gaps.filling.put(number, int(row))
            found.append(gaps.filled()[number])
            gaps.filling.take(number)
    return tuple(found)


class _Gaps:
    """Some events of a montage are open, and the others stand around them. See `refill`."""

    def __init__(
        self,
        timeline: Timeline,
        wanted: Sequence[int],
        allowed: Sequence[Shot],
        shots: Shots,
        sources: Mapping[str, Source],
        music: Music,
        style: Style,
    ) -> None:
        if any((e.source, e.shot) not in shots for e in timeline.events):
            raise UsageError("the shots of this timeline are not known: load it with its footage")
        if not allowed:
            raise UsageError("no shot is left to choose from")
        self.timeline, self.wanted, self._shots = timeline, wanted, shots
        self._sources, self._style = sources, style
        events, fps = timeline.events, timeline.fps
        spans = [(e.start_frame, e.stop_frame) for e in events]
        self._slots = slots_between(
            music, style, spans, fps=fps, start=timeline.music_start_seconds
        )
        self._transitions = [e.transition for e in events]
        needs = needs_of(self._slots, self._transitions, fps)
        kept = [shots[e.source, e.shot] for k, e in enumerate(events) if k not in wanted]
        table = list(dict.fromkeys([*allowed, *kept]))
        candidates = find_candidates(table, sources, needs)
        self.problem = make_problem(self._slots, candidates, needs, style, [-1] * len(self._slots))
        number_of = {s: k for k, s in enumerate(candidates.shots)}
        self.filling = Filling(self.problem, self.problem.lack)
        for k, event in enumerate(events):
            if k in wanted:
                continue
            shot = shots[event.source, event.shot]
            rows = np.flatnonzero(candidates.shot == number_of[shot])
            begins = float(event.in_seconds - shot.start_seconds)
            self.filling.put(k, int(rows[np.argmin(np.abs(candidates.anchor[rows] - begins))]))
        choosable = set(allowed)
        self._free = np.array([candidates.shots[k] in choosable for k in candidates.shot])

    def costs(self, number: int) -> Floats:
        """[C] of each candidate in an open event."""
        return np.where(self._free, self.filling.costs(number), np.inf)

    def filled(self) -> dict[int, Event]:
        """The open events with what was put into them, their in-points settled."""
        timeline, problem, choice = self.timeline, self.problem, self.filling.choice

        def use(k: int) -> tuple[Use, Fraction]:
            return use_of(
                problem, self._slots, self._transitions, choice, k, self._sources, self._style, timeline.fps
            )  # fmt: skip

        filled = {k: use(k) for k in self.wanted}
        beside = [
            replace(
                use(k)[0],
                position_seconds=float(e.in_seconds - self._shots[e.source, e.shot].start_seconds),
            )
            for k, e in enumerate(timeline.events)
            if k not in filled
        ]
        places = settle([*(one for one, _ in filled.values()), *beside], problem.weights)
        return {
            k: replace(
                timeline.events[k],
                source=one.shot.source,
                shot=one.shot.index,
                in_seconds=places[k].in_seconds,
                speed=speed * places[k].pace,
                reason=explain(problem, self._slots, choice, k, ()),
                scores=scores_of(problem, choice, k),
                match=None,
                focus=(),
            )
            for k, (one, speed) in filled.items()
        }
