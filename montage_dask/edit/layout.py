"""The slots of a montage before they are filled, with transitions and pins."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from montage_dask.edit.candidates import VIEW_SECONDS, Candidates, Floats
from montage_dask.edit.choose import LABELS, Pin
from montage_dask.edit.inpoints import Place, Use
from montage_dask.edit.pacing import Slot, plan_slots
from montage_dask.edit.placing import frames_of
from montage_dask.edit.styles import Style
from montage_dask.errors import UsageError
from montage_dask.records import CUT, Music, Shot, Transition

STRETCHES = (1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.75, 2.0, 2.5, 3.0)
"""How much slower cuts may come. In small steps: a fast style with little footage must not become slower than a calm one."""
SHOWN_PER_VIEW = 2.5
"""How often one picture may come before cutting slows down."""
LEAST_LIMIT_SECONDS = 0.5
ELSEWHERE = 100.0
"""Misfit of a slot outside the section that a pin asks for: only when that section has none."""
LEAST_PICTURES, FROM_SECONDS = 5, 10.0
"""So many different ones a montage shows that is this long: a slow style would show three in a quarter of a minute."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Slots, and what had to give way."""

    slots: tuple[Slot, ...]
    stretch: float
    """How much slower than the style asks the cuts are."""


def lay_out(
    music: Music,
    style: Style,
    shots: Sequence[Shot],
    *,
    fps: Fraction,
    start: Fraction,
    frames: int,
) -> Layout:
    """Slots that the footage can fill: slower when it is little, none longer than a shot."""
    durations = np.array([float(s.duration_seconds) for s in shots])
    views = float(np.maximum(1.0, durations / VIEW_SECONDS).sum())
    longest = max(s.duration_seconds for s in shots)
    fade = _fade_seconds(style, music)
    length = float(frames / fps)
    limit = min(float(longest), _limit(durations, style, length, fade))
    whole = _in_bars(limit, music)
    filled = _fillable(durations, whole, fade)
    # Half a bar of four is still two beats; of a bar of three nothing is left that dancers would count.
    if music.beats_per_bar % 2 or filled >= min(length, _fillable(durations, limit, fade)):
        limit = whole
    if length >= FROM_SECONDS:
        limit = min(limit, _varied(shots, style, length, music))
    plans: list[Layout] = []
    for stretch in STRETCHES:
        slots = plan_slots(
            music,
            style,
            fps=fps,
            start=start,
            frames=frames,
            limit_seconds=limit,
            stretch=stretch,
        )
        plans.append(Layout(slots, stretch))
        if len(slots) <= SHOWN_PER_VIEW * views:
            break
    else:
        # It is never enough: as slow as the shots are long enough for.
        fewest = min(len(p.slots) for p in plans)
        plans = [next(p for p in plans if 0.9 * len(p.slots) <= fewest)]
    slots, stretch = plans[-1].slots, plans[-1].stretch
    allowed = math.floor(longest * fps)
    if allowed < 1:
        raise UsageError("the footage has no shot as long as one output frame: use other clips")
    return Layout(_split(slots, allowed), stretch)


def _varied(shots: Sequence[Shot], style: Style, length: float, music: Music) -> float:
    """The longest slot with which a short montage still shows several pictures, in whole bars where bars are known."""
    different = len({(s.source, s.index) for s in shots})
    most = max(length / min(LEAST_PICTURES, different), style.minimum_shot_seconds)
    beats = music.beats_seconds
    if len(beats) < 2 or music.confidence <= 0:
        return most
    bar = float(beats[-1] - beats[0]) / (len(beats) - 1) * (music.beats_per_bar or 4)
    bars = max(round(most / bar), math.ceil(style.minimum_shot_seconds / bar - 0.02), 1)
    return bars * bar * 1.02


def _fillable(durations: Floats, limit: float, spent: float) -> float:
    """Seconds of montage that shots of these lengths fill without repeating, in slots of one length."""
    return float(np.floor(durations / (limit + spent) + 1e-9).sum() * limit)


def _in_bars(limit: float, music: Music) -> float:
    """A limit as a whole number of bars, or of beats where it is less than one: a waltz is cut in threes."""
    beats = music.beats_seconds
    if len(beats) < 2 or music.confidence <= 0:
        return limit
    beat = float(beats[-1] - beats[0]) / (len(beats) - 1)
    bar = beat * (music.beats_per_bar or 4)
    # Beats wander a little, and a limit must hold for the slower ones.
    for unit in (bar, beat):
        whole = math.floor(limit / unit + 0.02)
        if whole:
            return min(limit, whole * unit * 1.02)
    return limit


