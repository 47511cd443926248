"""Windows cover a file exactly once, on the grid."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from montage_dask.errors import UsageError
from montage_dask.media.windows import GRID_FRAMES, round_window_frames, split_windows


@given(frames=st.integers(0, 10_000), length=st.integers(1, 3_000))
def test_windows_cover_all_frames_once_in_order(frames, length):
    windows = split_windows(frames, length)
    assert [w.index for w in windows] == list(range(len(windows)))
    assert sum(w.frames for w in windows) == frames
    assert all(a.stop_frame == b.start_frame for a, b in pairwise(windows))
    assert all(w.frames == length for w in windows[:-1])
    assert all(w.start_frame % length == 0 and 0 < w.frames <= length for w in windows)


@given(frames=st.integers(1, 10**7))
def test_window_lengths_are_the_nearest_on_the_grid(frames):
    length = round_window_frames(frames)
    assert length % GRID_FRAMES == 0
    assert length >= GRID_FRAMES
    assert abs(length - frames) <= GRID_FRAMES // 2 or length == GRID_FRAMES


@pytest.mark.parametrize("wrong", [0, -1, True])
def test_wrong_lengths(wrong):
    with pytest.raises(UsageError, match="window-frames"):
        round_window_frames(wrong)


def test_a_window_needs_frames():
    with pytest.raises(ValueError, match="positive"):
        split_windows(10, 0)
