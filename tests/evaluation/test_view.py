"""What a viewer misses is seen by the judge: subjects that leave, pictures of nothing, the same take again, turned directions."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from made_edit import footage, music

from montage_dask.evaluation.bare import figures_of_file
from montage_dask.evaluation.figures import figures_of
from montage_dask.evaluation.score import FAULTS, WORTH, parts_of, score_of
from montage_dask.evaluation.words import WORDS, figure_lines
from montage_dask.records import Camera, Event, Subject, Timeline

FPS = Fraction(30)


def boxes(shot, way, *, every=10, size=(0.2, 0.5), kind="moving"):
    """Subjects along a shot: `way` gives left and upper edge for a share of the shot; None: nobody."""
    found = []
    for frame in range(shot.start_frame, shot.stop_frame, every):
        place = way((frame - shot.start_frame) / (shot.stop_frame - shot.start_frame))
        if place is None:
            continue
        left, top = place
        right, low = min(1.0, left + size[0]), min(1.0, top + size[1])
        left, top = max(0.0, left), max(0.0, top)
        if right > left and low > top:
            found.append(Subject(frame, kind, left, top, right - left, low - top, 0.9))
    return replace(shot, subjects=tuple(found))


def montage(shots, seconds=Fraction(4)):
    """Every shot from its begin, one after the other."""
    frames = int(seconds * FPS)
    events = tuple(
        Event(k * frames, (k + 1) * frames, s.source, s.index, s.start_seconds)
        for k, s in enumerate(shots)
    )
    return Timeline(FPS, 64, 36, events, "/m.ogg", Fraction(0), "travel", 0)


def figures(shots, **more):
    _, sources = footage(4, 1, seconds=(4, 4))
    return figures_of(montage(shots), shots, sources, music(16), **more)


@pytest.fixture
def four():
    """Four clips of four seconds whose motion is even and lively."""
    shots, _ = footage(4, 1, seconds=(4, 4))
    return [
        replace(s, motion_profile=(0.3,) * len(s.motion_profile), camera=Camera("static", 0.0))
        for s in shots
    ]


@pytest.mark.parametrize(
    "edge",
    [lambda t: (1.3 * t, 0.3), lambda t: (0.5 - 0.9 * t, 0.3), lambda t: (0.4, 0.8 - 1.5 * t)],
    ids=["right", "left", "above"],
)  # fmt: skip
def test_a_subject_that_leaves_is_lost(four, edge):
    stays = [boxes(s, lambda t: (0.3 + 0.2 * t, 0.3)) for s in four]
    assert figures(stays).subject_lost_percent == 0
    one_goes = [boxes(four[0], edge), *stays[1:]]
    assert figures(one_goes).subject_lost_percent == 25
    assert score_of(figures(one_goes)) < score_of(figures(stays))
    assert figures(one_goes).weak_places == ("opening",)


def test_somebody_who_comes_in_or_stands_at_the_edge_is_not_lost(four):
    comes = [boxes(s, lambda t: (0.9 - 0.6 * t, 0.3)) for s in four]
    assert figures(comes).subject_lost_percent == 0
    stands = [boxes(s, lambda t: (0.85, 0.3)) for s in four]
    assert figures(stands).subject_lost_percent == 0
    assert figures(four).subject_lost_percent is None


def test_pictures_of_nothing_are_empty(four):
    still = [replace(s, motion_profile=(0.02,) * len(s.motion_profile)) for s in four]
    assert figures(still).empty_percent == 100
    assert set(figures(still).weak_places) >= {"opening", "ending"}
    assert figures(four).empty_percent == 0, "something moves"
    pans = [replace(s, camera=Camera("pan", 0.1)) for s in still]
    assert figures(pans).empty_percent == 0, "the camera moves"
    faces = [boxes(s, lambda t: (0.4, 0.3), kind="face") for s in still]
    assert figures(faces).empty_percent == 0, "somebody is there"
    half = [boxes(s, lambda t: (0.4, 0.3) if t < 0.5 else None, every=5) for s in still]
    assert 35 <= figures(half).empty_percent <= 45, "half, less half a second"
    scores = [score_of(figures(x)) for x in (still, half, faces)]
    assert scores == sorted(scores)
    assert scores[0] < scores[-1] - 2


def test_the_same_take_again(four):
    assert figures(four).takes_share == 1
    twice = [four[0], four[1], four[0], four[1]]
    assert figures(twice).takes_share == 0.5
    assert parts_of(figures(twice))["takes"] < parts_of(figures(four))["takes"]


def test_directions_that_turn_around(four):
    right = [boxes(s, lambda t: (0.1 + 0.6 * t, 0.3)) for s in four]
    assert figures(right).direction_flips_percent == 0
    left = boxes(four[1], lambda t: (0.7 - 0.6 * t, 0.3))
    turned = [right[0], left, *right[2:]]
    assert figures(turned).direction_flips_percent == pytest.approx(200 / 3, abs=0.01)
    assert score_of(figures(turned)) < score_of(figures(right))
    still = [boxes(s, lambda t: (0.4, 0.3)) for s in four]
    assert figures(still).direction_flips_percent is None


def test_the_end_of_a_phrase_is_farther_than_that_of_a_bar(four):
    found = figures(four)  # sixteen seconds of two-second bars: where the music ends
    assert found.end_seconds == found.phrase_seconds == 0
    _, sources = footage(4, 1, seconds=(4, 4))
    short = figures_of(montage(four, Fraction(7, 2)), four, sources, music(60))
    assert short.end_seconds < short.phrase_seconds


def test_every_figure_has_words_and_every_part_a_weight(four):
    found = figures(four)
    assert set(WORDS) == set(type(found).__dataclass_fields__)
    assert parts_of(found).keys() <= WORTH.keys() | FAULTS.keys()
    assert ("takes for each shot", "1.0") in figure_lines({"takes_share": 1.0})


def test_a_file_alone_tells_what_it_shows_and_nothing_else(four):
    _, sources = footage(4, 1, seconds=(4, 4))
    source = next(iter(sources.values()))
    inside = [replace(s, source=source.identity) for s in four[:1]]
    found = figures_of_file(source, inside, None)
    assert found.empty_percent is not None
    unknown = (
        "mismatched_percent", "takes_share", "drop_ranks", "subject_kept_percent", "fade_share", "clips_given",
        "cut_error_ms", "synchrony", "end_seconds", "phrase_seconds",
    )  # fmt: skip
    assert [name for name in unknown if getattr(found, name) is not None] == []
