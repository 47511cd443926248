"""The tempo at every moment: a tempogram of the onset envelope and the best path through it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from montage_dask.analysis.onset import FRAME_RATE, Envelopes, Floats
from montage_dask.records import TempoAlternative

Doubles = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

SLOWEST_BPM, FASTEST_BPM = 50.0, 210.0
STEP = 0.015
"""Neighbouring tempi of the grid differ by this (natural logarithm)."""
TEMPI: Doubles = np.exp(np.arange(np.log(SLOWEST_BPM), np.log(FASTEST_BPM), STEP))
"""The grid of tempi, beats per minute."""

WINDOW_FRAMES = 780
"""One tempo is read from 9 s: four bars at 107 BPM."""
HOP_FRAMES = 64
"""From one reading to the next (0.74 s)."""
MULTIPLES = 4
"""Beats ahead at which the music must repeat itself."""

PREFERRED_BPM, PREFERRED_OCTAVES = 118.0, 0.9
"""Where people tap (a normal curve over octaves): decides between a tempo, its half, its double."""
PRIOR_WEIGHT = 0.5

LOUDNESS_WEIGHT = 0.5
"""Of the rise of loudness in the pulse."""

CHANGE_COST = 2.5
"""Cost of a tempo step of 10 % between two readings; slow ramps cost next to nothing."""
JUMP_COST = 6.0
"""Largest cost of a change: a new song in the same track begins with another tempo."""


@dataclass(frozen=True, slots=True)
class TempoPath:
    """The tempo over the time of the music."""

    bpm: Doubles
    """Tempo per frame of the envelopes."""
    clarity: float
    """0 … 1: how exactly the music repeats itself after one beat, median over time."""
    alternatives: tuple[TempoAlternative, ...]


def normalised(envelope: Floats) -> Doubles:
    """An onset envelope relative to its surroundings: mean of 0.5 s removed, scaled by 8 s.

    Returns:
        Shape (frames,), ≥ 0, about 1 on strong onsets; 0 where nothing happens.
    """
    values = envelope.astype(np.float64)
    rises = np.maximum(values - smoothed(values, 0.5), 0.0)
    spread = np.sqrt(smoothed(rises**2, 8.0))
    floor = 0.15 * np.sqrt((rises**2).mean()) + 1e-4
    return np.asarray(np.minimum(rises / (3.0 * np.maximum(spread, floor)), 2.0))


def smoothed(values: Doubles, seconds: float) -> Doubles:
    """Centred moving average; at the ends over what there is."""
    half = max(1, round(seconds * FRAME_RATE / 2))
    total = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, len(values))
    return np.asarray((total[high] - total[low]) / (high - low))


def pulse(envelopes: Envelopes) -> Doubles:
    """One envelope of all onsets, in which the low and the loud ones weigh more. Shape (frames,).

    In log spectra a soft hi-hat, which fills many bands, outweighs a kick drum, which fills few: without the third term the
    beat of a kick without click and hats between falls on the hats.
    """
    rise = loudness_rise(envelopes).astype(np.float32)
    return (
        normalised(envelopes.flux)
        + 0.5 * normalised(envelopes.low_flux)
        + LOUDNESS_WEIGHT * normalised(rise)
    )


def loudness_rise(envelopes: Envelopes, low: bool = False) -> Doubles:
    """Growth of the amplitude over 46 ms around each frame, ≥ 0; of the bass alone with `low`. Shape (frames,)."""
    power = envelopes.low_power if low else envelopes.power
    amplitude = np.sqrt(power.astype(np.float64))
    rise = np.zeros(len(amplitude))
    rise[3:-1] = np.maximum(amplitude[4:] - amplitude[:-4], 0.0)
    return rise


def tempo_path(strength: Doubles) -> TempoPath:
    """The most plausible course of the tempo.

    Args:
        strength: of `pulse`, shape (frames,).
    """
    salience, repetition = _tempogram(strength)
    octaves = np.log2(TEMPI / PREFERRED_BPM)
    prior = PRIOR_WEIGHT * -0.5 * (octaves / PREFERRED_OCTAVES) ** 2
    score = np.log(np.maximum(salience, 0.0) + 0.05) + prior
    return _described(salience, repetition, _viterbi(score), len(strength))


def scaled(strength: Doubles, tempo: TempoPath, factor: float) -> TempoPath:
    """The same course of the tempo, read as half (0.5) or double (2.0)."""
    return tempo_along(strength, tempo.bpm * factor)


def tempo_along(strength: Doubles, bpm: Doubles) -> TempoPath:
    """A known course of the tempo, with its clarity and alternatives.

    Args:
        strength: of `pulse`, shape (frames,).
        bpm: tempo per frame, shape (frames,).
    """
    salience, repetition = _tempogram(strength)
    centres = np.minimum(np.arange(len(salience)) * HOP_FRAMES, len(bpm) - 1)
    path = np.abs(np.log(bpm[centres])[:, None] - np.log(TEMPI)).argmin(1)
    return _described(salience, repetition, path, len(strength))


def _described(salience: Doubles, repetition: Doubles, path: Indices, frames: int) -> TempoPath:
    centres = np.arange(len(path)) * HOP_FRAMES
    bpm = np.exp(np.interp(np.arange(frames), centres, np.log(TEMPI[path])))
    clarity = float(np.clip(np.median(repetition[np.arange(len(path)), path]), 0.0, 1.0))
    return TempoPath(bpm, clarity, _alternatives(salience, path))


def _tempogram(strength: Doubles) -> tuple[Doubles, Doubles]:
    """How well each tempo fits at each reading, and the plain autocorrelation after one beat.

    Returns:
        Two arrays of shape (readings, tempi).
    """
    readings = max(1, -(-len(strength) // HOP_FRAMES))
    half = WINDOW_FRAMES // 2
    padded = np.pad(strength, (half, half + HOP_FRAMES))
    starts = np.arange(readings) * HOP_FRAMES
    taper = np.hanning(WINDOW_FRAMES)
    size = 2048
    unbiased = np.fft.irfft(np.abs(np.fft.rfft(taper, size)) ** 2)
    lags = 60.0 * FRAME_RATE / TEMPI
    salience = np.empty((readings, len(TEMPI)))
    repetition = np.empty_like(salience)
    # In pieces: an hour has 4,800 readings, whose spectra would take 80 MB at once.
    for first in range(0, readings, 256):
        rows = starts[first : first + 256]
        pieces = padded[rows[:, None] + np.arange(WINDOW_FRAMES)]
        pieces = pieces - pieces.mean(1, keepdims=True)
        spectra = np.abs(np.fft.rfft(pieces * taper, size)) ** 2
        repeats = np.fft.irfft(spectra)[:, : size // 2] / unbiased[: size // 2].clip(
            unbiased[0] / 50
        )
        energy = repeats[:, :1].clip(1e-3)
        repeats = repeats / energy
        total = np.zeros((len(rows), len(TEMPI)))
        for multiple in range(1, MULTIPLES + 1):
            read = _at(repeats, lags * multiple)
            total += read / MULTIPLES
            if multiple == 1:
                repetition[first : first + 256] = read
        salience[first : first + 256] = total
    return salience, repetition


def _at(rows: Doubles, positions: Doubles) -> Doubles:
    """Columns of `rows` at fractional positions."""
    whole = np.minimum(positions.astype(np.int64), rows.shape[1] - 2)
    part = np.clip(positions - whole, 0.0, 1.0)
    return np.asarray(rows[:, whole] * (1 - part) + rows[:, whole + 1] * part)


def _viterbi(score: Doubles) -> Indices:
    """The path of highest score minus cost of change; shape (readings,)."""
    distance = np.abs(np.arange(len(TEMPI))[:, None] - np.arange(len(TEMPI))[None, :]) * STEP
    cost = np.minimum(CHANGE_COST * distance / 0.1, JUMP_COST)
    back = np.empty(score.shape, np.int16)
    best = score[0]
    columns = np.arange(len(TEMPI))
    for row in range(1, len(score)):
        reached = best[None, :] - cost
        back[row] = reached.argmax(1)
        best = reached[columns, back[row]] + score[row]
    path = np.empty(len(score), np.int64)
    path[-1] = int(best.argmax())
    for row in range(len(score) - 1, 0, -1):
        path[row - 1] = back[row, path[row]]
    return path


def _alternatives(salience: Doubles, path: Indices) -> tuple[TempoAlternative, ...]:
    """Half, double and thirds of the tempo, with their salience relative to the chosen one."""
    chosen = float(np.median(salience[np.arange(len(path)), path]))
    found = []
    for factor in (0.5, 2.0, 2 / 3, 1.5):
        other = path + round(np.log(factor) / STEP)
        inside = (other >= 0) & (other < len(TEMPI))
        if chosen <= 0 or inside.mean() < 0.5:
            continue
        rows = np.flatnonzero(inside)
        score = float(np.median(salience[rows, other[rows]])) / chosen
        if score > 0.25:
            bpm = float(np.median(TEMPI[path])) * factor
            found.append(TempoAlternative(round(bpm, 2), round(min(score, 9.99), 3)))
    return tuple(sorted(found, key=lambda a: -a.score))
