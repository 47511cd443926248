"""All eight orientations are shown as the ffmpeg executable shows them by itself, wherever pictures are made."""

import numpy as np
import pytest
from made_showing import MATRICES, shown_by_ffmpeg, with_matrix
from makers import copied, film
from PIL import Image

from montage_dask.analysis.strip import Strip, strip_folder, write_window
from montage_dask.media.cutting import cut_range
from montage_dask.media.decode import decode_frames, show_rgb
from montage_dask.media.encoders import encoding
from montage_dask.media.probe import probe
from montage_dask.records import Window
from montage_dask.render.pictures import even_size, write_pictures
from montage_dask.render.stills import pictures
from montage_dask.render.transcode import transcode_window
from montage_dask.store import Store

GOOD = encoding(codec="h264", quality="master", crf=6, threads=1)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return film(tmp_path_factory.mktemp("base") / "base.mp4", frames=8, size="160x90")


@pytest.fixture(scope="module", params=MATRICES)
def turned(request, base, tmp_path_factory):
    """A file of one orientation, its record and index, and its pictures as ffmpeg shows them."""
    path = tmp_path_factory.mktemp("turned") / "turned.mp4"
    with_matrix(base, path, MATRICES[request.param])
    source, index = probe(path)
    expected = shown_by_ffmpeg(path, (source.width, source.height))
    return source, index, expected


def near(picture, expected, tolerance=10.0):
    """Whether two pictures are alike but for the scaling of chroma; any other orientation is 20 or more apart."""
    assert picture.shape == expected.shape
    return np.abs(picture.astype(int) - expected).mean() < tolerance


def test_the_orientations_differ(base, tmp_path):
    shown = [
        shown_by_ffmpeg(with_matrix(base, tmp_path / "t.mp4", m), (90, 90))[3]
        for m in MATRICES.values()
    ]
    for k, one in enumerate(shown):
        assert all(not near(one, other, 15) for other in shown[:k])


def test_stills(turned):
    source, index, expected = turned
    for number, shown in pictures(source, index, [0, 5]):
        assert near(shown, expected[number])


def test_strip(turned, tmp_path):
    source, index, expected = turned
    store = Store(tmp_path)
    folder = strip_folder(store, source, 50)
    write_window(source, index, Window(0, 0, len(index)), 50, folder)
    thumbnail = Strip(folder).thumbnails(4, 5)[0]
    small = Image.fromarray(expected[4]).resize((48, 27), Image.Resampling.BOX)
    assert near(thumbnail, np.asarray(small), 15)


def test_transcode(turned, tmp_path):
    source, index, expected = turned
    for size in (None, (64, 64)):
        output = tmp_path / "out.mp4"
        transcode_window(source, index, 2, 7, output, encoding=GOOD, size=size)
        made, own = probe(output)
        assert (made.rotation_degrees, made.mirrored, len(own)) == (0, False, 5)
        shown = shown_by_ffmpeg(output, (source.width, source.height))
        assert near(shown[2], expected[4], 10 if size is None else 15)


def test_render(turned, tmp_path):
    from fractions import Fraction

    from montage_dask.records import Event
    from montage_dask.render.segments import Segment, render_segment

    source, index, expected = turned
    segment = Segment(
        (Event(0, 6, source.identity, 0, Fraction(0)),), Fraction(25), source.width, source.height
    )
    output = tmp_path / "out.mp4"
    render_segment(
        segment, {source.identity: source}, {source.identity: index}, output, fit="contain",
        grade="none", encoding=GOOD, threads=1, work=tmp_path,
    )  # fmt: skip
    assert near(shown_by_ffmpeg(output, (source.width, source.height))[3], expected[3])


def test_effects_that_make_new_files(turned, tmp_path):
    source, index, expected = turned
    output = tmp_path / "out.mp4"
    write_pictures(
        source, index, 1, 6, output, transform=lambda p: p, size=even_size(source), upright=True
    )
    assert near(shown_by_ffmpeg(output, (source.width, source.height))[2], expected[3])


def test_what_stands_in_for_a_source_lies_as_it_does(turned, tmp_path):
    from montage_dask.render.mezzanine import mezzanine_source

    source, index, expected = turned
    output = tmp_path / "out.mp4"
    write_pictures(source, index, 1, 6, output, transform=lambda p: p, size=even_size(source))
    record, own = mezzanine_source(source, index, output, 1, identity="m")
    assert near(show_rgb(next(decode_frames(record, own, 2, 3))[1], record), expected[3])


def test_excerpts_that_travel_keep_it(turned, tmp_path):
    source, index, expected = turned
    cut = cut_range(source, index, 2, 5, tmp_path / "cut.mov")
    assert (cut.source.rotation_degrees, cut.source.mirrored) == (
        source.rotation_degrees,
        source.mirrored,
    )
    shown = show_rgb(next(decode_frames(cut.source, cut.index, 4, 5))[1], cut.source)
    assert near(shown, expected[4])


@pytest.mark.parametrize("name", ["hflip", "270"])
def test_other_containers(base, tmp_path, name):
    """Matroska says it as a projection: turned, and mirrored by a yaw of 180°."""
    path = with_matrix(base, tmp_path / "in.mp4", MATRICES[name])
    copied(path, tmp_path / "in.mkv")
    source, index = probe(tmp_path / "in.mkv")
    expected = shown_by_ffmpeg(tmp_path / "in.mkv", (source.width, source.height))
    assert near(show_rgb(next(decode_frames(source, index, 3, 4))[1], source), expected[3])


def test_other_angles_are_brought_to_the_nearest_right_angle_and_said(base, tmp_path):
    from math import cos, radians, sin

    for degrees, nearest in ((30, 0), (-70, 270), (0.5, 0)):
        angle = radians(degrees)
        matrix = (cos(angle), sin(angle), -sin(angle), cos(angle))
        source, _ = probe(with_matrix(base, tmp_path / "t.mp4", matrix))
        assert (source.rotation_degrees, source.mirrored) == (nearest, False)
        said = [w for w in source.warnings if "turned" in w]
        assert said == (
            []
            if degrees == 0.5
            else [f"is to be turned by {degrees % 360}°: turned by {nearest}°, without corners"]
        )


@pytest.mark.parametrize("matrix", [(0, 0, 0, 0), (1, 1, 1, 1)])
def test_a_matrix_that_would_leave_no_picture_is_damage(base, tmp_path, matrix):
    source, _ = probe(with_matrix(base, tmp_path / "t.mp4", matrix))
    assert (source.rotation_degrees, source.mirrored) == (0, False)
