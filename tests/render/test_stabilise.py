"""Stabilising: what a hand adds is taken out again, what was meant stays, and no border is ever seen."""

from fractions import Fraction

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_shake import HEIGHT, RATE, WIDTH, filmed, hand, pan, seen, wall

from montage_dask.analysis.motion import measure_motion
from montage_dask.analysis.steady import (
    MAXIMUM_ZOOM,
    SMOOTH_HZ,
    Steady,
    known_share,
    needed_zoom,
    path_of,
    smooth,
    steady,
)
from montage_dask.media.probe import probe
from montage_dask.render.mezzanine import mezzanine_source
from montage_dask.render.pictures import read_pictures, write_pictures
from montage_dask.render.stabilise import (
    chroma_matrix,
    source_of_output,
    stabilise,
    warp_opencv,
    warp_torch,
)

FRAMES = 100
ASPECT = HEIGHT / WIDTH


def of_path(path):
    """The motions whose sum is a path in units of the frame."""
    motions = np.ones((len(path), 5))
    motions[:, :4] = np.diff(path, axis=0, prepend=path[:1])
    return motions


def offset(reference, picture):
    """How far a picture is from the reference, in pixels, by phase correlation: another way than the one that made it."""
    window = cv2.createHanningWindow((WIDTH, HEIGHT), cv2.CV_32F)
    (dx, dy), _ = cv2.phaseCorrelate(np.float32(reference), np.float32(picture), window)
    return dx, dy


def rms(values):
    values = np.array(values)
    return np.sqrt(((values - values.mean(0)) ** 2).sum(1).mean())


@pytest.mark.parametrize("base", [np.zeros((FRAMES, 4)), pan(FRAMES)], ids=["tripod", "pan"])
def test_most_of_the_shake_is_gone(tmp_path, base):
    source, index = probe(filmed(tmp_path / "a.mp4", base + hand(FRAMES, pixels=2.5)))
    path = steady(measure_motion(source, index, 0, FRAMES), RATE, ASPECT)
    output = tmp_path / "b.mp4"
    write_pictures(
        source, index, 0, FRAMES, output,
        transform=stabilise([(0, FRAMES, path)]), size=(WIDTH, HEIGHT),
    )  # fmt: skip
    made = mezzanine_source(source, index, output, 0, identity="b")
    grown = source_of_output(np.zeros(4), path.zoom, (WIDTH, HEIGHT))
    picture = wall()
    before, after = [], []
    for pose, shaken, steadied in zip(
        base, read_pictures(source, index, 0, FRAMES), read_pictures(*made, 0, FRAMES), strict=True
    ):
        calm = seen(picture, pose)
        before.append(offset(calm, shaken.y))
        after.append(offset(warp_opencv(calm, grown), steadied.y))
    assert rms(before) > 2.5
    assert rms(after) / path.zoom < 0.2 * rms(before)
    assert 1 < path.zoom <= MAXIMUM_ZOOM


def test_a_pan_goes_on_to_the_ends():
    path = pan(FRAMES) / (WIDTH, WIDTH, 1, 1)
    assert np.abs(smooth(path, SMOOTH_HZ, RATE) - path).max() < 1e-9
    assert steady(of_path(path), RATE, ASPECT).zoom == pytest.approx(1, abs=1e-3)


def test_fast_movement_goes_and_slow_movement_stays():
    time = np.arange(500) / float(RATE)
    fast, slow = np.sin(2 * np.pi * 3 * time), np.sin(2 * np.pi * 0.1 * time)
    both = smooth(np.stack([fast, slow], 1), SMOOTH_HZ, RATE)[50:-50]
    assert np.abs(both[:, 0]).max() < 0.01
    assert np.abs(both[:, 1] - slow[50:-50]).max() < 0.02


shapes = st.tuples(
    st.integers(1, 60), st.floats(0, 0.3), st.floats(0, 0.3), st.floats(0, 0.1), st.integers(0, 99)
)


@given(shapes)
def test_no_border_is_ever_seen(shape):
    frames, shift, turn, growth, seed = shape
    rng = np.random.default_rng(seed)
    motions = rng.normal(0, 1, (frames, 5)) * (shift, shift, turn, growth, 1)
    motions[:, 4] = 1
    path = steady(motions, RATE, ASPECT)
    assert 1 <= path.zoom <= MAXIMUM_ZOOM + 1e-6
    assert (needed_zoom(path.corrections, ASPECT) <= path.zoom + 1e-6).all()
    corners = np.array([(-0.5, -0.5), (WIDTH - 0.5, -0.5), (-0.5, HEIGHT - 0.5)])
    corners = np.concatenate([corners, [(WIDTH - 0.5, HEIGHT - 0.5)]])
    for correction in path.corrections:
        matrix = source_of_output(correction, path.zoom, (WIDTH, HEIGHT))
        inside = corners @ matrix[:, :2].T + matrix[:, 2]
        assert (inside >= -0.5 - 1e-6).all()
        assert (inside <= (WIDTH - 0.5 + 1e-6, HEIGHT - 0.5 + 1e-6)).all()


