"""Metre and downbeats: which beats carry the low accent and the change of harmony."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from montage_dask.analysis.beats import to_frames
from montage_dask.analysis.onset import FRAME_RATE, Envelopes
from montage_dask.analysis.tempo import Doubles, Indices, normalised, smoothed

METRES = (4, 3)
JUMP_COST = 30.0
"""Cost of a bar that is cut short or too long: only lasting evidence moves the downbeat."""
HARMONY_WEIGHT = 1.0
LOW_WEIGHT = 1.0
WALTZ_MARGIN = 0.06
"""Three beats must repeat themselves so much better than four: most music is in four."""
ATTACK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Bars:
    """How beats group into bars."""

    beats_per_bar: int
    """3 or 4; 0 when there are too few beats to tell."""
    downbeats: Indices
    """Indices of the first beats of bars."""


def find_bars(envelopes: Envelopes, beats: Doubles, beats_per_bar: int | None = None) -> Bars:
    """The metre and the first beats of the bars.

    Args:
        envelopes: of the music.
        beats: seconds, shape (beats,).
        beats_per_bar: the metre, when it is known.
    """
    if len(beats) < 4 or not envelopes.flux.any():
        metre = beats_per_bar or 0
        return Bars(metre, np.arange(0, len(beats), metre or 4, dtype=np.int64))
    features = _beat_features(envelopes, beats)
    metre = beats_per_bar or _metre(features)
    accent = LOW_WEIGHT * features[:, 0] + HARMONY_WEIGHT * features[:, 1]
    return Bars(metre, _downbeats(accent, metre))


def strength_at(strength: Doubles, beats: Doubles) -> Doubles:
    """Largest onset strength near each beat; shape (beats,)."""
    reach = round(ATTACK_SECONDS * FRAME_RATE)
    frames = to_frames(beats, len(strength))[:, None] + np.arange(-reach, reach + 1)
    return np.asarray(strength[np.clip(frames, 0, len(strength) - 1)].max(1))


def between(values: Doubles, beats: Doubles) -> Doubles:
    """Mean of each column from each beat to the next; shape (beats, columns).

    Args:
        values: shape (frames, columns).
        beats: seconds.
    """
    frames = to_frames(beats, len(values))
    ends = np.append(frames[1:], len(values))
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, 0)])
    ends = np.maximum(ends, frames + 1)
    return np.asarray((total[ends] - total[frames]) / (ends - frames)[:, None])


def _beat_features(envelopes: Envelopes, beats: Doubles) -> Doubles:
    """Low accent, change of timbre and overall accent per beat, each standardised."""
    low = strength_at(normalised(envelopes.low_flux), beats)
    power = np.log1p(np.sqrt(envelopes.low_power.astype(np.float64)) * 1e3)
    bass = between(power[:, None], beats)[:, 0]
    timbre = between(envelopes.timbre.astype(np.float64), beats)
    timbre /= timbre.std(0) + 1e-6
    change = np.zeros(len(beats))
    change[1:] = np.sqrt(((timbre[1:] - timbre[:-1]) ** 2).mean(1))
    accent = strength_at(normalised(envelopes.flux), beats)
    columns = [_standard(low) + 0.5 * _standard(bass), _standard(change), _standard(accent)]
    return np.stack(columns, 1)


def _standard(values: Doubles) -> Doubles:
    """Relative to the surroundings of some bars, in standard deviations, without outliers."""
    local = values - smoothed(values, 17 / FRAME_RATE)
    return np.asarray(np.clip(local / (local.std() + 1e-6), -2.5, 2.5))


def _metre(features: Doubles) -> int:
    """3 or 4: after how many beats the pattern of accents and sounds returns."""

    def repeats(lag: int) -> float:
        if len(features) < 2 * lag:
            return 0.0
        products = (features[lag:] * features[:-lag]).sum(1)
        return float(products.mean() / ((features**2).sum(1).mean() + 1e-6))

    three = 0.5 * (repeats(3) + repeats(6))
    four = 0.5 * (repeats(4) + repeats(8))
    return 3 if three > four + WALTZ_MARGIN else 4


def _downbeats(accent: Doubles, metre: int) -> Indices:
    """The best positions in the bar, counted on from beat to beat, with rare jumps."""
    count = len(accent)
    positions = np.arange(metre)
    # A downbeat gains by its accent; the other beats lose by theirs.
    gain = np.where(positions[None, :] == 0, accent[:, None], -accent[:, None] / (metre - 1))
    best = gain[0]
    back = np.empty((count, metre), np.int64)
    back[0] = positions
    follow = (positions - 1) % metre
    for beat in range(1, count):
        jump = int(best.argmax())
        jumps = best[jump] - JUMP_COST > best[follow]
        back[beat] = np.where(jumps, jump, follow)
        best = np.where(jumps, best[jump] - JUMP_COST, best[follow]) + gain[beat]
    position = int(best.argmax())
    found = []
    for beat in range(count - 1, -1, -1):
        if position == 0:
            found.append(beat)
        position = int(back[beat, position])
    return np.array(found[::-1], np.int64)
