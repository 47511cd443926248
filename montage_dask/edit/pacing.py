"""Where to cut: the beats that become cuts, as the cheapest path over all of them.

Every stretch between two beats has a cost: how far its length is from what the style wants at that
place, plus what it costs to end off a bar's first beat or to pass over the start of a section. The
path from the first to the last frame with the least cost is found exactly (dynamic programming).
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from montage_dask.edit.phrases import PHRASE_BARS
from montage_dask.edit.story import tension
from montage_dask.edit.styles import Style
from montage_dask.records import Music, Section

DOWNBEAT_COST = 0.35
STRENGTH_COST = 0.15
SECTION_COST = 30.0
LENGTH_COST = 200.0
"""Per stretch that is too short or too long for the style."""
LIMIT_COST = 1000.0
"""Per stretch that no footage can fill: the path avoids it wherever a beat allows."""
ROLE_COST = 12.0
"""Of an opening or an ending that lasts less than a bar."""
LEAST_BARS = 6
"""A montage that is shorter has no room for these."""
LOOK_AHEAD_BEATS = 192
OPENING_SECONDS = 0.9
"""Of the first shot, at least: a pick-up of half a beat is no picture."""
HELD_BEATS = 2
"""Shots up to this length last twice as long where a phrase begins: fast cutting needs breath."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A stretch of the montage between two cuts, not yet filled."""

    start_frame: int
    stop_frame: int
    beat_seconds: Fraction | None
    """Music time of the beat that it starts on; None off the beat."""
    label: str
    """Section of the music."""
    opens_section: bool
    """Whether a section begins with it."""
    energy: float
    """Of the music, 0 … 1."""
    tension: float
    """Of the story, 0 … 1."""
    intensity: float
    """Energy and tension as the style mixes them, 0 … 1."""
    beat_period_seconds: float
    """Time between beats here."""

    @property
    def frames(self) -> int:
        """Length in output frames."""
        return self.stop_frame - self.start_frame


@dataclass(frozen=True, slots=True)
class _Point:
    """A place where a cut could be."""

    frame: int
    beat_seconds: Fraction | None
    music_seconds: Fraction
    beat: int
    """Index of the beat, or of the last one before."""
    section: int
    opens_section: bool
    downbeat: bool
    opens_phrase: bool
    """Whether it is the first beat of every fourth bar."""
    strength: float
    energy: float


def nearest_frame(seconds: Fraction, fps: Fraction) -> int:
    """The output frame nearest to a time; the earlier of two that are equally near."""
    return math.ceil(seconds * fps - Fraction(1, 2))


def beats_within(music: Music, start: Fraction, frames: int, fps: Fraction) -> tuple[Fraction, ...]:
    """Beats of the music from the first frame to the end of the last one, in music time."""
    stop = start + frames / fps
    return tuple(b for b in music.beats_seconds if start <= b < stop)


def plan_slots(
    music: Music,
    style: Style,
    *,
    fps: Fraction,
    start: Fraction,
    frames: int,
    limit_seconds: float,
    stretch: float = 1.0,
) -> tuple[Slot, ...]:
    """Contiguous slots over output frames [0, frames).

    Args:
        music: beats, sections and energy.
        style: pace and limits of length.
        fps: output frames per second.
        start: music time of output frame 0.
        frames: length of the montage.
        limit_seconds: what the footage can fill at most with one shot; longer slots are split.
        stretch: factor on the lengths that the style wants, for short footage.
    """
    points = _points(music, start, frames, fps)
    chosen = _path(points, style, fps, limit_seconds, stretch, music, frames)
    limit_frames = max(1, math.floor(limit_seconds * fps))
    slots: list[Slot] = []
    for a, b in itertools.pairwise(chosen):
        left, right = points[a], points[b]
        pieces = math.ceil((right.frame - left.frame) / limit_frames)
        label = music.sections[left.section].label if left.section >= 0 else "high"
        middle = [p.energy for p in points[a:b]]
        energy = float(np.mean(middle))
        position = (left.frame + right.frame) / 2 / frames
        tense = tension(style.arc, position)
        for piece in range(pieces):
            length = right.frame - left.frame
            slots.append(
                Slot(
                    start_frame=left.frame + length * piece // pieces,
                    stop_frame=left.frame + length * (piece + 1) // pieces,
                    beat_seconds=left.beat_seconds if piece == 0 else None,
                    label=label,
                    opens_section=left.opens_section and piece == 0,
                    energy=energy,
                    tension=tense,
                    intensity=_mixed(style, energy, tense),
                    beat_period_seconds=_period(music, left.beat),
                )
            )
    return tuple(slots)


