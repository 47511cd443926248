"""Styles: all valid, strictly checked, and every key changes the montage."""

from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction

import numpy as np
import pytest
import yaml
from made_edit import footage, music, shot, source

from montage_dask.edit.beat_effects import BeatEffect
from montage_dask.edit.edit import edit
from montage_dask.edit.story import ARCS, tension
from montage_dask.edit.styles import FOLDER, GRADES, LABELS, WEIGHTS, Style, load_style, style_names
from montage_dask.errors import UsageError

BASE = load_style("travel")
OTHER = {
    "energy_response": 0.0,
    "arc": "falling",
    "minimum_shot_seconds": 3.0,
    "maximum_shot_seconds": 1.5,
    "prefer_downbeats": False,
    "transition": "dip-to-white",
    "transition_at": "all",
    "transition_chance": 0.9,
    "transition_beats": 0.5,
    "grade": "noir",
    "match": "off",
    "fade_out_seconds": 0.5,
    "slow_motion": Fraction(1, 2),
    "speed_change": 2.0,
    "jump_cuts": True,
    "order": "chronological",
    "taste": {"dark": 1},
    "punch": BeatEffect("downbeats", 0.5),
    "flash": BeatEffect("drops", 0.5),
    "shake": BeatEffect("drops", 0.5),
    "ramp": BeatEffect("drops", 0.5),
}


def make(style, seconds=(2.0, 6.0), clips=12, per_clip=6):
    shots, sources = footage(clips, per_clip, rate=50, seconds=seconds)
    timeline = edit(shots, sources, music(60), style, fps=Fraction(30), width=640, height=360)
    return replace(timeline, style="", events=tuple(replace(e, reason="") for e in timeline.events))


@pytest.fixture(scope="module")
def base():
    return make(BASE)


def test_there_are_at_least_twelve_styles_and_all_load():
    assert len(style_names()) >= 12
    assert "music-video" in style_names()
    for name in style_names():
        assert load_style(name).name == name


@pytest.fixture(scope="module")
def made():
    """A montage in each style, with footage enough for any."""
    return {name: make(load_style(name), (4, 20)) for name in style_names()}


def test_no_two_styles_give_the_same_montage(made):
    assert len({(t.events, t.grade) for t in map(_hashable, made.values())}) == len(made)


def _hashable(timeline):
    return replace(timeline, events=tuple(replace(e, scores=()) for e in timeline.events))


def test_every_key_is_varied_below():
    keys = {f.name for f in fields(Style)} - {"name", "description", "beats_per_cut", "weights"}
    assert keys == set(OTHER)


@pytest.mark.parametrize("key", OTHER)
def test_every_key_changes_the_montage(key, base):
    changed = {key: OTHER[key]}
    if key == "maximum_shot_seconds":
        changed["minimum_shot_seconds"] = 0.5
        assert make(replace(BASE, minimum_shot_seconds=0.5)) != make(replace(BASE, **changed))
    if key == "jump_cuts":
        takes = dict(seconds=(60, 70), clips=2, per_clip=1)
        assert make(BASE, **takes) != make(replace(BASE, **changed), **takes)
        return
    assert make(replace(BASE, **changed)) != base


@pytest.mark.parametrize("label", LABELS)
def test_beats_per_cut_of_every_section_changes_the_montage(label, base):
    beats = 16 if BASE.beats_per_cut[label] <= 4 else 1
    changed = replace(BASE, beats_per_cut={**BASE.beats_per_cut, label: beats})
    assert len(make(changed).events) != len(base.events)


@pytest.mark.parametrize("name", WEIGHTS)
def test_every_weight_changes_which_parts_are_chosen(name, base):
    weight = 9 if BASE.weights[name] < 4 else 0
    changed = make(replace(BASE, weights={**BASE.weights, name: weight}))
    chosen = [[(e.source, e.shot) for e in t.events] for t in (base, changed)]
    assert chosen[0] != chosen[1]


def test_slow_motion_needs_a_source_with_enough_frames():
    dream = load_style("dream")
    random = np.random.default_rng(0)
    for rate, speeds in ((60, {Fraction(1, 2)}), (25, {Fraction(1)})):
        shots = [shot("a", k, k * rate * 9, rate * 9, random, rate=rate) for k in range(12)]
        sources = {"id-a": source("a", rate=rate)}
        track = music(20, labels=("intro",))
        timeline = edit(
            shots,
            sources,
            track,
            replace(dream, arc="slow-burn"),
            fps=Fraction(30),
            width=64,
            height=36,
        )
        calm = {e.speed for e in timeline.events if e.start_frame < 300}
        assert calm == speeds


