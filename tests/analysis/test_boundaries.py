"""From scores to boundaries, and how those that lie close are joined."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from montage_dask.analysis import boundaries as module
from montage_dask.analysis.scene_network import KINDS, Scores
from montage_dask.analysis.scenes import joined
from montage_dask.records import Boundary

THRESHOLDS = (0.6, 0.6, 0.6, 0.6, 0.3)


def scores(frames: int, runs: dict[tuple[int, int], tuple[float, str]]) -> Scores:
    within = np.full(frames, 0.01, np.float32)
    kinds = np.full((frames, 4), 0.25, np.float32)
    for (start, stop), (value, kind) in runs.items():
        within[start:stop] = value
        kinds[start:stop, KINDS.index(kind)] = 3.0
    return Scores(within, within, kinds)


def find_boundaries(*arguments):
    """Every frame shows another picture."""

    def at(frame: int) -> np.ndarray:
        return np.random.default_rng(max(frame, 0)).integers(0, 255, (27, 48, 3)).astype(np.uint8)

    return module.find_boundaries(*arguments, at)


def change_at(frames: int, *cuts: int) -> np.ndarray:
    change = np.full(frames, 0.01, np.float32)
    change[list(cuts)] = 0.5
    return change


def test_a_cut_is_put_on_its_step():
    found = find_boundaries(scores(80, {(39, 41): (0.9, "cut")}), change_at(80, 40), THRESHOLDS)
    assert found == (Boundary("cut", 40, 40, 0.9),)


def test_a_gradual_transition_keeps_its_extent():
    said = scores(120, {(30, 50): (0.7, "dissolve"), (80, 95): (0.8, "wipe")})
    found = find_boundaries(said, change_at(120), THRESHOLDS)
    assert [(b.kind, b.start_frame, b.stop_frame) for b in found] == [
        ("dissolve", 30, 50),
        ("wipe", 80, 95),
    ]


def test_small_gaps_are_closed_and_weak_runs_left_out():
    said = scores(120, {(30, 40): (0.7, "fade"), (42, 50): (0.9, "fade"), (80, 95): (0.5, "fade")})
    (found,) = find_boundaries(said, change_at(120), THRESHOLDS)
    assert (found.kind, found.start_frame, found.stop_frame) == ("fade", 30, 50)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_a_threshold_of_its_own(kind):
    said = scores(200, {(20 + 40 * n, 40 + 40 * n): (0.7, k) for n, k in enumerate(KINDS)})
    thresholds = [0.9] * len(KINDS) + [0.3]
    thresholds[KINDS.index(kind)] = 0.6
    assert [b.kind for b in find_boundaries(said, change_at(200), tuple(thresholds))] == [kind]


@pytest.mark.parametrize(
    ("score", "stays", "there"), [(0.9, 0.2, True), (0.9, 0.7, False), (0.99, 0.7, True)]
)
def test_the_more_of_the_picture_stays_the_surer_the_network_must_be(score, stays, there):
    before, after = (np.random.default_rng(n).integers(0, 255, (27, 48, 3)) for n in (1, 2))
    rows = round(27 * stays)
    after[:rows] = before[:rows]
    found = module.find_boundaries(
        scores(120, {(70, 90): (score, "wipe")}),
        change_at(120),
        THRESHOLDS,
        lambda f: (before if f < 80 else after).astype(np.uint8),
    )
    assert bool(found) is there


boundaries = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 60), st.floats(0, 1), st.sampled_from(KINDS)),
    max_size=20,
)


@given(boundaries, st.integers(1, 30))
def test_joined_boundaries_leave_whole_shots(drawn, shortest):
    at, found = 0, []
    for gap, length, score, kind in drawn:
        start = at + gap % 40
        found.append(Boundary(kind, start, start if kind == "cut" else start + length, score))
        at = found[-1].stop_frame + 1
    frames = at + 7
    kept = joined(found, shortest, frames)
    edges = [0, *(f for b in kept for f in (b.start_frame, b.stop_frame)), frames]
    assert all(b >= a for a, b in pairwise(edges))
    if kept:
        assert all(b - a >= shortest for a, b in zip(edges[::2], edges[1::2], strict=True))
    # Whatever is kept was found, alone or in what it became a part of.
    starts = {b.start_frame for b in found}
    assert {b.start_frame for b in kept} <= starts
    assert {b.score for b in kept} <= {b.score for b in found}


def test_a_shot_of_three_frames_belongs_to_the_boundary_around_it():
    found = [Boundary("cut", 50, 50, 0.7), Boundary("dissolve", 53, 60, 0.9)]
    assert joined(found, 10, 200) == (Boundary("dissolve", 50, 60, 0.9),)


def test_a_boundary_must_lead_to_another_picture():
    picture = np.random.default_rng(1).integers(0, 255, (27, 48, 3)).astype(np.uint8)
    darker = (picture * 0.6).astype(np.uint8)
    said = scores(120, {(39, 41): (0.9, "cut"), (70, 90): (0.9, "dissolve")})
    same = module.find_boundaries(
        said, change_at(120, 40), THRESHOLDS, lambda f: picture if f < 40 else darker
    )
    assert same == ()
