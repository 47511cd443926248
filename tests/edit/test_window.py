"""`--start auto`: the part of a track that a montage of a given length takes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from made_edit import footage, music

from montage_dask.edit.edit import edit
from montage_dask.edit.phrases import phrase_end, phrase_starts
from montage_dask.edit.styles import load_style
from montage_dask.edit.window import best_window

LABELS = ("intro", "low", "build", "drop", "high", "low", "drop", "outro")


@pytest.mark.parametrize("length", [20, 30, 47.3, 60])
@pytest.mark.parametrize("bar", [3, 4])
def test_it_begins_a_phrase_has_the_drop_and_ends_with_a_phrase(length, bar):
    track = music(160, bar=bar, labels=LABELS)
    window = best_window(track, Fraction(length))
    start = window.start_seconds
    assert start in phrase_starts(track)
    end = phrase_end(track, start, Fraction(length))
    assert end in phrase_starts(track)
    assert end <= track.duration_seconds
    drops = [s.start_seconds for s in track.sections if s.label == "drop"]
    assert any(start - 1 <= d < end - 4 for d in drops)
    assert "begins there" in window.reason
    assert "drop" in window.reason
    assert "it ends with a" in window.reason


def test_it_is_better_than_windows_at_random():
    """More energy than others of the length, and its end is no climax that has just begun."""
    track = music(160, labels=LABELS)
    start = best_window(track, Fraction(30)).start_seconds
    curve = np.array(track.energy_curve)

    def mean(at):
        return curve[int(at * 10) : int(at * 10) + 300].mean()

    others = [mean(k) for k in range(130)]
    assert mean(start) > np.percentile(others, 75)


def test_a_short_track_is_taken_whole():
    assert best_window(music(30), Fraction(40)).start_seconds == 0


def test_without_bars_the_loudest_part_is_taken():
    track = music(160, labels=LABELS, confidence=0)
    window = best_window(track, Fraction(20))
    drops = [s for s in track.sections if s.label == "drop"]
    assert any(s.start_seconds - 1 <= window.start_seconds <= s.stop_seconds for s in drops)
    assert "no bars are known" in window.reason


def test_an_exact_length_ends_where_it_is_wanted():
    track = music(160, labels=LABELS)
    window = best_window(track, Fraction(30), exact=True)
    shots, sources = footage(8, 6, seconds=(4, 9))
    made = edit(
        shots, sources, track, load_style("travel"), fps=Fraction(30), width=64, height=36,
        start_seconds=window.start_seconds, duration_seconds=30, exact=True,
    )  # fmt: skip
    assert made.frames == 900
    assert made.events[0].beat_seconds == window.start_seconds
