"""Camera motion: the camera's and nobody else's, wherever a source is divided."""

import cv2
import numpy as np
import pytest
from made_shake import HEIGHT, RATE, WIDTH, filmed, hand, pan, seen, wall

from montage_dask.analysis.motion import (
    COLUMNS,
    load_motion,
    measure_motion,
    motion_between,
    save_motion,
)
from montage_dask.analysis.steady import path_of, shake_percent
from montage_dask.media.probe import probe

FRAMES = 60


def luma(pose, picture=None):
    picture = wall() if picture is None else picture
    return seen(picture, np.array([*pose, 0.0])).round().astype(np.uint8)


@pytest.mark.parametrize(
    "pose", [(3.3, -1.7, 0.0), (0.4, 0.2, 0.0), (-6, 4, 0.02), (0, 0, -0.01), (0, 0, 0)]
)
def test_a_known_movement_is_found(pose):
    dx, dy, angle, zoom, agreement = motion_between(luma((0, 0, 0)), luma(pose))
    assert (dx * WIDTH, dy * WIDTH) == pytest.approx(pose[:2], abs=0.06)
    assert angle == pytest.approx(pose[2], abs=5e-4)
    assert zoom == pytest.approx(0, abs=5e-4)
    assert agreement > 0.7


def test_growth_is_found():
    before = luma((0, 0, 0))
    centre = ((WIDTH - 1) / 2, (HEIGHT - 1) / 2)
    matrix = cv2.getRotationMatrix2D(centre, 0, 1.03)
    after = cv2.warpAffine(before, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC)
    moved = motion_between(before, after)
    assert moved[3] == pytest.approx(np.log(1.03), abs=1e-3)
    assert np.abs(moved[:3]).max() < 1e-3


def test_someone_who_walks_by_is_outvoted():
    rng = np.random.default_rng(0)
    person = rng.integers(0, 255, (140, 90), dtype=np.uint8)  # far more texture than the wall
    before, after = luma((0, 0, 0)), luma((1.5, 0.5, 0))
    before[30:170, 60:150] = person
    after[30:170, 67:157] = person
    dx, dy, *_ = motion_between(before, after)
    assert (dx * WIDTH, dy * WIDTH) == pytest.approx((1.5, 0.5), abs=0.1)


def test_nothing_to_follow_is_no_motion():
    grey = np.full((HEIGHT, WIDTH), 90, np.uint8)
    assert not motion_between(grey, grey).any()
    rng = np.random.default_rng(0)
    noise = [(90 + rng.normal(0, 2, grey.shape)).astype(np.uint8) for _ in range(2)]
    assert not motion_between(*noise).any()


def test_a_cut_is_no_motion():
    assert not motion_between(luma((0, 0, 0)), luma((0, 0, 0), wall(seed=9))).any()


def test_windows_do_not_matter(tmp_path):
    source, index = probe(filmed(tmp_path / "a.mp4", hand(FRAMES)))
    whole = measure_motion(source, index, 0, FRAMES)
    assert whole.shape == (FRAMES, len(COLUMNS))
    assert not whole[0].any()
    for step in (7, 25):
        parts = [
            measure_motion(source, index, a, min(a + step, FRAMES)) for a in range(0, FRAMES, step)
        ]
        assert np.array_equal(np.concatenate(parts), whole)
    assert np.array_equal(measure_motion(source, index, 0, FRAMES, threads=2), whole)
    save_motion(tmp_path / "m.npz", whole)
    assert np.array_equal(load_motion(tmp_path / "m.npz"), whole)


@pytest.mark.parametrize(
    ("poses", "low", "high"),
    [
        (np.zeros((FRAMES, 4)), 0, 0.02),
        (pan(FRAMES, 100), 0, 0.04),
        (hand(FRAMES), 0.8, 2.0),
        (hand(FRAMES, pixels=0.8, degrees=0.1), 0.15, 0.6),
    ],
    ids=["tripod", "pan", "hand", "calm hand"],
)
def test_only_a_hand_shakes(tmp_path, poses, low, high):
    source, index = probe(filmed(tmp_path / "a.mp4", poses))
    path = path_of(measure_motion(source, index, 0, FRAMES))
    truth = (poses - poses[0]) / (WIDTH, WIDTH, 1, 1)
    assert np.abs(path - truth)[:, :2].max() * WIDTH < 1.0
    assert low <= shake_percent(path, RATE, HEIGHT / WIDTH) <= high
