"""From activations of a network to beats and bars: the most likely course of tempo, beats and metre over the whole music.

Both are found by dynamic programming: beats over (time, interval before the beat), as in `beats`, but with all tempi open, so
that the octave is decided by what lies on the beats and between them; bars over (metre, place in the bar).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from montage_dask.analysis.bars import Bars
from montage_dask.analysis.beat_network import ACTIVATION_RATE, STRIDE
from montage_dask.analysis.beats import (
    OTHER_TEMPO,
    REFINE_FRAMES,
    best_chain,
    expected_places,
    extended,
    fitting,
    refine,
)
from montage_dask.analysis.onset import FRAME_RATE, Envelopes, Floats
from montage_dask.analysis.phase import off_beat, silenced
from montage_dask.analysis.tempo import Doubles, Indices
from montage_dask.media.audio import ANALYSIS_RATE

SLOWEST_BPM, FASTEST_BPM = 48.0, 215.0

SUREST = 4.0
"""A logit beyond this counts as this: one beat that the network misses does not break a chain."""
AROUND_SECONDS = 0.7
CLEAR, SILENT = 0.4, 0.1
"""Where no activation within AROUND_SECONDS reaches CLEAR, beats cost less, down to this share."""
CHANGE_COST = 120.0
"""Cost of an interval unlike the one before it, times the squared logarithm of the ratio."""
WIDEST_CHANGE = 3
"""Neighbouring intervals differ by at most so many frames (35 ms), but for jumps."""
JUMP_COST = 20.0
"""Of any other interval: another song, another tempo."""
OCTAVE_COST = 60.0
"""Music that goes on in the same grid at half or twice the tempo, as seen from its longest part, must be that sure of it."""
STEADY_BEATS = 17
DRIFT_COST = 100.0
"""Small changes are cheap, and could add up to half a beat. So a second pass follows the tempo of so many beats around."""
GROUP = 16
"""Beats that speak together for one of two grids half a beat apart."""
FLIP_COST = 300.0
"""Of going over to the other grid at the same tempo: bands hardly ever do, however sure the network is of a loud off-beat.
Forty beats are the least that outweighs it."""
OWN_WEIGHT = 0.25
"""Of the network's own word against harmony and accents, when it is between two grids half a beat apart."""
PREFERRED_BPM, PREFERENCE = 115.0, 0.15
"""A little per beat and squared octave, where activations leave it open."""

METRES = (4, 3, 2, 5, 6, 7)
METRE_COST = {4: 0.0, 3: 0.02, 2: 0.6, 5: 0.12, 6: 0.25, 7: 0.25}
"""Per beat: what is rare needs evidence. Music in four sounds much like music in two."""
USUAL_SHARE = 0.25
"""Of the beats begin bars. A network that hears no bars at all would else speak for the longest ones, which have the fewest."""
METRE_CHANGE_COST = 8.0
"""Of another metre from one bar to the next."""
CUT_COST = 14.0
"""Of a bar that is cut short."""
ANYWHERE_WEIGHT = 2.0
"""Of what the network hears where nobody counts. In music it is next to nothing, in noise half of what it hears at best."""
DOWN_RATIO = 4.0
"""Largest logit of a downbeat that counts."""


def decode_beats(
    logits: Floats, strength: Doubles, samples: int, envelopes: Envelopes | None = None
) -> Doubles:
    """The times of all beats.

    Args:
        logits: of beats, shape (frames of the network,).
        strength: onset strength per frame of the envelopes, for the exact places; of `tempo.pulse`.
        samples: length of the music.
        envelopes: of the music: its harmony and accents may move stretches by half a beat, as in `phase`.

    Returns:
        Seconds, increasing, shape (beats,).
    """
    if len(strength) < 2:
        return np.zeros(0)
    gains = gains_of(logits, len(strength))
    chain = _chain(gains)
    if len(chain) > STEADY_BEATS:
        chain = _in_one_octave(gains, chain)
        period = _period(chain, len(strength))
        chain = best_chain(gains, period, DRIFT_COST, JUMP_COST)
        flipped = _flipped(gains, chain, period)
        if flipped.any():
            gains = _turned(gains, chain, flipped, period)
            chain = best_chain(gains, period, DRIFT_COST, JUMP_COST)
        if envelopes is not None:
            beats = chain / FRAME_RATE
            on, off = (
                _heard(logits, places) for places in (beats[:-1], (beats[1:] + beats[:-1]) / 2)
            )
            more = OWN_WEIGHT * (np.log(on + 0.02) - np.log(off + 0.02))
            moved = off_beat(envelopes, beats, more)
            if moved.any():
                rest = silenced(gains, beats, moved, -2 * SUREST)
                chain = best_chain(rest, period, DRIFT_COST, JUMP_COST)
    return extended(_placed(strength, chain) / FRAME_RATE, samples / ANALYSIS_RATE)