def slots_between(
    music: Music,
    style: Style,
    spans: Sequence[tuple[int, int]],
    *,
    fps: Fraction,
    start: Fraction,
) -> tuple[Slot, ...]:
    """The slots of a montage that is cut already, as the music and the story see them.

    Args:
        music: beats, sections and energy.
        style: the arc, and how it mixes with the energy.
        spans: [start, stop) of each slot in output frames, contiguous from 0.
        fps: output frames per second.
        start: music time of output frame 0.
    """
    frames = spans[-1][1]
    points = _points(music, start, frames, fps)[:-1]
    slots = []
    for first, stop in spans:
        inside = [p for p in points if first <= p.frame < stop]
        before = [p for p in points if p.frame <= first][-1]
        opening = before if before.frame == first else None
        energy = float(np.mean([p.energy for p in inside or [before]]))
        tense = tension(style.arc, (first + stop) / 2 / frames)
        slots.append(
            Slot(
                start_frame=first,
                stop_frame=stop,
                beat_seconds=opening.beat_seconds if opening else None,
                label=music.sections[before.section].label if before.section >= 0 else "high",
                opens_section=opening is not None and opening.opens_section,
                energy=energy,
                tension=tense,
                intensity=_mixed(style, energy, tense),
                beat_period_seconds=_period(music, before.beat),
            )
        )
    return tuple(slots)


def _mixed(style: Style, energy: float, tense: float) -> float:
    return style.energy_response * energy + (1 - style.energy_response) * tense


def _period(music: Music, beat: int) -> float:
    beats = music.beats_seconds
    if len(beats) < 2:
        return 0.5
    beat = min(max(beat, 0), len(beats) - 2)
    return float(beats[beat + 1] - beats[beat])


def _section_at(sections: Sequence[Section], seconds: Fraction) -> int:
    return bisect_right([s.start_seconds for s in sections], seconds) - 1 if sections else -1


def _points(music: Music, start: Fraction, frames: int, fps: Fraction) -> list[_Point]:
    """The first frame, every beat that falls on a frame of its own, and the end."""
    beats = music.beats_seconds
    downbeats = set(music.downbeats)
    phrases = set(music.downbeats[::PHRASE_BARS])
    openings = _openings(music)

    def point(frame: int, beat: int, on: bool) -> _Point:
        seconds = beats[beat] if on else start + frame / fps
        known = 0 <= beat < len(music.beat_energy)
        section = _section_at(music.sections, seconds)
        if on and beat in openings:
            section = openings[beat]
        return _Point(
            frame=frame,
            beat_seconds=beats[beat] if on else None,
            music_seconds=seconds,
            beat=beat,
            section=max(section, 0) if music.sections else -1,
            opens_section=on and beat in openings,
            downbeat=on and beat in downbeats,
            opens_phrase=on and beat in phrases,
            strength=music.beat_strength[beat]
            if on and 0 <= beat < len(music.beat_strength)
            else 0.0,
            energy=music.beat_energy[beat] if known else _curve(music, seconds),
        )

    placed: dict[int, int] = {}
    for number, seconds in enumerate(beats):
        frame = nearest_frame(seconds - start, fps)
        if seconds >= start and frame < frames and frame not in placed:
            placed[frame] = number
    points = [point(frame, number, True) for frame, number in placed.items()]
    if not points or points[0].frame > 0:
        points.insert(0, point(0, bisect_right(beats, start) - 1, False))
    points.append(point(frames, bisect_right(beats, start + frames / fps) - 1, False))
    return points


def _openings(music: Music) -> dict[int, int]:
    """Beats that sections begin on: index of the nearest beat → number of the section."""
    beats = np.array([float(b) for b in music.beats_seconds])
    found: dict[int, int] = {}
    for number, section in enumerate(music.sections):
        if number == 0 or not len(beats):
            continue
        beat = int(np.argmin(np.abs(beats - float(section.start_seconds))))
        if abs(beats[beat] - float(section.start_seconds)) <= _period(music, beat):
            found[beat] = number
    return found


def _curve(music: Music, seconds: Fraction) -> float:
    """The energy curve has ten values a second."""
    if not music.energy_curve:
        return 0.5
    return music.energy_curve[min(max(int(seconds * 10), 0), len(music.energy_curve) - 1)]


