"""Where in its shot a part begins: on action, on good pictures, away from the source's cuts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from montage_dask.edit.candidates import Floats
from montage_dask.edit.contents import TICKS_PER_SECOND, find_contents
from montage_dask.records import Shot

PLACES_TRIED = 160
EDGE_SECONDS = 0.12
"""Distance from a cut of the source at which a frame no longer shows traces of it."""
HIT_SECONDS = 0.3
"""How long after the cut a movement still counts as on the cut."""


NEAR_SECONDS = 0.45
"""From a look with a subject to a time at which it is still in view."""
SUBJECT_WEIGHT = 0.6
"""Of a subject that is in view from the cut to the last frame, where the shot has one."""


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


def settle(uses: Sequence[Use], weights: Mapping[str, float]) -> dict[int, Fraction]:
    """In-points by slot: the source time that the first frame after the cut shows.

    Parts of one content do not overlap where selection did not make them overlap.
    """
    shots = list(dict.fromkeys(use.shot for use in uses))
    contents = find_contents(shots)
    content = dict(zip(shots, contents.number.tolist(), strict=True))
    # What is to be added to a time of the source for the time of the content.
    offset = {
        shot: Fraction(int(base), TICKS_PER_SECOND) - shot.start_seconds
        for shot, base in zip(shots, contents.base, strict=True)
    }
    by_content: dict[int, list[Use]] = {}
    for use in uses:
        by_content.setdefault(content[use.shot], []).append(use)
    found: dict[int, Fraction] = {}
    for parts in by_content.values():
        begins = {u.slot: _begin(u) + offset[u.shot] for u in parts}
        parts.sort(key=lambda u: (begins[u.slot], u.slot))
        free_from = begins[parts[0].slot] - 10**6
        for number, use in enumerate(parts):
            shot, free = use.shot, free_from - offset[use.shot]
            first = shot.start_seconds + use.lead_seconds
            last = shot.stop_seconds - use.length_seconds
            low, high = max(first, free + use.lead_seconds), last
            if number + 1 < len(parts):
                following = begins[parts[number + 1].slot] - offset[shot]
                high = min(high, following - use.length_seconds)
            if low > high:
                # Footage is short, or there is no room to choose: as selection said.
                crowded = free + use.lead_seconds > last
                wish = _begin(use) + use.lead_seconds
                low = high = min(max(first, wish if crowded else low), last)
            found[use.slot] = _best(use, low, high, weights)
            free_from = max(free_from, found[use.slot] + use.length_seconds + offset[shot])
    return found


def _begin(use: Use) -> Fraction:
    """Source time from which selection shows the shot, with the lead."""
    return use.shot.start_seconds + Fraction(use.position_seconds).limit_denominator(10**6)


def _best(use: Use, low: Fraction, high: Fraction, weights: Mapping[str, float]) -> Fraction:
    """The best in-point in [low, high]: a frame time of the source where one lies inside."""
    if use.at_seconds is not None:
        low = max(low, min(high, use.at_seconds - use.shown_seconds * Fraction(9, 10)))
        high = max(low, min(high, use.at_seconds))
    shot = use.shot
    frame = shot.duration_seconds / max(1, shot.stop_frame - shot.start_frame)
    first = math.ceil((low - shot.start_seconds) / frame)
    last = math.floor((high - shot.start_seconds) / frame)
    if last < first:
        return low
    if use.at_seconds is not None:
        return shot.start_seconds + last * frame
    stride = max(1, (last - first) // PLACES_TRIED)
    places = np.arange(first, last + 1, stride)
    return (
        shot.start_seconds
        + int(
            places[
                int(np.argmax(_scores(use, (places * float(frame)).astype(np.float64), weights)))
            ]
        )
        * frame
    )


def _scores(use: Use, begin: Floats, weights: Mapping[str, float]) -> Floats:
    """How good each begin is (seconds from the start of the shot)."""
    shot = use.shot
    duration = float(shot.duration_seconds)
    length = float(use.length_seconds)
    quality = np.array(shot.quality_profile or (shot.quality,))
    motion = np.array(shot.motion_profile or (shot.motion,))
    score = weights["quality"] * (
        _mean(quality, _step(shot, quality), begin, begin + length)
        + 0.5 * _least(quality, _step(shot, quality), begin, length)
    )
    step, usual = _step(shot, motion), float(motion.mean())
    on_cut = _mean(motion, step, begin, begin + HIT_SECONDS) - usual
    beat = min(use.beat_seconds, max(0.0, length - HIT_SECONDS))
    on_beat = _mean(motion, step, begin + beat, begin + beat + HIT_SECONDS) - usual
    score = score + (0.1 + weights["action"]) * (on_cut + 0.6 * on_beat)
    score = score + SUBJECT_WEIGHT * _in_view(shot, begin, length)
    near = np.minimum(begin - float(use.lead_seconds), duration - begin - length)
    return score - 0.2 * np.clip(1 - near / EDGE_SECONDS, 0, 1)


def _in_view(shot: Shot, begin: Floats, length: float) -> Floats:
    """How much of each part [begin, begin + length) has a subject in view, above all its end, 0 … 1; 0 where a shot has none."""
    if not shot.subjects:
        return np.zeros(len(begin))
    each = float(shot.duration_seconds) / max(1, shot.stop_frame - shot.start_frame)
    at = np.array([(s.frame - shot.start_frame) * each for s in shot.subjects])
    places = begin[:, None] + np.array([0.1, 0.35, 0.6, 0.8, 0.97]) * length
    behind = np.clip(np.searchsorted(at, places), 0, len(at) - 1)
    distance = np.minimum(
        np.abs(at[behind] - places), np.abs(at[np.maximum(behind - 1, 0)] - places)
    )
    share: Floats = (distance <= NEAR_SECONDS) @ np.array([0.15, 0.15, 0.15, 0.2, 0.35])
    return share


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
