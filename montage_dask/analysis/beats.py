"""Beats: the chain of onsets that follows the tempo path best, refined below one frame.

The chain is found by dynamic programming over (time of the beat, interval before it), as in a
bar-pointer model whose tempo changes only at beats. It looks at the whole music at once, so that
breaks without drums are crossed at the pace that fits what comes before and behind them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from montage_dask.analysis.onset import FRAME_RATE, HOP
from montage_dask.analysis.tempo import Doubles, Indices
from montage_dask.media.audio import ANALYSIS_RATE

DRIFT_COST = 25.0
"""Cost of running a whole beat ahead of the tempo path or behind it."""
CHANGE_COST = 150.0
"""Cost of an interval unlike the one before it, times the squared logarithm of the ratio."""
WIDEST_CHANGE = 4
"""Neighbouring intervals differ by at most so many frames (46 ms), but for jumps."""
OTHER_TEMPO = 0.06
"""Tempi that differ by more (natural logarithm) are of another song, another part."""
TEMPO_RANGE = 1.25
"""Intervals may be so much shorter or longer than the tempo path says anywhere."""

REFINE_FRAMES = 3
"""The attack of a beat is searched within this distance (35 ms)."""
ATTACK_FRAMES = 0.35
"""Where the peak of the flux lies behind the attack, in frames; measured on exact truth."""
NEIGHBOURS = 6
"""Beats on each side that vote where a weak beat must be."""
AROUND: Indices = np.arange(-NEIGHBOURS, NEIGHBOURS + 1)
STEADY_FRAMES = 0.02 * FRAME_RATE
"""A beat further than this (20 ms) from where its neighbours expect it is noise, not rhythm."""


def track_beats(strength: Doubles, bpm: Doubles, samples: int) -> Doubles:
    """The times of all beats from the start to the end of the music.

    Args:
        strength: onset strength per frame, of `tempo.pulse`.
        bpm: tempo per frame, of `tempo.tempo_path`.
        samples: length of the music.

    Returns:
        Seconds, increasing, shape (beats,).
    """
    if len(strength) < 2:
        return np.zeros(0)
    chain = best_chain(strength, 60.0 * FRAME_RATE / bpm)
    attacks, weights = refine(strength, chain)
    steady = steadied(attacks, weights) / FRAME_RATE
    return extended(steady, samples / ANALYSIS_RATE)


def best_chain(
    strength: Doubles,
    period: Doubles,
    drift_cost: float = DRIFT_COST,
    jump_cost: float = np.inf,
) -> Indices:
    """Frames of the best chain of beats near a course of the tempo.

    Args:
        strength: what a beat at each frame gains.
        period: frames per beat, for each frame.
        drift_cost: of running a whole beat ahead of that course or behind it.
        jump_cost: of an interval that has nothing to do with the one before it, where that course jumps.
    """
    frames = len(strength)
    shortest = max(4, int(period.min() / TEMPO_RANGE))
    longest = max(shortest + 2, round(period.max() * TEMPO_RANGE))
    lags = np.arange(shortest, longest + 1)
    reach = np.arange(-WIDEST_CHANGE, WIDEST_CHANGE + 1)
    before = np.clip(np.arange(len(lags))[:, None] + reach, 0, len(lags) - 1)
    change = CHANGE_COST * np.log(lags[before] / lags[:, None]) ** 2
    change[(np.arange(len(lags))[:, None] + reach) != before] = np.inf
    # Row t + longest is frame t; the rows before frame 0 say "no beat yet" at no cost.
    score = np.zeros((frames + longest, len(lags)), np.float32)
    best = np.zeros(frames + longest, np.float32)
    leader = np.zeros(frames + longest, np.int64)
    back = np.zeros((frames, len(lags)), np.int16)
    columns = np.arange(len(lags))
    # Frames of one block are at least one interval away from the beats that they follow.
    for start in range(0, frames, shortest):
        at = np.arange(start, min(start + shortest, frames))
        previous = at[:, None] - lags + longest
        options = score[previous[:, :, None], before] - change
        chosen = options.argmax(2)
        reached = np.take_along_axis(options, chosen[:, :, None], 2)[:, :, 0]
        chosen = before[columns, chosen]
        # Nearly nowhere does the tempo jump: there is nothing to be computed then.
        around = period[max(start - longest, 0) : at[-1] + 1]
        if np.log(around.max() / around.min()) > OTHER_TEMPO:
            came = period[np.maximum(at[:, None] - lags, 0)]
            jumps = np.abs(np.log(period[at, None] / came)) > OTHER_TEMPO
            jump = np.where(jumps, best[previous] - jump_cost, -np.inf)
            chosen = np.where(jump > reached, leader[previous], chosen)
            reached = np.maximum(jump, reached)
        # The whole number of frames next to the period costs nothing; beyond it every frame of drift
        # costs the same, so that creeping over to the off-beat is as dear as jumping there.
        off = np.maximum(np.abs(lags / period[at, None] - 1) - 0.5 / period[at, None], 0.0)
        rows = reached + strength[at, None] - drift_cost * off
        score[at + longest] = rows
        leader[at + longest] = rows.argmax(1)
        best[at + longest] = rows.max(1)
        back[at] = chosen
    final = score[max(longest, frames) :]
    row, lag = np.unravel_index(int(final.argmax()), final.shape)
    frame = int(row) + max(longest, frames) - longest
    found = []
    while frame >= 0:
        found.append(frame)
        lag, frame = back[frame, lag], frame - int(lags[lag])
    return np.array(found[::-1], np.int64)


def refine(strength: Doubles, chain: Indices) -> tuple[Doubles, Doubles]:
    """The attack next to every beat, between the frames, and how strong it is.

    Returns:
        Positions in frames and strengths ≥ 0; both of shape (beats,).
    """
    last = len(strength) - 1
    around = chain[:, None] + np.arange(-REFINE_FRAMES, REFINE_FRAMES + 1)
    near = strength[np.clip(around, 0, last)]
    near = near * np.where((around < 0) | (around > last), 0.0, 1.0)
    # A louder onset further away is more likely a neighbour (swing, a flam) than the beat.
    slope = 1.0 - 0.1 * np.abs(np.arange(-REFINE_FRAMES, REFINE_FRAMES + 1))
    peak = np.take_along_axis(around, (near * slope).argmax(1)[:, None], 1)[:, 0]
    peak = np.clip(peak, 0, last)
    left = strength[np.maximum(peak - 1, 0)]
    middle = strength[peak]
    right = strength[np.minimum(peak + 1, last)]
    curve = left - 2 * middle + right
    shift = np.where(curve < -1e-9, 0.5 * (left - right) / np.minimum(curve, -1e-9), 0.0)
    attack = np.where(middle > 0.05, peak + np.clip(shift, -0.5, 0.5) - ATTACK_FRAMES, chain)
    return attack, middle


def steadied(positions: Doubles, weights: Doubles) -> Doubles:
    """Beats without an attack of their own are placed where their neighbours expect them."""
    if len(positions) < 4:
        return positions
    expected = expected_places(positions, weights)
    trust = np.clip(weights / 0.5, 0, 1) * fitting(positions, weights, expected)
    return np.asarray(np.maximum.accumulate(expected + trust * (positions - expected)))


def fitting(positions: Doubles, weights: Doubles, expected: Doubles) -> npt.NDArray[np.bool_]:
    """Which attacks are where the neighbours of both sides, or of one alone, expect them; shape (beats,).

    Where files were joined, the beats before the joint and those behind it have nothing to say to each other.
    """
    near = np.abs(positions - expected) < STEADY_FRAMES
    for side in (np.arange(-NEIGHBOURS, 0), np.arange(1, NEIGHBOURS + 1)):
        alone = expected_places(positions, weights, side)
        near |= np.abs(positions - alone) < STEADY_FRAMES / 2
    return np.asarray(near)


def expected_places(positions: Doubles, weights: Doubles, offsets: Indices = AROUND) -> Doubles:
    """Where the neighbours of each beat expect it, in the unit of `positions`: frames; NaN where it has none.

    Args:
        positions: of the attacks, shape (beats,).
        weights: how strong they are, shape (beats,).
        offsets: which neighbours speak, 0 being the beat itself.
    """
    count = len(positions)
    index = np.arange(count)[:, None] + offsets
    inside = (index >= 0) & (index < count)
    near = positions[np.clip(index, 0, count - 1)]
    weight = (weights[np.clip(index, 0, count - 1)] + 0.02) * inside
    weight = weight * (1 - (np.abs(offsets) / (NEIGHBOURS + 1)) ** 2)
    # Fewer than three on one side say nothing of the pace.
    weight[inside.sum(1) < min(3, count)] = np.nan
    expected = positions
    for _ in range(3):
        # A weighted straight line through the neighbours, again without those that are far off.
        total = weight.sum(1)
        x = (weight * offsets).sum(1) / total
        y = (weight * near).sum(1) / total
        spread = (weight * (offsets - x[:, None]) ** 2).sum(1)
        slope = (weight * (offsets - x[:, None]) * (near - y[:, None])).sum(1) / spread
        expected = y - slope * x
        line = expected[:, None] + slope[:, None] * offsets
        weight = weight / (1 + (np.abs(near - line) / STEADY_FRAMES) ** 2)
    return np.asarray(expected)


def extended(beats: Doubles, duration_seconds: float) -> Doubles:
    """The beats, continued at the pace of the nearest eight to the start and the end."""
    if len(beats) < 3:
        return beats
    first = float(np.median(np.diff(beats[:9])))
    last = float(np.median(np.diff(beats[-9:])))
    before = np.arange(1, int((beats[0] + 0.03) / first) + 1)
    behind = np.arange(1, max(0, int((duration_seconds - beats[-1]) / last)) + 1)
    joined = np.concatenate([beats[0] - before[::-1] * first, beats, beats[-1] + behind * last])
    joined = np.maximum(joined, 0.0)
    return np.asarray(joined[np.concatenate([[True], np.diff(joined) > 0.05])])


def to_samples(beats: Doubles) -> Indices:
    """Seconds to whole samples at ANALYSIS_RATE."""
    return np.round(beats * ANALYSIS_RATE).astype(np.int64)


def to_frames(beats: Doubles, frames: int) -> Indices:
    """Seconds to the nearest frames of the envelopes."""
    return np.clip(np.round(beats * ANALYSIS_RATE / HOP).astype(np.int64), 0, max(0, frames - 1))


def regular_grid(strength: Doubles, bpm: float, duration_seconds: float) -> Doubles:
    """Beats of a constant tempo, shifted so that they meet the most onsets; seconds."""
    period = 60.0 / bpm
    steps = np.arange(0.0, period, 0.25 / FRAME_RATE)
    count = max(1, int(duration_seconds / period))
    grid = (steps[:, None] + np.arange(count) * period) * FRAME_RATE
    read = np.interp(grid, np.arange(len(strength)), strength)
    phase = float(steps[int(read.mean(1).argmax())]) - ATTACK_FRAMES / FRAME_RATE
    phase %= period
    return np.arange(phase, max(duration_seconds, phase + 1e-6), period)
