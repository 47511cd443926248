"""From shots and music to a timeline: the one entry of this room. Pure and deterministic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from montage_dask.edit.accents import accented
from montage_dask.edit.beat_effects import parse_beat_effects
from montage_dask.edit.candidates import Floats, Ints, find_candidates
from montage_dask.edit.choose import Pin
from montage_dask.edit.chronological import select_around
from montage_dask.edit.inpoints import Axes, Use, settle
from montage_dask.edit.layout import (
    bearable,
    handles,
    lay_out,
    make_room,
    place_pins,
    place_transitions,
)
from montage_dask.edit.match import match_events
from montage_dask.edit.moves import move_cuts
from montage_dask.edit.pacing import Slot, beats_within, nearest_frame
from montage_dask.edit.phrases import phrase_end
from montage_dask.edit.placing import beat_frames, make_places, misplaced
from montage_dask.edit.reasons import explain, notes_on, scores_of
from montage_dask.edit.selection import Problem, make_problem, select
from montage_dask.edit.speeds import paces_of, slow_speed
from montage_dask.edit.styles import TRANSITIONS, Style
from montage_dask.edit.views import view_of
from montage_dask.errors import NothingToDoError, UsageError
from montage_dask.records import CUT, Event, Music, Shot, Source, Timeline, Transition

VERSION = 8
"""Rises when equal arguments give another timeline."""


def edit(
    shots: Sequence[Shot],
    sources: Mapping[str, Source],
    music: Music,
    style: Style,
    *,
    fps: Fraction,
    width: int,
    height: int,
    start_seconds: Fraction | float = 0,
    duration_seconds: Fraction | float | None = None,
    exact: bool = False,
    seed: int = 0,
    pins: Sequence[Pin] = (),
    transition: str | None = None,
    grade: str | None = None,
    match: str | None = None,
    full_speed: bool = False,
    beat_effects: str | None = None,
) -> Timeline:
    """A montage of `shots` on the beats of `music`.

    Args:
        shots: what may be chosen.
        sources: by identity; at least those of the shots and pins.
        music: beats, sections, energy.
        style: pace, taste and colours.
        fps: output frames per second.
        width: of the output, pixels.
        height: of the output, pixels.
        start_seconds: music time of the first frame.
        duration_seconds: length; None for up to the end of the music, which it never passes.
        exact: the length is kept to the frame; else it ends where a phrase of the music does, if one does nearby.
        seed: another seed gives another montage, about as good.
        pins: what must be in it.
        transition: a kind, in place of the style's.
        grade: a preset or a .cube file, in place of the style's.
        match: auto, on or off, in place of the style's.
        full_speed: no shot's speed is changed for the sake of a beat; where the clips are heard.
        beat_effects: in place of the style's, see `parse_beat_effects`.

    Raises:
        UsageError: the start lies after the end of the music, or pins cannot be fulfilled.
        NothingToDoError: no shot to choose from.
    """
    fps, start = Fraction(fps), Fraction(start_seconds)
    frames, notes = length_of(music, fps, start, duration_seconds, exact=exact)
    if any(p.music_seconds is not None and p.music_seconds >= start + frames / fps for p in pins):
        # A phrase does not end before what must be shown.
        frames, notes = length_of(music, fps, start, duration_seconds, exact=True)
    if transition is not None and transition not in TRANSITIONS:
        raise UsageError(f"no transition {transition!r}: expected {', '.join(TRANSITIONS)}")
    effects = style.beat_effects
    if beat_effects is not None:
        effects = parse_beat_effects(beat_effects, effects)
    free = [s for s in shots if s.duration_seconds > 0]
    usable = list(dict.fromkeys([*free, *(s for pin in pins for s in pin.shots)]))
    if not usable:
        raise NothingToDoError("there is no shot to choose from")
    style = replace(
        style,
        grade=grade if grade is not None else style.grade,
        speed_change=1.0 if full_speed else style.speed_change,
    )
    random = np.random.default_rng([abs(seed), 7])
    layout = lay_out(music, style, free or usable, fps=fps, start=start, frames=frames)
    slots, fixed = make_places(layout.slots, pins, music, start, fps)
    slots = make_room(slots, pins, fps, fixed)
    needs = needs_of(slots, [CUT] * len(slots), fps)
    candidates = find_candidates(free, sources, needs, pins)
    in_order = style.order == "chronological"
    pinned = place_pins(slots, candidates, fps, pins, in_order, fixed)
    notes += misplaced(slots, pinned, pins)
    problem = make_problem(slots, candidates, needs, style, pinned)
    own = [k for k, p in enumerate(pinned) if p in fixed]
    choice = select_around(problem, own, seed) if in_order else None
    if in_order and choice is None:
        notes.append("footage is short: it could not be kept in the order it was filmed")
    if choice is None:
        choice = select(problem, seed)

    moments = [pins[p].at_seconds if p >= 0 else None for p in pinned]
    shown = [candidates.shots[k] for k in candidates.shot[choice]]
    transitions = place_transitions(slots, shown, style, transition, fps, moments, random, sources)
    filled = [
        use_of(problem, slots, transitions, choice, k, sources, style, fps, at_seconds=moments[k])
        for k in range(len(slots))
    ]
    uses, speeds = [u for u, _ in filled], [s for _, s in filled]
    axes = Axes.of(uses)
    places = settle(uses, problem.weights, axes)
    slots, uses, places = move_cuts(
        slots,
        uses,
        places,
        axes=axes,
        speeds=speeds,
        transitions=transitions,
        fixed=[k for k, p in enumerate(pinned) if p >= 0],
        beats=beat_frames(music, start, frames, fps) if music.confidence > 0 else {},
        music=music,
        style=style,
        weights=problem.weights,
        fps=fps,
    )
    transitions = bearable(transitions, uses, places)
    events = tuple(
        Event(
            start_frame=slot.start_frame,
            stop_frame=slot.stop_frame,
            source=uses[k].shot.source,
            shot=uses[k].shot.index,
            in_seconds=places[k].in_seconds,
            speed=speeds[k] * places[k].pace,
            transition=transitions[k],
            beat_seconds=slot.beat_seconds if music.confidence > 0 else None,
            reason=explain(problem, slots, choice, k, pins),
            scores=scores_of(problem, choice, k),
        )
        for k, slot in enumerate(slots)
    )
    known = {(u.shot.source, u.shot.index): u.shot for u in uses}
    events = match_events(events, known, sources, match if match is not None else style.match)
    notes += notes_on(music, layout.stretch, slots, uses, places)
    timeline = Timeline(
        fps=fps,
        width=width,
        height=height,
        events=events,
        music_path=music.path,
        music_start_seconds=start,
        style=style.name,
        seed=seed,
        beats_seconds=beats_within(music, start, frames, fps) if music.confidence > 0 else (),
        grade=style.grade,
        notes=tuple(notes),
        music_fit=music.fit,
    )
    fade = fade_frames(style, fps, events[-1].frames)
    timeline = replace(timeline, fade_out_frames=fade)
    return accented(timeline, music, effects, sources)


def fade_frames(style: Style, fps: Fraction, frames: int) -> int:
    """Output frames that fade out at the end of a last shot of `frames`: two thirds of it are seen in full light."""
    return min(round(Fraction(style.fade_out_seconds) * fps), frames // 3)


def use_of(
    problem: Problem,
    slots: Sequence[Slot],
    transitions: Sequence[Transition],
    choice: Ints,
    number: int,
    sources: Mapping[str, Source],
    style: Style,
    fps: Fraction,
    *,
    at_seconds: Fraction | None = None,
) -> tuple[Use, Fraction]:
    """What a slot shows of the shot that was chosen for it, before its in-point is settled, and how fast.

    Args:
        problem: what was asked.
        slots: all of them.
        transitions: how each begins.
        choice: [S] the candidate of each.
        number: of the slot.
        sources: by identity.
        style: for slow motion.
        fps: output frames per second.
        at_seconds: source time that must be on screen.
    """
    slot, candidates = slots[number], problem.candidates
    shot = candidates.shots[candidates.shot[choice[number]]]
    source = sources[shot.source]
    speed = slow_speed(slot, source, style)
    lead, tail = handles(transitions, number)
    need = problem.needs[number]
    last = number + 1 == len(slots)
    after = fade_frames(style, fps, slot.frames) if last else transitions[number + 1].frames // 2
    use = Use(
        slot=number,
        shot=shot,
        position_seconds=float(candidates.positions(need)[choice[number]]),
        lead_seconds=lead / fps * speed,
        length_seconds=(slot.frames + tail) / fps * speed,
        shown_seconds=slot.frames / fps * speed,
        hidden_seconds=(transitions[number].frames // 2 / fps * speed, after / fps * speed),
        opens=number == 0,
        beat_seconds=slot.beat_period_seconds * float(speed),
        at_seconds=at_seconds,
        paces=paces_of(source, fps, speed, style.speed_change),
        view=view_of(shot),
    )
    return use, speed


def length_of(
    music: Music,
    fps: Fraction,
    start: Fraction,
    duration: Fraction | float | None,
    *,
    exact: bool,
) -> tuple[int, list[str]]:
    """Output frames of a montage, and what there is to say about it.

    Args:
        music: bars and sections.
        fps: output frames per second.
        start: music time of the first frame.
        duration: the wish; None for up to the end of the music.
        exact: whether the wish is kept to the frame.

    Raises:
        UsageError: it lies outside the music.
    """
    if fps <= 0:
        raise UsageError(f"fps must be positive, got {fps}")
    rest = music.duration_seconds - start
    if start < 0 or rest <= 0:
        raise UsageError(
            f"start {float(start):g} s lies outside the music, which lasts "
            f"{float(music.duration_seconds):.2f} s: give a smaller start"
        )
    if duration is None:
        return max(1, nearest_frame(rest, fps)), []
    length = Fraction(duration)
    if length <= 0:
        raise UsageError(f"duration must be positive, got {float(length):g} s")
    if length > rest + Fraction(1, 2) / fps:
        ends = f"the music ends after {float(rest):.2f} s, and the montage with it"
        return max(1, nearest_frame(rest, fps)), [ends]
    end = None if exact else phrase_end(music, start, length)
    if end is None or nearest_frame(end - start, fps) == nearest_frame(length, fps):
        return max(1, nearest_frame(length, fps)), []
    note = (
        f"{float(end - start):.2f} s instead of {float(length):.2f}: a phrase of the music ends there "
        "(--exact keeps the length)"
    )
    return max(1, nearest_frame(end - start, fps)), [note]


def needs_of(slots: Sequence[Slot], transitions: Sequence[Transition], fps: Fraction) -> Floats:
    """[S] source seconds that each slot shows at full speed, handles of crossfades included."""
    shown = [slot.frames + sum(handles(transitions, k)) for k, slot in enumerate(slots)]
    return np.array([float(frames / fps) for frames in shown])
