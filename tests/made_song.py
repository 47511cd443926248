"""A song whose bars, sections and repeats are known to the sample, and what an analysis would say of it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from montage_dask.records import Music, Section

RATE = 48_000
BAR = RATE
"""Four quick beats: a song of forty bars is short to work on."""
ROOTS = {
    "I": (220, 220, 196, 196), "A": (220, 262, 196, 247), "B": (330, 294, 349, 262), "C": (165, 185, 147, 139),
    "E": (220, 196, 175, 220),
}  # fmt: skip
"""Hertz of the chords of four bars."""
LABELS = {"I": "intro", "A": "high", "B": "low", "C": "drop", "E": "outro"}
ENERGY = {"I": 0.3, "A": 0.7, "B": 0.4, "C": 0.95, "E": 0.3}
FIRST = RATE // 4
"""Samples before the first bar."""


def bar_of(letter, number):
    """One bar [BAR, 2]: chords, kick, hats; a bar of one name is the same whenever it comes."""
    t = np.arange(BAR) / RATE
    random = np.random.default_rng([ord(letter), number % 8])
    root = ROOTS[letter][number % 4]
    out = np.zeros((BAR, 2))
    edge = np.minimum(1, t / 0.005) * np.minimum(1, (t[-1] - t) / 0.02)
    for k, level in ((1, 0.12), (1.26, 0.08), (1.5, 0.08), (2 + number % 8 * 0.125, 0.05)):
        wave = np.sin(2 * np.pi * root * k * t) * np.exp(-t / 0.8) * edge
        out += level * ENERGY[letter] * wave[:, None] * [1.0, 0.8]
    for beat in range(4):
        at, length = beat * BAR // 4, BAR // 10
        part = np.arange(length) / RATE
        kick = np.sin(2 * np.pi * (50 + 60 * np.exp(-part * 40)) * part) * np.exp(-part * 18)
        out[at : at + length] += 0.5 * (1.2 if beat == 0 else 0.8) * kick[:, None]
        hat = random.standard_normal(length) * np.exp(-part * 90)
        out[at + BAR // 8 : at + BAR // 8 + length] += 0.1 * hat[:, None]
    return out


def song(parts, *, jitter_seconds=0.0, seed=0, tail_seconds=2.0, silence_seconds=0.0):
    """Samples [n, 2] of a song such as [("I", 4), ("A", 8)], and its analysis, whose beats are off by up to the jitter.

    The last chord rings on for the tail; then there is silence.
    """
    bars = [(letter, k) for letter, count in parts for k in range(count)]
    tail, silence = round(tail_seconds * RATE), round(silence_seconds * RATE)
    total = FIRST + len(bars) * BAR + tail + silence
    samples = np.zeros((total, 2))
    for number, (letter, k) in enumerate(bars):
        at = FIRST + number * BAR
        samples[at : at + BAR] += bar_of(letter, k)
    t = np.arange(tail) / RATE
    end = FIRST + len(bars) * BAR
    ring = 0.3 * np.sin(2 * np.pi * 220 * t) * np.exp(-3 * t / tail_seconds)
    samples[end : end + tail] += ring[:, None]
    random = np.random.default_rng(seed)
    beats = []
    for k in range(4 * len(bars) + 1):
        off = round(random.uniform(-1, 1) * jitter_seconds * 22050)
        beats.append(Fraction(round(Fraction(FIRST + k * BAR // 4, RATE) * 22050) + off, 22050))
    duration = Fraction(total, RATE)
    edges = [0]
    for _, count in parts:
        edges.append(edges[-1] + 4 * count)
    times = [Fraction(0), *(beats[e] for e in edges[1:-1]), duration]
    sections = tuple(
        Section(a, b, LABELS[letter], ENERGY[letter])
        for a, b, (letter, _) in zip(times, times[1:], parts, strict=False)
    )
    curve = tuple(
        next((s.energy for s in sections if s.start_seconds <= Fraction(k, 10) < s.stop_seconds), 0)
        for k in range(-(-total * 10 // RATE))
    )
    music = Music(
        path="",
        identity="song",
        duration_seconds=duration,
        tempo_bpm=240.0,
        confidence=0.9,
        alternatives=(),
        beats_seconds=tuple(beats),
        beats_per_bar=4,
        downbeats=tuple(range(0, len(beats), 4)),
        beat_energy=tuple(0.5 for _ in beats),
        beat_strength=tuple(0.5 for _ in beats),
        sections=sections,
        energy_curve=tuple(float(c) for c in curve),
        loudness_lufs=-14.0,
        true_peak_db=-1.0,
        tracker="file",
    )
    return (samples * 0.8).astype(np.float32), music