def test_chronological_styles_keep_the_order_of_filming():
    shots, sources = footage(12, 6, seconds=(4, 12))
    timeline = edit(
        shots,
        sources,
        music(60),
        load_style("documentary"),
        fps=Fraction(30),
        width=64,
        height=36,
    )
    places = [(e.source, e.in_seconds) for e in timeline.events]
    assert places == sorted(places)
    assert len({(e.source, e.shot) for e in timeline.events}) == len(timeline.events)


@pytest.mark.parametrize("seed", range(2))
def test_footage_is_not_called_short_because_of_crossfades(seed):
    shots, sources = footage(8, 4, seed, (2, 8))
    track = music(60, 124, seed=seed)
    style = load_style("documentary")
    assert style.transition == "crossfade"
    timeline = edit(shots, sources, track, style, fps=Fraction(30), width=64, height=36)
    assert not timeline.notes
    assert len({(e.source, e.shot) for e in timeline.events}) == len(timeline.events)


def test_chronological_with_few_shots_uses_all_of_them_in_order():
    shots, sources = footage(2, 3, seconds=(14, 20))
    style = load_style("documentary")
    timeline = edit(shots, sources, music(60), style, fps=Fraction(30), width=64, height=36)
    places = [(e.source, e.in_seconds) for e in timeline.events]
    assert places == sorted(places)
    assert len({(e.source, e.shot) for e in timeline.events}) == 6


@pytest.mark.parametrize("arc", ARCS)
def test_arcs_are_within_bounds_everywhere(arc):
    values = [tension(arc, p / 200) for p in range(-20, 221)]
    assert all(0 <= v <= 1 for v in values)
    assert len(ARCS) >= 6


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"speed": 1}, "unknown key speed"),
        ({"arc": None}, "missing key arc"),
        ({"arc": "zigzag"}, "arc: 'zigzag' is not one of"),
        ({"energy_response": 2}, "energy_response: 2 is not between 0 and 1"),
        ({"energy_response": True}, "energy_response: expected a number"),
        ({"energy_response": float("nan")}, "energy_response"),
        ({"beats_per_cut": 4}, "beats_per_cut: expected the keys"),
        ({"beats_per_cut": dict.fromkeys(LABELS, 0.5)}, "beats_per_cut.intro: expected whole"),
        ({"weights": {"quality": 1}}, "weights: expected the keys"),
        ({"weights": dict.fromkeys(WEIGHTS, -1)}, "weights.quality"),
        ({"prefer_downbeats": "yes"}, "prefer_downbeats: expected true or false"),
        ({"minimum_shot_seconds": 20}, "minimum_shot_seconds must be below"),
        ({"slow_motion": 0.1}, "slow_motion"),
        ({"description": ""}, "description"),
        ({"grade": ["noir"]}, "grade"),
        ({"punch": "drops"}, "punch: expected none, or the keys at and strength"),
        ({"flash": {"at": "bars", "strength": 0.5}}, "flash.at: 'bars' is not one of"),
        ({"ramp": {"at": "drops", "strength": 2}}, "ramp.strength: 2 is not between 0 and 1"),
    ],
)
def test_wrong_styles_are_refused_by_key_and_file(change, part, tmp_path):
    data = yaml.safe_load((FOLDER / "travel.yaml").read_text())
    data |= change
    data = {k: v for k, v in data.items() if v is not None}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(UsageError) as caught:
        load_style(str(path))
    message = str(caught.value)
    assert part in message
    assert str(path) in message
    assert "music-video" in message
    assert "\n" not in message


@pytest.mark.parametrize("content", [b"[1, 2]", b"a: [", b"\xff\xfe\x00", b"", b"!!python/none"])
def test_files_that_hold_no_style_are_refused(content, tmp_path):
    path = tmp_path / "odd.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"odd\.yaml"):
        load_style(str(path))
    with pytest.raises(UsageError, match="No such file"):
        load_style(str(tmp_path / "none.yaml"))


def test_a_users_style_and_close_names(tmp_path):
    path = tmp_path / "mine.yml"
    path.write_text((FOLDER / "noir.yaml").read_text())
    assert load_style(str(path)) == replace(load_style("noir"), name="mine")
    with pytest.raises(UsageError, match="did you mean music-video"):
        load_style("music_video")


