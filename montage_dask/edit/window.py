"""Which part of a track a montage of a given length should take: `--start auto`. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from montage_dask.edit.music_fit import clock
from montage_dask.edit.phrases import phrase_end, phrase_starts
from montage_dask.records import Music, Section

CLIMAX = 2.0
"""For a drop in the window, or the loudest section where there is none."""
OPENING = 1.0
"""For energy in the first bars."""
ENTRY = 0.6
"""For a section that begins with the window."""
ENDING = 0.8
"""For a section that ends with it, half of that for a phrase."""
ARC = 1.0
"""For energy that rises towards the climax and beyond the mean of the track."""
CUT_OFF = 0.7
"""Against an end in the middle of a climax that has just begun."""
OPENING_BARS = 2
RISE = 0.15
"""Energy that a section gains against the one before: a climax begins."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a track."""

    start_seconds: Fraction
    reason: str


def best_window(music: Music, length: Fraction, *, exact: bool = False) -> Window:
    """The best part of a track for a montage of about a length, and why.

    Args:
        music: beats, sections, energy.
        length: the wish, seconds.
        exact: the length is kept to the frame.
    """
    spare = music.duration_seconds - length
    if spare <= 0:
        return Window(Fraction(0), "the whole track: it is no longer than the montage")
    begins = sorted(b for b in phrase_starts(music) if b <= spare) if music.confidence > 0 else []
    if not begins:
        return _loudest(music, length, spare)
    curve = np.array(music.energy_curve or (0.0,))
    top = float(np.percentile(curve, 95)) or 1.0
    phrases = phrase_starts(music)
    bars = [music.beats_seconds[k] for k in music.downbeats]
    bar = (bars[-1] - bars[0]) / max(1, len(bars) - 1)
    scored = [
        _scored(music, start, _end(music, start, length, exact), bar, curve / top, phrases)
        for start in begins
    ]
    _, start, reasons = max(scored, key=lambda s: (round(s[0], 6), -s[1]))
    return Window(start, f"from {clock(start)}: " + ", ".join(reasons))


def _end(music: Music, start: Fraction, length: Fraction, exact: bool) -> Fraction:
    end = None if exact else phrase_end(music, start, length)
    return min(music.duration_seconds, end if end is not None else start + length)


def _scored(
    music: Music,
    start: Fraction,
    end: Fraction,
    bar: Fraction,
    curve: np.ndarray[tuple[int], np.dtype[np.float64]],
    phrases: frozenset[Fraction],
) -> tuple[float, Fraction, list[str]]:
    near = bar / 2
    length = end - start
    opening = _mean(curve, start, start + OPENING_BARS * bar)
    entered = next((s for s in music.sections if abs(s.start_seconds - start) <= near), None)
    value = OPENING * opening
    reasons = ["a phrase begins there" if entered is None else f"the {_name(entered)} begins there"]
    if entered is not None:
        value += ENTRY
    climax = _climax(music, start, end, bar)
    if climax is not None:
        place = float((climax.start_seconds - start) / length)
        # A climax in the last third has an introduction, and one on the first beat has none.
        value += CLIMAX * (1 - 0.5 * abs(place - 0.5)) * max(0.3, climax.energy)
        if end - climax.start_seconds < min(4 * bar, length / 4):
            value -= CUT_OFF
        if climax is not entered:
            reasons.append(f"the {_name(climax)} at {clock(climax.start_seconds)} is in it")
    ends = [s.stop_seconds for s in music.sections]
    if any(abs(e - end) <= near for e in ends):
        value += ENDING
        reasons.append(f"it ends with a section at {clock(end)}")
    elif any(abs(b - end) <= near for b in phrases):
        value += ENDING / 2
        reasons.append(f"it ends with a phrase at {clock(end)}")
    third = length / 3
    rise = _mean(curve, end - 2 * third, end) - _mean(curve, start, start + third)
    value += ARC * (0.5 * max(-0.5, min(0.5, rise)) + _mean(curve, start, end))
    return value, start, reasons


def _climax(music: Music, start: Fraction, end: Fraction, bar: Fraction) -> Section | None:
    """The strongest drop, or rise, that begins in a window and is heard for a bar."""
    found = [
        section
        for before, section in zip((None, *music.sections), music.sections, strict=False)
        if start - bar / 2 <= section.start_seconds <= end - bar
        and (
            section.label == "drop"
            or (before is not None and section.energy - before.energy >= RISE)
        )
    ]
    return max(found, key=lambda s: (s.label == "drop", s.energy, -s.start_seconds), default=None)


def _name(section: Section) -> str:
    return {"high": "high part", "low": "quiet part"}.get(section.label, section.label)


def _mean(
    curve: np.ndarray[tuple[int], np.dtype[np.float64]], start: Fraction, stop: Fraction
) -> float:
    part = curve[max(0, int(start * 10)) : max(1, int(stop * 10))]
    return float(part.mean()) if len(part) else 0.0


def _loudest(music: Music, length: Fraction, spare: Fraction) -> Window:
    """Without bars: where most is going on."""
    curve = np.array(music.energy_curve or (0.0,), float)
    size = max(1, min(len(curve), int(length * 10)))
    total = np.concatenate([[0.0], np.cumsum(curve)])
    means = total[size:] - total[:-size]
    start = min(spare, Fraction(int(np.argmax(np.round(means, 6))), 10))
    return Window(start, f"from {clock(start)}: no bars are known, most is going on there")
