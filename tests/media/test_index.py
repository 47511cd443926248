"""The frame index: exact times, the frame on screen, saved and read back."""

from __future__ import annotations

from bisect import bisect_right
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from montage_dask.media.index import FrameIndex

BASE = Fraction(1, 90_000)


def ticks(*values: int):
    return np.array(values, np.int64)


def made(pts=(100, 140, 260, 300), keys=(100, 260), last=40, **more):
    return FrameIndex(ticks(*pts), ticks(*keys), BASE, last, **more)


indexes = st.builds(
    lambda gaps, start, base, last: FrameIndex(
        np.cumsum([start, *gaps]).astype(np.int64), ticks(start), base, last
    ),
    st.lists(st.integers(1, 10**6), max_size=40),
    st.integers(-(10**9), 10**12),
    st.fractions(Fraction(1, 10**6), 1).filter(bool),
    st.integers(1, 1000),
)


@given(indexes, st.fractions(-5, 10**7, max_denominator=10**6))
def test_the_frame_on_screen_is_the_last_that_has_appeared(index, seconds):
    times = [index.time_seconds(i) for i in range(len(index))]
    assert index.frame_at(seconds) == max(0, bisect_right(times, seconds) - 1)


@given(indexes)
def test_a_frame_is_on_screen_from_its_time_on(index):
    tiny = index.time_base / 1000
    for i in range(len(index)):
        assert index.frame_at(index.time_seconds(i)) == i
        assert index.frame_at(index.time_seconds(i + 1) - tiny) == i
    assert index.time_seconds(0) == 0
    assert index.time_seconds(len(index)) == index.duration_seconds


def test_keyframes():
    index = made()
    assert index.keyframes.tolist() == [0, 2]
    assert [index.keyframe_before(i) for i in range(4)] == [0, 0, 2, 2]
    hidden = made(keys=(20, 60, 260))
    assert hidden.keyframes.tolist() == [2]
    assert [hidden.keyframe_before(i) for i in range(4)] == [0, 0, 2, 2]
    assert hidden.key_before(1) == 1
    packed = made(keys=(100,), packets=ticks(0, 3, 2, 5), key_packets=ticks(0, 2))
    assert packed.keyframes.tolist() == [0, 2]
    assert [packed.keyframe_before(i) for i in range(4)] == [0, 0, 2, 2]
    assert packed.key_before(3) == 0


def test_no_frame_outside():
    for frame in (-1, 5):
        with pytest.raises(IndexError, match="of 4"):
            made().time_seconds(frame)


@pytest.mark.parametrize(
    "wrong",
    [
        {"pts": ()},
        {"keys": ()},
        {"pts": (100, 100)},
        {"keys": (260, 100)},
        {"last": 0},
        {"packets": ticks(0, 1, 2, 3)},
        {"packets": ticks(0, 1, 1, 3), "key_packets": ticks(0)},
        {"packets": ticks(0, 1), "key_packets": ticks(0)},
        {"packets": ticks(0, 1, 2, 3), "key_packets": ticks(7)},
    ],
)
def test_nonsense_is_refused(wrong):
    with pytest.raises(ValueError, match=r"index|PTS|last frame|packet"):
        made(**wrong)


@pytest.mark.parametrize("more", [{}, {"packets": ticks(0, 3, 2, 5), "key_packets": ticks(0, 2)}])
def test_saved_and_read_back(tmp_path, more):
    index = made(**more)
    index.save(tmp_path / "index.npz")
    back = FrameIndex.load(tmp_path / "index.npz")
    assert back.pts.tolist() == index.pts.tolist()
    assert back.key_pts.tolist() == index.key_pts.tolist()
    assert back.time_base == BASE
    assert back.last_duration == 40
    for name, values in more.items():
        assert getattr(back, name).tolist() == values.tolist()


def test_a_damaged_file_is_an_error_and_never_unpickled(tmp_path):
    path = tmp_path / "index.npz"
    made().save(path)
    data = path.read_bytes()
    for broken in (b"", b"no zip", data[: len(data) // 2], data[:60] + b"\0\0\0\0" + data[64:]):
        path.write_bytes(broken)
        with pytest.raises((ValueError, KeyError, OSError)):
            FrameIndex.load(path)
    np.savez(path, pts=np.array([{}], object), key_pts=ticks(0), scale=ticks(1, 25, 1))
    with pytest.raises(ValueError, match="allow_pickle"):
        FrameIndex.load(path)
    np.savez(path, pts=np.array([0.0, 1.0]), key_pts=ticks(0), scale=ticks(1, 25, 1))
    with pytest.raises(ValueError, match="pts is float64"):
        FrameIndex.load(path)
    np.savez(path, pts=ticks(0, 1), scale=ticks(1, 25, 1))
    with pytest.raises(KeyError):
        FrameIndex.load(path)
