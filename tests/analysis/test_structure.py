"""Energy and sections of a track whose parts are known."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from made_music import RATE, click_track, regular

from montage_dask.analysis.onset import onset_envelopes
from montage_dask.analysis.structure import energy_curve, find_sections, frame_energy

BPM = 120
BAR = 2.0
PARTS = ((16, 0.08), (16, 1.0), (16, 0.15), (16, 1.0), (8, 0.05))
"""Seconds and loudness: intro, drop, low, drop, outro."""


@pytest.fixture(scope="module")
def parts():
    seconds = sum(s for s, _ in PARTS)
    beats = np.arange(0.0, seconds, 60 / BPM)
    samples = click_track(beats, seconds)
    gain = np.repeat([g for _, g in PARTS], [s * RATE for s, _ in PARTS])
    envelopes = onset_envelopes([(samples * gain).astype(np.float32)])
    energy = frame_energy(envelopes)
    exact = tuple(Fraction(i, 2) for i in range(len(beats)))
    downbeats = np.arange(0, len(beats), 4)
    sections = find_sections(envelopes, energy, exact, downbeats, Fraction(seconds))
    return envelopes, energy, sections, seconds


def test_sections_begin_where_the_music_changes(parts):
    _, _, sections, seconds = parts
    truth = np.cumsum([s for s, _ in PARTS])[:-1]
    assert [float(s.start_seconds) for s in sections[1:]] == truth.tolist()
    assert sections[0].start_seconds == 0
    assert sections[-1].stop_seconds == seconds
    assert all(a.stop_seconds == b.start_seconds for a, b in pairwise(sections))


def test_labels(parts):
    assert [s.label for s in parts[2]] == ["intro", "drop", "low", "drop", "outro"]


def test_the_energy_follows_the_loudness(parts):
    envelopes, energy, sections, seconds = parts
    curve = np.array(energy_curve(envelopes, energy))
    assert len(curve) == seconds * 10
    assert curve.min() >= 0
    assert curve.max() <= 1
    assert curve[180:300].mean() > curve[340:460].mean() + 0.2
    assert sections[1].energy == pytest.approx(curve[160:320].mean(), abs=0.05)


def test_silence_has_no_energy():
    envelopes = onset_envelopes([np.zeros(RATE * 3, np.float32)])
    energy = frame_energy(envelopes)
    assert not energy.any()
    beats = tuple(Fraction(i, 2) for i in range(6))
    found = find_sections(envelopes, energy, beats, np.array([0, 4]), Fraction(3))
    assert [(s.start_seconds, s.stop_seconds, s.energy) for s in found] == [(0, 3, 0.0)]


def test_even_music_is_one_section():
    samples = click_track(regular(120, 40, start=0.0), 40)
    envelopes = onset_envelopes([samples])
    beats = tuple(Fraction(i, 2) for i in range(79))
    found = find_sections(
        envelopes, frame_energy(envelopes), beats, np.arange(0, 79, 4), Fraction(40)
    )
    assert len(found) <= 2
