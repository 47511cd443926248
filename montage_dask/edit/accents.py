"""Beats in the picture: where the picture punches, flashes, shakes, or its time runs unevenly. Pure and deterministic.

A style says for each effect on which beats it comes and how strong it is. Beats that are not drops count only where the song is
loud, and less than a drop does. What was cut for the eye to rest on, the last shot and what fades out, is left alone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from montage_dask.edit.beat_effects import BEATS, NO_EFFECT, BeatEffect
from montage_dask.edit.pacing import nearest_frame
from montage_dask.edit.roles import drops_of
from montage_dask.flashing import MOST_WHITE, flash_frames, too_many
from montage_dask.records import Accent, Event, Music, Pace, Source, Timeline

MOST = {"punch": 0.12, "flash": float(MOST_WHITE), "shake": 0.02, "ramp": 0.6}
"""What a strength of 1 means: growth of the picture; share of white; way to each side, in shares of the picture; how much
slower than on average a ramp begins, and how much faster it ends."""

SECONDS = {"punch": 0.4, "flash": 0.24, "shake": 0.4}
"""How long an accent lasts."""

SHARE = {"drops": 1.0, "downbeats": 0.6, "beats": 0.4}
"""Of the strength, by the beat."""

LOUD = ("high", "drop")
"""Sections in which beats count that are no drops."""

LEAST_RAMP_SECONDS = 0.4
LEAST_SHOWN_FPS = 20
"""Source frames per output second that a ramp must keep where it is slowest, or it stutters."""
LEAST_RAMP = 0.1
"""A ramp that can only be weaker than this is none."""
STEPS = 8
"""Straight lines that a ramp consists of."""


def accented(
    timeline: Timeline,
    music: Music,
    effects: Mapping[str, BeatEffect],
    sources: Mapping[str, Source],
) -> Timeline:
    """The timeline with the accents and ramps of its events.

    Args:
        timeline: the montage.
        music: under it; without beats there are none.
        effects: by name, as the style or a person wants them.
        sources: by identity; how slow a ramp may be depends on their rate.
    """
    wanted = {name: e for name, e in effects.items() if e.at != "none" and e.strength > 0}
    if not wanted or music.confidence <= 0:
        return timeline
    plain = tuple(replace(e, accents=(), ramp=()) for e in timeline.events)
    timeline = replace(timeline, events=plain)
    hits = _hits(timeline, music)
    rested = min(timeline.frames - timeline.fade_out_frames, timeline.events[-1].start_frame)
    if len(timeline.events) == 1:
        rested = timeline.frames - timeline.fade_out_frames
    hits = [(frame, kind) for frame, kind in hits if frame < rested]
    flashing = set(_flashes(timeline, hits, wanted.get("flash", NO_EFFECT)))
    starts = [e.start_frame for e in timeline.events]
    within: dict[int, list[tuple[int, str]]] = {}
    for frame, kind in hits:
        within.setdefault(bisect_right(starts, frame) - 1, []).append((frame, kind))
    events = []
    for number, event in enumerate(timeline.events):
        own = [(frame - event.start_frame, kind) for frame, kind in within.get(number, ())]
        accents = [
            accent
            for frame, kind in own
            for accent in _accents(event, frame, kind, wanted, timeline.fps, flashing)
        ]
        ramp: tuple[Pace, ...] = ()
        if "ramp" in wanted:
            ramp = _ramp(event, own, wanted["ramp"], sources[event.source], timeline.fps)
        events.append(replace(event, accents=tuple(accents), ramp=ramp))
    return replace(timeline, events=tuple(events))


def _counts(kind: str, effect: BeatEffect) -> bool:
    """Whether an effect comes on a beat of a kind."""
    return BEATS.index(kind) <= BEATS.index(effect.at)


def _hits(timeline: Timeline, music: Music) -> list[tuple[int, str]]:
    """The beats that may get an accent, by output frame, each with the least common kind that it is of."""
    fps, start = timeline.fps, timeline.music_start_seconds
    down = {music.beats_seconds[k] for k in music.downbeats}
    kinds: dict[Fraction, str] = {}
    for section in music.sections:
        if section.label in LOUD:
            for beat in music.beats_seconds:
                if section.start_seconds <= beat < section.stop_seconds:
                    kinds[beat] = "downbeats" if beat in down else "beats"
    for begin in drops_of(music):
        # A section begins about on the first beat of a bar.
        near = min(
            music.beats_seconds, key=lambda b: (abs(b - begin) + Fraction(b not in down, 20), b)
        )
        kinds[near] = "drops"
    frames = ((nearest_frame(beat - start, fps), kind) for beat, kind in sorted(kinds.items()))
    return [(frame, kind) for frame, kind in frames if 0 <= frame < timeline.frames]


def _accents(
    event: Event,
    frame: int,
    kind: str,
    wanted: Mapping[str, BeatEffect],
    fps: Fraction,
    flashing: set[int],
) -> Iterator[Accent]:
    """What the picture of an event does on one beat."""
    for name in SECONDS:
        effect = wanted.get(name, NO_EFFECT)
        if not _counts(kind, effect):
            continue
        share = SHARE[kind]
        if name == "flash":
            if event.start_frame + frame not in flashing:
                continue
            share = 1.0
        frames = min(max(2, round(SECONDS[name] * fps)), event.frames - frame)
        strength = round(MOST[name] * effect.strength * share * Accent.UNIT)
        if strength > 0:
            yield Accent(name, frame, frames, strength)


def _flashes(
    timeline: Timeline, hits: Sequence[tuple[int, str]], effect: BeatEffect
) -> Iterator[int]:
    """Frames that flash: none within a dip, and never more than a few within a second."""
    busy = [
        (e.start_frame - e.transition.frames // 2, e.start_frame + e.transition.frames // 2)
        for e in timeline.events
        if e.transition.kind.startswith("dip")
    ]
    taken = flash_frames(timeline)
    for frame, kind in hits:
        if not _counts(kind, effect) or any(a <= frame < b for a, b in busy):
            continue
        if too_many([*taken, frame], timeline.fps) is None:
            taken.append(frame)
            yield frame


def _ramp(
    event: Event,
    hits: Sequence[tuple[int, str]],
    effect: BeatEffect,
    source: Source,
    fps: Fraction,
) -> tuple[Pace, ...]:
    """From each beat that counts to the next one, or to the end, the event begins slowly and ends fast; on the beats it has
    come as far as it had without."""
    edges = [frame for frame, kind in hits if _counts(kind, effect)]
    slowest = LEAST_SHOWN_FPS / float(source.frame_rate * event.speed)
    bend = min(MOST["ramp"] * effect.strength, 1 - slowest)
    if bend < LEAST_RAMP:
        return ()
    points: list[Pace] = []
    for begin, end in pairwise([*edges, event.frames]):
        frames = end - begin
        if frames < LEAST_RAMP_SECONDS * fps:
            continue
        steps = [frames * k // STEPS for k in range(STEPS + 1)]
        for step in dict.fromkeys(steps):
            along = step / frames
            shown = begin + frames * ((1 - bend) * along + bend * along * along)
            points.append(Pace(begin + step, Fraction(round(shown * 1000), 1000)))
    inside = {p.frame: p for p in points if 0 < p.frame < event.frames}
    return tuple(inside.values())
