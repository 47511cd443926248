"""The judge ranks right: each deliberately spoiled montage scores below its original."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from made_edit import footage, music

from montage_dask.edit.edit import edit
from montage_dask.edit.reframe import reframed
from montage_dask.edit.styles import load_style
from montage_dask.edit.usable import choose_usable
from montage_dask.evaluation.figures import figures_from, figures_of, told
from montage_dask.evaluation.score import FAULTS, WORTH, parts_of, score_of
from montage_dask.records import Subject, Unusable

FPS = Fraction(30)


def spoiled_footage(seed):
    """Clips of which every third shot is a title for its first half."""
    shots, sources = footage(8, 5, seed, seconds=(5, 9))
    made = []
    for k, shot in enumerate(shots):
        if k % 3 == 0:
            half = (shot.start_frame + shot.stop_frame) // 2
            at = Fraction(half, 25)
            title = Unusable("text", shot.start_frame, half, shot.start_seconds, at)
            shot = replace(shot, unusable=(title,))
        made.append(shot)
    return tuple(made), sources


@pytest.fixture(
    scope="module", params=[("music-video", 0), ("travel", 1), ("action", 2), ("wedding", 3)]
)
def montage(request):
    style, seed = request.param
    shots, sources = spoiled_footage(seed)
    track = music(45, seed=seed)
    usable = choose_usable(shots)
    timeline = edit(usable.shots, sources, track, load_style(style), fps=FPS, width=64, height=36)
    return timeline, shots, sources, track


def score(montage, timeline=None):
    made, shots, sources, track = montage
    return score_of(figures_of(timeline or made, shots, sources, track))


def with_events(timeline, change):
    events = [change(k, e) for k, e in enumerate(timeline.events)]
    return replace(timeline, events=tuple(events))


def test_an_original_scores_high(montage):
    figures = figures_of(*montage)
    assert figures.junk_percent == 0
    assert figures.junk_places == ()
    assert figures.repeated_percent <= 2
    assert figures.cut_error_ms <= 1000 / 60
    assert figures.fade_share <= 0.5
    assert score(montage) >= 8


def test_junk_let_in(montage):
    _, shots, _, _ = montage
    titles = [s for s in shots if s.unusable]

    def change(k, e):
        if k % 4:
            return e
        title = titles[k % len(titles)]
        return replace(e, source=title.source, shot=title.index, in_seconds=title.start_seconds)

    worse = with_events(montage[0], change)
    assert figures_of(worse, *montage[1:]).junk_percent > 5
    assert score(montage, worse) < score(montage) - 0.5


def test_off_the_beat(montage):
    random = np.random.default_rng(1)
    timeline = montage[0]
    starts = [0] + [e.start_frame + int(random.integers(4, 9)) for e in timeline.events[1:]]
    stops = [*starts[1:], timeline.frames]
    worse = with_events(
        timeline,
        lambda k, e: replace(e, start_frame=starts[k], stop_frame=max(stops[k], starts[k] + 1)),
    )
    assert figures_of(worse, *montage[1:]).synchrony < 0.8
    assert score(montage, worse) < score(montage) - 0.5


def test_repeated(montage):
    timeline = montage[0]
    first = timeline.events[: max(2, len(timeline.events) // 4)]

    def change(k, e):
        shown = first[k % len(first)]
        return replace(e, source=shown.source, shot=shown.shot, in_seconds=shown.in_seconds)

    worse = with_events(timeline, change)
    assert figures_of(worse, *montage[1:]).repeated_percent > 30
    assert score(montage, worse) < score(montage) - 0.5


def test_random_order(montage):
    """What shots show at random: the drop's is any, and titles come in."""
    timeline, shots, _, _ = montage
    random = np.random.default_rng(4)

    def change(k, e):
        long_enough = [s for s in shots if s.duration_seconds >= e.frames / FPS * e.speed]
        shot = long_enough[int(random.integers(len(long_enough)))]
        return replace(e, source=shot.source, shot=shot.index, in_seconds=shot.start_seconds)

    assert score(montage, with_events(timeline, change)) < score(montage) - 0.5


def test_a_long_fade_and_an_end_anywhere(montage):
    timeline = montage[0]
    last = timeline.events[-1]
    faded = replace(timeline, fade_out_frames=last.frames)
    assert score(montage, faded) < score(montage)
    cut = replace(
        timeline,
        events=(*timeline.events[:-1], replace(last, stop_frame=last.stop_frame - 7)),
    )
    assert figures_of(cut, *montage[1:]).end_seconds > 0.1
    assert score(montage, cut) < score(montage)


def test_what_is_not_known_does_not_count(montage):
    figures = figures_of(*montage)
    assert figures.subject_kept_percent is None
    assert "subject" not in parts_of(figures)
    assert figures_from(told(figures)) == figures
    assert score_of(figures_from({})) is None
    assert parts_of(figures).keys() <= WORTH.keys() | FAULTS.keys()


@pytest.mark.parametrize("seed", range(3))
def test_a_crop_in_the_middle_is_worth_less_than_one_that_follows(seed):
    shots, sources = footage(6, 4, seed, seconds=(5, 9))
    random = np.random.default_rng(seed)
    made = []
    for shot in shots:
        x, way = random.uniform(0, 0.8), random.uniform(-0.02, 0.02)
        subjects = tuple(
            Subject(f, "moving", float(np.clip(x + way * k, 0, 0.85)), 0.2, 0.15, 0.6, 0.9)
            for k, f in enumerate(range(shot.start_frame, shot.stop_frame, 10))
        )
        made.append(replace(shot, subjects=subjects))
    track = music()
    upright = edit(
        made, sources, track, load_style("music-video"), fps=FPS, width=1080, height=1920
    )
    scores = {}
    for fit in ("cover", "centre", "blur"):
        framed = reframed(upright, made, sources, fit=fit)
        scores[fit] = figures_of(framed, made, sources, track, fit=fit)
    assert scores["cover"].subject_kept_percent >= 90
    assert scores["cover"].subject_kept_centre_percent == scores["centre"].subject_kept_percent
    assert scores["centre"].subject_kept_percent < 70
    assert scores["blur"].subject_kept_percent is None
    assert score_of(scores["centre"]) < score_of(scores["cover"])
