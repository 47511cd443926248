"""Small rendered tracks with exactly known beats, for the tests of music analysis."""

from __future__ import annotations

import numpy as np

RATE = 22050


def click_track(beats, seconds, *, beats_per_bar=4, quiet=None, seed=0):
    """Kick on every beat with a bass note on the first of a bar, soft hats on the off-beats.

    `quiet` is a (start, stop) in seconds without drums.
    """
    random = np.random.default_rng(seed)
    out = random.normal(0, 0.002, round(seconds * RATE))
    steps = np.append(np.diff(beats), beats[-1] - beats[-2])
    for number, (time, step) in enumerate(zip(beats, steps, strict=True)):
        if number % beats_per_bar == 0:
            _add(out, time, 0.4 * _tone(75.0 * (1 + number // beats_per_bar % 3 / 4), step * 2))
        if quiet is not None and quiet[0] <= time < quiet[1]:
            continue
        _add(out, time, 0.6 * _tone(60.0, 0.2) + 0.3 * _noise(random, 0.2))
        _add(out, time + step / 2, 0.1 * _noise(random, 0.05))
    return (out / np.abs(out).max() * 0.7).astype(np.float32)


def regular(bpm, seconds, start=0.2):
    """Beats of a constant tempo."""
    return np.arange(start, seconds - 0.2, 60 / bpm)


def share_met(found, truth, within=0.035):
    """Shares of the true beats that were found, and of the found ones that are true."""
    found = np.asarray(found, float)
    truth = np.asarray(truth, float)
    inside = found[(found > truth[0] - 0.1) & (found < truth[-1] + 0.1)]
    distance = np.abs(inside[:, None] - truth)
    return (distance.min(0) <= within).mean(), (distance.min(1) <= within).mean()


def _add(out, time, sound):
    start = round(time * RATE)
    part = sound[: max(0, len(out) - start)]
    out[start : start + len(part)] += part


def _tone(hertz, seconds):
    t = np.arange(round(seconds * RATE)) / RATE
    return np.sin(2 * np.pi * hertz * t + 0.5) * np.exp(-t / 0.15)


def _noise(random, seconds):
    t = np.arange(round(seconds * RATE)) / RATE
    return random.normal(0, 1, len(t)) * np.exp(-t / (seconds / 4))
