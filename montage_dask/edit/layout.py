"""The slots of a montage before they are filled, with transitions and pins."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from montage_dask.edit.candidates import VIEW_SECONDS, Candidates, Floats
from montage_dask.edit.choose import LABELS, Pin
from montage_dask.edit.inpoints import Place, Use, hidden
from montage_dask.edit.joins import GREY, MONO_GRADES
from montage_dask.edit.match import colour_distance
from montage_dask.edit.pacing import Slot, plan_slots
from montage_dask.edit.placing import frames_of
from montage_dask.edit.styles import Style
from montage_dask.edit.views import view_of
from montage_dask.errors import UsageError
from montage_dask.records import CUT, Music, Shot, Source, Transition

STRETCHES = (1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.75, 2.0, 2.5, 3.0)
"""How much slower cuts may come. In small steps: a fast style with little footage must not become slower than a calm one."""
SHOWN_PER_VIEW = 2.5
"""How often one picture may come before cutting slows down."""
LEAST_LIMIT_SECONDS = 0.5
ELSEWHERE = 100.0
"""Misfit of a slot outside the section that a pin asks for: only when that section has none."""
ALIKE_COLOURFULNESS, ALIKE_COLOUR, ALIKE_SHAPE = 0.25, 0.2, 1.1
"""Differences of colourfulness and of colours (`colour_distance`), and ratio of shapes, up to which two pictures mix well."""
COVERED = 0.25
"""How much stronger a movement under a transition may be than all that is seen in full."""
LEAST_HALF = Fraction(1, 10)
"""Of a crossfade that nobody asked for: a shorter one is no more than a cut that is not clean."""
DIP_SECONDS = 1.0
"""Shots from this length on bear a dip to black or white."""
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
    length = float(frames / fps)
    limit = min(float(longest), _limit(durations, style, length))
    whole = _in_bars(limit, music)
    filled = _fillable(durations, whole)
    # Half a bar of four is still two beats; of a bar of three nothing is left that dancers would count.
    if music.beats_per_bar % 2 or filled >= min(length, _fillable(durations, limit)):
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


def _fillable(durations: Floats, limit: float) -> float:
    """Seconds of montage that shots of these lengths fill without repeating, in slots of one length."""
    return float(np.floor(durations / limit + 1e-9).sum() * limit)


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


def _limit(durations: Floats, style: Style, length: float) -> float:
    """The longest slot for which there is footage enough to fill the montage without repeating."""
    most = style.maximum_shot_seconds * STRETCHES[-1]
    for limit in sorted({min(most, float(d)) for d in durations}, reverse=True):
        if _fillable(durations, limit) >= length:
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
    shots: Sequence[Shot],
    style: Style,
    kind: str | None,
    fps: Fraction,
    moments: Sequence[Fraction | None],
    random: np.random.Generator,
    sources: Mapping[str, Source],
) -> tuple[Transition, ...]:
    """How each slot begins. The first begins with a cut.

    Crossfades come where both shots have room for them and, unless the user asked for them, are alike; dips between shots that
    are long enough to bear them.

    Args:
        slots: the slots.
        shots: [S] what each shows.
        style: which transitions, where, and how long.
        kind: what the user asked for in place of the style's kind.
        fps: output frames per second.
        moments: [S] source time that a pin wants in full view, None for none; a crossfade that needs more of the shot on that
            side would show it only while it fades.
        random: for the transitions that come by chance.
        sources: by identity.
    """
    wanted = kind or style.transition
    places = style.transition_at
    if style.transition == "cut" and kind is not None and places == "none":
        places = "all"  # a user who asks for crossfades gets them in any style
    result = [CUT] * len(slots)
    if wanted == "cut":
        return tuple(result)
    colours = style.grade not in MONO_GRADES
    spare = _spare_seconds(slots, shots, fps)
    for k in range(1, len(slots)):
        chance = random.random() < style.transition_chance
        here = places == "all" or (places == "sections" and slots[k].opens_section)
        if not (here or chance):
            continue
        shorter = min(slots[k - 1].frames, slots[k].frames)
        want = style.transition_beats * slots[k].beat_period_seconds * float(fps)
        most = shorter // 3
        frames = min(2 * max(1, round(want / 2)), most - most % 2)
        before, after = shots[k - 1], shots[k]
        if wanted != "crossfade":
            if frames >= 2 and (kind is not None or shorter / fps >= DIP_SECONDS):
                result[k] = Transition(wanted, frames)
            continue
        left, right = moments[k - 1], moments[k]
        frames = min(frames, 2 * math.floor(min(spare[id(before)], spare[id(after)]) * fps))
        half = frames // 2 / fps
        if (
            frames < 2
            or (left is not None and half >= before.stop_seconds - left)
            or (right is not None and half > right - after.start_seconds)
            or (
                kind is None
                and (half < LEAST_HALF or not alike(before, after, sources, colours=colours))
            )
        ):
            continue
        spare[id(before)] -= half
        spare[id(after)] -= half
        result[k] = Transition(wanted, frames)
    return tuple(result)


def _spare_seconds(
    slots: Sequence[Slot], shots: Sequence[Shot], fps: Fraction
) -> dict[int, Fraction]:
    """What each shot, by identity, has left when its slots are filled."""
    spare = {id(shot): shot.duration_seconds for shot in shots}
    for slot, shot in zip(slots, shots, strict=True):
        spare[id(shot)] -= slot.frames / fps
    return spare


def handles(transitions: Sequence[Transition], slot: int) -> tuple[int, int]:
    """Output frames that a slot's shot is on screen before its first cut and after its last."""
    before = transitions[slot]
    after = transitions[slot + 1] if slot + 1 < len(transitions) else CUT
    return (
        before.frames // 2 if before.kind == "crossfade" else 0,
        after.frames // 2 if after.kind == "crossfade" else 0,
    )


