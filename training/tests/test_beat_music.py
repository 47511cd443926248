"""Training music for the beat network: scores and songs whose beats are where they are said to be."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from montage_dask.analysis.onset import HOP
from montage_dask.media.audio import ANALYSIS_RATE
from montage_dask_training.beat_patterns import OFTEN
from montage_dask_training.beat_score import compose
from montage_dask_training.beat_songs import features, make_songs
from montage_dask_training.beat_soundfont import Change, Event, render, soundfont
from montage_dask_training.beat_styles import DRUMS, HELD_OUT_STYLES, TRAINING_STYLES
from montage_dask_training.beat_timing import beat_times, swung

ALL = (*TRAINING_STYLES, *HELD_OUT_STYLES)


def test_no_style_is_both_learnt_and_held_out():
    names = [style.name for style in ALL]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("style", ALL, ids=lambda style: style.name)
def test_patterns_fill_bars(style):
    bar = style.metre * style.steps
    for groove in style.grooves:
        for part in [] if groove == "*" else groove.split():
            key, _, steps = part.partition(":")
            assert key in DRUMS
            assert set(steps) <= {*OFTEN, "."}
            # A pattern lasts whole bars, or a whole number of times in one.
            assert len(steps) % bar == 0 or bar % len(steps) == 0


@pytest.mark.parametrize("style", ALL, ids=lambda style: style.name)
def test_scores(style):
    random = np.random.default_rng(3)
    score = compose(style, random, 12)
    times = beat_times(score, random)
    assert len(times) == score.beats + 1
    steps = np.diff(times)
    assert steps.min() > 60 / 213
    assert steps.max() < 60 / 45
    assert score.downbeats[0] == 0
    assert score.downbeats[-1] < score.beats
    assert np.diff(score.downbeats).min() >= 2
    assert all(0 <= note.beat < score.beats + 1 and note.length > 0 for note in score.notes)
    assert score.notes


def test_swing_keeps_the_beats():
    places = np.arange(0, 8, 0.25)
    moved = swung(places, 0.66, 1.0)
    np.testing.assert_allclose(moved[::4], places[::4])
    assert moved[2] == pytest.approx(0.66)
    assert (np.diff(moved) > 0).all()
    np.testing.assert_allclose(swung(places, 0.5, 1.0), places)


def test_songs_are_the_same_for_a_seed_and_on_the_beat():
    one, two = (make_songs(["techno", "disco"], 5, 8, None) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.samples, b.samples)
        np.testing.assert_array_equal(a.beats, b.beats)
        assert np.abs(a.samples).max() < 2  # full scale; a lossy codec overshoots
        assert len(a.downbeats) == len(a.beats)
    assert not np.array_equal(make_songs(["techno"], 6, 8, None)[0].beats, one[0].beats)
    # Attacks lie on the beats: onset strength there against everywhere.
    mel, strength = features(one[0].samples)
    assert mel.dtype == np.uint8
    at = np.round(one[0].beats * ANALYSIS_RATE / HOP).astype(int)
    near = strength[np.clip(at[:, None] + np.arange(-2, 4), 0, len(strength) - 1)].max(1)
    assert near.mean() > 2 * strength.mean()


def test_a_soundfont_plays_in_time():
    font = soundfont("TimGM6mb.sf2") or soundfont("FluidR3_GM.sf2")
    if font is None:
        pytest.skip("no FluidSynth with a soundfont of Debian")
    times = [0.5, 1.25, 2.0]
    events = [Event(t, 0.2, 9, 38, 110) for t in times] + [Event(0.0, 0.1, 0, 60, 1)]
    sound = render(font, events, [Change(0.0, 0, 0, 100)], 3.0)
    assert len(sound) == 3 * ANALYSIS_RATE
    for time in times:
        start = round(time * ANALYSIS_RATE)
        loud = np.abs(sound[start : start + 4000])
        assert np.argmax(loud > 0.1 * loud.max()) < 0.012 * ANALYSIS_RATE
        assert np.abs(sound[start - 400 : start]).max() < 0.1 * loud.max()


def test_no_song_depends_on_the_order_of_sets():
    code = (
        "import hashlib, numpy as np; from montage_dask_training.beat_songs import _perform;"
        "print(hashlib.sha256(repr(_perform('rock', np.random.default_rng(4), 8, True).notes).encode()).hexdigest())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(said) == 1
