"""What every montage must hold, over made-up footage and music."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_edit import check, footage, music, shot, source

from montage_dask.edit.candidates import good_shots
from montage_dask.edit.choose import Pin
from montage_dask.edit.edit import edit
from montage_dask.edit.inpoints import peak_seconds
from montage_dask.edit.styles import load_style, style_names
from montage_dask.errors import NothingToDoError, UsageError
from montage_dask.records import Timeline, from_json, to_json

STYLE = load_style("music-video")
NTSC = Fraction(30000, 1001)


def make(shots, sources, track, style=STYLE, fps=Fraction(30), **options):
    return edit(shots, sources, track, style, fps=fps, width=640, height=360, **options)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    style=st.sampled_from(style_names()),
    clips=st.integers(1, 5),
    per_clip=st.integers(1, 5),
    shortest=st.floats(0.05, 3),
    spread=st.floats(0.1, 9),
    seconds=st.floats(0.2, 25),
    bpm=st.floats(60, 190),
    bar=st.sampled_from((0, 3, 4)),
    fps=st.sampled_from((Fraction(24), Fraction(25), NTSC, Fraction(60))),
    start=st.fractions(0, Fraction(1, 8), max_denominator=1000),
    seed=st.integers(0, 2**40),
    transition=st.sampled_from((None, "cut", "crossfade", "dip-to-black")),
)
def test_any_montage_is_contiguous_on_the_beat_and_inside_its_shots(
    style, clips, per_clip, shortest, spread, seconds, bpm, bar, fps, start, seed, transition
):
    shots, sources = footage(clips, per_clip, seed % 97, (shortest, shortest + spread))
    track = music(seconds, bpm, bar=bar, seed=seed % 89)
    options = dict(fps=fps, start_seconds=start, seed=seed, transition=transition)
    timeline = make(shots, sources, track, load_style(style), **options)
    check(timeline, shots, track)
    exact = (track.duration_seconds - start) * fps
    assert abs(timeline.frames - exact) <= Fraction(1, 2) or timeline.frames == 1
    assert timeline == make(shots, sources, track, load_style(style), **options)
    assert from_json(Timeline, to_json(timeline)) == timeline


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    clips=st.integers(1, 6),
    per_clip=st.integers(1, 6),
    seed=st.integers(0, 1000),
    seconds=st.floats(5, 25),
    style=st.sampled_from([n for n in style_names() if load_style(n).order == "free"]),
)
def test_no_shot_comes_twice_before_every_good_one_that_fits_came(
    clips, per_clip, seed, seconds, style
):
    shots, sources = footage(clips, per_clip, seed, (1, 8))
    timeline = make(shots, sources, music(seconds, seed=seed), load_style(style))
    uses = Counter((e.source, e.shot) for e in timeline.events)
    good = [s for s, g in zip(shots, good_shots(shots), strict=True) if g]
    unused = [s for s in good if (s.source, s.index) not in uses]
    events = timeline.events
    for k, event in enumerate(events):
        if uses[event.source, event.shot] < 2:
            continue
        around = event.transition.frames + (
            events[k + 1].transition.frames if k + 1 < len(events) else 0
        )
        need = (event.frames + Fraction(around, 2)) / timeline.fps
        assert not [s for s in unused if s.duration_seconds >= need]


def test_parts_do_not_overlap_while_there_is_enough_footage():
    shots, sources = footage(8, 6, seconds=(4, 9))
    timeline = make(shots, sources, music(60))
    spans = {}
    for e in timeline.events:
        spans.setdefault((e.source, e.shot), []).append(
            (e.in_seconds, e.in_seconds + e.frames / timeline.fps * e.speed)
        )
    for parts in spans.values():
        parts.sort()
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(parts))
    assert not timeline.notes


def test_one_long_take_gives_different_parts_of_it():
    random = np.random.default_rng(1)
    take = shot("take", 0, 0, 25 * 300, random)
    timeline = make([take], {"id-take": source("take", seconds=300)}, music(60))
    check(timeline, [take], music(60))
    begins = sorted(e.in_seconds for e in timeline.events)
    assert len(begins) > 20
    assert min(b - a for a, b in itertools.pairwise(begins)) > Fraction(1, 4)
    assert not [n for n in timeline.notes if "again" in n]


def test_alike_shots_are_not_neighbours():
    random = np.random.default_rng(3)
    shots, sources = [], {}
    for c in range(6):
        look = random.random(8)
        name = f"c{c}"
        sources[f"id-{name}"] = source(name)
        shots += [
            shot(name, k, k * 100, 100, random, group=c, embedding=look + 0.01 * k)
            for k in range(5)
        ]
    track = music(40)
    for seed in range(3):
        timeline = make(shots, sources, track, seed=seed)
        groups = [e.source for e in timeline.events]
        assert all(a != b for a, b in itertools.pairwise(groups))


def test_sections_begin_with_a_cut():
    shots, sources = footage(10, 6)
    track = music(60)
    for name in style_names():
        cuts = {e.beat_seconds for e in make(shots, sources, track, load_style(name)).events}
        for section in track.sections[1:]:
            nearest = min(track.beats_seconds, key=lambda b: abs(b - section.start_seconds))
            assert nearest in cuts, name


def test_fast_music_is_cut_faster_than_calm_music():
    shots, sources = footage(12, 6)
    loud = make(shots, sources, music(30, labels=("drop",)))
    calm = make(shots, sources, music(30, labels=("intro",)))
    assert len(loud.events) > 2 * len(calm.events)


def test_lively_parts_go_to_loud_music():
    shots, sources = footage(20, 6)
    style = replace(STYLE, weights={**STYLE.weights, "motion": 8})
    events = make(shots, sources, music(60), style).events
    motion = {(s.source, s.index): s.motion for s in shots}
    early = [motion[e.source, e.shot] for e in events if e.start_frame < 500]
    middle = [motion[e.source, e.shot] for e in events if 900 < e.start_frame < 1400]
    assert np.mean(middle) > np.mean(early) + 0.1


def test_other_seeds_give_other_montages_that_are_about_as_good():
    shots, sources = footage(20, 6)
    made = [make(shots, sources, music(60), seed=s) for s in range(3)]
    totals = [np.mean([e.scores["total"] for e in t.events]) for t in made]
    assert max(totals) - min(totals) < 0.05
    for a, b in ((0, 1), (1, 2), (0, 2)):
        pairs = zip(made[a].events, made[b].events, strict=True)
        same = sum((x.source, x.shot) == (y.source, y.shot) for x, y in pairs)
        assert same < 0.4 * len(made[a].events)


def test_a_three_second_clip_fills_a_song():
    random = np.random.default_rng(0)
    clip = shot("short", 0, 0, 75, random)
    track = music(60)
    timeline = make([clip], {"id-short": source("short", seconds=3)}, track)
    check(timeline, [clip], track)
    assert timeline.frames == 1800
    assert max(e.frames for e in timeline.events) <= 90
    assert any("footage is short" in n for n in timeline.notes)


@pytest.mark.parametrize("beats", [0, 1, 2])
def test_music_without_a_beat(beats):
    track = music(20, confidence=0.0)
    track = replace(
        track,
        beats_seconds=track.beats_seconds[:beats],
        beat_energy=track.beat_energy[:beats],
        beat_strength=track.beat_strength[:beats],
        downbeats=(0,) if beats else (),
        beats_per_bar=0,
        tempo_bpm=0.0,
        sections=(),
    )
    shots, sources = footage()
    timeline = make(shots, sources, track)
    check(timeline, shots, track)
    assert len(timeline.events) >= 3
    assert any("no beat" in n for n in timeline.notes)


def test_start_duration_and_overrides():
    shots, sources = footage()
    track = music(60)
    timeline = make(
        shots,
        sources,
        track,
        start_seconds=Fraction(21, 2),
        duration_seconds=12.5,
        grade="noir",
        transition="crossfade",
        fps=NTSC,
    )
    check(timeline, shots, track)
    assert timeline.frames == round(Fraction(25, 2) * NTSC)
    assert timeline.grade == "noir"
    assert {e.transition.kind for e in timeline.events} >= {"crossfade"}
    assert all(21 / 2 <= b < 23 for b in timeline.beats_seconds)
    assert len(timeline.beats_seconds) == 25
    longer = make(shots, sources, track, duration_seconds=90)
    assert longer.frames == 1800
    assert any("music ends" in n for n in longer.notes)


def test_wrong_requests_are_refused():
    shots, sources = footage()
    track = music(60)
    for options in (
        {"start_seconds": 60},
        {"start_seconds": -1},
        {"duration_seconds": 0},
        {"transition": "wipe"},
    ):
        with pytest.raises(UsageError):
            make(shots, sources, track, **options)
    with pytest.raises(UsageError):
        make(shots, sources, track, fps=Fraction(0))
    with pytest.raises(NothingToDoError):
        make([], sources, track)


@pytest.mark.parametrize("name", ["music-video", "documentary"])
def test_pins_are_shown(name):
    shots, sources = footage(6, 5)
    track = music(40)
    short = shot("tiny", 0, 0, 10, np.random.default_rng(5))
    sources["id-tiny"] = source("tiny", seconds=1)
    at = shots[7].start_seconds + Fraction(6, 5)
    pins = [
        Pin(shots[7].source, at, (shots[7],)),
        Pin("id-tiny", None, (short,)),
        Pin(shots[20].source, None, shots[20:25]),
    ]
    timeline = make(shots, sources, track, load_style(name), pins=pins)
    check(timeline, shots, track, extra=[short])
    fps = timeline.fps
    assert any(
        e.source == shots[7].source
        and e.in_seconds <= at < e.in_seconds + e.frames / fps * e.speed
        and "Pinned" in e.reason
        for e in timeline.events
    )
    assert any(e.source == "id-tiny" for e in timeline.events)
    assert any(e.source == shots[20].source for e in timeline.events)


@pytest.mark.parametrize("place", [0, 1, 50, 97, 99])
def test_a_pinned_moment_is_in_full_view_and_not_only_in_a_crossfade(place):
    shots, sources = footage(6, 5, seconds=(4, 8))
    target = shots[12]
    at = target.start_seconds + target.duration_seconds * Fraction(place, 100)
    style = load_style("dream")
    assert style.transition == "crossfade"
    for seed in range(3):
        pins = [Pin(target.source, at, (target,))]
        timeline = make(shots, sources, music(40), style, pins=pins, seed=seed)
        assert any(
            e.source == target.source
            and e.in_seconds <= at < e.in_seconds + e.frames / timeline.fps * e.speed
            for e in timeline.events
        )


def test_more_pins_than_cuts_are_refused():
    shots, sources = footage(6, 5)
    pins = [Pin(s.source, s.start_seconds, (s,)) for s in shots]
    with pytest.raises(UsageError, match="pins"):
        make(shots, sources, music(4), pins=pins)


def test_in_points_lie_on_action():
    """A jolt in the middle of every shot is on a beat, about a third into it."""
    random = np.random.default_rng(2)
    shots, sources = [], {}
    for c in range(30):
        made = shot(f"j{c}", 0, 0, 200, random, quality=0.8)
        profile = [0.05] * len(made.motion_profile)
        profile[20] = profile[21] = 1.0
        shots.append(replace(made, motion_profile=tuple(profile), motion=0.1))
        sources[f"id-j{c}"] = source(f"j{c}", seconds=8)
    events = make(shots, sources, music(20)).events
    near = 0
    for e in events:
        speed, length = float(e.speed), e.frames / 30
        late = (4.2 - float(e.in_seconds)) / speed
        wanted = peak_seconds(length, 0.5)
        assert length < 0.9 or wanted % 0.5 == 0
        near += abs(late - wanted) <= 0.15
    assert near > 0.8 * len(events)
