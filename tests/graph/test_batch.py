"""Windows of a transcode share the work evenly, whatever the cluster."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from montage_dask.graph.converting import even_windows
from montage_dask.media.windows import split_windows


@given(st.integers(1, 10_000), st.integers(10, 3_000))
def test_windows_are_equal_and_not_longer_than_asked(frames, longest):
    windows = split_windows(frames, even_windows(frames, longest))
    lengths = {w.frames for w in windows[:-1]}
    assert len(lengths) <= 1
    assert max(w.frames for w in windows) <= longest
    assert sum(w.frames for w in windows) == frames
