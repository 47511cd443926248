"""Edits by hand: another picture for an event, another order, another part in place of what is not wanted.

The cuts stay where they are, on their beats, unless one is trimmed; only what is shown between them changes. Pure, as all of
this room.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from montage_dask.edit.layout import handles
from montage_dask.edit.pacing import Slot
from montage_dask.errors import UsageError
from montage_dask.records import Event, Shot, Source, Timeline

BY_HAND = "By hand: "
"""Begins the reason of an event that a person chose: later edits leave it alone."""

LEAST_FRAMES = 4
"""So many output frames of an event are left by trimming."""

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
    event = event_of(timeline, number)
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
    event_of(timeline, number), event_of(timeline, to)
    order = list(range(len(timeline.events)))
    order.insert(to, order.pop(number))
    return reordered(timeline, order, shots, sources, moved={number})


def swap(timeline: Timeline, first: int, second: int, shots: Shots, sources: Mapping[str, Source]) -> Timeline:  # fmt: skip
    """What two events show changes places.

    Raises:
        UsageError: as `move`.
    """
    event_of(timeline, first), event_of(timeline, second)
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
        room = _room_of(shown, shots, sources)
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


def slide(timeline: Timeline, number: int, frames: int, shots: Shots, sources: Mapping[str, Source]) -> Timeline:  # fmt: skip
    """One event begins later (or earlier) in its shot, as far as that reaches; the cuts stay on their beats.

    Args:
        timeline: the montage.
        number: of the event, from 0.
        frames: output frames, below 0 for earlier.
        shots: as for `move`.
        sources: by identity.

    Raises:
        UsageError: there is no such event, or its shot has no more room on that side.
    """
    event = event_of(timeline, number)
    wanted = event.in_seconds + frames / timeline.fps * event.speed
    room = _room_of(event, shots, sources)
    at = _fitted(timeline, number, room, wanted, event.speed)
    if at == event.in_seconds and frames:
        raise UsageError(f"event {number}: its shot has no more room on this side")
    return _with(timeline, {number: replace(_kept(event, "slid"), in_seconds=at, focus=())})


def trim(timeline: Timeline, number: int, frames: int, shots: Shots, sources: Mapping[str, Source]) -> Timeline:  # fmt: skip
    """The cut behind one event comes later (or earlier), off its beat: this one ends later, and the next one begins later, with
    what it shows at any moment unchanged.

    Args:
        timeline: the montage.
        number: of the event, from 0.
        frames: output frames, below 0 for earlier.
        shots: as for `move`.
        sources: by identity.

    Raises:
        UsageError: there is no cut behind it, or one of both shots is too short for it.
    """
    event, after = event_of(timeline, number), event_of(timeline, number + 1)
    cut = event.stop_frame + frames
    # Both are seen for themselves, too, beside what they share with their neighbours.
    least = [sum(_handles(timeline, k)) + LEAST_FRAMES for k in (number, number + 1)]
    if cut - event.start_frame < least[0] or after.stop_frame - cut < least[1]:
        raise UsageError(f"event {number}: a shot of less than {max(least)} frames would be left")
    # Its time runs evenly now: a ramp was made for another length.
    trimmed = _with(timeline, {
        number: replace(
            _kept(event, "trimmed"), stop_frame=cut, ramp=(), focus=(),
            accents=tuple(a for a in event.accents if a.frame < event.frames + frames),
        ),
        number + 1: replace(
            _kept(after, "trimmed"), start_frame=cut, beat_seconds=None, ramp=(), focus=(),
            in_seconds=after.in_seconds + frames / timeline.fps * after.speed,
            accents=tuple(replace(a, frame=a.frame - frames) for a in after.accents if a.frame >= frames),
        ),
    })  # fmt: skip
    for k in (number, number + 1):
        one = trimmed.events[k]
        room = _room_of(one, shots, sources)
        if _fitted(trimmed, k, room, one.in_seconds, one.speed) != one.in_seconds:
            raise UsageError(f"event {k}: its shot has no more room on this side")
    return trimmed


def hold(timeline: Timeline, number: int) -> Timeline:
    """One event stays as it is, whatever is edited later.

    Raises:
        UsageError: there is no such event.
    """
    return _with(timeline, {number: _kept(event_of(timeline, number), "pinned")})


def put(timeline: Timeline, number: int, shown: Event) -> Timeline:
    """One event becomes another one, such as one of `alternatives`.

    Raises:
        UsageError: there is no such event.
    """
    event_of(timeline, number)
    return _with(timeline, {number: replace(shown, reason=BY_HAND + shown.reason)})


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


def event_of(timeline: Timeline, number: int) -> Event:
    """An event by its number.

    Raises:
        UsageError: there is none.
    """
    if not 0 <= number < len(timeline.events):
        raise UsageError(
            f"there is no event {number}: the timeline has 0 … {len(timeline.events) - 1}"
        )
    return timeline.events[number]


def _room_of(
    shown: Event, shots: Shots, sources: Mapping[str, Source]
) -> tuple[Fraction, Fraction]:
    """From where to where in its source an event may show pictures: its shot, or all of it where that is not known."""
    shot = shots.get((shown.source, shown.shot))
    if shot is None:
        return Fraction(0), sources[shown.source].duration_seconds
    return shot.start_seconds, shot.stop_seconds


def _kept(event: Event, word: str) -> Event:
    """An event as a person wants it."""
    return event if by_hand(event) else replace(event, reason=f"{BY_HAND}{word}. {event.reason}")


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
