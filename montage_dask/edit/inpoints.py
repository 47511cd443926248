"""Where in its shot a part begins, and how fast it runs: its subject in view to the end, the peak of its motion on a beat."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from montage_dask.edit.candidates import Floats
from montage_dask.edit.contents import TICKS_PER_SECOND, find_contents
from montage_dask.edit.views import STEP_SECONDS, View, view_of
from montage_dask.records import Shot

PLACES_TRIED = 160
MOST_MOVE = Fraction(5)
"""Seconds by which a part of a take that comes again may move from where selection shows it, so that the take goes forward."""
EDGE_SECONDS = 0.12
"""Distance from a cut of the source at which a frame no longer shows traces of it."""
HIT_SECONDS = 0.1
"""To both sides of a beat: a movement counts as on it."""
PEAK_SHARE = 1 / 3
"""Of a shot, after which its strongest movement comes best; on the beat nearest to that."""
SUBJECT_WEIGHT = 0.6
"""Of a subject that is in view all the time, where the shot has one."""
END_WEIGHT = 2.0
"""Of one that still is in the last frames: more than any movement before it leaves, or a better picture without it."""
OPEN_WEIGHT = 1.0
"""Of one that is there in the first frames of a montage."""
HIDDEN_WEIGHT = 1.5
"""Of a movement that is stronger than all others, under a transition or a fade."""
LEAST_STIR = 0.06
"""Of a movement that is one."""
BARE_WEIGHT = 0.5
"""Of a part in which there is something to see all the time, where the shot has no subject."""
SPEED_COST = 0.35
"""Of half or double speed."""
FULL = Fraction(1)


@dataclass(frozen=True, slots=True)
class Use:
    """A shot in a slot, before its in-point is settled. All times are source seconds."""

    slot: int
    shot: Shot
    position_seconds: float
    """Where selection begins to show the shot, from the start of the shot, with the lead."""
    lead_seconds: Fraction
    """Shown before the cut: the first half of a crossfade."""
    length_seconds: Fraction
    """From the cut to the last frame, with the second half of the next crossfade."""
    beat_seconds: float
    """From the cut to the next beat."""
    at_seconds: Fraction | None = None
    """Source time that must be on screen in the slot."""
    shown_seconds: Fraction = Fraction(0)
    """From the cut to the next cut."""
    hidden_seconds: tuple[Fraction, Fraction] = (Fraction(0), Fraction(0))
    """Of what is shown, at its begin and at its end, that a transition or a fade covers."""
    opens: bool = False
    """Whether the montage begins with it."""
    paces: tuple[Fraction, ...] = (FULL,)
    """By what its speed may be multiplied, and its lengths with it."""
    view: View | None = None
    """Of the shot, where it is known."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a use begins, how fast it runs, and how good that is."""

    in_seconds: Fraction
    """Source time that the first frame after the cut shows."""
    pace: Fraction = FULL
    """One of the paces of the use."""
    worth: float = 0.0


@dataclass(frozen=True, slots=True)
class Axes:
    """Times of contents, by slot: those of one take and its duplicates are one axis."""

    content: Mapping[int, int]
    """Number of what the use in a slot shows."""
    offset: Mapping[int, Fraction]
    """To be added to a time of its source for the time of its content."""

    @classmethod
    def of(cls, uses: Sequence[Use]) -> Axes:
        """The axes of uses."""
        # By identity: there are many uses, and a shot is a lot to compare.
        known = list({id(u.shot): u.shot for u in uses}.values())
        contents = find_contents(known)
        number = {id(shot): k for k, shot in enumerate(known)}
        row = {u.slot: number[id(u.shot)] for u in uses}
        offset = [
            Fraction(int(base), TICKS_PER_SECOND) - shot.start_seconds
            for shot, base in zip(known, contents.base, strict=True)
        ]
        return cls(
            {slot: int(contents.number[k]) for slot, k in row.items()},
            {slot: offset[k] for slot, k in row.items()},
        )