def _flipped(gains: Doubles, chain: Indices, period: Doubles) -> npt.NDArray[np.bool_]:
    """Which beats lie in stretches that have gone over to the grid half a beat beside that of the music; shape (beats,).

    The most likely course of "right" and "wrong" over groups of beats. What counts is whether the music keeps its grid: the chain
    itself may have slipped by half a beat between two groups.
    """
    count = max(1, round(len(chain) / GROUP))
    edges = np.linspace(0, len(chain) - 1, count + 1).astype(int)
    between = (chain[1:] + chain[:-1]) // 2
    gain = gains[chain[:-1]] - gains[between]
    # How far the chain runs ahead of its own pace, in beats.
    ahead = np.concatenate([[0.0], np.cumsum(np.diff(chain) / period[between] - 1)])
    parts = [slice(a, b + 1) for a, b in pairwise(edges)]
    places = np.array([np.median(ahead[part]) for part in parts])
    tempi = np.array([np.log(np.median(period[chain[part]])) for part in parts])
    slipped = np.abs(np.diff(places) % 1 - 0.5) < 0.25
    cost = np.where(np.abs(np.diff(tempi)) > OTHER_TEMPO, 0.0, FLIP_COST)
    rights = np.add.reduceat(gain, edges[:-1]) / 2
    best, jumps = np.array([rights[0], -rights[0]]), []
    for right, slip, dear in zip(rights[1:], slipped, cost, strict=True):
        stay, go = best - dear * slip, best[::-1] - dear * ~slip
        jumps.append(go > stay)
        best = np.maximum(stay, go) + np.array([right, -right])
    states = [int(best.argmax())]
    for jump in reversed(jumps):
        states.append(1 - states[-1] if jump[states[-1]] else states[-1])
    group = np.searchsorted(edges[1:-1], np.arange(len(chain)), "right")
    return np.array(states[::-1], bool)[group]


def _turned(
    gains: Doubles, chain: Indices, flipped: npt.NDArray[np.bool_], period: Doubles
) -> Doubles:
    """The gains, half a beat later where the network hears the off-beat: what it hears there tells where the beat is, too."""
    frames = np.arange(len(gains))
    nearest = np.searchsorted((chain[1:] + chain[:-1]) / 2, frames)
    late = np.where(flipped[nearest], frames - period / 2, frames)
    return np.interp(late, frames, gains)


def _placed(strength: Doubles, chain: Indices) -> Doubles:
    """Exact places in frames: on the attack, else as the neighbours expect, else (the tempo changes) as the network says."""
    attacks, weights = refine(strength, chain)
    if len(chain) < 4:
        return attacks
    expected = expected_places(attacks, weights)
    trust = np.clip(weights / 0.5, 0, 1)
    near = fitting(attacks, weights, expected)
    regular = np.abs(expected - chain) < REFINE_FRAMES
    steady = np.where(regular, expected, chain.astype(np.float64))
    places = np.where(near, expected + trust * (attacks - expected), steady)
    return np.asarray(np.maximum.accumulate(places))


def _in_one_octave(gains: Doubles, chain: Indices) -> Indices:
    """The chain, where neighbouring parts differ by an octave at the tempo of the longer one, unless beats speak against it."""
    usual = np.log(_usual_steps(chain))
    edges = np.flatnonzero(np.abs(np.diff(usual)) > OTHER_TEMPO) + 1
    parts = [chain[a : b + 1] for a, b in pairwise([0, *edges, len(usual)])]
    longest = max(range(len(parts)), key=lambda n: parts[n][-1] - parts[n][0])
    for way in (range(longest + 1, len(parts)), range(longest - 1, -1, -1)):
        beside = np.median(np.diff(parts[longest]))
        for number in way:
            onward = 1 if number > longest else -1
            parts[number] = _like(gains, parts[number][::onward], float(beside))[::onward]
            beside = np.median(np.diff(parts[number]))
    return np.unique(np.concatenate(parts))


def _like(gains: Doubles, part: Indices, beside: float) -> Indices:
    """Beats of a part, from where it meets another of so many frames per beat, in the octave of that."""
    octave = np.log2(np.abs(np.diff(part)).mean() / beside)
    between = (part[1:] + part[:-1]) // 2
    if abs(octave - 1) < OTHER_TEMPO and _best_near(gains, between) > -OCTAVE_COST:
        both = np.empty(2 * len(part) - 1, np.int64)
        both[::2], both[1::2] = part, between
        return both
    if abs(octave + 1) < OTHER_TEMPO and _best_near(gains, part[1::2]) < OCTAVE_COST:
        return part[::2]
    return part


