"""Styles choose their kind of picture, takes go forward, and what happens is not hidden by transitions and fades."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import combinations, pairwise

import numpy as np
import pytest
from made_edit import footage, music, shot, source

from montage_dask.edit.edit import edit
from montage_dask.edit.inpoints import Place, Use, settle
from montage_dask.edit.layout import DIP_SECONDS, alike, bearable
from montage_dask.edit.looks import LOOKS, liking
from montage_dask.edit.styles import load_style, parse_style, style_names
from montage_dask.edit.views import nothing, sample
from montage_dask.errors import UsageError
from montage_dask.records import CUT, Subject, Transition

SPREAD = (0.02, 0.01, 0.01, 0.02, 0.01, 0.02)
WOOD = dict(colour=(0.35, 0.55, 0.3, *SPREAD), colourfulness=0.6, exposure=0.5)
NIGHT = dict(colour=(0.1, 0.1, 0.1, *SPREAD), colourfulness=0.05, exposure=0.1)
MEADOW = dict(colour=(0.7, 0.75, 0.6, *SPREAD), colourfulness=0.5, exposure=0.8)
WEIGHTS = {"quality": 0.3, "action": 0.2}


def made(shots, sources, style, seconds=24, **options):
    return edit(
        shots, sources, music(seconds), load_style(style), fps=Fraction(30), width=64, height=36, **options
    )  # fmt: skip


def boxes(one, kind="moving", since=0.0, **where):
    place = {"x": 0.4, "y": 0.2, "width": 0.2, "height": 0.5, **where}
    first = one.start_frame + round(25 * since)
    return tuple(
        Subject(f, kind, confidence=0.9, **place) for f in range(first, one.stop_frame, 10)
    )


def still(one, level=0.04):
    return replace(one, motion=level, motion_profile=(level,) * len(one.motion_profile))


@pytest.mark.parametrize(
    ("style", "wanted"), [("nature", WOOD), ("noir", NIGHT), ("minimalist", MEADOW)]
)
def test_a_style_shows_its_kind_of_picture(style, wanted):
    found, sources = footage(18, 1, seconds=(9, 12))
    kinds = (WOOD, NIGHT, MEADOW)
    shots = [replace(s, **kinds[k % 3]) for k, s in enumerate(found)]
    kind = {s.source: kinds[k % 3] for k, s in enumerate(found)}
    events = made(shots, sources, style, 16).events
    assert 4 <= len(events) <= 6
    assert sum(kind[e.source] is wanted for e in events) >= len(events) * 2 / 3


def test_styles_differ_where_the_footage_allows():
    random = np.random.default_rng(5)
    found, sources = footage(14, 1, seconds=(9, 12))
    shots = [
        replace(
            s,
            colour=(*map(float, random.uniform(0.2, 0.7, 3)), *SPREAD),
            exposure=float(random.uniform(0.1, 0.9)),
            subjects=boxes(s, ("face", "moving")[k % 2], height=float(random.uniform(0.2, 0.5))),
        )
        for k, s in enumerate(found)
    ]
    shown = {
        n: {e.source for e in made(shots, sources, n, 16).events}
        for n in ("documentary", "dream", "minimalist", "nature", "noir", "wedding")
    }
    for a, b in combinations(shown, 2):
        assert len(shown[a] & shown[b]) < min(len(shown[a]), len(shown[b])), (a, b)


def test_every_style_has_a_taste_of_known_looks():
    for name in style_names():
        taste = load_style(name).taste
        assert taste
        assert set(taste) <= set(LOOKS)


def test_nothing_is_liked_for_its_colours():
    found, _ = footage(1, 3)
    shots = [replace(s, **MEADOW) for s in found[:2]] + [replace(found[2], **NIGHT)]
    liked = liking(shots, {"bright": 1}, np.array([1.0, 0.2, 1.0]))
    assert liked.tolist() == pytest.approx([1.0, 0.2, 0.0])
    assert liking(shots, {}, np.zeros(3)).tolist() == [1, 1, 1]


@pytest.mark.parametrize("taste", [{"tasty": 1}, {"green": -1}, ["green"], {"green": "much"}])
def test_a_taste_that_is_none_is_refused(taste):
    with pytest.raises(UsageError, match="taste"):
        parse_style({**_plain("nature"), "taste": taste}, "mine", "mine.yaml")


def test_a_style_of_before_there_were_tastes_is_one():
    plain = _plain("nature")
    plain.pop("taste")
    assert parse_style(plain, "mine", "mine.yaml").taste == {}


def _plain(name):
    import yaml

    from montage_dask.edit.styles import FOLDER

    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text())


def test_a_take_goes_forward():
    shots, sources = footage(3, 1, seconds=(14, 16))

    def backwards(style):
        events = edit(
            shots, sources, music(24), style, fps=Fraction(30), width=64, height=36
        ).events
        last, found = {}, 0
        for e in events:
            found += e.in_seconds < last.get(e.source, e.in_seconds)
            last[e.source] = e.in_seconds
        return found

    style = load_style("music-video")
    assert backwards(style) == 0
    assert backwards(replace(style, jump_cuts=True)) > 2


def test_a_back_that_does_not_move_is_little_to_see():
    one = still(shot("a", 0, 0, 250, np.random.default_rng(0)))
    nobody, back = replace(one, colourfulness=0.0), replace(one, subjects=boxes(one))
    face = replace(one, subjects=boxes(one, "face"))
    levels = [nothing(s, sample(s)).mean() for s in (nobody, back, face)]
    assert levels[0] == 1
    assert 0.2 <= levels[1] <= 0.5
    assert levels[2] < 0.05
    # A colourful place may be shown, an empty road not; a room that somebody has left is no place.
    garden = replace(one, colourfulness=0.6)
    left = replace(garden, subjects=boxes(garden)[:5])
    assert nothing(garden, sample(garden)).mean() <= 0.6
    assert nothing(left, sample(left))[-1] == 1


@pytest.mark.parametrize("style", ["travel", "music-video", "sport", "action"])
def test_it_ends_on_a_face_and_not_on_a_back(style):
    found, sources = footage(8, 1, seconds=(9, 12))
    shots = [
        replace(still(s), colourfulness=0.5, exposure=0.5, quality=0.9,
                quality_profile=(0.9,) * len(s.quality_profile),
                subjects=boxes(s, "face" if k in (2, 5) else "moving"))
        for k, s in enumerate(found)
    ]  # fmt: skip
    faces = {shots[2].source, shots[5].source}
    timeline = made(shots, sources, style, 16)
    assert timeline.events[-1].source in faces


def test_an_opening_does_not_wait_for_its_subject():
    one = shot("a", 0, 0, 250, np.random.default_rng(0))
    late = replace(still(one, 0.2), subjects=boxes(one, since=3.0))

    def begin(opens):
        use = Use(
            0, late, 2.0, Fraction(0), Fraction(2), 0.5, shown_seconds=Fraction(2), opens=opens
        )
        return float(settle([use], WEIGHTS)[0].in_seconds)

    assert begin(True) >= 2.5


def peaked(at, seconds=10):
    """A shot whose only movement is at a time."""
    one = shot("a", 0, 0, 25 * seconds, np.random.default_rng(0))
    steps = np.arange(len(one.motion_profile)) * 0.2
    return replace(
        one, motion_profile=tuple(0.5 if abs(t - at) <= 0.25 else 0.1 for t in steps.tolist())
    )


def test_no_movement_peaks_under_a_transition():
    def kinds(first, second):
        half, hidden = Fraction(1, 2), Fraction(1, 2)
        uses = [
            Use(0, first, 0.0, Fraction(0), Fraction(5, 2), 0.5, shown_seconds=Fraction(2), hidden_seconds=(Fraction(0), hidden)),
            Use(1, second, 0.0, half, Fraction(2), 0.5, shown_seconds=Fraction(2), hidden_seconds=(hidden, Fraction(0))),
        ]  # fmt: skip
        places = {0: Place(Fraction(1)), 1: Place(Fraction(5))}
        return [t.kind for t in bearable((CUT, Transition("crossfade", 30)), uses, places)][1]

    assert kinds(peaked(2.0), peaked(6.0)) == "crossfade"
    assert kinds(peaked(3.1), peaked(6.0)) == "cut"
    assert kinds(peaked(2.0), peaked(5.0)) == "cut"


def test_an_ending_is_over_before_it_fades():
    one = peaked(5.0)

    def rest(fade):
        use = Use(
            0, one, 4.0, Fraction(0), Fraction(3), 0.5, shown_seconds=Fraction(3), hidden_seconds=(Fraction(0), fade)
        )  # fmt: skip
        return float(settle([use], {"quality": 1.0, "action": 0.0})[0].in_seconds) + 3 - 5.2

    assert rest(Fraction(1)) >= 1


def test_pictures_that_are_not_alike_are_not_mixed():
    random = np.random.default_rng(0)
    one, sources = shot("a", 0, 0, 250, random), {"id-a": source("a"), "id-b": source("b")}
    other = replace(one, source="id-b")
    assert alike(one, other, sources, colours=True)
    grey = replace(other, colourfulness=0.0)
    assert not alike(replace(one, colourfulness=0.1), grey, sources, colours=True)
    assert alike(replace(one, colourfulness=0.1), grey, sources, colours=False)
    assert not alike(one, replace(other, **NIGHT), sources, colours=False)
    tall = {**sources, "id-b": replace(sources["id-b"], width=1080, height=1080)}
    assert not alike(one, other, tall, colours=True)


@pytest.mark.parametrize("style", ["dream", "wedding", "minimalist", "documentary"])
def test_crossfades_only_between_alike_pictures(style):
    found, sources = footage(8, 3, seconds=(9, 12))
    shots = [replace(s, **(WOOD, NIGHT)[k % 2]) for k, s in enumerate(found)]
    kind = {(s.source, s.index): k % 2 for k, s in enumerate(shots)}
    events = made(shots, sources, style, 40).events
    for a, b in pairwise(events):
        if b.transition.frames:
            assert kind[a.source, a.shot] == kind[b.source, b.shot]
    # Who asks for them gets them.
    asked = made(shots, sources, style, 40, transition="crossfade").events
    assert sum(e.transition.kind == "crossfade" for e in asked) >= len(asked) / 2


def test_dips_are_for_shots_that_bear_them():
    found, sources = footage(8, 4, seconds=(4, 9))
    events = made(found, sources, "party", 60).events
    dips = [(a, b) for a, b in pairwise(events) if b.transition.frames]
    for a, b in dips:
        # A cut may have moved by a beat since.
        assert min(a.frames, b.frames) / 30 >= DIP_SECONDS / 2
        assert b.transition.frames <= min(a.frames, b.frames) / 3
    assert dips
