"""Cuts join what goes together: direction, light, colour, takes; they move where a picture gains, and no frame stutters."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from made_edit import footage, music, shot, source

from montage_dask.edit.edit import edit
from montage_dask.edit.inpoints import Axes, Place, Use, settle
from montage_dask.edit.joins import GREY, direction_flips, find_sides
from montage_dask.edit.layout import bearable
from montage_dask.edit.moves import move_cuts
from montage_dask.edit.pacing import Slot
from montage_dask.edit.speeds import paces_of, unevenness
from montage_dask.edit.styles import load_style, style_names
from montage_dask.records import CUT, Subject, Transition, Unusable

STYLE = load_style("music-video")


def make(shots, sources, track, style=STYLE, **options):
    return edit(shots, sources, track, style, fps=Fraction(30), width=64, height=36, **options)


def walking(one, way):
    """A shot with somebody who crosses the picture to the right (1) or to the left (−1) all the time."""
    frames = range(one.start_frame, one.stop_frame, 10)
    middle = (lambda k: 0.1 + 0.6 * k / len(frames)) if way > 0 else (lambda k: 0.7 - 0.6 * k / len(frames))  # fmt: skip
    return replace(
        one, subjects=tuple(Subject(f, "moving", middle(k), 0.2, 0.15, 0.5, 0.9) for k, f in enumerate(frames))
    )  # fmt: skip


def crowd(clips=24, seconds=3):
    random = np.random.default_rng(3)
    shots, sources = [], {}
    for c in range(clips):
        made = shot(f"w{c}", 0, 0, seconds * 25, random, quality=0.8, embedding=np.eye(24)[c % 24])
        shots.append(walking(replace(made, motion_profile=(0.2,) * 15), 1 if c % 2 else -1))
        sources[f"id-w{c}"] = source(f"w{c}", seconds=seconds)
    return shots, sources


def cost(a, b, opening=False, colours=True):
    sides = find_sides([a, b], np.array([0, 1]), np.zeros(2), 2.0, colours=colours)
    return float((sides.opening if opening else sides.inside)[sides.end[0], sides.begin[1]])


def test_a_movement_goes_on_or_costs():
    one, other = crowd(2)[0]
    left, right = walking(one, -1), walking(other, 1)
    assert (
        cost(left, walking(other, -1)) < cost(left, replace(other, subjects=())) < cost(left, right)
    )


@pytest.mark.parametrize(("apart", "between"), [(0.0, 0.3), (0.7, 0.3)])
def test_light_matches_or_differs_decisively(apart, between):
    one, other = (replace(s, exposure=0.15, subjects=()) for s in crowd(2)[0])
    assert cost(one, replace(other, exposure=0.15 + apart)) < cost(one, replace(other, exposure=0.15 + between))  # fmt: skip


def test_black_and_white_breaks_colour_but_not_where_a_section_begins():
    grey, bright = (replace(s, subjects=(), colourfulness=c) for s, c in zip(crowd(2)[0], (0, 0.5), strict=True))  # fmt: skip
    same = cost(bright, replace(grey, colourfulness=0.5))
    assert cost(grey, bright) == cost(bright, grey) > same + 1
    assert cost(grey, bright, opening=True) == same
    assert cost(grey, bright, colours=False) == same


def test_directions_turn_round_less_often_than_by_chance():
    shots, sources = crowd()
    timeline = make(shots, sources, music(30))
    flips, cuts = direction_flips(timeline, {(s.source, s.index): s for s in shots})
    assert cuts >= 12
    assert flips <= 0.35 * cuts  # by chance a half


def test_black_and_white_is_kept_together_or_at_the_begin_of_a_section():
    shots, sources = footage(24, 1, seconds=(4, 6))
    shots = [replace(s, colourfulness=0.0 if k % 6 == 0 else 0.5) for k, s in enumerate(shots)]
    table = {(s.source, s.index): s.colourfulness < GREY for s in shots}

    def breaks(timeline, track):
        grey = [table[e.source, e.shot] for e in timeline.events]
        begins = {
            min(track.beats_seconds, key=lambda b: abs(b - s.start_seconds)) for s in track.sections
        }
        return sum(
            a != b and e.beat_seconds not in begins
            for a, b, e in zip(grey, grey[1:], timeline.events[1:], strict=False)
        ), sum(grey)

    track = music(30)
    inside, greys = breaks(make(shots, sources, track), track)
    assert greys >= 3
    assert inside <= greys  # two each, apart from each other within a section


def test_no_jump_cut_within_a_take():
    made, sources = footage(3, 1, seconds=(60, 70))
    shots = list(made)

    def jumps(style):
        events = make(shots, sources, music(40), style).events
        return sum(a.source == b.source for a, b in pairwise(events))

    assert jumps(STYLE) == 0
    # A take that is far livelier than the others, and wanted again and again.
    shots[0] = replace(shots[0], motion_profile=(0.9,) * len(shots[0].motion_profile))
    shots[1:] = [replace(s, quality_profile=(0.2,) * len(s.quality_profile)) for s in shots[1:]]
    assert jumps(STYLE) == 0


@pytest.mark.parametrize("style", style_names())
def test_transitions_last_a_third_of_the_shorter_shot_at_most(style):
    shots, sources = footage(10, 4, seconds=(6, 12))
    events = make(shots, sources, music(40), load_style(style), transition="crossfade").events
    for a, b in pairwise(events):
        # A cut may have moved since: by no more than a beat or so of either.
        assert b.transition.frames <= max(2, min(a.frames, b.frames) / 3)


def test_no_transition_shows_what_is_no_footage():
    one = shot("a", 0, 0, 250, np.random.default_rng(0))
    title = Unusable("text", 100, 125, Fraction(4), Fraction(5))

    def kinds(first, second):
        uses = [
            Use(k, s, 0.0, Fraction(k, 2), Fraction(2) + Fraction(1 - k, 2), 0.5, shown_seconds=Fraction(2))
            for k, s in enumerate((first, second))
        ]  # fmt: skip
        places = {0: Place(Fraction(17, 10)), 1: Place(Fraction(11, 2))}
        return [t.kind for t in bearable((CUT, Transition("crossfade", 30)), uses, places)]

    titled = replace(one, unusable=(title,))
    assert kinds(one, one) == ["cut", "crossfade"]
    assert kinds(titled, one) == ["cut", "cut"]  # 3.7 s and half a second more
    # Half a second before the second shot's cut at 5.5 s is seen through the first; nothing before the first one's is.
    early = replace(title, start_seconds=Fraction(53, 10), stop_seconds=Fraction(54, 10))
    assert kinds(one, replace(one, unusable=(early,))) == ["cut", "cut"]
    assert kinds(replace(one, unusable=(early,)), one) == ["cut", "crossfade"]


@pytest.mark.parametrize("rate", [10, 24, 25, Fraction(30000, 1001), 30, 50, 60])
@pytest.mark.parametrize("fps", [24, 25, 30, 60])
def test_no_speed_stutters_more_than_full_speed(rate, fps):
    one = replace(source("a", seconds=10), frame_rate=Fraction(rate))
    paces = paces_of(one, Fraction(fps), Fraction(1), 2.0)
    assert paces[0] == 1
    for pace in paces:
        assert Fraction(1, 2) <= pace <= 2
        assert unevenness(Fraction(rate) * pace / fps) <= unevenness(Fraction(rate) / fps) + 1e-9
        assert pace >= 1 or rate * pace >= 20
    assert paces_of(one, Fraction(fps), Fraction(1), 1.0) == (1,)
    assert paces_of(replace(one, constant_frame_rate=False), Fraction(fps), Fraction(1), 2.0) == (
        1,
    )


def test_unevenness_is_that_of_the_steps_between_frames():
    assert unevenness(Fraction(1)) == unevenness(Fraction(2)) == 0
    steps = np.diff(np.floor(np.arange(10_001) * 0.8))
    assert unevenness(Fraction(4, 5)) == pytest.approx(float(steps.std() / steps.mean()), abs=0.01)


def test_60_frames_a_second_run_at_half_speed_and_24_never_below_30():
    fast = replace(source("a", seconds=10), frame_rate=Fraction(60))
    assert Fraction(1, 2) in paces_of(fast, Fraction(30), Fraction(1), 2.0)
    film = replace(fast, frame_rate=Fraction(24))
    assert Fraction(5, 4) in paces_of(film, Fraction(30), Fraction(1), 2.0)  # a frame each


def moved(first, second, style=STYLE, **options):
    """The cut between two shots of four beats each, after it could move; beats are 15 frames apart, others lie around them."""
    track = music(20)
    one = Slot(0, 60, Fraction(0), "low", False, 0.5, 0.5, 0.5, 0.5)
    slots = [
        replace(one, start_frame=60 * k, stop_frame=60 * k + 60, beat_seconds=Fraction(2 * k))
        for k in range(4)
    ]
    around = (replace(second, source="id-y"), replace(second, source="id-z"))
    uses = [
        Use(k, s, 0.0, Fraction(0), Fraction(2), 0.5, shown_seconds=Fraction(2))
        for k, s in enumerate((around[0], first, second, around[1]))
    ]
    axes, weights = Axes.of(uses), {"quality": 0.3, "action": 0.2}
    given = dict(
        axes=axes, speeds=[Fraction(1)] * 4, transitions=[CUT] * 4, fixed=[0, 3], music=track, style=style,
        beats={15 * k: Fraction(k, 2) for k in range(16)}, weights=weights, fps=Fraction(30),
    )  # fmt: skip
    result, _, places = move_cuts(slots, uses, settle(uses, weights, axes), **{**given, **options})
    shown = Fraction(result[2].frames, 30)
    assert places[2].in_seconds + shown <= second.stop_seconds
    return result[2].start_frame, result[2].beat_seconds


def test_a_cut_comes_a_beat_earlier_where_somebody_leaves():
    one, other = (
        replace(
            s, subjects=(), stop_frame=200, stop_seconds=Fraction(8), motion_profile=(0.2,) * 40, quality_profile=(0.8,) * 40,
        )
        for s in crowd(2)[0]
    )  # fmt: skip
    style = replace(STYLE, prefer_downbeats=False)
    assert moved(one, other, style) == (120, 4)
    # He is there for 1.6 of two seconds.
    short = replace(
        one, stop_frame=75, stop_seconds=Fraction(3), motion_profile=(0.2,) * 15, quality_profile=(0.8,) * 15,
        subjects=tuple(Subject(f, "moving", 0.4, 0.2, 0.2, 0.5, 0.9) for f in (0, 10, 20, 30)),
    )  # fmt: skip
    frame, beat = moved(short, other, style)
    assert frame < 120
    assert beat == Fraction(frame, 30)
    # Not where it is somebody's: a pin's, a transition's.
    assert moved(short, other, style, fixed=[0, 2, 3]) == (120, 4)
    assert moved(short, other, style, transitions=[CUT, CUT, Transition("crossfade", 8), CUT]) == (
        120,
        4,
    )
    assert moved(short, other, replace(style, minimum_shot_seconds=2)) == (120, 4)


def test_full_speed_is_kept_where_clips_are_heard():
    shots, sources = footage(8, 4, seconds=(3, 6), rate=60)
    party = replace(load_style("party"), speed_change=2.0)
    assert {e.speed for e in make(shots, sources, music(30), party, full_speed=True).events} == {1}
