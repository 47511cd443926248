"""Cuts that move by a beat or a bar because the pictures gain by it: somebody is about to leave, or a movement peaks just later.

Pacing chose the cuts by the music alone, selection what they show; here both are looked at together, cut after cut.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from montage_dask.edit.inpoints import MOST_MOVE, Axes, Place, Use, best_place
from montage_dask.edit.pacing import DOWNBEAT_COST, Slot
from montage_dask.edit.styles import Style
from montage_dask.records import Music, Transition

LEAST_GAIN = 0.35
"""What a move must bring: the pace of the music is worth something."""

PACE_COST = 0.4
"""Of a shot that becomes half or twice as long."""


def move_cuts(
    slots: Sequence[Slot],
    uses: Sequence[Use],
    places: Mapping[int, Place],
    *,
    axes: Axes,
    speeds: Sequence[Fraction],
    transitions: Sequence[Transition],
    fixed: Collection[int],
    beats: Mapping[int, Fraction],
    music: Music,
    style: Style,
    weights: Mapping[str, float],
    fps: Fraction,
) -> tuple[tuple[Slot, ...], list[Use], dict[int, Place]]:
    """Slots, uses and places after every cut stands where both its shots want it.

    Cuts that begin a section stay, and those of pins, of transitions, and off the beat. A shot never takes source time that
    another one shows, the first and the last never get shorter.

    Args:
        slots: contiguous from frame 0.
        uses: one a slot, in order.
        places: of the uses, by slot.
        axes: of their shots.
        speeds: of the uses before their paces.
        transitions: how each slot begins.
        fixed: numbers of slots that keep their cuts.
        beats: music times of beats by output frame.
        music: its bars.
        style: its limits.
        weights: of the style, adding up to 1.
        fps: output frames per second.
    """
    result, moved, found = list(slots), list(uses), dict(places)
    frames = sorted(beats)
    number_of = {frame: k for k, frame in enumerate(frames)}
    downbeats = {music.beats_seconds[k] for k in music.downbeats}
    for k in range(1, len(result)):
        here = result[k]
        at = number_of.get(here.start_frame)
        if at is None or here.opens_section or k in fixed or k - 1 in fixed:
            continue
        if transitions[k].frames or axes.content[k - 1] == axes.content[k]:
            continue
        best, most = None, LEAST_GAIN
        bar = music.beats_per_bar or 4
        for step in (-1, 1, -bar, bar):
            if not 0 <= at + step < len(frames):
                continue
            frame = frames[at + step]
            pair = _with_cut(result[k - 1], here, frame, beats[frame])
            if not all(
                _allowed(new, old, style, fps)
                for new, old in zip(pair, (result[k - 1], here), strict=True)
            ):
                continue
            if (k == 1 and step < 0) or (k == len(result) - 1 and step > 0):
                continue
            changed = [
                _lasting(moved[n], new.frames - result[n].frames, speeds[n], fps)
                for n, new in zip((k - 1, k), pair, strict=True)
            ]
            there = [best_place(u, *_room(u, moved, found, axes), weights) for u in changed]
            first, second = there
            if first is None or second is None:
                continue
            gain = first.worth + second.worth - found[k - 1].worth - found[k].worth
            gain -= sum(
                PACE_COST * math.log2(new.frames / old.frames) ** 2
                for new, old in zip(pair, (result[k - 1], here), strict=True)
            )
            if style.prefer_downbeats:
                gain += DOWNBEAT_COST * (
                    (beats[frame] in downbeats) - (here.beat_seconds in downbeats)
                )
            if gain > most + 1e-9:
                best, most = (pair, changed, (first, second)), gain
        if best is not None:
            result[k - 1 : k + 1] = best[0]
            moved[k - 1 : k + 1] = best[1]
            found[k - 1], found[k] = best[2]
    return tuple(result), moved, found


def _with_cut(before: Slot, after: Slot, frame: int, beat_seconds: Fraction) -> tuple[Slot, Slot]:
    return (
        replace(before, stop_frame=frame),
        replace(after, start_frame=frame, beat_seconds=beat_seconds),
    )


def _allowed(new: Slot, old: Slot, style: Style, fps: Fraction) -> bool:
    """Whether a slot may last as long as it does now."""
    seconds = float(new.frames / fps)
    least, longest = style.minimum_shot_seconds, style.maximum_shot_seconds
    # One that is beyond the limits already has its reasons; it gets no worse.
    return (
        0.5 * old.frames <= new.frames <= 2 * old.frames
        and (seconds >= least or new.frames >= old.frames)
        and (seconds <= longest or new.frames <= old.frames)
        and new.frames > 0
    )


def _lasting(use: Use, frames: int, speed: Fraction, fps: Fraction) -> Use:
    """A use that lasts so many output frames more."""
    more = frames / fps * speed
    return replace(
        use, length_seconds=use.length_seconds + more, shown_seconds=use.shown_seconds + more
    )


def _room(
    use: Use, uses: Sequence[Use], places: Mapping[int, Place], axes: Axes
) -> tuple[Fraction, Fraction | None]:
    """The stretch of its source around a use that no other one shows."""
    content, offset = axes.content[use.slot], axes.offset[use.slot]
    at = places[use.slot].in_seconds + offset
    low, high = use.shot.start_seconds, None
    if sum(c == content for c in axes.content.values()) > 1:
        low = max(low, at - offset - MOST_MOVE)
        high = at - offset + use.length_seconds + MOST_MOVE
    for other in uses:
        if other.slot == use.slot or axes.content[other.slot] != content:
            continue
        place = places[other.slot]
        begin = place.in_seconds + axes.offset[other.slot]
        if begin <= at:
            low = max(low, begin + other.length_seconds * place.pace - offset)
        else:
            begins = begin - other.lead_seconds * place.pace - offset
            high = begins if high is None else min(high, begins)
    return low, high