def _fade_seconds(style: Style, music: Music) -> float:
    """What crossfades take from a shot on top of its slot."""
    if style.transition != "crossfade" or style.transition_at != "all":
        return 0.0
    beats = music.beats_seconds
    period = float(beats[-1] - beats[0]) / (len(beats) - 1) if len(beats) > 1 else 0.5
    return style.transition_beats * period


def _limit(durations: Floats, style: Style, length: float, fade: float) -> float:
    """The longest slot for which there is footage enough to fill the montage without repeating."""
    most = style.maximum_shot_seconds * STRETCHES[-1]
    # Rather shorter slots than repeats because of the fades, unless the style wants longer ones.
    for spent in (fade, 0.0):
        for limit in sorted({min(most, float(d) - spent) for d in durations}, reverse=True):
            if spent and limit < style.minimum_shot_seconds:
                break
            if _fillable(durations, limit, spent) >= length:
                return max(limit, LEAST_LIMIT_SECONDS)
    # Short footage: leave room to begin elsewhere when a shot comes again.
    upper = float(np.quantile(durations, 0.75))
    return max(LEAST_LIMIT_SECONDS, 0.7 * upper)


def _split(slots: Sequence[Slot], allowed: int) -> tuple[Slot, ...]:
    """No slot longer than `allowed` frames."""
    result: list[Slot] = []
    for slot in slots:
        pieces = math.ceil(slot.frames / allowed)
        for piece in range(pieces):
            first = slot.start_frame + slot.frames * piece // pieces
            last = slot.start_frame + slot.frames * (piece + 1) // pieces
            part = replace(slot, start_frame=first, stop_frame=last)
            if piece:
                part = replace(part, beat_seconds=None, opens_section=False)
            result.append(part)
    return tuple(result)


def make_room(
    slots: Sequence[Slot], pins: Sequence[Pin], fps: Fraction, fixed: Mapping[int, int]
) -> tuple[Slot, ...]:
    """The slots, with one split for every pin whose shot is shorter than all of them.

    Args:
        slots: the slots.
        pins: all pins.
        fps: output frames per second.
        fixed: first frames of the slots that pins have already, by number of the pin.

    Raises:
        UsageError: a pinned shot is shorter than an output frame, or there are too many pins.
    """
    result = list(slots)
    given = set(fixed.values())
    taken = set(given)
    free = [p for k, p in enumerate(pins) if k not in fixed]
    for pin in sorted(free, key=lambda p: frames_of(p, fps)):
        allowed = frames_of(pin, fps)
        if allowed < 1:
            raise UsageError("a pinned shot is shorter than one output frame: pin another moment")
        fitting = [s for s in result if s.frames <= allowed and s.start_frame not in taken]
        if fitting:
            taken.add(fitting[0].start_frame)
            continue
        longer = [
            k for k, s in enumerate(result) if s.frames > allowed and s.start_frame not in given
        ]
        if not longer:
            break
        k = max(longer, key=lambda n: result[n].frames)
        slot = result[k]
        middle = slot.start_frame + allowed
        rest = replace(slot, start_frame=middle, beat_seconds=None, opens_section=False)
        result[k : k + 1] = [replace(slot, stop_frame=middle), rest]
        taken.add(slot.start_frame)
    if len(pins) > len(result):
        raise UsageError(
            f"{len(pins)} pins but only {len(result)} cuts: pin less, or make the montage longer"
        )
    return tuple(result)


