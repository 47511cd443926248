"""Half, whole or double tempo, decided by loudness.

The tempo path comes from log spectra, in which a soft hi-hat counts nearly as much as a drum. What people
tap is what is loud: beats that are loud in turns are half beats, and beats with
equally loud onsets between them are every second one.
"""

from __future__ import annotations

import numpy as np

from montage_dask.analysis.bars import strength_at
from montage_dask.analysis.beats import track_beats
from montage_dask.analysis.onset import Envelopes
from montage_dask.analysis.phase import settle_phase
from montage_dask.analysis.tempo import Doubles, TempoPath, loudness_rise, scaled

GROUP = 16
"""Beats that are compared at once; long enough for four bars, short enough for one section."""
SOFT_TURN = 0.25
"""Every second beat is so much softer: it is no beat."""
LOUD_BETWEEN = 0.25
"""Onsets between the beats are so loud, relative to the beats: they may be beats."""
EVEN = 0.6
"""They are only if the beats themselves are this even; else the beats are halves already."""
SLOWEST_BPM, FASTEST_BPM = 58.0, 185.0
"""No change of octave leads out of this range."""


def settle_octave(
    envelopes: Envelopes, strength: Doubles, tempo: TempoPath
) -> tuple[TempoPath, Doubles]:
    """The tempo path in the octave that people would tap, and its beats in seconds, in phase."""
    tempo, beats = _in_octave(envelopes, strength, tempo)
    return tempo, settle_phase(envelopes, strength, tempo.bpm, beats)


def _in_octave(
    envelopes: Envelopes, strength: Doubles, tempo: TempoPath
) -> tuple[TempoPath, Doubles]:
    beats = track_beats(strength, tempo.bpm, envelopes.samples)
    if len(beats) < GROUP:
        return tempo, beats
    turn, middle = _evenness(loudness_rise(envelopes), beats)
    median = float(np.median(tempo.bpm))
    factor = 1.0
    if turn < SOFT_TURN and median / 2 >= SLOWEST_BPM:
        factor = 0.5
    elif turn > EVEN and middle > LOUD_BETWEEN and median * 2 <= FASTEST_BPM:
        factor = 2.0
    if factor == 1.0:
        return tempo, beats
    settled = scaled(strength, tempo, factor)
    return settled, track_beats(strength, settled.bpm, envelopes.samples)


def _evenness(rise: Doubles, beats: Doubles) -> tuple[float, float]:
    """Softer turn over louder turn, and between the beats over on them; medians over groups."""
    on = strength_at(rise, beats)[:-1]
    off = strength_at(rise, (beats[1:] + beats[:-1]) / 2)
    floor = 0.05 * float(on.mean()) + 1e-9
    turns, middles = [], []
    for start in range(0, max(1, len(on) - GROUP + 1), GROUP):
        group = on[start : start + GROUP]
        first, second = float(group[::2].mean()), float(group[1::2].mean())
        # Breaks say nothing.
        if max(first, second) < 4 * floor:
            continue
        turns.append(min(first, second) / max(first, second))
        middles.append(float(off[start : start + GROUP].mean() / group.mean()))
    if not turns:
        return 1.0, 0.0
    return float(np.median(turns)), float(np.median(middles))