def wanted_beats(style: Style, label: str, intensity: float, beats_per_bar: int) -> float:
    """Beats that a shot should last, a length that fits into bars.

    It is the style's figure for the section, doubled at no intensity and halved at full intensity.
    """
    wanted = style.beats_per_cut.get(label, style.beats_per_cut["high"]) * 2 ** (
        1 - 2 * min(1.0, max(0.0, intensity))
    )
    bar = beats_per_bar or 4
    inside = (1, 2) if bar % 2 == 0 else (1,)
    lengths = [*inside, *(bar * 2**k for k in range(6))]
    return min(lengths, key=lambda n: (abs(math.log2(n / wanted)), n))


def _path(
    points: Sequence[_Point],
    style: Style,
    fps: Fraction,
    limit_seconds: float,
    stretch: float,
    music: Music,
    frames: int,
) -> list[int]:
    """Indices of the points of the cheapest path from the first to the last."""
    count = len(points)
    seconds = np.array([float(p.frame / fps) for p in points])
    ends = np.array([_ending_cost(p, style) for p in points])
    ends[-1] = 0.0
    # Passing over the start of a section costs; sums up to each point give it for any stretch.
    passed = np.cumsum([SECTION_COST * p.opens_section for p in points])
    longest = min(style.maximum_shot_seconds * max(1.0, stretch), limit_seconds)
    # Where no shot is long, short ones must be allowed, or sections could not begin with a cut.
    shortest = min(style.minimum_shot_seconds, longest / 2)
    cost = np.full(count, np.inf)
    cost[0] = 0.0
    bars = [
        min((music.beats_per_bar or 4) * _period(music, points[k].beat), longest) for k in (0, -1)
    ]
    held = seconds[-1] >= LEAST_BARS * max(bars)
    # A hook is over before the first bar is.
    opens = held and style.arc != "hook"
    # A pick-up belongs to what it leads to: the first shot goes on past the first downbeat.
    downbeat = next((float(p.frame / fps) for p in points[1:-1] if p.downbeat), 0.0)
    pick_up = downbeat if held and not points[0].downbeat and downbeat < 0.88 * bars[0] else 0.0
    if held:
        pick_up = max(pick_up, min(OPENING_SECONDS, longest))
    before = np.zeros(count, np.intp)
    for a, point in enumerate(points[:-1]):
        label = music.sections[point.section].label if point.section >= 0 else "high"
        tense = tension(style.arc, point.frame / frames)
        intensity = _mixed(style, point.energy, tense)
        wanted = wanted_beats(style, label, intensity, music.beats_per_bar) * stretch
        if point.opens_phrase and wanted <= HELD_BEATS:
            wanted *= 2
        period = _period(music, point.beat)
        while (
            music.beats_per_bar % 2 and music.beats_per_bar <= wanted and wanted * period < shortest
        ):
            wanted *= 2  # a waltz that is too quick for the style is cut every other bar, not every fourth beat
        ideal = min(max(wanted * period, shortest), longest)
        b = slice(a + 1, min(count, a + 1 + LOOK_AHEAD_BEATS))
        length = seconds[b] - seconds[a]
        step = np.log2(np.maximum(length, 1e-6) / ideal) ** 2 + ends[b]
        step += passed[b] - passed[a] - [SECTION_COST * p.opens_section for p in points[b]]
        short = length < shortest - 1e-9
        step += np.where(short, LENGTH_COST * (1 + shortest - length), 0)
        step += np.where(length > longest + 1e-9, LENGTH_COST * (length - longest + 1), 0)
        step += np.where(length > limit_seconds + 1e-9, LIMIT_COST * (length - limit_seconds), 0)
        # Half a beat less is still a bar: beats wander.
        if opens and a == 0:
            step += np.where(length < 0.88 * bars[0], ROLE_COST, 0)
        if a == 0:
            step += np.where(length < pick_up + 1e-9, ROLE_COST, 0)
        if held and b.stop == count and length[-1] < 0.88 * bars[1]:
            step[-1] += ROLE_COST
        total = cost[a] + step
        better = total < cost[b]
        cost[b][better] = total[better]
        before[b][better] = a
    path = [count - 1]
    while path[-1]:
        path.append(int(before[path[-1]]))
    return path[::-1]


def _ending_cost(point: _Point, style: Style) -> float:
    cost = STRENGTH_COST * (1 - point.strength)
    if style.prefer_downbeats and not point.downbeat:
        cost += DOWNBEAT_COST
    return cost
