"""Energy over time and the sections of the music: intro, low, build, high, drop, outro."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np

from montage_dask.analysis.bars import between
from montage_dask.analysis.onset import FRAME_RATE, Envelopes
from montage_dask.analysis.tempo import Doubles, Indices, smoothed
from montage_dask.media.audio import ANALYSIS_RATE
from montage_dask.records import Section

CURVE_RATE = 10
"""Values of the energy curve per second."""
RANGE_DB = 30.0
"""So far below the loud parts of a track its energy is 0."""
QUIETEST = 1e-7
"""Mean square (-70 dBFS) below which nothing is heard, however quiet the rest is."""
LOUDNESS_SHARE = 0.75
"""Of the energy; the rest is how busy the onsets are."""

MINIMUM_BARS = 4
"""A section is at least so long."""
NOVELTY = 0.65
"""Change between neighbouring parts, in standard deviations of the bars, that is a new section."""
DROP_RISE = 0.15
"""Energy that enters at once where a drop begins."""
BUILD_RISE = 0.12
"""Energy gained from the first to the last third of a build."""
HIGH_ENERGY, LOW_ENERGY = 0.66, 0.4


def frame_energy(envelopes: Envelopes) -> Doubles:
    """Energy of the music, 0 … 1, relative to its own loud parts; shape (frames,)."""
    power = smoothed(envelopes.power.astype(np.float64), 0.4)
    loud = float(np.percentile(power, 95)) if len(power) else 0.0
    if loud < QUIETEST:
        return np.zeros(len(power))
    loudness = np.clip(1 + 10 * np.log10(power / loud + 1e-12) / RANGE_DB, 0, 1)
    busy = smoothed(envelopes.flux.astype(np.float64), 1.0)
    busy = np.clip(busy / (np.percentile(busy, 95) + 1e-6), 0, 1)
    energy = LOUDNESS_SHARE * loudness + (1 - LOUDNESS_SHARE) * busy
    return np.asarray(np.where(power < QUIETEST, 0.0, np.clip(energy, 0, 1)))


def energy_curve(envelopes: Envelopes, energy: Doubles) -> tuple[float, ...]:
    """`frame_energy` ten times a second, from 0 s to the end of the music."""
    values = -(-envelopes.samples * CURVE_RATE // ANALYSIS_RATE)
    at = np.arange(max(1, values)) / CURVE_RATE * FRAME_RATE
    read = np.interp(at, np.arange(len(energy)), energy)
    return tuple(round(float(v), 4) for v in read)


def find_sections(
    envelopes: Envelopes,
    energy: Doubles,
    beats: tuple[Fraction, ...],
    downbeats: Indices,
    duration_seconds: Fraction,
) -> tuple[Section, ...]:
    """Sections that cover the whole music; all inner bounds are downbeats.

    Args:
        envelopes, energy: of the music; `energy` of `frame_energy`.
        beats: seconds.
        downbeats: indices into beats.
        duration_seconds: of the music.
    """
    if duration_seconds <= 0:
        return ()
    starts = [beats[i] for i in downbeats if beats[i] < duration_seconds]
    bounds = [Fraction(0), duration_seconds]
    if len(starts) >= 2 * MINIMUM_BARS:
        features = _bar_features(envelopes, energy, np.array([float(s) for s in starts]))
        inner = [starts[i] for i in _changes(features)]
        bounds = [Fraction(0), *inner, duration_seconds]
    frames = [round(float(b) * FRAME_RATE) for b in bounds]
    parts = [energy[a : max(b, a + 1)] for a, b in pairwise(frames)]
    labels = _labels(parts)
    return tuple(
        Section(start, stop, label, round(float(part.mean()) if len(part) else 0.0, 4))
        for start, stop, label, part in zip(bounds[:-1], bounds[1:], labels, parts, strict=True)
    )


def _bar_features(envelopes: Envelopes, energy: Doubles, starts: Doubles) -> Doubles:
    """Energy, bass, density and timbre per bar, standardised; shape (bars, features)."""
    power = envelopes.power.astype(np.float64)
    bass = np.log10(envelopes.low_power.astype(np.float64) + QUIETEST)
    flux = np.sqrt(envelopes.flux.astype(np.float64))
    level = np.log10(power + QUIETEST)
    columns = np.column_stack([energy, level, bass, flux, envelopes.timbre.astype(np.float64)])
    bars = between(columns, starts)
    spread = bars.std(0)
    # A coefficient that hardly moves must not be blown up to the size of the others.
    bars = (bars - bars.mean(0)) / np.maximum(spread, 0.05)
    weights = np.array([1.5, 1.0, 1.0, 1.0] + [0.6] * envelopes.timbre.shape[1])
    return np.asarray(bars * weights / np.sqrt((weights**2).sum()))


def _changes(features: Doubles) -> list[int]:
    """Bars that begin a section: peaks of the difference between what is before and behind."""
    count = len(features)
    total = np.concatenate([np.zeros((1, features.shape[1])), np.cumsum(features, 0)])
    novelty = np.zeros(count)
    for size in (2, 4, 8):
        at = np.arange(1, count)
        low, high = np.maximum(at - size, 0), np.minimum(at + size, count)
        before = (total[at] - total[low]) / (at - low)[:, None]
        behind = (total[high] - total[at]) / (high - at)[:, None]
        # Few bars at the ends are no evidence of a part of their own.
        sure = np.sqrt(np.minimum(at - low, high - at) / size)
        novelty[1:] += sure * np.sqrt(((behind - before) ** 2).sum(1)) / 3
    found: list[int] = []
    for bar in np.argsort(-novelty, kind="stable"):
        if novelty[bar] < NOVELTY:
            break
        if min(bar, count - bar) < MINIMUM_BARS:
            continue
        if all(abs(int(bar) - other) >= MINIMUM_BARS for other in found):
            found.append(int(bar))
    return sorted(found)


def _labels(parts: list[Doubles]) -> list[str]:
    """What each part is, from its energy, its course and what comes before it."""
    means = [float(p.mean()) if len(p) else 0.0 for p in parts]
    top = max(means)
    labels = []
    for i, (part, mean) in enumerate(zip(parts, means, strict=True)):
        third = max(1, len(part) // 3)
        rise = float(part[-third:].mean() - part[:third].mean()) if len(part) else 0.0
        relative = mean / top if top > 0 else 0.0
        previous = means[i - 1] if i else mean
        last, first = i == len(parts) - 1, i == 0
        if first and len(parts) > 1 and relative < 0.85:
            label = "intro"
        elif last and len(parts) > 1 and relative < 0.85:
            label = "outro"
        elif i and mean - previous > DROP_RISE and relative > 0.85:
            label = "drop"
        elif rise > BUILD_RISE and not last and means[i + 1] > mean:
            label = "build"
        elif mean > HIGH_ENERGY or (relative > 0.9 and mean > LOW_ENERGY):
            label = "high"
        else:
            label = "low"
        labels.append(label)
    return labels
