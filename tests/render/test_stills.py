"""Stills are the frames of their numbers, as they are meant to be seen."""

from __future__ import annotations

import os
from fractions import Fraction

import numpy as np
import pytest
from made_footage import number_of, numbered
from makers import copied
from PIL import Image

from montage_dask.errors import MediaError, StoreError
from montage_dask.media.probe import probe
from montage_dask.render.stills import extract_stills, frames_every, pictures


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return probe(numbered(tmp_path_factory.mktemp("stills") / "n.mp4", 150, b_frames=2, gop=30))


def test_frames_on_a_clock(film):
    _, index = film
    assert frames_every(index, Fraction(1)) == (0, 25, 50, 75, 100, 125)
    assert frames_every(index, Fraction(1, 100)) == tuple(range(150))
    assert frames_every(index, Fraction(100)) == (0,)


def test_pictures_are_the_frames_asked_for(film, tmp_path):
    source, index = film
    wanted = (149, 3, 4, 90, 60, 0)
    outputs = {n: tmp_path / f"{n}.{'png' if n % 2 else 'jpg'}" for n in wanted}
    made = extract_stills(source, index, outputs)
    assert made == [outputs[n] for n in sorted(wanted)]
    for n in wanted:
        with Image.open(outputs[n]) as picture:
            assert picture.size == (source.width, source.height)
            assert number_of(np.asarray(picture.convert("L"))) == n


def test_those_that_are_there_stay_and_no_parts_are_left(film, tmp_path):
    source, index = film
    kept = tmp_path / "5.jpg"
    kept.write_bytes(b"mine")
    extract_stills(source, index, {5: kept, 6: tmp_path / "deep" / "6.jpg"}, max_width=80)
    assert kept.read_bytes() == b"mine"
    assert sorted(os.listdir(tmp_path)) == ["5.jpg", "deep"]
    with Image.open(tmp_path / "deep" / "6.jpg") as picture:
        assert picture.size == (80, 48)


def test_upright(film, tmp_path):
    path = copied(film[0].path, tmp_path / "turned.mp4", before=("-display_rotation", "-90"))
    source, index = probe(path)
    (_, turned), *_ = pictures(source, index, [7])
    assert turned.shape == (160, 96, 3)
    assert number_of(np.rot90(turned)[..., 1]) == 7


def test_causes_are_told(film, tmp_path):
    source, index = film
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="not a folder"):
        extract_stills(source, index, {1: tmp_path / "file" / "1.jpg"})
    gone, times = probe(copied(source.path, tmp_path / "gone.mp4"))
    os.unlink(gone.path)
    with pytest.raises(MediaError, match=r"gone\.mp4: does not exist"):
        extract_stills(gone, times, {1: tmp_path / "1.jpg"})
    assert sorted(os.listdir(tmp_path)) == ["file"]