def settle(
    uses: Sequence[Use], weights: Mapping[str, float], axes: Axes | None = None
) -> dict[int, Place]:
    """The places of uses, by slot.

    Parts of one content do not overlap where selection did not make them overlap.

    Args:
        uses: at most one a slot.
        weights: of a style, adding up to 1.
        axes: of their shots, where they are known.
    """
    axes = axes or Axes.of(uses)
    by_content: dict[int, list[Use]] = {}
    for use in uses:
        by_content.setdefault(axes.content[use.slot], []).append(use)
    found: dict[int, Place] = {}
    for parts in by_content.values():
        begins = {u.slot: _begin(u) + axes.offset[u.slot] for u in parts}
        parts.sort(key=lambda u: (begins[u.slot], u.slot))
        free_from = begins[parts[0].slot] - 10**6
        for number, use in enumerate(parts):
            offset = axes.offset[use.slot]
            free_to = None
            if number + 1 < len(parts):
                free_to = begins[parts[number + 1].slot] - offset
            begin = _begin(use)
            low = free_from - offset
            if len(parts) > 1:
                low = max(low, begin - MOST_MOVE)
                most = begin + use.lead_seconds + use.length_seconds + MOST_MOVE
                free_to = most if free_to is None else min(free_to, most)
            place = best_place(use, low, free_to, weights)
            if place is None:
                # Footage is short, or there is no room to choose: as selection said.
                first = use.shot.start_seconds + use.lead_seconds
                last = use.shot.stop_seconds - use.length_seconds
                crowded = free_from - offset + use.lead_seconds > last
                wish = _begin(use) + use.lead_seconds
                low = max(first, free_from - offset + use.lead_seconds)
                at = min(max(first, wish if crowded else low), last)
                place = _best(use, at, at, FULL, weights)
            found[use.slot] = place
            free_from = max(free_from, place.in_seconds + use.length_seconds * place.pace + offset)
    return found


def best_place(
    use: Use, free_from: Fraction, free_to: Fraction | None, weights: Mapping[str, float]
) -> Place | None:
    """The best place of a use in a stretch of its source; None where it has no room.

    Args:
        use: what is to be placed.
        free_from: source time before which it shows nothing.
        free_to: source time behind which it shows nothing; None for the end of its shot.
        weights: of a style.
    """
    shot = use.shot
    best: Place | None = None
    for pace in use.paces:
        low = max(shot.start_seconds, free_from) + use.lead_seconds * pace
        high = shot.stop_seconds - use.length_seconds * pace
        if free_to is not None:
            high = min(high, free_to - use.length_seconds * pace)
        if low > high:
            continue
        place = _best(use, low, high, pace, weights)
        if best is None or place.worth > best.worth + 1e-9:
            best = place
    return best


def _begin(use: Use) -> Fraction:
    """Source time from which selection shows the shot, with the lead."""
    return use.shot.start_seconds + Fraction(use.position_seconds).limit_denominator(10**6)


