"""Edits by hand: another picture for an event, another order, another part in place of what is not wanted.

The cuts stay where they are, on their beats; only what is shown between them changes. Pure, as all of this room.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from montage_dask.edit.candidates import find_candidates
from montage_dask.edit.edit import needs_of, use_of
from montage_dask.edit.inpoints import settle
from montage_dask.edit.layout import handles
from montage_dask.edit.pacing import Slot, slots_between
from montage_dask.edit.reasons import explain, scores_of
from montage_dask.edit.selection import IMPOSSIBLE, Filling, make_problem
from montage_dask.edit.styles import Style
from montage_dask.errors import UsageError
from montage_dask.records import Event, Music, Shot, Source, Timeline

BY_HAND = "By hand: "
"""Begins the reason of an event that a person chose: later edits leave it alone."""

Shots = Mapping[tuple[str, int], Shot]
"""By source and number."""


def by_hand(event: Event) -> bool:
    """Whether a person chose what this event shows."""
    return event.reason.startswith(BY_HAND)


def show(
    timeline: Timeline, number: int, shot: Shot, at_seconds: Fraction | None, reason: str
) -> Timeline:
    """Another picture for one event.

    Args:
        timeline: the montage.
        number: of the event, from 0.
        shot: what it shows.
        at_seconds: source time to begin with; earlier where the shot would end too soon; None: its middle.
        reason: for people.

    Raises:
        UsageError: there is no such event, or the shot is shorter than it.
    """
    event = _event(timeline, number)
    if at_seconds is None:
        length = event.frames / timeline.fps
        at_seconds = shot.start_seconds + max(Fraction(0), shot.duration_seconds - length) / 2
    room = (shot.start_seconds, shot.stop_seconds)
    shown = replace(
        event,
        source=shot.source,
        shot=shot.index,
        speed=Fraction(1),
        in_seconds=_fitted(timeline, number, room, at_seconds, Fraction(1)),
        reason=BY_HAND + reason,
        scores={},
        match=None,
        focus=(),
    )
    return _with(timeline, {number: shown})


def move(timeline: Timeline, number: int, to: int, shots: Shots, sources: Mapping[str, Source]) -> Timeline:  # fmt: skip
    """What one event shows comes at another place; what lies between moves up by one. The cuts stay on their beats.

    Args:
        timeline: the montage.
        number: of the event, from 0.
        to: its new number.
        shots: all shots that are known; of others all of their source is taken.
        sources: by identity.

    Raises:
        UsageError: there is no such event, or a shot is too short for its new place.
    """
    _event(timeline, number), _event(timeline, to)
    order = list(range(len(timeline.events)))
    order.insert(to, order.pop(number))
    return reordered(timeline, order, shots, sources, moved={number})


def swap(timeline: Timeline, first: int, second: int, shots: Shots, sources: Mapping[str, Source]) -> Timeline:  # fmt: skip
    """What two events show changes places.

    Raises:
        UsageError: as `move`.
    """
    _event(timeline, first), _event(timeline, second)
    order = list(range(len(timeline.events)))
    order[first], order[second] = second, first
    return reordered(timeline, order, shots, sources, moved={first, second})


def reordered(
    timeline: Timeline,
    order: Sequence[int],
    shots: Shots,
    sources: Mapping[str, Source],
    moved: Collection[int],
) -> Timeline:
    """The events show what others showed: `order[k]` is the number of the event whose picture comes at k.

    Raises:
        UsageError: a shot is too short for its new place.
    """
    changed = {}
    for place, number in enumerate(order):
        if place == number:
            continue
        event, shown = timeline.events[place], timeline.events[number]
        shot = shots.get((shown.source, shown.shot))
        room = (Fraction(0), sources[shown.source].duration_seconds)
        if shot is not None:
            room = (shot.start_seconds, shot.stop_seconds)
        reason = shown.reason
        if number in moved and not by_hand(shown):
            reason = f"{BY_HAND}moved from {float(shown.start_frame / timeline.fps):.2f} s"
        changed[place] = replace(
            event,
            source=shown.source,
            shot=shown.shot,
            speed=shown.speed,
            in_seconds=_fitted(timeline, place, room, shown.in_seconds, shown.speed),
            reason=reason,
            scores=shown.scores,
            match=None,
            focus=(),
        )
    return _with(timeline, changed)


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
    wanted = sorted(set(numbers))
    unknown = [e for e in timeline.events if (e.source, e.shot) not in shots]
    if unknown:
        raise UsageError("the shots of this timeline are not known: load it with its footage")
    if not allowed:
        raise UsageError("no shot is left to choose from")
    events, fps = timeline.events, timeline.fps
    spans = [(e.start_frame, e.stop_frame) for e in events]
    slots = slots_between(music, style, spans, fps=fps, start=timeline.music_start_seconds)
    transitions = [e.transition for e in events]
    needs = needs_of(slots, transitions, fps)
    kept = [shots[e.source, e.shot] for k, e in enumerate(events) if k not in wanted]
    table = list(dict.fromkeys([*allowed, *kept]))
    candidates = find_candidates(table, sources, needs)
    problem = make_problem(slots, candidates, needs, style, [-1] * len(slots))
    number_of = {s: k for k, s in enumerate(candidates.shots)}
    filling = Filling(problem, problem.lack)
    for k, event in enumerate(events):
        if k in wanted:
            continue
        shot = shots[event.source, event.shot]
        rows = np.flatnonzero(candidates.shot == number_of[shot])
        begins = float(event.in_seconds - shot.start_seconds)
        filling.put(k, int(rows[np.argmin(np.abs(candidates.anchor[rows] - begins))]))
    choosable = set(allowed)
    free = np.array([candidates.shots[k] in choosable for k in candidates.shot])
    for k in wanted:
        costs = np.where(free, filling.costs(k), np.inf)
        best = int(np.argmin(costs))
        if costs[best] >= IMPOSSIBLE:
            raise UsageError(
                f"event {k} lasts {events[k].frames / float(fps):.2f} s, and no other shot is as long: allow more footage"
            )
        filling.put(k, best)
    filled = {
        k: use_of(problem, slots, transitions, filling.choice, k, sources, style, fps)
        for k in wanted
    }
    beside = [
        replace(
            use_of(problem, slots, transitions, filling.choice, k, sources, style, fps)[0],
            position_seconds=float(e.in_seconds - shots[e.source, e.shot].start_seconds),
        )
        for k, e in enumerate(events)
        if k not in filled
    ]
    places = settle([*(use for use, _ in filled.values()), *beside], problem.weights)
    changed = {
        k: replace(
            events[k],
            source=use.shot.source,
            shot=use.shot.index,
            in_seconds=places[k].in_seconds,
            speed=speed * places[k].pace,
            reason=explain(problem, slots, filling.choice, k, ()),
            scores=scores_of(problem, filling.choice, k),
            match=None,
            focus=(),
        )
        for k, (use, speed) in filled.items()
    }
    return _with(timeline, changed)


def best_place(
    timeline: Timeline, shot: Shot, shots: Shots, slots: Sequence[Slot]
) -> int:  # fmt: skip
    """The event that a pinned shot replaces: one that it is long enough for and that no person chose, where the picture is
    weakest and the music as lively as the shot.

    Raises:
        UsageError: there is none.
    """

    def loss(number: int) -> float:
        event = timeline.events[number]
        shown = shots.get((event.source, event.shot))
        quality = shown.quality if shown is not None else 0.5
        return quality + 0.5 * abs(slots[number].energy - min(1.0, 4 * shot.motion))

    room = shot.duration_seconds
    fitting = [
        k
        for k, e in enumerate(timeline.events)
        if not by_hand(e) and _length(timeline, k, Fraction(1)) <= room
    ]
    if not fitting:
        raise UsageError(
            f"the shot of {float(room):.2f} s fits no event that is still free: name one, or pin a longer shot"
        )
    return min(fitting, key=lambda k: (loss(k), k))


def _event(timeline: Timeline, number: int) -> Event:
    if not 0 <= number < len(timeline.events):
        raise UsageError(
            f"there is no event {number}: the timeline has 0 … {len(timeline.events) - 1}"
        )
    return timeline.events[number]


def _handles(timeline: Timeline, number: int) -> tuple[int, int]:
    return handles([e.transition for e in timeline.events], number)


def _length(timeline: Timeline, number: int, speed: Fraction) -> Fraction:
    """Source seconds that an event needs, those under crossfades included."""
    lead, tail = _handles(timeline, number)
    return (lead + timeline.events[number].frames + tail) / timeline.fps * speed


def _fitted(
    timeline: Timeline,
    number: int,
    room: tuple[Fraction, Fraction],
    in_seconds: Fraction,
    speed: Fraction,
) -> Fraction:
    """The in-point nearest to a wanted one that keeps an event inside the room of its shot."""
    lead, tail = _handles(timeline, number)
    event, fps = timeline.events[number], timeline.fps
    first = room[0] + lead / fps * speed
    last = room[1] - (event.frames + tail) / fps * speed
    if last < first:
        raise UsageError(
            f"event {number} needs {float(_length(timeline, number, speed)):.2f} s, and the shot has "
            f"{float(room[1] - room[0]):.2f} s: choose a longer shot or another event"
        )
    return min(max(in_seconds, first), last)


def _with(timeline: Timeline, changed: Mapping[int, Event]) -> Timeline:
    events = tuple(changed.get(k, e) for k, e in enumerate(timeline.events))
    return replace(timeline, events=events)