def _best_near(gains: Doubles, places: Indices) -> float:
    """What beats at some places gain, or next to them."""
    around = places[:, None] + np.arange(-STRIDE, STRIDE + 1)
    return float(gains[np.clip(around, 0, len(gains) - 1)].max(1).sum())


def _usual_steps(chain: Indices) -> Doubles:
    """Frames per beat before each beat but the first: the median of STEADY_BEATS intervals around it."""
    steps = np.diff(chain).astype(np.float64)
    padded = np.pad(steps, STEADY_BEATS // 2, mode="edge")
    near = np.lib.stride_tricks.sliding_window_view(padded, STEADY_BEATS)
    usual = np.median(near, 1)
    # The median of whole frames is coarse; the mean of what is near it is not.
    alike = np.abs(near - usual[:, None]) <= WIDEST_CHANGE
    return np.asarray((near * alike).sum(1) / alike.sum(1))


def _period(chain: Indices, frames: int) -> Doubles:
    """Frames per beat at each frame: an interval's up to the beat that ends it. Where the tempo jumps nothing is in between."""
    return np.asarray(_usual_steps(chain)[np.searchsorted(chain[1:-1], np.arange(frames))])


def gains_of(logits: Floats, frames: int) -> Doubles:
    """What a beat at each frame of the envelopes gains, ±SUREST; shape (frames,).

    Where the network hears no beat at all, a beat costs little anywhere: breaks are crossed at the pace around them.
    """
    held = np.clip(logits.astype(np.float64), -SUREST, SUREST)
    heard = 1 / (1 + np.exp(-held))
    reach = round(AROUND_SECONDS * ACTIVATION_RATE)
    padded = np.pad(heard, reach, constant_values=heard.min())
    loudest = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(1)
    held = np.maximum(held, -SUREST * np.clip(loudest / CLEAR, SILENT, 1.0))
    return np.asarray(np.interp(np.arange(frames) / STRIDE, np.arange(len(held)), held))


def _chain(gains: Doubles) -> Indices:
    """Frames of the best chain of beats."""
    frames = len(gains)
    shortest, longest = int(60 * FRAME_RATE / FASTEST_BPM), int(60 * FRAME_RATE / SLOWEST_BPM)
    lags = np.arange(shortest, longest + 1)
    reach = np.arange(-WIDEST_CHANGE, WIDEST_CHANGE + 1)
    before = np.clip(np.arange(len(lags))[:, None] + reach, 0, len(lags) - 1)
    change = (CHANGE_COST * np.log(lags[before] / lags[:, None]) ** 2).astype(np.float32)
    change[(np.arange(len(lags))[:, None] + reach) != before] = np.inf
    octaves = np.log2(60 * FRAME_RATE / lags / PREFERRED_BPM)
    liked = (-PREFERENCE * octaves**2).astype(np.float32)
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
        near = score[
            previous, columns
        ]  # the steady course first: all other options are compared with it
        chosen = np.broadcast_to(columns, near.shape).copy()
        for step in range(len(reach)):
            if reach[step] == 0:
                continue
            other = score[previous, before[:, step]] - change[:, step]
            better = other > near
            near = np.where(better, other, near)
            chosen = np.where(better, before[:, step], chosen)
        jump = best[previous] - JUMP_COST
        better = jump > near
        near = np.where(better, jump, near)
        chosen = np.where(better, leader[previous], chosen)
        rows = near + liked + gains[at, None].astype(np.float32)
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


def decode_bars(logits: Floats, beats: Doubles, beats_per_bar: int | None = None) -> Bars:
    """Metre and first beats of the bars.

    Args:
        logits: of beat and downbeat, shape (frames of the network, 2).
        beats: seconds, shape (beats,).
        beats_per_bar: the metre, when it is known.
    """
    if len(beats) < 2:
        return Bars(beats_per_bar or 0, np.arange(min(1, len(beats)), dtype=np.int64))
    evidence = down_evidence(logits, beats)
    metres = (beats_per_bar,) if beats_per_bar else METRES
    metre = np.concatenate([np.full(m, m) for m in metres])
    place = np.concatenate([np.arange(m) for m in metres])
    down = place == 0
    cost = np.array([METRE_COST.get(int(m), 0.2) for m in metre])
    gain = np.where(down, evidence[:, None], 0.0) - cost
    ends = np.flatnonzero(place == metre - 1)
    states = np.arange(len(metre))
    best = gain[0].copy()
    back = np.empty((len(beats), len(metre)), np.int64)
    back[0] = states
    for beat in range(1, len(beats)):
        reached, follow = np.empty(len(metre)), states - 1
        inside = ~down
        reached[inside] = best[follow[inside]]
        follow = follow.copy()
        own = np.flatnonzero(down) + metre[down] - 1
        end, anywhere = ends[best[ends].argmax()], int(best.argmax())
        for state, last in zip(np.flatnonzero(down), own, strict=True):
            options = (
                (best[last], last),
                (best[end] - METRE_CHANGE_COST, end),
                (best[anywhere] - CUT_COST, anywhere),
            )
            reached[state], follow[state] = max(options)
        best = reached + gain[beat]
        back[beat] = follow
    path = np.empty(len(beats), np.int64)
    path[-1] = int(best.argmax())
    for beat in range(len(beats) - 1, 0, -1):
        path[beat - 1] = back[beat, path[beat]]
    usual = int(np.bincount(metre[path]).argmax())
    return Bars(usual, np.flatnonzero(place[path] == 0).astype(np.int64))


def down_evidence(logits: Floats, beats: Doubles) -> Doubles:
    """Per beat: log odds that it begins a bar, given that it is a beat; shape (beats,)."""
    at = np.round(beats * FRAME_RATE / STRIDE).astype(int)
    around = np.clip(at[:, None] + np.arange(-1, 2), 0, len(logits) - 1)
    down = logits[around, 1].max(1).astype(np.float64)
    beat = logits[around, 0].max(1).astype(np.float64)
    p_down = 1 / (1 + np.exp(-down))
    p_beat = np.maximum(1 / (1 + np.exp(-beat)), p_down)
    share = np.clip(p_down / p_beat, 1e-4, 1 - 1e-4)
    sure = _at_least(np.log(share / (1 - share)), USUAL_SHARE)
    # Where it hardly hears a beat it knows little of the bar, too.
    return np.asarray(np.clip(sure, -DOWN_RATIO, DOWN_RATIO) * np.clip(p_beat / 0.3, 0.05, 1.0))


def _at_least(odds: Doubles, share: float) -> Doubles:
    """Log odds, raised by the same amount where their mean probability is below a share."""
    low, high = 0.0, 20.0
    for _ in range(24):
        middle = (low + high) / 2
        enough = (1 / (1 + np.exp(-odds - middle))).mean() >= share
        low, high = (low, middle) if enough else (middle, high)
    return odds + low


def sureness(logits: Floats, beats: Doubles) -> float:
    """0 … 1: how sure the network is of the pulse: of the beats, or of the places between them, against those between both.

    Loud off-beats (riffs, ska, polka) leave open which of the two is the beat, and that costs up to a half; that there is a
    beat they do not leave open. In noise, rain or speech the network hears a little of a beat everywhere.
    """
    if len(beats) < 4 or not len(logits):
        return 0.0
    on, off, quarters = _shares(logits, beats)
    pulse = max(on, off) - ANYWHERE_WEIGHT * quarters
    return float(np.clip(pulse * (1 - 0.5 * min(1.0, off / max(on, 1e-6))), 0.0, 1.0))


def rivalry(logits: Floats, beats: Doubles) -> tuple[float, float]:
    """How strongly the network hears another reading of the beat; each about 1 where both are alike.

    Returns:
        What is between the beats against the beats: twice the tempo, or the same half a beat later. And the softer of every
        second beat and the others against the other: half the tempo is a rival where this is low.
    """
    if len(beats) < 4 or not len(logits):
        return 0.0, 1.0
    on, off, _ = _shares(logits, beats)
    turns = [float(_heard(logits[:, 0], part).mean()) for part in (beats[::2], beats[1::2])]
    return off / max(on, 1e-6), min(turns) / max(*turns, 1e-6)


def _shares(logits: Floats, beats: Doubles) -> tuple[float, float, float]:
    """What the network hears of a beat on the beats, halfway, and a quarter of the way to the next one and to the last; means."""
    before, behind = beats[:-1], beats[1:]
    quarters = np.concatenate([(3 * before + behind) / 4, (before + 3 * behind) / 4])
    places = (beats, (before + behind) / 2, quarters)
    on, off, quarter = (float(_heard(logits[:, 0], p).mean()) for p in places)
    return on, off, quarter


def _heard(logits: Floats, places: Doubles) -> Doubles:
    """Largest probability within a frame of each place."""
    at = np.round(places * FRAME_RATE / STRIDE).astype(int)
    around = np.clip(at[:, None] + np.arange(-1, 2), 0, len(logits) - 1)
    return np.asarray(1 / (1 + np.exp(-logits[around].max(1).astype(np.float64))))


def tempo_of(beats: Doubles, frames: int) -> Doubles:
    """Tempo per frame of the envelopes, of the intervals between beats; shape (frames,)."""
    steps = np.diff(beats)
    middles = (beats[1:] + beats[:-1]) / 2 * FRAME_RATE
    return np.asarray(60.0 / np.interp(np.arange(frames), middles, steps))
