"""Small material and one cluster for all tests of the API."""

from __future__ import annotations

from pathlib import Path

import pytest
from jobs import Material, make_clip, make_track
from made_small import SMALL

from montage_dask import Cluster, Footage, Job


@pytest.fixture(scope="package")
def small(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Three clips of 2.5 s, one of them with a hostile name, and a track of 5 s."""
    folder = tmp_path_factory.mktemp("small")
    footage = folder / "footage"
    footage.mkdir()
    make_clip(footage / "stars.mp4", "testsrc2=size=160x90:rate=25", 2.5)
    make_clip(footage / "life.mkv", "life=size=160x90:rate=25:mold=10:life_color=#00ff00", 2.5)
    make_clip(footage / "<script>alert(1)<&.mp4", "mandelbrot=size=160x90:rate=25", 2.5)
    return Material(footage, folder / "track.wav", make_track(folder / "track.wav", 5))


@pytest.fixture(scope="package")
def cluster():
    with Cluster(n_workers=2) as opened:
        yield opened


@pytest.fixture(scope="package")
def footage(small, cluster, tmp_path_factory):
    return Footage(small.footage).analyse(store=tmp_path_factory.mktemp("store"))


@pytest.fixture
def job(footage, small, tmp_path: Path) -> Job:
    return Job(footage, small.music, output=tmp_path / "out.mp4", **SMALL)