def bearable(
    transitions: Sequence[Transition],
    uses: Sequence[Use],
    places: Mapping[int, Place],
) -> tuple[Transition, ...]:
    """The transitions that both shots bear; a cut where a picture that is shown meanwhile is no footage, or the strongest
    movement of a shot would be covered.

    Args:
        transitions: how each slot begins.
        uses: what each slot shows, in order.
        places: where it begins, by slot.
    """
    covered = [_peak_covered(use, places[k]) for k, use in enumerate(uses)]
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
        if (
            _refused(before.shot, 2 * out - end, end)
            or _refused(after.shot, lead, 2 * right.in_seconds - lead)
            or covered[k - 1][1]
            or covered[k][0]
        ):
            result[k] = CUT
    return tuple(result)


def alike(a: Shot, b: Shot, sources: Mapping[str, Source], *, colours: bool) -> bool:
    """Whether two pictures may lie over each other: of one shape and light, and of one kind of colours where there are any."""
    shapes = [sources[s.source].width / sources[s.source].height for s in (a, b)]
    if max(shapes) > ALIKE_SHAPE * min(shapes):
        return False
    if colours and abs(a.colourfulness - b.colourfulness) > ALIKE_COLOURFULNESS:
        return False
    if colours and (a.colourfulness < GREY) != (b.colourfulness < GREY):
        return False
    if not a.colour or not b.colour:
        return abs(a.exposure - b.exposure) <= ALIKE_COLOUR
    return colour_distance(a, b) <= ALIKE_COLOUR


def _peak_covered(use: Use, place: Place) -> tuple[bool, bool]:
    """Whether the strongest movement of what a use shows lies under the transition at its begin, and at its end."""
    view = use.view or view_of(use.shot)
    begin = np.array([float(place.in_seconds - use.shot.start_seconds)])

    def covered(*seconds: Fraction) -> bool:
        one = replace(use, hidden_seconds=(seconds[0], seconds[1]))
        return bool(hidden(one, view, begin, float(place.pace))[0] > COVERED)

    return covered(use.hidden_seconds[0], Fraction(0)), covered(Fraction(0), use.hidden_seconds[1])


def _refused(shot: Shot, start: Fraction, stop: Fraction) -> bool:
    """Whether what is no footage lies in a stretch of a shot."""
    return any(
        span.start_seconds < max(stop, start + Fraction(1, 1000)) and span.stop_seconds > start
        for span in shot.unusable
    )
