"""Which joins make a track as long as is wanted, and what the result is known to sound like."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_edit import music
from made_song import FIRST, RATE, song

from montage_dask.edit.music_fit import (
    KEPT_BARS,
    Join,
    bars_for,
    choose_joins,
    clock,
    fitted,
    join_costs,
    told,
)
from montage_dask.records import MusicFit, MusicPiece, from_json, to_json


def costs_of(letters, seed=0):
    """Bars that sound alike where they have one letter and one place in it."""
    random = np.random.default_rng(seed)
    known = {}
    place, bars = 0, []
    for before, letter in zip([None, *letters], letters, strict=False):
        place = place + 1 if letter == before else 0
        bars.append(known.setdefault((letter, place), random.normal(0, 1, (8, 5))))
    lines = np.arange(len(letters) + 1.0)
    phases = [k % 4 for k in range(len(letters) + 1)]
    return join_costs(np.array(bars), lines, phases), lines


def played(joins, lines):
    """The bars that are heard, in order."""
    heard, at = [], 0
    for join in joins:
        heard += range(at, join.out_line)
        at = join.in_line
    return heard + list(range(at, len(lines) - 1))


def test_a_repeat_is_left_out_where_its_edges_match():
    letters = "IIII" + "A" * 8 + "B" * 8 + "A" * 8 + "C" * 8 + "EEEE"
    costs, lines = costs_of(letters)
    (join,) = choose_joins(costs, lines, kept=4, played=24.2)
    assert (join.out_line, join.in_line) == (8, 24)  # in the middle of A: both sides are A's
    assert [letters[k] for k in played([join], lines)] == list("IIII" + "A" * 8 + "C" * 8 + "EEEE")


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(9, 70), share=st.floats(0.3, 3.0), seed=st.integers(0, 9), kept=st.integers(1, 4)
)  # fmt: skip
def test_the_length_is_met_to_half_a_bar_and_both_ends_stay(count, share, seed, kept):
    random = np.random.default_rng(seed)
    uneven = 0.1 * (seed % 2)
    lines = np.concatenate([[0.0], np.cumsum(random.uniform(2 - uneven, 2 + uneven, count))])
    costs = join_costs(random.normal(0, 1, (count, 4, 3)), lines, [k % 4 for k in range(count + 1)])
    wish = max(share * lines[-1], 2.2 * (2 * kept + 1))
    joins = choose_joins(costs, lines, kept=kept, played=wish)
    if joins is None:
        assert count < 3 * kept + 2  # too few bars to choose from
        return
    heard = played(joins, lines)
    length = sum(lines[k + 1] - lines[k] for k in heard)
    assert abs(length - wish) <= (0.76 if uneven else 0.511) * lines[-1] / count
    assert heard[:kept] == list(range(kept))
    assert heard[-kept:] == list(range(count - kept, count))
    for a, b in itertools.pairwise(joins):
        assert b.out_line - a.in_line >= kept
    ways = {np.sign(j.in_line - j.out_line) for j in joins}
    assert ways <= {1 if wish < lines[-1] else -1}


def test_good_joins_are_taken_before_bad_ones():
    random = np.random.default_rng(3)
    lines = np.arange(65.0)
    features = random.normal(0, 1, (64, 4, 3))
    features[40:48] = features[16:24]  # one part that comes twice
    costs = join_costs(features, lines, [k % 4 for k in range(65)])
    (join,) = choose_joins(costs, lines, kept=4, played=40.0)
    assert join.in_line - join.out_line == 24
    assert 17 <= join.out_line <= 23


def test_many_bars_are_joined_by_the_best_ways_in():
    """An hour of music: not every way from bar to bar is looked at."""
    random = np.random.default_rng(0)
    lines = np.arange(1201.0) * 2
    costs = join_costs(random.normal(0, 1, (1200, 2, 2)), lines, [k % 4 for k in range(1201)])
    joins = choose_joins(costs, lines, kept=4, played=600.0)
    assert abs(sum(lines[k + 1] - lines[k] for k in played(joins, lines)) - 600) <= 1.02
    assert sum(j.cost for j in joins) < np.median(costs[np.isfinite(costs)])


def test_what_cannot_be_fitted():
    end = Fraction(60)
    assert bars_for(music(60, confidence=0), Fraction(0), end, Fraction(30)) is None
    assert bars_for(music(60), Fraction(0), end, Fraction(3)) is None
    assert bars_for(music(60), Fraction(55), end, Fraction(30)) is None
    assert bars_for(music(60), Fraction(0), end, Fraction(30)).kept == KEPT_BARS
    assert bars_for(music(60), Fraction(0), end, Fraction(9)).kept < KEPT_BARS


def test_beats_and_sections_are_where_the_samples_are():
    _, track = song([("I", 4), ("A", 8), ("B", 8), ("A", 8), ("C", 8), ("E", 4)])
    stop, start = FIRST + 8 * RATE, FIRST + 24 * RATE + 500
    end = round(track.duration_seconds * RATE)
    fit = MusicFit(
        "/t.wav", "t", "f", RATE, (MusicPiece(0, stop), MusicPiece(start, end)), stop + end - start
    )
    result = fitted(track, fit, "/f.wav")
    assert (result.path, result.identity, result.fit) == ("/f.wav", "f", fit)
    moved = Fraction(stop - start, RATE)
    first = [b for b in track.beats_seconds[: 4 * 8]]
    after = [b + moved for b in track.beats_seconds[4 * 24 :]]
    assert result.beats_seconds == (*first, *after)
    assert result.downbeats == tuple(range(0, len(first) + len(after), 4))
    assert list(result.beats_seconds) == sorted(set(result.beats_seconds))
    labels = [s.label for s in result.sections]
    assert labels == ["intro", "high", "drop", "outro"]  # A goes on as A
    for before, section in itertools.pairwise(result.sections):
        assert before.stop_seconds == section.start_seconds
        assert section.start_seconds in result.beats_seconds
    assert (
        result.sections[-1].stop_seconds == result.duration_seconds == Fraction(fit.samples, RATE)
    )
    assert len(result.energy_curve) == -(-fit.samples * 10 // RATE)
    drop = result.sections[2].start_seconds
    assert result.energy_curve[int(drop * 10) - 2] < result.energy_curve[int(drop * 10) + 2]
    assert len(result.beat_energy) == len(result.beat_strength) == len(result.beats_seconds)
    again = from_json(type(result), to_json(result))
    assert again == result


def test_what_is_told():
    bars = bars_for(music(200), Fraction(0), Fraction(200), Fraction(60))
    pieces = (MusicPiece(0, 28 * RATE + RATE * 4 // 10), MusicPiece(60 * RATE, 92 * RATE))
    fit = MusicFit("", "", "", RATE, pieces, sum(p.stop_sample - p.start_sample for p in pieces))
    said = told([Join(16, 64, 0.5)], bars, Fraction(192), fit)
    assert said == "music 3:12 → 1:00: bars 17–64 left out, join at 0:28.4"
    twice = replace(fit, pieces=(pieces[0], MusicPiece(60 * RATE, 70 * RATE), pieces[1]))
    assert told([Join(16, 8, 1), Join(16, 8, 1)], bars, Fraction(50), twice).endswith(
        "bars 9–16 (2 times) heard again, joins at 0:28.4 and 0:38.4"
    )
    assert told([], bars, Fraction(60), fit).endswith("no join is needed")


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (28.44, "0:28.4"), (192, "3:12")])
def test_times_are_told_in_minutes(seconds, text):
    assert clock(seconds) == text
