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


def off_beat_track(kind, bpm, seconds=30):
    """Music whose off-beats are as loud as its beats, or louder; and its beats.

    Kinds: "metal" (kick on the beat, snare on every off-beat, guitar on both), "polka" (bass on the beat, chord and snare
    between), "ska" (walking bass and drums on the beat, loud chords between).
    """
    random = np.random.default_rng(0)
    out = random.normal(0, 0.003, round(seconds * RATE))
    beats = regular(bpm, seconds, 0.3)
    step = 60 / bpm
    for number, time in enumerate(beats):
        root = (82.4, 98.0, 73.4, 110.0)[number // 8 % 4]
        low = root * (1, 1.25, 1.5, 1.25)[number % 4]
        between = time + step / 2
        if kind == "metal":
            _add(out, time, 0.5 * _tone(60.0, 0.2))
            _add(out, time, 0.2 * _driven(root, step / 2))
            _add(out, between, 0.36 * _noise(random, 0.2))
            _add(out, between, 0.25 * _driven(root, step / 2))
        elif kind == "polka":
            _add(out, time, 0.4 * _tone(root * (1 if number % 2 == 0 else 0.75), step / 2))
            _add(out, between, 0.3 * _chord(root, 0.15))
            _add(out, between, 0.1 * _noise(random, 0.2))
        else:
            _add(out, time, 0.25 * _tone(low, step))
            _add(out, time, 0.4 * (_tone(60.0, 0.2) if number % 2 == 0 else _noise(random, 0.2)))
            _add(out, between, 0.5 * _chord(root, 0.12))
            _add(out, between, 0.15 * _noise(random, 0.05))
    return (out / np.abs(out).max() * 0.7).astype(np.float32), beats


def without_beat(kind, seconds=20, seed=0):
    """Sounds that nobody taps to: "pad", "rain", "speech", "birds", "pink", "drone", "tone", "noise", "click", "silence"."""
    random = np.random.default_rng(seed)
    samples = round(seconds * RATE)
    t = np.arange(samples) / RATE
    out = np.zeros(samples)
    if kind == "noise":
        return random.normal(0, 0.1, samples)
    if kind == "pink":
        spectrum = np.fft.rfft(random.normal(0, 1, samples))
        spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
        out = np.fft.irfft(spectrum, samples)
        return 0.5 * out / np.abs(out).max()
    if kind == "tone":
        return 0.3 * np.sin(2 * np.pi * 220 * t)
    if kind == "drone":
        swell = 1 + 0.2 * np.sin(2 * np.pi * 0.07 * t)
        return (
            sum(0.07 * np.sin(2 * np.pi * f * t + np.sin(f * t / 160)) for f in (55, 82, 165))
            * swell
        )
    if kind == "click":
        _add(out, seconds / 3, 0.8 * _noise(random, 0.05))
    if kind == "pad":
        at = 0.0
        while at < seconds:
            length = random.uniform(3, 7)
            part = np.arange(round(length * RATE)) / RATE
            for hertz in random.choice([110, 130.8, 146.8, 164.8, 196, 220], 3, False):
                _add(
                    out,
                    at,
                    0.1 * np.sin(2 * np.pi * hertz * part) * np.sin(np.pi * part / length) ** 2,
                )
            at += random.uniform(1.5, 4)
    if kind == "rain":
        out = random.normal(0, 0.01, samples)
        for at in random.uniform(0, seconds, 12 * seconds):
            _add(out, at, random.uniform(0.02, 0.3) * _noise(random, 0.016))
    if kind == "birds":
        for at in random.uniform(0, seconds, 2 * seconds):
            length = random.uniform(0.05, 0.3)
            part = np.arange(round(length * RATE)) / RATE
            pitch = random.uniform(2000, 5000) * part + 800 * part**2
            _add(out, at, 0.2 * np.sin(2 * np.pi * pitch) * np.sin(np.pi * part / length))
    if kind == "speech":
        at = 0.0
        while at < seconds:
            for _ in range(random.integers(3, 12)):
                length, hertz = random.uniform(0.08, 0.3), random.uniform(90, 160)
                part = np.arange(round(length * RATE)) / RATE
                voiced = sum(
                    np.sin(2 * np.pi * hertz * k * part * (1 + 0.05 * part))
                    / (1 + abs(k * hertz - random.uniform(400, 900)) / 200)
                    for k in range(1, 20)
                )
                _add(out, at, 0.1 * voiced * np.sin(np.pi * part / length))
                at += length * random.uniform(0.8, 1.4)
            at += random.uniform(0.2, 1.2)
    return out


def quiet_tones(bpm, seconds=30):
    """Very soft tones that swell and fade, one per beat: onsets show them, the network does not hear them. And the beats."""
    beats = regular(bpm, seconds, 0.3)
    out = np.random.default_rng(0).normal(0, 5e-6, round(seconds * RATE))
    part = np.arange(round(60 / bpm * RATE)) / RATE
    for number, time in enumerate(beats):
        tone = np.sin(2 * np.pi * (220, 262, 196, 294)[number % 4] * part)
        _add(out, time, 0.003 * tone * np.sin(np.pi * part * bpm / 60))
    return out, beats


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


def _driven(hertz, seconds):
    t = np.arange(round(seconds * RATE)) / RATE
    wave = sum(np.sin(2 * np.pi * hertz * k * t + k) for k in (1, 1.5, 2, 3, 4.5, 6, 9))
    return np.tanh(3 * wave) * np.exp(-t / 0.1)


def _chord(hertz, seconds):
    t = np.arange(round(seconds * RATE)) / RATE
    wave = sum(np.sin(2 * np.pi * hertz * k * t) for k in (2, 2.52, 3, 4))
    return wave * np.exp(-t / (seconds / 3))
