"""Arrays that several processes fill: creation races, whole chunks, nothing invented."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from montage_dask.errors import StoreError
from montage_dask.store.arrays import ArraySpec, Rows, create_array, write_rows

SPEC = ArraySpec((23, 3), "uint8", 5)


def rows_of(window: int) -> np.ndarray:
    start = window * SPEC.chunk
    stop = min(start + SPEC.chunk, SPEC.shape[0])
    return (np.arange(start, stop)[:, None] * 3 + np.arange(3)).astype(np.uint8)


def create_and_write(folder: str, window: int) -> None:
    create_array(Path(folder), "a", SPEC)
    write_rows(Path(folder), "a", window * SPEC.chunk, rows_of(window))


def test_processes_that_create_and_fill_at_once_lose_nothing(tmp_path):
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        # Each window is written twice, as a task is that Dask ran twice.
        jobs = [pool.submit(create_and_write, str(tmp_path), w) for w in [*range(5), *range(5)]]
        for job in jobs:
            job.result()
    expected = np.concatenate([rows_of(w) for w in range(5)])
    assert np.array_equal(Rows(tmp_path, "a").read(0, 23), expected)
    assert [p.name for p in tmp_path.iterdir()] == ["a"], "temporary folders were left"


def test_creating_again_keeps_what_is_there(tmp_path):
    create_and_write(str(tmp_path), 1)
    create_array(tmp_path, "a", SPEC)
    assert np.array_equal(Rows(tmp_path, "a").read(5, 10), rows_of(1))


def test_an_array_that_lost_the_race_leaves_the_winner_alone(tmp_path, monkeypatch):
    create_and_write(str(tmp_path), 0)
    # The check that comes first saw nothing: the other process was between check and rename.
    monkeypatch.setattr(Path, "is_file", lambda self: False)
    create_array(tmp_path, "a", SPEC)
    monkeypatch.undo()
    assert np.array_equal(Rows(tmp_path, "a").read(0, 5), rows_of(0))
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_missing_rows_are_an_error_and_zeros_are_not(tmp_path):
    create_array(tmp_path, "a", SPEC)
    write_rows(tmp_path, "a", 5, np.zeros((5, 3), np.uint8))
    rows = Rows(tmp_path, "a")
    assert not rows.read(5, 10).any()
    with pytest.raises(StoreError, match=r"a/c/2/0 is missing"):
        rows.read(9, 11)


@pytest.mark.parametrize(("start", "count"), [(1, 5), (0, 4), (20, 5), (0, 10)])
def test_only_whole_windows_are_written(tmp_path, start, count):
    create_array(tmp_path, "a", SPEC)
    with pytest.raises(ValueError, match="not one chunk"):
        write_rows(tmp_path, "a", start, np.zeros((count, 3), np.uint8))


def test_no_array(tmp_path):
    with pytest.raises(StoreError, match=r"a/zarr\.json is missing"):
        Rows(tmp_path, "a")
    with pytest.raises(StoreError, match=r"a/zarr\.json is missing"):
        write_rows(tmp_path, "a", 0, rows_of(0))


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        create_array(tmp_path / "file", "a", SPEC)


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    folder = tmp_path_factory.mktemp("full")
    for window in range(5):
        create_and_write(str(folder), window)
    return Rows(folder, "a"), np.concatenate([rows_of(w) for w in range(5)])


@settings(deadline=None)
@given(st.tuples(st.integers(0, 23), st.integers(0, 23)).map(sorted))
def test_any_range_reads_like_numpy(full, bounds):
    rows, expected = full
    start, stop = bounds
    assert np.array_equal(rows.read(start, stop), expected[start:stop])
    pieces = list(rows.pieces(start, stop))
    assert all(len(piece) <= SPEC.chunk for piece in pieces)
    assert sum(map(len, pieces)) == stop - start


def test_ranges_outside_are_refused(full):
    with pytest.raises(IndexError):
        full[0].read(20, 24)
