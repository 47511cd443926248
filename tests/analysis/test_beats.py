"""Beats, tempo, octave and bars on rendered tracks with exact truth."""

from __future__ import annotations

import numpy as np
import pytest
from made_music import click_track, regular, share_met

from montage_dask.analysis.bars import find_bars
from montage_dask.analysis.beats import extended, regular_grid, track_beats
from montage_dask.analysis.octave import settle_octave
from montage_dask.analysis.onset import onset_envelopes
from montage_dask.analysis.tempo import pulse, tempo_path


def tracked(samples):
    envelopes = onset_envelopes([samples])
    strength = pulse(envelopes)
    tempo, beats = settle_octave(envelopes, strength, tempo_path(strength))
    return envelopes, tempo, beats


def ramp(first, last, seconds):
    times = [0.3]
    while times[-1] < seconds - 0.5:
        times.append(times[-1] + 60 / (first + (last - first) * times[-1] / seconds))
    return np.array(times)


@pytest.mark.parametrize("bpm", [64, 81, 97.3, 120, 143, 172])
def test_a_constant_tempo(bpm):
    truth = regular(bpm, 30)
    _, tempo, beats = tracked(click_track(truth, 30))
    assert share_met(beats, truth) == (1.0, 1.0)
    assert np.median(tempo.bpm) == pytest.approx(bpm, rel=0.01)
    near = beats[np.abs(beats[:, None] - truth).min(1) < 0.035]
    error = [(b - truth[np.abs(truth - b).argmin()]) * 1000 for b in near]
    assert abs(np.median(error)) < 10


@pytest.mark.parametrize(("first", "last"), [(85, 130), (140, 95)])
def test_a_changing_tempo(first, last):
    truth = ramp(first, last, 45)
    _, _, beats = tracked(click_track(truth, 45))
    found, right = share_met(beats, truth)
    assert found >= 0.98
    assert right >= 0.98


def test_a_jump_of_the_tempo():
    before, after = np.arange(0.2, 20, 60 / 100), np.arange(20.2, 44.5, 60 / 132)
    _, _, beats = tracked(click_track(np.concatenate([before, after]), 45))
    # The jump itself may take some beats to follow.
    assert share_met(beats[beats < 17.5], before[before < 17.4]) == (1.0, 1.0)
    assert share_met(beats[beats > 22.5], after[after > 22.5]) == (1.0, 1.0)


def test_beats_go_on_through_a_break():
    truth = regular(126, 50)
    _, _, beats = tracked(click_track(truth, 50, quiet=(20, 30)))
    assert share_met(beats, truth) == (1.0, 1.0)
    assert np.diff(beats).max() < 1.2 * 60 / 126


@pytest.mark.parametrize("metre", [3, 4])
def test_bars(metre):
    truth = regular(118, 40)
    envelopes, _, beats = tracked(click_track(truth, 40, beats_per_bar=metre))
    bars = find_bars(envelopes, beats)
    assert bars.beats_per_bar == metre
    assert share_met(beats[bars.downbeats], truth[::metre]) == (1.0, 1.0)
    assert set(np.diff(bars.downbeats)) == {metre}


def test_a_given_metre_is_kept():
    envelopes, _, beats = tracked(click_track(regular(118, 20), 20, beats_per_bar=4))
    assert find_bars(envelopes, beats, 3).beats_per_bar == 3


def test_the_same_input_gives_the_same_beats():
    samples = click_track(regular(110, 20), 20)
    np.testing.assert_array_equal(tracked(samples)[2], tracked(samples)[2])


def test_a_given_tempo_finds_its_phase():
    truth = regular(128, 20, start=0.31)
    strength = pulse(onset_envelopes([click_track(truth, 20)]))
    grid = regular_grid(strength, 128, 20)
    assert share_met(grid, truth, within=0.015) == (1.0, 1.0)
    np.testing.assert_allclose(np.diff(grid), 60 / 128)


@pytest.mark.parametrize("frames", [0, 1, 2, 5, 40])
def test_hardly_any_music(frames):
    beats = track_beats(np.ones(frames), np.full(frames, 120.0), frames * 256)
    assert (np.diff(beats) > 0).all()


def test_extension_reaches_both_ends():
    beats = extended(np.arange(3.0, 6.0, 0.5), 9.9)
    np.testing.assert_allclose(beats, np.arange(0, 9.9, 0.5))