def _best(
    use: Use, low: Fraction, high: Fraction, pace: Fraction, weights: Mapping[str, float]
) -> Place:
    """The best in-point in [low, high]: a frame time of the source where one lies inside."""
    if use.at_seconds is not None:
        shown = use.shown_seconds * pace
        low = max(low, min(high, use.at_seconds - shown * Fraction(9, 10)))
        high = max(low, min(high, use.at_seconds))
    shot = use.shot
    frame = shot.duration_seconds / max(1, shot.stop_frame - shot.start_frame)
    first = math.ceil((low - shot.start_seconds) / frame)
    last = math.floor((high - shot.start_seconds) / frame)
    if last < first:
        places, at = np.array([float(low - shot.start_seconds)]), low
    elif use.at_seconds is not None:
        at = shot.start_seconds + last * frame
        places = np.array([float(last * frame)])
    else:
        frames = np.arange(first, last + 1, max(1, (last - first) // PLACES_TRIED))
        places, at = (frames * float(frame)).astype(np.float64), None
    worth = _scores(use, places, float(pace), weights)
    number = int(np.argmax(worth))
    if at is None:
        at = shot.start_seconds + int(frames[number]) * frame
    return Place(at, pace, float(worth[number]) - SPEED_COST * abs(math.log2(pace)))


def _scores(use: Use, begin: Floats, pace: float, weights: Mapping[str, float]) -> Floats:
    """How good each begin is (seconds from the start of the shot)."""
    shot = use.shot
    duration = float(shot.duration_seconds)
    length = float(use.length_seconds) * pace
    quality = np.array(shot.quality_profile or (shot.quality,))
    score = weights["quality"] * (
        _mean(quality, _step(shot, quality), begin, begin + length)
        + 0.5 * _least(quality, _step(shot, quality), begin, length)
    )
    view = use.view or view_of(shot)
    times, motion = view.times, view.motion
    peak = peak_seconds(float(use.shown_seconds) * pace, use.beat_seconds * pace)
    hit = sum(
        np.interp(begin + peak + late, times, motion)
        for late in (-HIT_SECONDS * pace, 0.0, HIT_SECONDS * pace)
    )
    usual = np.interp(begin[:, None] + np.linspace(0, 1, 9) * length, times, motion).mean(axis=1)
    score = score + (0.1 + weights["action"]) * 1.6 * (hit / 3 - usual)
    score = score - HIDDEN_WEIGHT * hidden(use, view, begin, pace)
    score = score + _in_view(view.seen, begin, length, opens=use.opens)
    nobody = view.nothing * (1 - view.seen)
    score = score - BARE_WEIGHT * _mean(nobody, STEP_SECONDS, begin, begin + length)
    near = np.minimum(begin - float(use.lead_seconds) * pace, duration - begin - length)
    return score - 0.2 * np.clip(1 - near / EDGE_SECONDS, 0, 1)


def hidden(use: Use, view: View, begin: Floats, pace: float) -> Floats:
    """How much stronger the strongest movement under transitions and a fade is than any seen in full, 0 … 1, for each begin."""
    lead, length = float(use.lead_seconds) * pace, float(use.length_seconds) * pace
    first, last = (float(h) * pace for h in use.hidden_seconds)
    shown = float(use.shown_seconds) * pace
    if not first and not last:
        return np.zeros(len(begin))

    def strongest(start: float, stop: float) -> Floats:
        at = begin[:, None] + np.linspace(start, stop, 13)
        found: Floats = np.interp(at, view.times, view.motion).max(axis=1)
        return found

    clear = strongest(first, max(first, shown - last))
    covered = np.maximum(
        strongest(-lead, first) if first else 0.0, strongest(shown - last, length) if last else 0.0
    )
    more: Floats = np.maximum(0.0, covered - clear) / np.maximum(covered, LEAST_STIR)
    return more


def peak_seconds(shown: float, beat: float) -> float:
    """From the cut to the beat on which a shot's strongest movement comes best; a shot of one beat has it on the cut.

    Args:
        shown: how long the shot is on screen.
        beat: from the cut to the next beat.
    """
    beats = round(shown / beat) if beat > 0 else 0
    if beats < 2:
        return HIT_SECONDS
    return max(1, min(beats - 1, round(beats * PEAK_SHARE))) * beat


def _in_view(seen: Floats, begin: Floats, length: float, *, opens: bool) -> Floats:
    """What it is worth that a subject is in view in each part [begin, begin + length), above all at its end, and at its begin
    where it opens the montage; 0 where a shot has none."""
    if not seen.any():
        return np.zeros(len(begin))
    places = begin[:, None] + np.array([0.1, 0.35, 0.6, 0.8, 1.0]) * length
    places[:, -1] -= STEP_SECONDS / 2
    there = seen[np.clip((places / STEP_SECONDS).astype(int), 0, len(seen) - 1)]
    worth: Floats = SUBJECT_WEIGHT * there[:, :4].mean(axis=1) + END_WEIGHT * there[:, 4]
    return worth + OPEN_WEIGHT * there[:, 0] * opens


def _step(shot: Shot, profile: Floats) -> float:
    """Seconds that one value of a profile stands for; the last one may stand for less."""
    if len(profile) == 1:
        return float(shot.duration_seconds)
    share = Fraction(shot.profile_step_frames, shot.stop_frame - shot.start_frame)
    return float(shot.duration_seconds * share)


def _mean(profile: Floats, step: float, start: Floats, stop: Floats) -> Floats:
    """Mean of a profile over each [start, stop) seconds, the profile being constant over a step."""
    edges = np.arange(len(profile) + 1) * step
    total = np.concatenate([[0.0], np.cumsum(profile) * step])
    area = np.interp(stop, edges, total) - np.interp(start, edges, total)
    mean: Floats = area / np.maximum(np.minimum(stop, edges[-1]) - start, 1e-6)
    return mean


def _least(profile: Floats, step: float, begin: Floats, length: float) -> Floats:
    """Least value of a profile over each [begin, begin + length), looked up at eight places."""
    places = begin[:, None] + np.linspace(0.02, 0.98, 8) * length
    index = np.clip((places / step).astype(int), 0, len(profile) - 1)
    least: Floats = profile[index].min(axis=1)
    return least
