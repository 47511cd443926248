"""A track made longer or shorter at bar lines: which joins are heard least, and what the result sounds like. Pure.

A join is a pair of bar lines: the bars before the first one are followed by the bars behind the second one. It is heard little
where both have the same around them: what came before sounds like what would have come before, what follows like what would
have followed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from montage_dask.edit.phrases import PHRASE_BARS, phrase_starts
from montage_dask.records import Music, MusicFit, Section

Doubles = NDArray[np.float64]

JOIN_COST = 0.25
"""Of any join, however well it fits: one that is fair is better than two that are good. 1 is two bars of the track by chance."""
PHASE_COST = 0.4
"""A phrase goes on elsewhere than where it stopped."""
MIDDLE_COST = 0.1
"""The join lies within a phrase, not where one begins."""
TEMPO_COST = 3.0
"""Of a change of the length of a bar, in natural logarithms."""
STEADY = 0.02
"""Such a change is the tracker's, not the music's."""
KEPT_BARS = 4
"""Of the intro, of the ending, and between two joins, where the length leaves room for it."""
MOST_ENTRIES = 256
"""Ways into a bar that are looked at in long music: the best ones."""
MOST_STATES = 2_000_000
MOST_TOLD = 6
"""Joins whose times are told."""

REACH_SECONDS = Fraction(3, 100)
"""A beat belongs to the piece that begins so much behind it, at most: a join is moved by less, so that attacks meet."""


@dataclass(frozen=True, slots=True)
class Bars:
    """The bars that a fit may join, and what must stay."""

    lines_seconds: tuple[Fraction, ...]
    """Bar lines behind the start, in music time; the last one ends the last bar that may be left out."""
    phases: tuple[int, ...]
    """Bars since the phrase began, per line."""
    first_number: int
    """Number of the first of these bars in the track, from 1."""
    kept: int
    """Bars of the intro and of the ending that stay, and least bars between joins."""


@dataclass(frozen=True, slots=True)
class Join:
    """From one bar line to another."""

    out_line: int
    """Line at which the music is left."""
    in_line: int
    """Line at which it goes on."""
    cost: float


def bars_for(music: Music, start: Fraction, end: Fraction, wish: Fraction) -> Bars | None:
    """The bars to choose from; None where the track cannot be fitted at bars.

    Args:
        music: bars and sections.
        start: music time of the first sample.
        end: of the last one that is heard.
        wish: length, seconds.
    """
    if music.confidence <= 0:
        return None
    every = [music.beats_seconds[k] for k in music.downbeats]
    begins = phrase_starts(music)
    lines, phases, first, phase = [], [], 0, 0
    for number, line in enumerate(every):
        phase = 0 if line in begins else phase + 1
        if start <= line < end:
            first = first or number + 1
            lines.append(line)
            phases.append(phase % PHRASE_BARS)
    count = len(lines) - 1
    if count < 3:
        return None
    bar = (lines[-1] - lines[0]) / count
    fixed = (lines[0] - start) + (end - lines[-1])
    for kept in range(KEPT_BARS, 0, -1):
        if 2 * kept < count and fixed + 2 * kept * bar <= wish + bar / 2:
            return Bars(tuple(lines), tuple(phases), first, kept)
    return None


def join_costs(features: Doubles, lines: Doubles, phases: Sequence[int]) -> Doubles:
    """How much each join is heard: [L, L] for the way from line to line; infinite where there is none.

    Args:
        features: [L - 1, parts, values] of the bars, in places of the bar (see `analysis.bar_features`).
        lines: [L] seconds.
        phases: [L] bars since the phrase began.
    """
    count, parts = features.shape[:2]
    rising = np.linspace(0.5, 1.5, parts)[None, :, None]
    before = _distances((features * np.sqrt(rising)).reshape(count, -1))
    after = _distances((features * np.sqrt(rising[:, ::-1])).reshape(count, -1))
    costs = np.full((count + 1, count + 1), np.inf)
    costs[1:count, 1:count] = (before[:-1, :-1] + after[1:, 1:]) / 2
    phase = np.asarray(phases)
    costs += PHASE_COST * (phase[:, None] != phase[None, :])
    costs += MIDDLE_COST * (phase != 0)[None, :]
    length = np.log(np.diff(lines))
    change = np.abs(length[:-1, None] - length[None, 1:])
    costs[1:count, 1:count] += TEMPO_COST * np.maximum(0.0, change - STEADY)
    return costs + JOIN_COST


def _distances(vectors: Doubles) -> Doubles:
    """Squared distances of all rows, in units of the middle one."""
    square = (vectors**2).sum(1)
    found = np.maximum(0.0, square[:, None] + square[None, :] - 2 * vectors @ vectors.T)
    middle = float(np.median(found[~np.eye(len(found), dtype=bool)]))
    return np.asarray(found / max(middle, 1e-9))


def choose_joins(costs: Doubles, lines: Doubles, *, kept: int, played: float) -> list[Join] | None:
    """The joins with the least cost that leave a length, to half a bar; None where there are none.

    A track is shortened by joins forward only, and made longer by joins backward only: nothing is heard twice in the one, and
    nothing is left out in the other.

    Args:
        costs: of `join_costs`.
        lines: [L] seconds.
        kept: bars at both ends, and between joins, that stay.
        played: wanted length of what is played between the first line and the last one, seconds.
    """
    count = len(lines) - 1
    bar = float(lines[-1] - lines[0]) / count
    longer = played > lines[-1] - lines[0]
    number = np.arange(count + 1)
    step = number[None, :] - number[:, None]
    allowed = (step < 0 if longer else step > 0) & (number >= kept)[:, None]
    allowed &= (number <= count - kept)[None, :]
    ways = np.where(allowed, costs, np.inf)
    if not np.isfinite(ways).any():
        return None
    # Entry k of a line: one of the best lines to come from.
    most = count + 1 if count <= MOST_ENTRIES else max(8, MOST_ENTRIES * MOST_ENTRIES // count)
    sources = np.argsort(ways, axis=0, kind="stable")[:most].T
    entry = np.take_along_axis(ways.T, sources, 1)
    unit = bar / (4 if 4 * (played / bar + 2) * count <= MOST_STATES else 1)
    rows = int(np.ceil((played + bar) / unit)) + 1
    best = np.full((rows, count + 1), np.inf)
    exact = np.zeros((rows, count + 1))
    came = np.full((rows, count + 1, 3), -1, np.int32)
    best[0, 0] = 0.0
    durations = np.diff(lines)
    landing = np.minimum(number + kept, count)
    run = lines[landing] - lines
    for row in range(rows):
        here = np.flatnonzero(np.isfinite(best[row]))
        if not len(here):
            continue
        on = here[here < count]
        _reach(best, exact, came, row, on, on, on + 1, best[row, on], durations[on], -1, unit)
        options = best[row][sources] + entry
        pick = options.argmin(1)
        cost = options[number, pick]
        to = np.flatnonzero(np.isfinite(cost) & (number + kept <= count))
        origin = sources[to, pick[to]]
        _reach(best, exact, came, row, origin, to, landing[to], cost[to], run[to], to, unit)
    ends = np.flatnonzero(np.isfinite(best[:, count]))
    off = np.abs(exact[ends, count] - played) / bar
    # Where bars are not all of one length, half a bar may not be there: then what is nearest.
    near = off <= 0.51 if (off <= 0.51).any() else off <= min(0.75, off.min(initial=1.0))
    ends, off = ends[near], off[near]
    if not len(ends):
        return None
    row, line = int(ends[np.argmin(best[ends, count] + 0.1 * off)]), count
    joins: list[Join] = []
    while row > 0:
        row, origin, entered = (int(v) for v in came[row, line])
        if entered >= 0:
            joins.append(Join(origin, entered, float(costs[origin, entered])))
        line = origin
    return joins[::-1]


def _reach(
    best: Doubles,
    exact: Doubles,
    came: NDArray[np.int32],
    row: int,
    origin: NDArray[np.int64],
    bars: NDArray[np.int64],
    landing: NDArray[np.int64],
    cost: Doubles,
    seconds: Doubles,
    entered: NDArray[np.int64] | int,
    unit: float,
) -> None:
    """Go from `origin` to `landing`, and remember how where that is the cheapest way yet."""
    time = exact[row, origin] + seconds
    rows = np.maximum(row + 1, np.rint(time / unit).astype(np.int64))
    entered = np.broadcast_to(np.asarray(entered, np.int64), bars.shape)
    inside = rows < len(best)
    rows, landing, cost, time = rows[inside], landing[inside], cost[inside], time[inside]
    better = cost < best[rows, landing]
    at = rows[better], landing[better]
    best[at], exact[at] = cost[better], time[better]
    came[at] = np.stack(
        [np.full(len(at[0]), row), origin[inside][better], entered[inside][better]], 1
    )


def fitted(music: Music, fit: MusicFit, path: str) -> Music:
    """What is known of a track, as the fitted one has it: the same beats, bars and sections where they are now, to the sample.

    Args:
        music: the analysis of the track.
        fit: its pieces.
        path: of the fitted track. Its loudness is the original's.
    """
    rate, downs = fit.sample_rate, set(music.downbeats)
    beats: list[Fraction] = []
    numbers: list[int] = []
    sections: list[Section] = []
    curve: list[float] = []
    at = 0
    for number, piece in enumerate(fit.pieces):
        start, stop = Fraction(piece.start_sample, rate), Fraction(piece.stop_sample, rate)
        moved = Fraction(at, rate) - start
        first = bisect_left(music.beats_seconds, start - (REACH_SECONDS if number else 0))
        last = number + 1 == len(fit.pieces)
        behind = bisect_left(music.beats_seconds, stop - (0 if last else REACH_SECONDS))
        numbers += range(first, behind)
        beats += [b + moved for b in music.beats_seconds[first:behind]]
        # A piece begins with the beat of its bar line, which lies beside the join where that was moved.
        begin = music.beats_seconds[first] if number and first < behind else start
        edge = begin + moved
        _lay(sections, music.sections, start, stop, moved, edge)
        at += piece.stop_sample - piece.start_sample
        while len(curve) < -(-at * 10 // rate):
            source = Fraction(len(curve), 10) - moved
            curve.append(music.energy_curve[min(len(music.energy_curve) - 1, int(source * 10))])
    duration = Fraction(fit.samples, rate)
    if sections:
        sections[-1] = replace(sections[-1], stop_seconds=duration)
    curve += [0.0] * (-(-fit.samples * 10 // rate) - len(curve))
    return replace(
        music,
        path=path,
        identity=fit.identity,
        duration_seconds=duration,
        beats_seconds=tuple(beats),
        downbeats=tuple(k for k, n in enumerate(numbers) if n in downs),
        beat_energy=tuple(music.beat_energy[n] for n in numbers),
        beat_strength=tuple(music.beat_strength[n] for n in numbers),
        sections=tuple(sections),
        energy_curve=tuple(curve),
        fit=fit,
    )


def _lay(
    laid: list[Section],
    sections: Sequence[Section],
    start: Fraction,
    stop: Fraction,
    moved: Fraction,
    edge: Fraction,
) -> None:
    """Add what a piece has of sections; it begins at `edge` of the fitted track, and ends what was before it there."""
    if laid:
        laid[-1] = replace(laid[-1], stop_seconds=edge)
    for section in sections:
        begin = section.start_seconds
        if section.stop_seconds <= start + REACH_SECONDS or begin >= stop - REACH_SECONDS:
            continue
        part = Section(
            max(edge, begin + moved) if begin > start + REACH_SECONDS else edge,
            min(section.stop_seconds, stop) + moved,
            section.label,
            section.energy,
        )
        if laid and laid[-1].label == part.label and part.start_seconds == edge:
            laid[-1] = replace(laid[-1], stop_seconds=part.stop_seconds)
        else:
            laid.append(part)


def clock(seconds: Fraction | float) -> str:
    """3:12, or 0:28.4 where it is not whole."""
    tenths = round(float(seconds) * 10)
    minutes, rest = divmod(tenths, 600)
    whole, tenth = divmod(rest, 10)
    return f"{minutes}:{whole:02d}" + (f".{tenth}" if tenth else "")


def told(joins: Sequence[Join], bars: Bars, length: Fraction, fit: MusicFit) -> str:
    """What was done, for people: "music 3:12 → 1:00: bars 17–64 left out, join at 0:28.4"."""
    now = Fraction(fit.samples, fit.sample_rate)
    head = f"music {clock(round(length))} → {clock(round(now))}"
    if not joins:
        return f"{head}: no join is needed"
    first = bars.first_number
    spans: dict[str, int] = {}
    for join in joins:
        low, high = sorted((join.out_line, join.in_line))
        name = f"{first + low}–{first + high - 1}" if high - low > 1 else str(first + low)
        spans[name] = spans.get(name, 0) + 1
    names = [n if k == 1 else f"{n} ({k} times)" for n, k in spans.items()]
    what = "left out" if joins[0].in_line > joins[0].out_line else "heard again"
    bar = "bar" if len(names) == 1 and "–" not in names[0] else "bars"
    at = [clock(t) for t in fit.joins_seconds]
    join_at = f"join{'s' if len(at) > 1 else ''} at {_listed(at)}"
    return f"{head}: {bar} {_listed(names)} {what}, {join_at if len(at) <= MOST_TOLD else f'{len(at)} joins'}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
