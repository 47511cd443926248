"""On the beat or between: which of two interleaved grids carries the bar.

An off-beat hat, bass or guitar may be louder and busier than the beat itself, so that onsets alone
put the grid half a beat off. Harmony tells better: chords change at one place of the bar, and that
place is a beat; so is the place of the strongest accent, less surely. Stretches of the music vote
separately, because a track may hold several songs, or be off in one part only.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from montage_dask.analysis.bars import between, strength_at
from montage_dask.analysis.beats import track_beats
from montage_dask.analysis.onset import FRAME_RATE, Envelopes
from montage_dask.analysis.tempo import Doubles, loudness_rise

STRETCH = 64
"""Beats that vote together (16 bars)."""
FEWEST = 24
"""So few beats do not tell one place of the bar from another."""
HARMONY_WEIGHT = 8.0
"""Against each accent. Neighbouring places share most of what is compared, so ratios are small."""
STILL = 2e-4
"""Changes of harmony below this are noise: music on one chord. In metal, whose noise hides them most, they are 0.001 and more."""
CLEAREST = 0.6
"""A log ratio beyond this counts as this."""
LARGEST_VOTE = 3.0
KEEP = 0.4
"""What a stretch must gain to be moved."""
SWITCH_COST = 2.0
"""A song keeps its phase: a change needs lasting evidence."""
MUTED = 0.2
"""Of a beat on each side of a wrong one is silenced when the grid is laid again."""
SPAN = 4
"""Half beats before and behind a place whose harmonies are compared."""
BARS = (6, 8)
"""Half beats in a bar of three and of four."""


def settle_phase(envelopes: Envelopes, strength: Doubles, bpm: Doubles, beats: Doubles) -> Doubles:
    """The beats, laid anew in stretches where they fall between the true ones.

    Args:
        envelopes: of the music.
        strength: of `tempo.pulse`.
        bpm: tempo per frame.
        beats: seconds, of `track_beats`.
    """
    moved = off_beat(envelopes, beats)
    if not moved.any():
        return beats
    return track_beats(silenced(strength, beats, moved, 0.0), bpm, envelopes.samples)


def off_beat(
    envelopes: Envelopes, beats: Doubles, more: Doubles | None = None
) -> npt.NDArray[np.bool_]:
    """Which beats lie in stretches whose grid falls between the true beats; shape (beats,).

    Args:
        envelopes: of the music.
        beats: seconds.
        more: other evidence per beat but the last, > 0 where it is better than the place behind it.
    """
    if len(beats) < FEWEST:
        return np.zeros(len(beats), bool)
    votes = _votes(envelopes, beats)
    if more is not None:
        stops = [(index + 1) * STRETCH for index in range(len(votes) - 1)] + [len(beats)]
        votes += [float(more[i * STRETCH : stop].mean()) for i, stop in enumerate(stops)]
    wrong = _wrong(votes)
    return np.asarray(wrong[np.minimum(np.arange(len(beats)) // STRETCH, len(wrong) - 1)])


def silenced(
    strength: Doubles, beats: Doubles, moved: npt.NDArray[np.bool_], silence: float
) -> Doubles:
    """The strength without the wrong grid, everywhere, else the right stretches could follow the moved ones off."""
    steps = np.gradient(beats)
    rest = strength.copy()
    for place, reach in zip(np.where(moved, beats, beats + steps / 2), steps * MUTED, strict=True):
        first = max(0, round((place - reach) * FRAME_RATE))
        rest[first : max(0, round((place + reach) * FRAME_RATE) + 1)] = silence
    return rest


def _votes(envelopes: Envelopes, beats: Doubles) -> Doubles:
    """Per stretch: > 0 when the beats carry the bar, < 0 when the places between them do."""
    halves = np.empty(2 * len(beats) - 1)
    halves[::2] = beats
    halves[1::2] = (beats[1:] + beats[:-1]) / 2
    evidence = [
        HARMONY_WEIGHT * _leanings(_harmony_change(envelopes, halves), STILL),
        _leanings(strength_at(loudness_rise(envelopes), halves)),
        _leanings(strength_at(loudness_rise(envelopes, low=True), halves)),
    ]
    return np.asarray(np.clip(sum(evidence), -LARGEST_VOTE, LARGEST_VOTE))


def _leanings(values: Doubles, least: float = 1e-12) -> Doubles:
    """Per stretch, whether the strongest place of the bar is a beat: log ratio to the strongest between."""
    step = 2 * STRETCH
    # A short rest at the end votes with the stretch before it.
    count = max(1, round(len(values) / step))
    stops = [(index + 1) * step for index in range(count - 1)] + [len(values)]
    return np.array([_leaning(values[i * step : stops[i]], least) for i in range(count)])


def _leaning(values: Doubles, least: float) -> float:
    found, clearest = 0.0, 0.0
    for places in BARS:
        mean = np.array([values[place::places].mean() for place in range(places)])
        clear = float(mean.max() / (mean.mean() + 1e-12))
        if clear > clearest:
            clearest = clear
            floor = 0.01 * float(mean.max()) + least
            found = float(np.log((mean[::2].max() + floor) / (mean[1::2].max() + floor)))
    return float(np.clip(found, -CLEAREST, CLEAREST))


def _harmony_change(envelopes: Envelopes, halves: Doubles) -> Doubles:
    """How unlike the harmonies before and behind each half beat are, 0 … 1; 0 at both ends."""
    chroma = between(np.sqrt(envelopes.chroma.astype(np.float64)), halves)
    total = np.concatenate([np.zeros((1, chroma.shape[1])), np.cumsum(chroma, 0)])
    at = np.arange(SPAN, len(halves) - SPAN)
    before, behind = total[at] - total[at - SPAN], total[at + SPAN] - total[at]
    sizes = np.linalg.norm(before, axis=1) * np.linalg.norm(behind, axis=1)
    alike = (before * behind).sum(1) / np.maximum(sizes, 1e-12)
    change = np.zeros(len(halves))
    change[at] = np.where(sizes > 1e-9, np.maximum(1.0 - alike, 0.0), 0.0)
    return change


def _wrong(votes: Doubles) -> npt.NDArray[np.bool_]:
    """Which stretches to move: the best course of "right" (0) and "wrong" (1)."""
    gains = np.stack([votes + KEEP, -votes], 1)
    best, jumps = gains[0], []
    for gain in gains[1:]:
        jump = best[::-1] - SWITCH_COST > best
        jumps.append(jump)
        best = np.where(jump, best[::-1] - SWITCH_COST, best) + gain
    states = [int(best.argmax())]
    for jump in reversed(jumps):
        states.append(1 - states[-1] if jump[states[-1]] else states[-1])
    return np.array(states[::-1], bool)
