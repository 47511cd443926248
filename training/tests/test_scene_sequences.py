"""Made sequences: the truth is true, and the same seed makes the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from montage_dask.records import Boundary
from montage_dask_training import scene_transitions
from montage_dask_training.matching import matched
from montage_dask_training.scene_sequences import SEQUENCE_FRAMES, _retimed, sequence, shooters
from montage_dask_training.scene_sequences import Truth as T
from montage_dask_training.scene_transitions import HELD_OUT_SHAPES, KINDS, MIX, SHAPES
from montage_dask_training.scenes import PARTS_A_LEG, RECIPE, parts_of_leg

SHOOT = shooters([{"drawn": "furnished"}, {"drawn": "cloudy"}], {})


def test_the_same_seed_makes_the_same():
    one, two = (sequence(np.random.default_rng(5), SHOOT, held_out_shapes=False) for _ in range(2))
    assert np.array_equal(one[0], two[0])
    assert one[1] == two[1]
    assert one[0].shape == (SEQUENCE_FRAMES, 27, 48, 3)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_transitions_are_where_the_truth_says(kind):
    frames, truth = sequence(np.random.default_rng(3), SHOOT, held_out_shapes=False, only=kind)
    assert truth
    for one in truth:
        assert KINDS[one.kind] == kind
        assert (one.stop > one.start) == (kind != "cut")
        before, after = frames[one.start - 1].astype(int), frames[min(one.stop, len(frames) - 1)]
        assert np.abs(before - after).mean() > 4


@pytest.mark.parametrize("shape", sorted({*SHAPES, *HELD_OUT_SHAPES}))
def test_every_wipe_goes_from_one_picture_to_the_other(shape):
    dark, light = (np.full((24, 27, 48, 3), v, np.uint8) for v in (40, 200))
    mixed = MIX["wipe"](np.random.default_rng(1), dark, light, shape).mean(axis=(1, 2, 3))
    assert mixed[0] < 90
    assert mixed[-1] > 150


@pytest.mark.parametrize("kind", ["dissolve", "fade"])
def test_mixing_begins_and_ends_with_one_picture(kind):
    first, second = (np.full((8, 27, 48, 3), v, np.uint8) for v in (90, 160))
    mixed = MIX[kind](np.random.default_rng(2), first, second, "").astype(int)
    assert abs(mixed[0] - 90).mean() < 45
    assert abs(mixed[-1] - 160).mean() < 60


def test_truth_follows_repeated_frames():
    plan = (T(1, 50, 50), T(2, 80, 90))
    assert _retimed(plan, np.arange(320) // 2) == (T(1, 100, 100), T(2, 160, 180))


def test_parts_hold_whole_files_out():
    from montage_dask_training.recipe import Input

    inputs = [Input(f"{n:02}", f"{n}.jpg", "picture", f"/{n}.jpg") for n in range(40)]
    parts = RECIPE.parts(0, "default", inputs)
    used = {
        s: {i for p in parts if p.split == s for i in p.inputs}
        for s in ("training", "validation", "test")
    }
    assert all(used.values())
    assert not used["training"] & used["test"]
    assert not used["validation"] & (used["test"] | used["training"])
    assert parts == RECIPE.parts(0, "default", inputs)
    assert parts != RECIPE.parts(1, "default", inputs)
    assert not set(scene_transitions.SHAPES) & set(scene_transitions.HELD_OUT_SHAPES)


def test_boundaries_count_once():
    truth = [(1, 50, 50), (2, 100, 120)]
    found = [
        Boundary("cut", 52, 52, 1.0),
        Boundary("cut", 60, 60, 1.0),
        Boundary("wipe", 105, 115, 1.0),
    ]
    counts = matched(found, truth, 200)
    assert (counts.hits, counts.missed, counts.false, counts.named) == (2, 0, 1, 1)
    assert counts.overlap == 0.5
    assert matched([Boundary("cut", 53, 53, 1.0)], [(1, 50, 50)], 200).hits == 0


@given(seed=st.integers(0, 9), parts=st.integers(1, 130))
def test_each_part_is_read_before_any_is_read_again(seed, parts):
    legs = max(1, parts // PARTS_A_LEG)
    a_pass = [parts_of_leg(seed, leg, parts) for leg in range(legs)]
    assert sorted(n for leg in a_pass for n in leg) == list(range(parts))
    assert max(map(len, a_pass)) < 2 * PARTS_A_LEG
    if legs > 2:
        assert a_pass != [parts_of_leg(seed, leg + legs, parts) for leg in range(legs)]