def place_pins(
    slots: Sequence[Slot],
    candidates: Candidates,
    fps: Fraction,
    pins: Sequence[Pin],
    chronological: bool,
    fixed: Mapping[int, int],
) -> list[int]:
    """[S] the pin that each slot must fulfil, −1 for none: where it is fixed, or the pinned part suits best."""
    cost = np.full((len(pins), len(slots)), np.inf)
    last = max(1, len(candidates.shots) - 1)
    for row in np.flatnonzero(candidates.pin >= 0):
        shot = candidates.shot[row]
        for k, slot in enumerate(slots):
            if slot.frames / fps > candidates.shots[shot].duration_seconds:
                continue
            misfit = abs(candidates.motion[row] - slot.energy)
            misfit += abs(candidates.intensity[row] - slot.tension)
            if chronological:
                misfit += 10 * abs(candidates.order[shot] / last - k / max(1, len(slots) - 1))
            p = candidates.pin[row]
            if pins[p].place in LABELS and pins[p].place != slot.label:
                misfit += ELSEWHERE
            cost[p, k] = min(cost[p, k], misfit)
    pinned = [-1] * len(slots)
    begins = {slot.start_frame: k for k, slot in enumerate(slots)}
    for p, frame in fixed.items():
        pinned[begins[frame]] = p
        cost[:, begins[frame]] = np.inf
    for p in np.argsort(np.isfinite(cost).sum(axis=1), kind="stable"):
        if int(p) in fixed:
            continue
        best = int(np.argmin(cost[p]))
        if not np.isfinite(cost[p, best]):
            raise UsageError("the pins do not fit together: pin less, or make the montage longer")
        pinned[best] = int(p)
        cost[:, best] = np.inf
    return pinned


def place_transitions(
    slots: Sequence[Slot],
    style: Style,
    kind: str | None,
    fps: Fraction,
    longest: Sequence[Fraction],
    room: Sequence[tuple[Fraction, Fraction]],
    random: np.random.Generator,
) -> tuple[Transition, ...]:
    """How each slot begins. The first begins with a cut.

    Args:
        slots: the slots.
        style: which transitions, where, and how long.
        kind: what the user asked for in place of the style's kind.
        fps: output frames per second.
        longest: [S] the longest shot that each slot can have; with the handles it must suffice.
        room: [S] seconds of the shot before and after the moment that a pin wants in full view; a
            crossfade that needs more would show it only while it fades.
        random: for the transitions that come by chance.
    """
    wanted = kind or style.transition
    places = style.transition_at
    if style.transition == "cut" and kind is not None and places == "none":
        places = "all"  # a user who asks for crossfades gets them in any style
    result = [CUT] * len(slots)
    if wanted == "cut":
        return tuple(result)
    for k in range(1, len(slots)):
        chance = random.random() < style.transition_chance
        here = places == "all" or (places == "sections" and slots[k].opens_section)
        if not (here or chance):
            continue
        want = style.transition_beats * slots[k].beat_period_seconds * float(fps)
        most = min(slots[k - 1].frames, slots[k].frames) // 3
        frames = min(2 * max(1, round(want / 2)), most - most % 2)
        result[k] = Transition(wanted, frames) if frames >= 2 else CUT
        half = frames // 2 / fps
        if wanted == "crossfade" and (half >= room[k - 1][1] or half > room[k][0]):
            result[k] = CUT
        for side in (k - 1, k):
            if slots[side].frames / fps + sum(handles(result, side)) / fps > longest[side]:
                result[k] = CUT
    return tuple(result)


def handles(transitions: Sequence[Transition], slot: int) -> tuple[int, int]:
    """Output frames that a slot's shot is on screen before its first cut and after its last."""
    before = transitions[slot]
    after = transitions[slot + 1] if slot + 1 < len(transitions) else CUT
    return (
        before.frames // 2 if before.kind == "crossfade" else 0,
        after.frames // 2 if after.kind == "crossfade" else 0,
    )


def bearable(
    transitions: Sequence[Transition], uses: Sequence[Use], places: Mapping[int, Place]
) -> tuple[Transition, ...]:
    """The transitions that both shots bear; a cut where a picture that is shown meanwhile is no footage.

    Args:
        transitions: how each slot begins.
        uses: what each slot shows, in order.
        places: where it begins, by slot.
    """
    result = list(transitions)
    for k in range(1, len(result)):
        if not result[k].frames:
            continue
        before, after = uses[k - 1], uses[k]
        left, right = places[k - 1], places[k]
        out = left.in_seconds + before.shown_seconds * left.pace
        end = left.in_seconds + before.length_seconds * left.pace
        # As long before the cut as behind it: a transition's middle is its cut.
        lead = right.in_seconds - after.lead_seconds * right.pace
        if _refused(before.shot, 2 * out - end, end) or _refused(
            after.shot, lead, 2 * right.in_seconds - lead
        ):
            result[k] = CUT
    return tuple(result)


def _refused(shot: Shot, start: Fraction, stop: Fraction) -> bool:
    """Whether what is no footage lies in a stretch of a shot."""
    return any(
        span.start_seconds < max(stop, start + Fraction(1, 1000)) and span.stop_seconds > start
        for span in shot.unusable
    )
