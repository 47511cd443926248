"""Mezzanines: near the source in every picture, exactly at its times, whole or joined, and shown as the source is."""

from dataclasses import replace
from fractions import Fraction
from itertools import accumulate, pairwise

import numpy as np
import pytest
from made_footage import VFR_STEPS, coloured, luma_frames, number_of, numbered
from makers import film

from montage_dask.errors import VerificationError
from montage_dask.media.encoders import encoding
from montage_dask.media.probe import probe
from montage_dask.records import Event
from montage_dask.render.mezzanine import join_mezzanines, mezzanine_source
from montage_dask.render.pictures import read_pictures, write_pictures
from montage_dask.render.segments import Segment, render_segment

FRAMES = 70


def identity(pictures):
    yield from pictures


def made(path, folder, edges, transform=identity):
    """The mezzanine of [edges[0], edges[-1]), in the pieces that the edges make."""
    source, index = probe(path)
    size = source.coded_width // 2 * 2, source.coded_height // 2 * 2
    parts = []
    for start, stop in pairwise(edges):
        parts.append(folder / f"{start}.mp4")
        record = write_pictures(
            source, index, start, stop, parts[-1], transform=transform, size=size
        )
        assert record["frames"] == stop - start
    joined = folder / "joined.mp4"
    assert join_mezzanines(parts, joined)["frames"] == edges[-1] - edges[0]
    return source, index, *mezzanine_source(source, index, joined, edges[0], identity="m")


def decibels(a, b):
    error = np.mean((a.astype(float) - b.astype(float)) ** 2)
    return 99.0 if error == 0 else 10 * np.log10(255**2 / error)


def film_of(tmp_path, kind):
    if kind == "vfr":
        pts = list(accumulate([VFR_STEPS[n % len(VFR_STEPS)] for n in range(FRAMES)], initial=177))
        return numbered(tmp_path / "a.mkv", FRAMES, pts=pts[:FRAMES], time_base=Fraction(1, 1000))
    rate, name = {"ntsc": ("24000/1001", "a.mp4"), "avi": ("30000/1001", "a.avi")}[kind]
    options = ("-c:v", "mpeg4", "-q:v", "3") if kind == "avi" else ()
    return film(tmp_path / name, *options, frames=FRAMES, size="320x180", rate=rate)


@pytest.mark.parametrize("kind", ["ntsc", "vfr", "avi"])
@pytest.mark.parametrize("edges", [(0, FRAMES), (3, 20, 21, 57), (50, FRAMES)])
def test_pictures_and_times_are_those_of_the_source(tmp_path, kind, edges):
    path = film_of(tmp_path, kind)
    source, index, made_source, made_index = made(path, tmp_path, edges)
    begin = index.time_seconds(edges[0])
    times = [index.time_seconds(n) - begin for n in range(edges[0], edges[-1] + 1)]
    assert [made_index.time_seconds(n) for n in range(len(made_index) + 1)] == times
    before = list(read_pictures(source, index, edges[0], edges[-1]))
    after = list(read_pictures(made_source, made_index, 0, len(made_index)))
    for a, b in zip(before, after, strict=True):
        assert min(decibels(a.y, b.y), decibels(a.u, b.u), decibels(a.v, b.v)) > 42
    if kind == "vfr":
        assert [number_of(p.y) for p in after] == list(range(edges[0], edges[-1]))


def test_what_probing_the_file_says_agrees_with_the_record(tmp_path):
    path = film(
        tmp_path / "a.mp4", "-c:v", "libx264", "-vf", "setsar=4/3", "-colorspace", "smpte170m",
        "-color_range", "pc", "-pix_fmt", "yuvj420p", frames=20,
    )  # fmt: skip
    source, _, record, index = made(path, tmp_path, (2, 19))
    probed, own = probe(record.path)
    assert (probed.color_space, probed.color_range) == ("smpte170m", "pc")
    assert probed.sample_aspect == record.sample_aspect == source.sample_aspect == Fraction(4, 3)
    assert (probed.width, probed.height) == (record.width, record.height)
    assert (probed.width, probed.height) == (source.width, source.height)
    assert np.array_equal(own.pts, index.pts)
    assert np.array_equal(own.keyframes, index.keyframes)
    assert own.last_duration == index.last_duration