def test_a_short_gap_is_bridged_and_a_long_one_is_not():
    motions = of_path(pan(40) / (WIDTH, WIDTH, 1, 1))
    motions[10:13] = 0
    assert np.allclose(np.diff(path_of(motions)[:, 0])[1:], np.diff(path_of(motions)[:, 0])[1])
    motions[20:30] = 0
    assert known_share(motions) == pytest.approx(26 / 39)
    assert np.ptp(path_of(motions)[20:30, 0]) == 0


def test_pictures_do_not_depend_on_the_pieces(tmp_path):
    source, index = probe(filmed(tmp_path / "a.mp4", hand(50)))
    path = steady(measure_motion(source, index, 10, 50), RATE, ASPECT)
    path.save(tmp_path / "p.npz")
    moved = stabilise([(10, 50, Steady.load(tmp_path / "p.npz"))])
    whole = list(moved(read_pictures(source, index, 0, 50)))
    pieces = [
        p for a in (0, 17, 34) for p in moved(read_pictures(source, index, a, min(50, a + 17)))
    ]
    for a, b in zip(whole, pieces[:50], strict=True):
        assert all(np.array_equal(x, y) for x, y in ((a.y, b.y), (a.u, b.u), (a.v, b.v)))
    before = list(read_pictures(source, index, 0, 50))
    assert all(np.array_equal(whole[n].y, before[n].y) for n in range(10))
    assert not np.array_equal(whole[20].y, before[20].y)


def test_chroma_moves_with_luma(tmp_path):
    source, index = probe(filmed(tmp_path / "a.mp4", np.zeros((1, 4))))
    (still,) = read_pictures(source, index, 0, 1)
    path = Steady(np.array([[0.031, -0.017, 0.02, 0.0]]), 1.1)
    (moved,) = stabilise([(0, 1, path)])(iter([still]))
    small = cv2.resize(moved.y, (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA)
    window = cv2.createHanningWindow((WIDTH // 2, HEIGHT // 2), cv2.CV_32F)
    shift, _ = cv2.phaseCorrelate(np.float32(small), np.float32(moved.u), window)
    assert np.abs(shift).max() < 0.06
    matrix = source_of_output(path.corrections[0], 1.1, (WIDTH, HEIGHT))
    # The chroma pixel (i, j) lies at the luma pixel (2i, 2j + ½).
    at = matrix @ (2 * 40, 2 * 30 + 0.5, 1)
    assert chroma_matrix(matrix) @ (40, 30, 1) == pytest.approx((at[0] / 2, (at[1] - 0.5) / 2))


@pytest.mark.parametrize("bits", [8, 10])
def test_torch_gives_the_numbers_of_opencv(bits):
    plane = wall()[:270, :480]
    plane = plane.astype(np.uint8) if bits == 8 else (plane * 4).astype(np.uint16)
    correction = np.array([0.012, -0.02, 0.015, 0.01])
    matrix = source_of_output(correction, 1.08, (480, 270))
    a, b = warp_opencv(plane, matrix), warp_torch(plane, matrix, "cpu")
    assert a.dtype == b.dtype == plane.dtype
    assert np.abs(a.astype(int) - b.astype(int)).max() <= 1
    assert np.mean(a != b) < 0.01


@pytest.mark.gpu
def test_the_gpu_gives_the_numbers_of_the_cpu(tmp_path):
    source, index = probe(filmed(tmp_path / "a.mp4", hand(20)))
    path = steady(measure_motion(source, index, 0, 20), RATE, ASPECT)
    both = [
        list(stabilise([(0, 20, path)], device=d)(read_pictures(source, index, 0, 20)))
        for d in ("cpu", "cuda")
    ]
    for a, b in zip(*both, strict=True):
        for x, y in ((a.y, b.y), (a.u, b.u), (a.v, b.v)):
            assert np.abs(x.astype(int) - y.astype(int)).max() <= 1


def test_tiny_shots():
    for frames in range(1, 6):
        path = steady(np.zeros((frames, 5)), Fraction(25), ASPECT)
        assert path.corrections.shape == (frames, 4)
        assert path.zoom == 1
