"""What somebody who watches a montage misses: a subject that is gone before the cut, pictures of nothing, the same take again,
movement that turns around at a cut. Told from the boxes and the motion of the analysis: what it does not find does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from montage_dask.edit.contents import find_contents
from montage_dask.edit.reframe import seconds_of
from montage_dask.edit.views import STANDING, STILL_MOTION
from montage_dask.records import Event, Shot, Subject, Timeline

Shown = tuple[Event, Shot]

NEAR_SECONDS = 0.5
"""From a look to a time at which its subject is still in view: looks are so far apart."""

EDGE, NARROW, LOW = 0.03, 0.25, 0.35
"""Shares of the picture: a box so near to an edge touches it; one that is so narrow (at the sides) or low (at the upper and lower
edge) and touches it is on its way out."""

SAME = 0.3
"""Distance in picture sizes up to which two boxes may show one subject at neighbouring looks."""

TICK_SECONDS = 0.1
"""From one moment that is looked at to the next."""

FAST, OPPOSITE, DIRECTION_SECONDS = 0.08, -0.5, 1.0
"""Picture widths a second from which a subject has a direction; cosine below which two directions are opposite; so much of a shot
beside a cut tells its direction."""

Look = tuple[float, Subject]
"""Source seconds from the in-point, and what is seen then."""


def lost_percent(known: Sequence[Shown], timeline: Timeline) -> float | None:
    """Of the events that show a subject, those in which it leaves the picture before the cut; None where none shows any."""
    with_subject = [looks for one in known if (looks := looks_of(*one, timeline))]
    if not with_subject:
        return None
    return _share(sum(_leaves(looks) for looks in with_subject), len(with_subject))


def empty_percent(known: Sequence[Shown], timeline: Timeline) -> float:
    """Of the screen time, that in which nobody is in view, nothing moves, and the camera stands."""
    empty = sum(empty_seconds(event, shot, timeline) for event, shot in known)
    return round(100 * empty / float(timeline.duration_seconds), 2)


def empty_seconds(event: Event, shot: Shot, timeline: Timeline) -> float:
    """Screen seconds of an event in which there is nothing to look at."""
    length = float(event.frames / timeline.fps)
    if shot.camera is not None and shot.camera.kind not in STANDING:
        return 0.0
    ticks = np.arange(TICK_SECONDS / 2, length, TICK_SECONDS)
    moments = ticks * float(event.speed)
    at = np.array([t for t, _ in looks_of(event, shot, timeline, around=NEAR_SECONDS)])
    away = np.abs(moments[:, None] - at).min(axis=1) > NEAR_SECONDS if len(at) else True
    profile = np.array(shot.motion_profile or (shot.motion,))
    gone = float(event.in_seconds - shot.start_seconds) + moments
    step = float(shot.duration_seconds) * shot.profile_step_frames / _frames(shot)
    still = profile[np.clip((gone / step).astype(int), 0, len(profile) - 1)] < STILL_MOTION
    return float(np.mean(away & still)) * length if len(ticks) else 0.0


def weak_places(places: dict[str, Shown], timeline: Timeline) -> tuple[str, ...]:
    """Which of opening, drops and ending show nothing for half of their time, or lose their subject."""
    return tuple(
        name
        for name, (event, shot) in places.items()
        if empty_seconds(event, shot, timeline) > float(event.frames / timeline.fps) / 2
        or _leaves(looks_of(event, shot, timeline))
    )


def takes_share(known: Sequence[Shown]) -> float:
    """Takes that are shown for each event; 1 where none comes twice."""
    shots = list(dict.fromkeys(shot for _, shot in known))
    return round(len(set(find_contents(shots).number.tolist())) / max(1, len(known)), 3)


def flips_percent(known: Sequence[Shown], timeline: Timeline) -> float | None:
    """Of the cuts with a moving subject on both sides, those at which the direction turns around; None where there is none."""
    flips = []
    for before, after in pairwise(known):
        length = float(before[0].frames / timeline.fps * before[0].speed)
        old = _direction(
            [x for x in looks_of(*before, timeline) if x[0] >= length - DIRECTION_SECONDS]
        )
        new = _direction([x for x in looks_of(*after, timeline) if x[0] <= DIRECTION_SECONDS])
        if old is not None and new is not None:
            flips.append(float(old @ new) < OPPOSITE)
    return _share(sum(flips), len(flips)) if flips else None


def looks_of(event: Event, shot: Shot, timeline: Timeline, around: float = 0.1) -> list[Look]:
    """The looks within an event, in order.

    Args:
        event: the event.
        shot: the whole shot that it is from.
        timeline: the montage.
        around: source seconds before and behind the event that count, too.
    """
    length = float(event.frames / timeline.fps * event.speed)
    found = [(seconds_of(shot, s.frame) - float(event.in_seconds), s) for s in shot.subjects]
    return [(t, s) for t, s in found if -around <= t <= length + around]


def _leaves(looks: Sequence[Look]) -> bool:
    """Whether the subject goes out over an edge that it did not touch before."""
    if len(looks) < 2:
        return False
    first, before, last = looks[0][1], looks[-2][1], looks[-1][1]
    if float(np.hypot(*(_centre(last) - _centre(before)))) > SAME:
        return False  # something else
    return any(
        b and not a and small
        for a, b, small in zip(_touches(first), _touches(last), _going(last), strict=True)
    )


def _touches(s: Subject) -> tuple[bool, bool, bool, bool]:
    """Whether a box lies at the left, right, upper and lower edge."""
    return s.x < EDGE, s.x + s.width > 1 - EDGE, s.y < EDGE, s.y + s.height > 1 - EDGE


def _going(s: Subject) -> tuple[bool, bool, bool, bool]:
    narrow, low = s.width <= NARROW, s.height <= LOW
    return narrow, narrow, low, low


def _direction(looks: Sequence[Look]) -> np.ndarray | None:
    """The unit vector in which a subject moves; None where it does not, or where there are two."""
    if len(looks) < 2:
        return None
    way = [_centre(s) for _, s in looks]
    if any(float(np.hypot(*(b - a))) > SAME for a, b in pairwise(way)):
        return None
    speed = (way[-1] - way[0]) / max(1e-6, looks[-1][0] - looks[0][0])
    size = float(np.hypot(*speed))
    return speed / size if size >= FAST else None


def _centre(s: Subject) -> np.ndarray:
    return np.array([s.x + s.width / 2, s.y + s.height / 2])


def _frames(shot: Shot) -> int:
    return max(1, shot.stop_frame - shot.start_frame)


def _share(count: int, of: int) -> float:
    return round(100 * count / of, 2)
