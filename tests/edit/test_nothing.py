"""Pictures of nothing are for the last: an empty road neither ends a montage nor takes the place of somebody."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from made_edit import footage, music

from montage_dask.edit.candidates import find_candidates
from montage_dask.edit.edit import edit
from montage_dask.edit.pacing import plan_slots
from montage_dask.edit.selection import Filling, make_problem, select
from montage_dask.edit.styles import load_style, style_names
from montage_dask.records import Subject


def with_somebody(shot):
    looks = range(shot.start_frame, shot.stop_frame, 10)
    steps = len(shot.motion_profile)
    return replace(
        shot,
        subjects=tuple(Subject(f, "moving", 0.4, 0.2, 0.2, 0.5, 0.8) for f in looks),
        motion_profile=tuple(0.25 + 0.1 * (k % 3) for k in range(steps)),
        quality_profile=(0.75,) * steps,
        quality=0.75,
    )


def empty(shot):
    """Sharp, calm and grey, and nobody there."""
    steps = len(shot.motion_profile)
    return replace(
        shot,
        motion_profile=(0.02,) * steps,
        motion=0.02,
        quality_profile=(1.0,) * steps,
        quality=1.0,
        colourfulness=0.05,
    )


def half_empty(clips=4, shots=6, **options):
    found, sources = footage(clips, shots, **options)
    return [empty(s) if k % 2 else with_somebody(s) for k, s in enumerate(found)], sources


@pytest.mark.parametrize("style", style_names())
def test_no_style_ends_or_opens_on_an_empty_picture(style):
    shots, sources = half_empty(seconds=(8, 12))
    timeline = edit(
        shots, sources, music(24), load_style(style), fps=Fraction(30), width=64, height=36
    )
    table = {(s.source, s.index): s for s in shots}
    for event in (timeline.events[0], timeline.events[-1]):
        assert table[event.source, event.shot].subjects


@pytest.mark.parametrize("style", ["travel", "wedding", "noir"])
def test_nothing_is_not_shown_while_somebody_is_left(style):
    shots, sources = half_empty(5, seconds=(8, 12))
    timeline = edit(
        shots, sources, music(24), load_style(style), fps=Fraction(30), width=64, height=36
    )
    table = {(s.source, s.index): s for s in shots}
    assert len(timeline.events) <= 15
    assert all(table[e.source, e.shot].subjects for e in timeline.events)


def test_without_anybody_the_ending_is_colourful():
    found, sources = footage(3, 4, seconds=(8, 12))
    shots = [replace(empty(s), colourfulness=0.6 if k == 7 else 0.05) for k, s in enumerate(found)]
    timeline = edit(
        shots, sources, music(24), load_style("travel"), fps=Fraction(30), width=64, height=36
    )
    last = timeline.events[-1]
    assert (last.source, last.shot) == (shots[7].source, shots[7].index)


def test_the_same_still_picture_costs_more_than_an_alike_one_that_moves():
    found, sources = footage(3, 1, seconds=(5, 9))
    shots = [
        replace(empty(found[0]), duplicate_group=1),
        replace(empty(found[1]), duplicate_group=1),
        replace(with_somebody(found[2]), duplicate_group=1),
    ]
    track, style = music(24), load_style("travel")
    slots = plan_slots(
        track, style, fps=Fraction(30), start=Fraction(0), frames=720, limit_seconds=8
    )
    needs = np.full(len(slots), 2.0)
    candidates = find_candidates(shots, sources, needs)
    assert len(set(candidates.content.tolist())) == 3
    problem = make_problem(slots, candidates, needs, style, [-1] * len(slots))
    filling = Filling(problem, np.zeros_like(problem.lack))
    rows = {k: int(np.flatnonzero(candidates.shot == k)[0]) for k in range(3)}
    free = [filling.cost(5, rows[k]) for k in range(3)]
    filling.put(0, rows[0])
    more = [filling.cost(5, rows[k]) - free[k] for k in range(3)]
    assert more[1] >= more[2] + 5
    assert np.allclose(filling.costs(5)[[rows[1], rows[2]]], [filling.cost(5, rows[k]) for k in (1, 2)])  # fmt: skip


@pytest.mark.parametrize("short", [1, 3, 5, 6])
def test_what_must_be_shown_and_is_empty_is_shown_for_the_shortest_time(short):
    found, sources = footage(8, 1, seconds=(8, 9))
    shots = [empty(s) if k == 3 else with_somebody(s) for k, s in enumerate(found)]
    track, style = music(24, labels=("high",)), load_style("travel")
    slots = plan_slots(
        track, style, fps=Fraction(30), start=Fraction(0), frames=720, limit_seconds=8
    )[:8]
    needs = np.where(np.arange(8) == short, 1.0, 4.0)
    problem = make_problem(
        slots, find_candidates(shots, sources, needs), needs, style, [-1] * len(slots)
    )
    shown = problem.candidates.shot[select(problem, 0)]
    assert len(set(shown.tolist())) == 8
    assert shown[short] == 3


def test_a_still_take_comes_less_often_than_a_lively_one():
    found, sources = footage(2, 1, seconds=(60, 60))
    shots = [empty(found[0]), with_somebody(found[1])]
    timeline = edit(
        shots, sources, music(40), load_style("music-video"), fps=Fraction(30), width=64, height=36
    )
    shown = Counter(e.source for e in timeline.events)
    assert shown[shots[1].source] > shown[shots[0].source]


@pytest.mark.parametrize("style", ["social", "party"])
def test_a_first_shot_is_long_enough_to_be_seen(style):
    track = music(40, bpm=124, labels=("high",))
    # The first beat comes late and the first downbeat a bar later: half a second was all there was of the opening.
    beats = tuple(b + Fraction(31, 100) for b in track.beats_seconds[:-1])
    track = replace(
        track,
        beats_seconds=beats,
        downbeats=tuple(range(3, len(beats), 4)),
    )
    slots = plan_slots(
        track, load_style(style), fps=Fraction(30), start=Fraction(0), frames=900, limit_seconds=9.0
    )
    assert slots[0].stop_frame / 30 >= 0.9


@pytest.mark.parametrize("style", ["documentary", "wedding"])
def test_a_short_montage_of_a_slow_style_shows_five_pictures(style):
    shots, sources = footage(8, 2, seconds=(14, 20))
    track = music(18, bpm=88, labels=("high",))
    timeline = edit(shots, sources, track, load_style(style), fps=Fraction(30), width=64, height=36)
    assert len(timeline.events) >= 5