@pytest.mark.parametrize(
    ("pixel_format", "shapes", "bits"),
    [
        ("yuv420p10le", ((90, 160), (45, 80)), 10),
        ("yuv444p", ((90, 160), (90, 160)), 8),
        ("yuv422p", ((90, 160), (90, 80)), 8),
        ("yuvj444p", ((90, 160), (90, 160)), 8),
    ],
)
def test_other_samplings_and_depths(tmp_path, pixel_format, shapes, bits):
    luma, chroma = shapes
    dtype = np.uint8 if bits == 8 else np.uint16
    slope = np.linspace(64, 200, luma[1]).round()[None].repeat(luma[0], 0)
    planes = [(slope * 2 ** (bits - 8)).astype(dtype)]
    planes += [np.full(chroma, v * 2 ** (bits - 8), dtype) for v in (90, 170)]
    path = coloured(tmp_path / "a.mp4", planes, pixel_format)
    _, _, record, index = made(path, tmp_path, (0, 5))
    picture = list(read_pictures(record, index, 0, 5))[3]
    assert picture.bits == bits == record.bit_depth
    assert np.abs(picture.y.astype(int) - planes[0].astype(int)).max() <= 3 * 2 ** (bits - 8)
    assert abs(picture.u.mean() / 2 ** (bits - 8) - 90) < 1
    assert abs(picture.v.mean() / 2 ** (bits - 8) - 170) < 1


def test_the_renderer_shows_a_mezzanine_as_it_shows_the_source(tmp_path):
    path = numbered(tmp_path / "a.mp4", FRAMES, rate=Fraction(30))
    source, index, record, own = made(path, tmp_path, (20, 40, 60))
    shown = []
    for number, (one, its_index, begin) in enumerate(
        [(source, index, Fraction(0)), (record, own, index.time_seconds(20))]
    ):
        event = Event(0, 25, one.identity, 0, index.time_seconds(23) - begin)
        segment = Segment((event,), Fraction(25), 160, 96)
        output = tmp_path / f"shown-{number}.mp4"
        render_segment(
            segment,
            {one.identity: one},
            {one.identity: its_index},
            output,
            fit="cover",
            grade="none",
            encoding=encoding("h264", "preview"),
            work=tmp_path,
        )
        shown.append([number_of(f) for f in luma_frames(output)])
    assert shown[0] == shown[1]
    assert shown[0][0] == 23


def test_an_effect_that_loses_a_frame_is_an_error(tmp_path):
    path = film(tmp_path / "a.mp4", frames=10)

    def losing(pictures):
        return (p for p in pictures if p.frame != 4)

    with pytest.raises(VerificationError, match="frame 5"):
        made(path, tmp_path, (0, 10), losing)
    with pytest.raises(VerificationError, match="9 frames"):
        made(path, tmp_path, (0, 10), lambda p: (x for x in p if x.frame < 9))


def test_an_exact_rate_and_upright_pictures(tmp_path):
    path = film(tmp_path / "a.mkv", frames=20, rate="30000/1001")  # milliseconds in the file
    source, index = probe(path)
    source = replace(source, rotation_degrees=90)
    output = tmp_path / "b.mp4"
    write_pictures(
        source, index, 5, 20, output, transform=identity, size=(160, 90),
        rate=Fraction(30000, 1001), upright=True,
    )  # fmt: skip
    probed, own = probe(output)
    assert probed.frame_rate == Fraction(30000, 1001)
    assert own.duration_seconds == 15 * Fraction(1001, 30000)
    assert (probed.width, probed.height) == (90, 160)
    turned = next(read_pictures(probed, own, 0, 1))
    before = next(read_pictures(source, index, 5, 6))
    assert decibels(np.rot90(before.y, -1), turned.y) > 42
