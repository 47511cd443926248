"""Streams that change on the way: one frame out for one in, the right picture, and nobody else is to blame."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from makers import X264, film

from montage_dask.media.decode import decode_frames, show_rgb
from montage_dask.media.encoders import encoding
from montage_dask.media.ffmpeg import run_ffmpeg
from montage_dask.media.probe import probe
from montage_dask.records import CUT, Event, Transition
from montage_dask.render.segments import Segment, count_frames, render_segment
from montage_dask.render.stills import pictures
from montage_dask.render.transcode import transcode_window

FPS = Fraction(25)
HALF = 36
"""Frames before the change; as many behind it."""

VP8 = ("-c:v", "libvpx", "-b:v", "900k", "-deadline", "realtime", "-g", "12")
VP9 = ("-c:v", "libvpx-vp9", "-b:v", "900k", "-deadline", "realtime", "-cpu-used", "8", "-g", "12")
AV1 = ("-c:v", "libsvtav1", "-preset", "13", "-g", "12", "-svtav1-params", "lp=1")
MPEG2 = ("-c:v", "mpeg2video", "-q:v", "2", "-g", "12")
H264 = (*X264, "-crf", "12", "-g", "12")
HEVC = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:pools=1:keyint=12")  # fmt: skip
MPEG4 = ("-c:v", "mpeg4", "-q:v", "2", "-g", "12")
MJPEG = ("-c:v", "mjpeg", "-q:v", "2")

BT709 = ("-colorspace", "bt709", "-color_range", "tv")
BT601 = ("-colorspace", "smpte170m", "-color_range", "tv")
CHANGES = {
    "size.webm": (VP8, "null", VP8, "scale=80:46"),
    "size9.webm": (VP9, "null", VP9, "scale=80:46"),
    "size.mkv": (AV1, "null", AV1, "scale=96:54"),
    "aspect.ts": (H264, "null", H264, "scale=120:120"),
    "size.ts": (H264, "null", H264, "scale=320:180"),
    "mpeg2.ts": (MPEG2, "null", MPEG2, "scale=128:96"),
    "mpeg2.mpg": (MPEG2, "null", MPEG2, "scale=128:96"),
    "hevc.ts": (HEVC, "null", HEVC, "scale=120:120"),
    "range.ts": (H264, "null", (*H264, "-color_range", "pc"), "scale=out_range=pc"),
    "matrix.ts": (
        (*H264, *BT709),
        "scale=out_color_matrix=bt709",
        (*H264, *BT601),
        "scale=out_color_matrix=smpte170m",
    ),
    "format.ts": (H264, "format=yuv420p", (*H264, "-profile:v", "high422"), "format=yuv422p"),
    "jpeg.avi": (MJPEG, "null", MJPEG, "scale=80:46"),
    "size264.mkv": (H264, "null", H264, "scale=120:120"),
    "size264.flv": (H264, "null", H264, "scale=120:120"),
    "size4.avi": (MPEG4, "null", MPEG4, "scale=128:72"),
    "depth.ts": (HEVC, "format=yuv420p", HEVC, "format=yuv420p10le"),
    "descriptions.mp4": (H264, "null", H264, "scale=120:120"),
}


def changing(folder, name):
    """A film whose second half has another shape, and the same film with one shape."""
    first, as_first, second, as_second = CHANGES[name]
    suffix = name.split(".")[1]
    whole = "testsrc2=size=160x90:rate=25,boxblur=2"
    parts = []
    for number, (options, filters) in enumerate(((first, as_first), (second, as_second))):
        part = folder / f"{number}-{name}"
        cut = (
            f"trim=start_frame={number * HALF}:end_frame={number * HALF + HALF},setpts=PTS-STARTPTS"
        )
        run_ffmpeg(
            ["-f", "lavfi", "-i", f"{whole},{cut},{filters}", *options, f"file:{part}"], about=part
        )
        parts.append(part)
    listed = folder / f"{name}.txt"
    listed.write_text("".join(f"file '{p}'\n" for p in parts))
    path = folder / name
    form = {"mpg": ("-f", "mpeg")}.get(suffix, ())
    run_ffmpeg(
        ["-f", "concat", "-safe", "0", "-i", str(listed), "-c", "copy", *form, f"file:{path}"],
        about=path,
    )
    plain = folder / f"{name}-plain.mkv"
    run_ffmpeg(
        [
            "-f",
            "lavfi",
            "-i",
            f"{whole},trim=end_frame={2 * HALF}",
            "-c:v",
            "ffv1",
            f"file:{plain}",
        ],
        about=plain,
    )
    return path, plain


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("changing")
    kept = {}

    def of(name):
        if name not in kept:
            kept[name] = changing(folder, name)
        return kept[name]

    return of


def rendered(path):
    with av.open(str(path)) as container:
        return [f.to_ndarray(format="rgb24").astype(int) for f in container.decode(video=0)]


def true_pictures(plain):
    source, index = probe(plain)
    return [
        show_rgb(f, source, 160, 90).astype(int)
        for _, f in decode_frames(source, index, 0, len(index))
    ]


def assert_alike(found, expected, tolerance=12.0):
    """Every picture is the expected one, and nearer to it than to its neighbours three frames away."""
    assert len(found) == len(expected)
    for number, (one, true) in enumerate(zip(found, expected, strict=True)):
        assert np.abs(one - true).mean() < tolerance, number


@pytest.mark.parametrize("name", CHANGES)
def test_decoded_frames_are_all_alike(made, name):
    path, plain = made(name)
    source, index = probe(path)
    assert not source.uniform
    assert len(index) == 2 * HALF
    frames = [f for _, f in decode_frames(source, index, 0, len(index))]
    assert {(f.width, f.height, f.format.name) for f in frames} == {(160, 90, source.pixel_format)}
    assert_alike([show_rgb(f, source).astype(int) for f in frames], true_pictures(plain))
    for start in (5, 30, 40, 61):
        again = [f for _, f in decode_frames(source, index, start, start + 8)]
        for one, other in zip(frames[start:], again, strict=False):
            assert np.array_equal(one.to_ndarray(), other.to_ndarray())
    stills = dict(pictures(source, index, [3, 50]))
    assert np.array_equal(stills[50], show_rgb(frames[50], source))


@pytest.mark.parametrize("name", CHANGES)
def test_rendered_behind_and_before_a_good_clip(made, tmp_path, name):
    path, plain = made(name)
    good = film(tmp_path / "good.mp4", *H264, frames=50, filters="hue=h=120")
    sources, indexes = {}, {}
    for one in (path, good):
        source, index = probe(one)
        sources[source.identity], indexes[source.identity] = source, index
    changed, other = sources
    events = (
        Event(0, 20, other, 0, Fraction(0)),
        Event(20, 60, changed, 0, Fraction(HALF - 20, 25)),
        Event(60, 80, other, 0, Fraction(1), Fraction(1), Transition("crossfade", 4)),
        Event(80, 100, changed, 0, Fraction(0), Fraction(1), CUT),
    )
    output = tmp_path / "out.mp4"
    record = render_segment(
        Segment(events, FPS, 160, 90), sources, indexes, output,
        fit="cover", grade="none", encoding=encoding("h264", "high", crf=12), work=tmp_path,
    )  # fmt: skip
    assert record["frames"] == count_frames(output) == 100
    shown, true = rendered(output), true_pictures(plain)
    assert_alike(shown[20:58], true[HALF - 20 : HALF + 18])
    assert_alike(shown[80:], true[:20])
    own, times = probe(good)
    neighbour = [show_rgb(f, own).astype(int) for _, f in decode_frames(own, times, 0, 20)]
    assert_alike(shown[:20], neighbour)


@pytest.mark.parametrize("grade", ["none", "noir"])
@pytest.mark.parametrize("name", ["size.webm", "aspect.ts", "matrix.ts"])
def test_transcoded(made, tmp_path, name, grade):
    path, plain = made(name)
    source, index = probe(path)
    output = tmp_path / "out.mp4"
    transcode_window(
        source, index, 10, 60, output,
        encoding=encoding("h264", "high", crf=12), size=None, grade=grade,
    )  # fmt: skip
    assert count_frames(output) == 50
    if grade == "none":
        own, times = probe(output)
        assert (own.width, own.height) == (source.width, source.height)
        shown = [show_rgb(f, own).astype(int) for _, f in decode_frames(own, times, 0, 50)]
        assert_alike(shown, true_pictures(plain)[10:60])


def test_a_change_that_nobody_knew_of_ends_ffmpeg_at_once_and_is_rendered_all_the_same(
    made, tmp_path, monkeypatch
):
    from montage_dask.media import headers

    monkeypatch.setattr(headers, "HEADERS", {})
    path, plain = made("aspect.ts")
    source, index = probe(path)
    assert source.uniform
    event = Event(0, 60, source.identity, 0, Fraction(0))
    output = tmp_path / "out.mp4"
    render_segment(
        Segment((event,), FPS, 160, 90), {source.identity: source}, {source.identity: index}, output,
        fit="cover", grade="none", encoding=encoding("h264", "high", crf=12), work=tmp_path,
    )  # fmt: skip
    assert_alike(rendered(output), true_pictures(plain)[:60])
    transcode_window(
        source, index, 0, 60, output, encoding=encoding("h264", "high", crf=12), size=None
    )
    assert count_frames(output) == 60


def test_an_orientation_that_only_some_pictures_tell_hangs_nobody(tmp_path):
    """Told on the first picture only: ffmpeg makes its filters anew behind it, and then waits for ever."""
    whole, path = film(tmp_path / "a.mp4", frames=50), tmp_path / "told.mp4"
    turned = "h264_metadata=display_orientation=insert:rotate=90"
    run_ffmpeg(["-i", str(whole), "-c", "copy", "-bsf:v", turned, str(path)], about=path)
    source, index = probe(path)
    assert source.rotation_degrees in (90, 270)
    events = [Event(n * 20, n * 20 + 20, source.identity, 0, n * 25 / FPS) for n in range(2)]
    output = tmp_path / "out.mp4"
    render_segment(
        Segment(tuple(events), FPS, 90, 160), {source.identity: source}, {source.identity: index}, output,
        fit="cover", grade="none", encoding=encoding("h264", "high", crf=12), work=tmp_path,
    )  # fmt: skip
    expected = [
        show_rgb(frame, source, 90, 160).astype(int)
        for first in (0, 25) for _, frame in decode_frames(source, index, first, first + 20)
    ]  # fmt: skip
    assert_alike(rendered(output), expected)
