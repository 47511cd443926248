"""Opening, drops and ending are places with a part of their own."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from made_edit import footage, music

from montage_dask.edit.edit import edit
from montage_dask.edit.pacing import plan_slots
from montage_dask.edit.phrases import phrase_end, phrase_starts
from montage_dask.edit.styles import load_style, style_names


def made(style, seconds=60, bar=4, **options):
    shots, sources = footage(8, 6, seconds=(4, 9))
    track = music(seconds, bar=bar)
    timeline = edit(
        shots, sources, track, load_style(style), fps=Fraction(30), width=64, height=36, **options
    )
    return timeline, shots, track


@pytest.mark.parametrize("style", style_names())
def test_opening_and_ending_last_a_bar_and_the_fade_a_third_of_it(style):
    timeline, _, track = made(style)
    bar = 4 * 60 / track.tempo_bpm * 30
    first, last = timeline.events[0], timeline.events[-1]
    if load_style(style).arc != "hook":
        assert first.frames >= 0.85 * bar
    assert last.frames >= 0.85 * bar
    assert timeline.fade_out_frames <= last.frames / 3


@pytest.mark.parametrize("style", ["action", "music-video", "trailer", "travel"])
def test_the_drop_lands_on_action(style):
    timeline, shots, track = made(style)
    drop = next(s for s in track.sections if s.label == "drop").start_seconds
    at = min(timeline.events, key=lambda e: abs(e.start_frame / timeline.fps - drop))
    table = {(s.source, s.index): s for s in shots}
    long_enough = [s for s in shots if s.duration_seconds >= at.frames / timeline.fps]
    peaks = sorted(max(s.motion_profile) for s in long_enough)
    mine = max(table[at.source, at.shot].motion_profile)
    assert np.searchsorted(peaks, mine) >= 0.8 * len(peaks) - 1


@pytest.mark.parametrize("bar", [3, 4])
@pytest.mark.parametrize("wish", [20, 23.3, 31.7, 40])
def test_a_montage_ends_where_a_phrase_does(bar, wish):
    timeline, _, track = made("travel", bar=bar, duration_seconds=wish)
    end = timeline.duration_seconds
    bars = [track.beats_seconds[k] for k in track.downbeats]
    assert min(abs(end - b) for b in bars) <= Fraction(1, 60)
    length = bars[1] - bars[0]
    assert abs(end - Fraction(wish)) <= 2 * length + Fraction(1, 60)
    assert any("phrase" in n for n in timeline.notes) or abs(end - Fraction(wish)) < Fraction(1, 29)
    exact, _, _ = made("travel", bar=bar, duration_seconds=wish, exact=True)
    assert exact.frames == round(wish * 30)


def test_phrases_begin_with_sections_and_every_fourth_bar():
    track = music(60)
    starts = sorted(phrase_starts(track))
    bars = [track.beats_seconds[k] for k in track.downbeats]
    for section in track.sections:
        assert min(bars, key=lambda b: abs(b - section.start_seconds)) in starts
    gaps = {bars.index(b) - bars.index(a) for a, b in itertools.pairwise(starts)}
    assert max(gaps) <= 4


def test_what_reaches_a_drop_does_not_end_where_it_begins():
    track = music(60)
    drop = next(s for s in track.sections if s.label == "drop").start_seconds
    bar = track.beats_seconds[4] - track.beats_seconds[0]
    end = phrase_end(track, Fraction(0), drop + bar * Fraction(3, 4))
    assert end - drop >= bar
    # Who wishes less ends with the phrase before it.
    before = phrase_end(track, Fraction(0), drop - bar / 4)
    assert before in phrase_starts(track)
    assert before <= drop + bar / 2


def test_a_few_slow_bars_end_on_the_nearest_bar_line():
    track = music(60, bpm=95)
    bars = [track.beats_seconds[k] for k in track.downbeats]
    end = phrase_end(track, Fraction(0), Fraction(18))
    assert end in bars
    assert abs(end - 18) <= (bars[1] - bars[0]) / 2
    assert phrase_end(track, Fraction(0), Fraction(12)) is None


def test_without_beats_a_length_is_kept():
    assert phrase_end(music(60, confidence=0), Fraction(0), Fraction(30)) is None


@pytest.mark.parametrize("style", ["travel", "documentary", "wedding"])
def test_a_waltz_is_cut_in_threes(style):
    """A limit that footage sets, too, is a whole number of bars: it gave shots of four beats."""
    timeline, _, track = made(style, seconds=72, bar=3)
    beat = 60 / track.tempo_bpm * 30
    lengths = [round(e.frames / beat) for e in timeline.events[1:-1]]
    assert np.mean([n % 3 == 0 for n in lengths if n > 2]) >= 0.8


@pytest.mark.parametrize("style", ["social", "trailer"])
def test_a_pick_up_joins_the_first_shot(style):
    track = music(40)
    track = replace(track, downbeats=tuple(range(1, len(track.beats_seconds), 4)))
    slots = plan_slots(
        track,
        load_style(style),
        fps=Fraction(30),
        start=Fraction(0),
        frames=900,
        limit_seconds=9.0,
    )
    assert slots[0].stop_frame / 30 > float(track.beats_seconds[1]) + 0.3
