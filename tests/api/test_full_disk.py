"""A full disk, or a store that nobody may write into: said by its name; no clip is left out for it."""

from __future__ import annotations

import logging
import shutil

import pytest
from made_small import SMALL

from montage_dask import Footage, Job
from montage_dask.api import working
from montage_dask.errors import MediaError, StoreError
from montage_dask.graph.survey import reason_of


def test_no_clip_is_left_out_because_its_artefacts_cannot_be_written(
    small, cluster, footage, tmp_path
):
    """Where the strip of one clip belongs stands a file: the others alone would make another montage."""
    store = tmp_path / "store"
    Footage(small.footage).analyse(store=store)
    for name in ("shots", "strip"):
        shutil.rmtree(store / "records" / name)
    strip = sorted(store.glob("files/strip/*/*.zarr"))[0]
    shutil.rmtree(strip)
    strip.write_text("in the way")
    job = Job(small.footage, small.music, output=tmp_path / "out.mp4", store=store, **SMALL)
    with pytest.raises(StoreError, match=r"cannot write .*strip.*is a file"):
        job.run()
    assert not job.output.exists()
    with pytest.raises(StoreError, match=r"cannot write .*strip"):
        Footage(small.footage).analyse(store=store)


def test_only_what_is_wrong_with_a_file_is_a_reason_to_leave_it_out():
    assert reason_of(MediaError("c.mp4", "no video")) == "no video"
    with pytest.raises(StoreError, match="disk is full"):
        reason_of(StoreError("cannot write x: the disk is full"))


def test_a_log_that_cannot_be_written_hides_nothing(tmp_path, monkeypatch, capsys):
    def full(path: str, mode: str, **how):
        return open("/dev/full", mode, **how)

    def fail() -> None:
        with working.logged(tmp_path):
            logging.getLogger("montage_dask.test").warning("many %s", "words")
            raise StoreError("the disk is full")

    monkeypatch.setattr(working, "open_own", full)
    with pytest.raises(StoreError, match="the disk is full"):
        fail()
    assert capsys.readouterr().err == ""
