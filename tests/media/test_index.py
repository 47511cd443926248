"""The frame index: times and numbers are exact inverses of each other, and survive the disk."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from montage_dask.media.index import FrameIndex


def made(pts, keys, base=Fraction(1, 1000), last=40):
    return FrameIndex(np.array(pts, np.int64), np.array(keys, np.int64), base, last)


@st.composite
def indexes(draw):
    steps = draw(st.lists(st.integers(1, 10_000), max_size=40))
    start = draw(st.integers(-(10**6), 10**9))
    pts = np.cumsum([start, *steps]).tolist()
    keys = [pts[0], *sorted(draw(st.sets(st.sampled_from(pts), max_size=5)) - {pts[0]})]
    base = draw(st.sampled_from([Fraction(1, 1000), Fraction(1, 90000), Fraction(1001, 30000)]))
    return made(pts, keys, base, draw(st.integers(1, 500)))


@given(index=indexes(), data=st.data())
def test_times_and_numbers_belong_together(index, data):
    n = data.draw(st.integers(0, len(index) - 1))
    time, after = index.time_seconds(n), index.time_seconds(n + 1)
    assert time < after
    assert index.frame_at(time) == n
    assert index.frame_at((time + after) / 2) == n
    assert index.frame_at(after - Fraction(1, 10**12)) == n
    assert index.frame_at(after) == min(n + 1, len(index) - 1)
    assert index.frame_at(Fraction(-5)) == 0
    assert index.frame_at(Fraction(10**9)) == len(index) - 1
    assert index.time_seconds(len(index)) == index.duration_seconds


@given(index=indexes(), data=st.data())
def test_decoding_starts_at_or_before_the_frame(index, data):
    n = data.draw(st.integers(0, len(index) - 1))
    key = index.keyframe_before(n)
    assert key <= n
    assert key in index.keyframes
    assert not [k for k in index.keyframes if key < k <= n]


def test_an_index_survives_the_disk(tmp_path):
    index = made([-5, 0, 7, 30], [-20, 7], Fraction(1001, 30000), 3)
    index.save(tmp_path / "i.npz")
    back = FrameIndex.load(tmp_path / "i.npz")
    np.testing.assert_array_equal(back.pts, index.pts)
    np.testing.assert_array_equal(back.key_pts, index.key_pts)
    assert (back.time_base, back.last_duration) == (index.time_base, index.last_duration)
    assert back.keyframe_before(0) == 0  # the keyframe itself is hidden


@pytest.mark.parametrize("keep", [0, 1, 50, -1])
def test_a_damaged_file_is_told(tmp_path, keep):
    path = tmp_path / "i.npz"
    made([0, 40], [0]).save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises((OSError, ValueError, KeyError)):
        FrameIndex.load(path)
    with pytest.raises(FileNotFoundError):
        FrameIndex.load(tmp_path / "none.npz")


@pytest.mark.parametrize(
    ("pts", "keys", "last"),
    [([], [0], 1), ([0], [], 1), ([0, 0], [0], 1), ([1, 0], [0], 1), ([0, 1], [0, 0], 1), ([0], [0], 0)],
)  # fmt: skip
def test_what_is_no_index(pts, keys, last):
    with pytest.raises(ValueError, match=r"needs|must"):
        made(pts, keys, last=last)


def test_numbers_out_of_range():
    for wrong in (-1, 3):
        with pytest.raises(IndexError, match="of 2"):
            made([0, 40], [0]).time_seconds(wrong)
