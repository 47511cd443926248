from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from makers import film
from PIL import Image

from montage_dask.media.probe import probe
from montage_dask.records import Shot
from montage_dask.render.stills import extract_stills, frames_every, frames_per_shot, pictures


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """150 frames at 25 whose level is twice their number, keyframes 30 apart, upright after rotation."""
    path = tmp_path_factory.mktemp("stills") / "levels.mp4"
    film(
        path, "-c:v", "libx264", "-qp", "4", "-preset", "ultrafast", "-g", "30", "-bf", "2", "-threads", "1",
        frames=150, size="128x64", filters="format=yuv420p,geq=lum='16+N':cb=128:cr=128",
    )  # fmt: skip
    return probe(path)


def shot(start: int, stop: int) -> Shot:
    return Shot(
        "s", 0, start, stop, Fraction(start, 25), Fraction(stop, 25), 0.5, 0.5, 0.5, 0.5, 0.5, 0.5,
        (1.0,), "0" * 16, 5, (0.5,), (0.5,),
    )  # fmt: skip


def level(picture: np.ndarray) -> float:
    """The frame number that a picture shows."""
    return float(picture.mean()) * 219 / 255


@pytest.mark.parametrize("wanted", [[0], [149], [3, 4, 5, 30, 31], [0, 75, 149], [140, 2, 70]])
def test_the_pictures_are_those_of_their_numbers(clip, wanted):
    source, index = clip
    found = list(pictures(source, index, wanted))
    assert [n for n, _ in found] == sorted(wanted)
    for number, picture in found:
        assert picture.shape == (64, 128, 3)
        assert level(picture) == pytest.approx(number, abs=1.2)


def test_a_still_every_so_many_seconds(clip):
    _, index = clip
    assert frames_every(index, Fraction(1)) == (0, 25, 50, 75, 100, 125)
    assert frames_every(index, Fraction(1, 50))[:4] == (0, 1, 2, 3)  # each once
    assert frames_every(index, Fraction(100)) == (0,)


def test_stills_of_shots_keep_away_from_the_cuts():
    shots = [shot(0, 100), shot(100, 101), shot(101, 150)]
    assert frames_per_shot(shots, 1) == (50, 100, 125)
    three = frames_per_shot(shots[:1], 3)
    assert three == (16, 50, 83)
    assert frames_per_shot(shots[1:2], 4) == (100,)


def test_stills_are_files_of_the_wanted_size_whatever_stood_there(clip, tmp_path):
    source, index = clip
    outputs = {100: tmp_path / "new" / "b.png", 10: tmp_path / "new" / "a.jpg"}
    paths = extract_stills(source, index, outputs, max_width=64)
    assert paths == [outputs[10], outputs[100]]
    with Image.open(paths[0]) as first, Image.open(paths[1]) as second:
        assert (first.format, first.size) == ("JPEG", (64, 32))
        assert (second.format, second.size) == ("PNG", (64, 32))
        assert level(np.asarray(second)) == pytest.approx(100, abs=1.5)
    before = paths[0].read_bytes()
    paths[0].write_bytes(b"of something else")
    extract_stills(source, index, outputs, max_width=64)
    assert paths[0].read_bytes() == before
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["a.jpg", "b.png"]


def test_a_file_of_our_own_gives_the_same_pictures_opened_once(clip):
    source, index = clip
    numbers = [0, 3, 75, 140, 149]
    apart, once = (dict(pictures(source, index, numbers, own=own)) for own in (False, True))
    assert list(once) == numbers
    for number in numbers:
        np.testing.assert_array_equal(once[number], apart[number])