def test_grades_of_styles_are_the_presets_of_the_renderer():
    grade = pytest.importorskip("montage_dask.render.grade")
    assert set(GRADES) == set(grade.PRESETS)


# -- what the descriptions promise ------------------------------------------------------------------------------------


def lengths(timeline, part=slice(None)):
    """Seconds of the events."""
    return [float(e.frames / timeline.fps) for e in timeline.events[part]]


def third(timeline, number):
    """Mean seconds of the events that begin in that third of the montage."""
    edges = [timeline.frames * k / 3 for k in range(4)]
    held = [e for e in timeline.events if edges[number] <= e.start_frame < edges[number + 1]]
    return float(np.mean([float(e.frames / timeline.fps) for e in held]))


def test_fast_styles_cut_faster_than_calm_ones(made):
    fast = [len(made[n].events) for n in ("action", "party", "social")]
    medium = [len(made[n].events) for n in ("music-video", "sport", "trailer")]
    calm = [len(made[n].events) for n in ("travel", "vintage", "noir")]
    slow = [len(made[n].events) for n in ("nature", "wedding", "dream", "documentary")]
    assert min(fast) >= max(medium)
    assert min(medium) > max(calm)
    assert min(calm) > max(slow)
    assert len(made["minimalist"].events) < min(slow)


@pytest.mark.parametrize("shots", [2, 3, 4])
def test_little_footage_does_not_turn_the_order_round(shots):
    """A style that wants more cuts than the footage has pictures for is slowed down only as far as needed."""
    few, sources = footage(3, shots, seconds=(3, 5))
    counts = {}
    for name in ("action", "music-video", "travel", "minimalist"):
        timeline = edit(
            few,
            sources,
            music(24, 124, labels=("high", "outro")),
            load_style(name),
            fps=Fraction(30),
            width=64,
            height=36,
        )
        counts[name] = len(timeline.events)
    # Opening and ending last a bar in either: a cut or two decide nothing.
    assert counts["action"] >= counts["music-video"] - 2
    assert counts["music-video"] > counts["travel"] >= counts["minimalist"]


@pytest.mark.parametrize("labels", [("high",), ("intro", "low", "high", "drop", "outro")])
def test_a_trailer_opens_slowly_and_ends_in_a_storm(labels):
    shots, sources = footage(12, 6)
    track = music(60, 124, labels=labels)
    timeline = edit(
        shots, sources, track, load_style("trailer"), fps=Fraction(30), width=64, height=36
    )
    assert third(timeline, 0) > 1.5 * third(timeline, 2)
    assert lengths(timeline)[0] > 1.5
    assert np.median(lengths(timeline, slice(-8, None))) < 0.6


def test_a_hook_in_the_first_second(made):
    assert made["social"].events[0].frames < 1.2 * made["social"].fps
    assert min(made[n].events[0].frames for n in made if n != "social") > 2 * made["social"].fps


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("noir", "dip-to-black"),
        ("trailer", "dip-to-black"),
        ("party", "dip-to-white"),
        ("sport", "dip-to-white"),
        ("travel", "crossfade"),
        ("nature", "crossfade"),
    ],
)
def test_transitions_come_where_the_song_changes(made, name, kind):
    assert {e.transition.kind for e in made[name].events} == {"cut", kind}


@pytest.mark.parametrize("name", ["dream", "documentary", "minimalist", "wedding"])
def test_crossfades_between_all_that_is_alike(name):
    found, sources = footage(12, 6, rate=50, seconds=(9, 20))
    shots = [replace(s, colourfulness=0.5, exposure=0.5) for s in found]
    timeline = edit(
        shots, sources, music(60), load_style(name), fps=Fraction(30), width=64, height=36
    )
    kinds = [e.transition.kind for e in timeline.events[1:]]
    assert set(kinds) <= {"crossfade", "cut"}
    # A cut stays where a movement would peak under the crossfade.
    assert kinds.count("crossfade") >= len(kinds) / 2


@pytest.mark.parametrize("name", ["action", "social", "music-video"])
def test_hard_cuts_only(made, name):
    assert {e.transition.kind for e in made[name].events} == {"cut"}


def test_slow_motion_where_it_is_promised(made):
    """The footage has 50 frames a second."""
    slowed = {n for n, t in made.items() if any(e.speed < 1 for e in t.events)}
    assert slowed == {"dream", "nature", "sport", "wedding"}
