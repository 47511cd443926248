"""Activations to beats and bars: octaves, jumps, metres, hardly any music."""

from __future__ import annotations

import numpy as np
import pytest
from made_music import share_met

from montage_dask.analysis.beat_network import ACTIVATION_RATE
from montage_dask.analysis.decoding import decode_bars, decode_beats, sureness, tempo_of
from montage_dask.analysis.onset import FRAME_RATE


def activations(beats, seconds, metre=4, sure=3.0, ghosts=()):
    """Logits with a peak at each beat, and their onset strength."""
    logits = np.full((int(seconds * ACTIVATION_RATE) + 1, 2), -4.0, np.float32)
    strength = np.zeros(int(seconds * FRAME_RATE) + 1)
    for number, beat in enumerate(beats):
        at = round(beat * ACTIVATION_RATE)
        logits[at, 0] = sure
        logits[at, 1] = sure if number % metre == 0 else -3.0
        strength[min(round(beat * FRAME_RATE), len(strength) - 1)] = 1.0
    for ghost in ghosts:
        logits[round(ghost * ACTIVATION_RATE), 0] = -0.5
    return logits, strength


@pytest.mark.parametrize("bpm", [55, 63, 88, 120, 140, 174, 205])
def test_every_octave_is_kept(bpm):
    truth = np.arange(0.4, 29.5, 60 / bpm)
    between = truth[:-1] + 30 / bpm
    logits, strength = activations(truth, 30, ghosts=between)
    beats = decode_beats(logits[:, 0], strength, 30 * 22050)
    assert share_met(beats, truth) == (1.0, 1.0)
    assert sureness(logits, beats) > 0.5
    np.testing.assert_allclose(np.median(tempo_of(beats, len(strength))), bpm, rtol=0.02)


@pytest.mark.parametrize(("before", "after"), [(90, 128), (150, 100), (124, 62), (70, 140)])
def test_a_jump_of_the_tempo_is_followed(before, after):
    first = np.arange(0.2, 15, 60 / before)
    truth = np.concatenate([first, np.arange(first[-1] + 60 / after, 29.8, 60 / after)])
    logits, strength = activations(truth, 30)
    assert share_met(decode_beats(logits[:, 0], strength, 30 * 22050), truth) == (1.0, 1.0)


@pytest.mark.parametrize(("step", "weak"), [(0.5, "beats"), (0.7, "between")])
def test_an_outro_keeps_the_octave_unless_the_network_is_sure(step, weak):
    truth = np.arange(0.2, 89.8, step)
    logits, strength = activations(truth, 90)
    outro = truth[truth > 58]
    unsure = outro[1::2] if weak == "beats" else outro[:-1] + step / 2
    for beat in unsure:
        logits[round(beat * ACTIVATION_RATE), 0] = -1.0 if weak == "beats" else 0.9
    assert share_met(decode_beats(logits[:, 0], strength, 90 * 22050), truth) == (1.0, 1.0)


def test_missing_activations_are_bridged():
    truth = np.arange(0.2, 39.8, 0.5)
    logits, strength = activations(truth, 40)
    logits[int(14 * ACTIVATION_RATE) : int(20 * ACTIVATION_RATE), 0] = -4.0
    strength[int(14 * FRAME_RATE) : int(20 * FRAME_RATE)] = 0
    beats = decode_beats(logits[:, 0], strength, 40 * 22050)
    assert share_met(beats, truth) == (1.0, 1.0)


def test_a_network_that_hears_the_off_beat_for_a_while_does_not_turn_the_grid():
    truth = np.arange(0.2, 119.8, 0.5)
    heard = truth + 0.25 * ((truth > 30) & (truth < 46)) + 0.25 * (truth > 105)
    logits, strength = activations(heard, 120)
    beats = decode_beats(logits[:, 0], strength, 120 * 22050)
    found, right = share_met(beats, truth)
    assert min(found, right) > 0.97


@pytest.mark.parametrize("start", np.arange(0, 1, 0.125))
def test_another_song_has_a_grid_of_its_own(start):
    first, second = np.arange(0.2, 79.5, 60 / 100), np.arange(80 + start, 99.8, 60 / 126)
    logits, strength = activations(np.concatenate([first, second]), 100)
    beats = decode_beats(logits[:, 0], strength, 100 * 22050)
    found, right = share_met(beats[beats > 81], second[second > 81])
    assert min(found, right) > 0.97


def test_without_any_sign_of_bars_they_are_of_four():
    truth = np.arange(0.2, 39.8, 0.5)
    logits, _ = activations(truth, 40, metre=1000)
    logits[:, 1] = -4.0
    bars = decode_bars(logits, truth)
    assert bars.beats_per_bar == 4
    assert set(np.diff(bars.downbeats)) == {4}


@pytest.mark.parametrize("metre", [2, 3, 4, 5, 6, 7])
def test_metres(metre):
    truth = np.arange(0.2, 39.8, 0.5)
    logits, _ = activations(truth, 40, metre)
    bars = decode_bars(logits, truth)
    assert bars.beats_per_bar == metre
    np.testing.assert_array_equal(bars.downbeats, np.arange(0, len(truth), metre))


def test_a_lost_downbeat_and_a_cut_bar():
    truth = np.arange(0.2, 39.8, 0.5)
    first = np.concatenate([np.arange(0, 41, 4), np.arange(42, len(truth), 4)])
    logits, _ = activations(truth, 40, metre=1000)
    for beat in first:
        logits[round(truth[beat] * ACTIVATION_RATE), 1] = 3.0
    logits[round(truth[8] * ACTIVATION_RATE), 1] = -3.0
    bars = decode_bars(logits, truth)
    assert bars.beats_per_bar == 4
    np.testing.assert_array_equal(bars.downbeats, first)


def test_a_given_metre_is_kept():
    truth = np.arange(0.2, 39.8, 0.5)
    logits, _ = activations(truth, 40, 4)
    bars = decode_bars(logits, truth, 3)
    assert bars.beats_per_bar == 3
    assert np.median(np.diff(bars.downbeats)) == 3


@pytest.mark.parametrize("frames", [0, 1, 2, 5, 40])
def test_hardly_any_music(frames):
    logits = np.zeros((-(-frames // 2), 2), np.float32)
    beats = decode_beats(logits[:, 0], np.ones(frames), frames * 256)
    assert (np.diff(beats) > 0).all()
    decode_bars(logits, beats)
