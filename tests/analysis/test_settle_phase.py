"""The grid is on the beat where chords change, whatever plays between the beats."""

from __future__ import annotations

import numpy as np
import pytest
from made_music import share_met

from montage_dask.analysis.beats import track_beats
from montage_dask.analysis.octave import settle_octave
from montage_dask.analysis.onset import onset_envelopes
from montage_dask.analysis.phase import off_beat, settle_phase
from montage_dask.analysis.tempo import pulse, tempo_path

RATE = 22050
SECONDS = 60
CHORDS = ((0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14))


def house(bpm, beats_per_bar, harmony=True):
    """Kick on the beat; a louder bass and an open hat between the beats; a chord for each bar."""
    random = np.random.default_rng(3)
    out = np.zeros(SECONDS * RATE)
    beats = np.arange(0.25, SECONDS - 0.5, 60 / bpm)
    step = 60 / bpm
    for number, time in enumerate(beats):
        add(out, time, tone(52.0, 0.25, 0.08))
        add(out, time + step / 2, 0.8 * tone(65.4, step * 0.45, 0.3))
        add(out, time + step / 2, 0.3 * np.diff(random.normal(0, 1, 3000)) * decay(2999, 0.06))
        if harmony and number % beats_per_bar == 0:
            for note in CHORDS[number // beats_per_bar % 4]:
                add(out, time, 0.1 * tone(261.6 * 2 ** (note / 12), step * beats_per_bar, 9.0))
    return (out / np.abs(out).max() * 0.8).astype(np.float32), beats


def add(out, time, sound):
    part = out[round(time * RATE) :][: len(sound)]
    part += sound[: len(part)]


def decay(count, seconds):
    return np.exp(-np.arange(count) / RATE / seconds)


def tone(hertz, seconds, fall):
    count = round(seconds * RATE)
    ends = np.minimum(1, np.minimum(np.arange(count), count - np.arange(count)) / (0.005 * RATE))
    return np.sin(2 * np.pi * hertz * np.arange(count) / RATE) * decay(count, fall) * ends


@pytest.mark.parametrize(("bpm", "beats_per_bar"), [(124, 4), (110, 4), (132, 3)])
def test_bass_and_hats_between_the_beats(bpm, beats_per_bar):
    samples, truth = house(bpm, beats_per_bar)
    envelopes = onset_envelopes([samples])
    strength = pulse(envelopes)
    _, beats = settle_octave(envelopes, strength, tempo_path(strength))
    found, right = share_met(beats, truth)
    assert found >= 0.98
    assert right >= 0.98


def grids(start_wrong, stop_wrong):
    """Envelopes and a tempo of clear music, and its beats laid half a beat off in one part."""
    samples, truth = house(120, 4)
    envelopes = onset_envelopes([samples])
    inside = (truth >= start_wrong) & (truth < stop_wrong)
    return envelopes, np.full(len(envelopes), 120.0), truth + 0.25 * inside, truth


@pytest.mark.parametrize("part", [(0, SECONDS), (30, SECONDS)])
def test_a_wrong_part_is_moved(part):
    envelopes, bpm, wrong, truth = grids(*part)
    beats = settle_phase(envelopes, pulse(envelopes), bpm, wrong)
    # Where the phase turns, some beats may be lost.
    clear = np.abs(truth - 30) > 3
    assert share_met(beats, truth[clear])[0] >= 0.98


def test_right_beats_are_left_alone():
    envelopes, bpm, _, truth = grids(0, 0)
    np.testing.assert_array_equal(settle_phase(envelopes, pulse(envelopes), bpm, truth), truth)


@pytest.mark.parametrize("beats", [0, 1, 5, 23])
def test_few_beats_are_left_alone(beats):
    envelopes, bpm, _, truth = grids(0, 0)
    few = truth[:beats]
    np.testing.assert_array_equal(settle_phase(envelopes, pulse(envelopes), bpm, few), few)


def test_silence_moves_nothing():
    envelopes = onset_envelopes([np.zeros(SECONDS * RATE, np.float32)])
    strength = pulse(envelopes)
    bpm = np.full(len(envelopes), 120.0)
    beats = track_beats(strength, bpm, envelopes.samples)
    np.testing.assert_array_equal(settle_phase(envelopes, strength, bpm, beats), beats)


def test_one_chord_says_nothing_of_the_beat():
    """Its changes are noise; the accents alone decide."""
    truth = np.arange(0.0, SECONDS - 0.5, 0.5)
    out = sum(0.05 * tone(hertz, SECONDS, 1e9) for hertz in (220.0, 277.2))
    hat = np.random.default_rng(1).normal(0, 0.15, RATE // 5)
    for number, time in enumerate(truth):
        add(out, time, (1.2 if number % 4 == 0 else 0.9) * tone(60.0, 0.2, 0.055))
        add(out, time + 0.25, hat * decay(len(hat), 0.011))
    envelopes = onset_envelopes([out.astype(np.float32)])
    assert not off_beat(envelopes, truth).any()
