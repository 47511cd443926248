"""Cropping by containers and woven fields: the same whole pictures in analysis, stills and render."""

from fractions import Fraction

import numpy as np
import pytest
from made_showing import bar, fields, shown_by_ffmpeg, with_clap, with_matrix
from makers import copied, film, hashes

from montage_dask.analysis.strip import Strip, strip_folder, write_window
from montage_dask.errors import Uncuttable
from montage_dask.media.cropping import container_crop
from montage_dask.media.cutting import cut_range
from montage_dask.media.decode import decode_frames, show_rgb
from montage_dask.media.encoders import encoding
from montage_dask.media.probe import probe
from montage_dask.records import Event, Window
from montage_dask.render.pictures import even_size, write_pictures
from montage_dask.render.segments import Segment, render_segment
from montage_dask.render.transcode import transcode_window
from montage_dask.store import Store

GOOD = encoding(codec="h264", quality="master", crf=4, threads=1)
CROP = (40, 8, 24, 20)
SIZE = (320 - 64, 180 - 28)


@pytest.fixture(scope="module")
def cropped(tmp_path_factory):
    """MP4 with a clean aperture, and Matroska with PixelCrop."""
    folder = tmp_path_factory.mktemp("cropped")
    plain = film(folder / "plain.mp4", frames=10, size="320x180")
    aperture = with_clap(plain, folder / "aperture.mp4", (320, 180), CROP)
    return {"mp4": aperture, "mkv": copied(aperture, folder / "pixelcrop.mkv"), "plain": plain}


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_a_containers_cropping_is_probed(cropped, kind):
    source, _ = probe(cropped[kind])
    assert source.crop == CROP
    assert (source.coded_width, source.coded_height) == SIZE
    assert (source.width, source.height) == SIZE
    assert probe(cropped["plain"])[0].crop == (0, 0, 0, 0)


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_cropped_pictures_are_the_same_everywhere(cropped, kind, tmp_path):
    """The executable crops by itself; what PyAV decodes is cropped by us."""
    path = cropped[kind]
    source, index = probe(path)
    expected = shown_by_ffmpeg(path, SIZE)
    whole = shown_by_ffmpeg(cropped["plain"], (320, 180))
    left, top, right, bottom = CROP
    assert (
        np.abs(expected - whole[:, top : 180 - bottom, left : 320 - right].astype(int)).mean() < 5
    )
    still = show_rgb(next(decode_frames(source, index, 6, 7))[1], source)
    assert np.abs(still.astype(int) - expected[6]).mean() < 5
    transcode_window(source, index, 0, 10, tmp_path / "t.mp4", encoding=GOOD, size=None)
    made = shown_by_ffmpeg(tmp_path / "t.mp4", SIZE)
    assert np.abs(made[6].astype(int) - expected[6]).mean() < 5
    # A square output shows how the shape is kept: bars above and below, nothing squeezed.
    segment = Segment((Event(0, 10, source.identity, 0, Fraction(0)),), Fraction(25), 256, 256)
    render_segment(
        segment, {source.identity: source}, {source.identity: index}, tmp_path / "r.mp4",
        fit="contain", grade="none", encoding=GOOD, threads=1, work=tmp_path,
    )  # fmt: skip
    middle = shown_by_ffmpeg(tmp_path / "r.mp4", (256, 256))[6, 52:204]
    assert np.abs(middle.astype(int) - expected[6]).mean() < 6
    output = tmp_path / "effect.mp4"
    write_pictures(source, index, 0, 10, output, transform=lambda p: p, size=even_size(source))
    assert np.abs(shown_by_ffmpeg(output, SIZE)[6].astype(int) - expected[6]).mean() < 5


def test_excerpts_of_cropped_footage_show_the_same_or_are_not_made(cropped, tmp_path):
    source, index = probe(cropped["mkv"])
    expected = hashes(source, index, 3, 6)
    try:
        cut = cut_range(source, index, 3, 6, tmp_path / "cut.mkv")
    except Uncuttable:
        return  # then the whole file travels
    assert hashes(cut.source, cut.index, 3, 6) == expected


@pytest.mark.parametrize("crop", [(320, 0, 0, 0), (200, 0, 200, 0)])
def test_cropping_that_leaves_nothing_is_none(cropped, tmp_path, monkeypatch, crop):
    left, top, right, bottom = crop
    line = f"[info]       Frame Cropping: {left}/{right}/{top}/{bottom}"
    monkeypatch.setattr(
        "montage_dask.media.cropping.run_ffmpeg",
        lambda *a, **k: ["[info]   Stream #0:0: Video", line, "[info] Output #0", line],
    )
    assert container_crop(str(cropped["mkv"]), "matroska", 0, (320, 180)) == (0, 0, 0, 0)


@pytest.fixture(scope="module")
def woven(tmp_path_factory):
    folder = tmp_path_factory.mktemp("woven")
    mpeg2 = ("-c:v", "mpeg2video", "-q:v", "2", "-flags", "+ildct+ilme", "-g", "6", "-bf", "2")
    mbaff = (
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-qp",
        "8",
        "-flags",
        "+ildct+ilme",
        "-threads",
        "1",
    )
    return {
        "H.264 tff": fields(folder / "tff.mp4", "tff"),
        "H.264 bff": fields(folder / "bff.mp4", "bff"),
        "H.264 that says progressive": fields(folder / "silent.mp4", "tff", flag="prog"),
        "bff that says progressive": fields(folder / "silentb.mp4", "bff", flag="prog"),
        "bff that says tff": fields(folder / "liar.mp4", "bff", flag="tff"),
        "MBAFF with B-frames": fields(folder / "mbaff.ts", "tff", *mbaff),
        "MPEG-2 PS": fields(folder / "tff.mpg", "tff", *mpeg2),
        "MPEG-2 TS bff": fields(folder / "bff.ts", "bff", *mpeg2),
        "ProRes": fields(folder / "prores.mov", "tff", "-c:v", "prores_ks", "-flags", "+ildct"),
        "MJPEG": fields(folder / "mjpeg.avi", "bff", "-c:v", "mjpeg", "-q:v", "2"),
        "raw 4:2:2": fields(folder / "raw.avi", "tff", "-c:v", "rawvideo", "-pix_fmt", "uyvy422"),
    }  # fmt: skip


WOVEN = (
    "H.264 tff", "H.264 bff", "H.264 that says progressive", "bff that says progressive",
    "bff that says tff", "MBAFF with B-frames", "MPEG-2 PS", "MPEG-2 TS bff", "ProRes", "MJPEG",
    "raw 4:2:2",
)  # fmt: skip


def luma(rgb):
    """The luma of grey pictures, which is what `bar` gives."""
    return rgb[..., 1].astype(float) * 219 / 255 + 16


def combed(picture, number):
    """How far a picture is from the moment that its first field shows; a woven one is more than 3 away."""
    return np.abs(luma(picture) - bar(2 * number))[4:-4].mean()


@pytest.mark.parametrize("kind", WOVEN)
def test_woven_fields_are_found_and_deinterlaced_one_for_one(woven, kind, tmp_path):
    source, index = probe(woven[kind])
    assert source.field_order == ("bff" if "bff" in str(kind) or kind == "MJPEG" else "tff")
    assert any(w.endswith("deinterlaced") for w in source.warnings)
    assert len(index) == 12
    for number in (0, 5, 11):
        still = show_rgb(next(decode_frames(source, index, number, number + 1))[1], source)
        assert combed(still, number) < 2
    transcode_window(source, index, 1, 12, tmp_path / "t.mp4", encoding=GOOD, size=None)
    made, own = probe(tmp_path / "t.mp4")
    assert len(own) == 11
    assert made.field_order == ""
    shown = shown_by_ffmpeg(tmp_path / "t.mp4", (320, 192))
    assert max(combed(shown[k], 1 + k) for k in range(11)) < 2
    segment = Segment((Event(0, 4, source.identity, 0, Fraction(3, 25)),), Fraction(25), 320, 192)
    render_segment(
        segment, {source.identity: source}, {source.identity: index}, tmp_path / "r.mp4",
        fit="contain", grade="none", encoding=GOOD, threads=1, work=tmp_path,
    )  # fmt: skip
    shown = shown_by_ffmpeg(tmp_path / "r.mp4", (320, 192))
    assert max(combed(shown[k], 3 + k) for k in range(4)) < 2


def test_the_measure_of_this_test_sees_combs(woven, tmp_path):
    source, index = probe(woven["H.264 tff"], deinterlace="off")
    assert source.field_order == ""
    still = show_rgb(next(decode_frames(source, index, 5, 6))[1], source)
    assert combed(still, 5) > 3


@pytest.mark.parametrize("kind", ["MPEG-2 PS", "H.264 bff", "MBAFF with B-frames"])
def test_a_deinterlaced_frame_is_the_same_from_wherever_decoding_begins(woven, kind):
    source, index = probe(woven[kind])
    whole = hashes(source, index, 0, 12)
    for start in range(12):
        assert hashes(source, index, start, start + 1) == whole[start : start + 1]
    assert hashes(source, index, 5, 9) == whole[5:9]


def test_windows_of_the_render_join_without_a_seam(woven, tmp_path):
    source, index = probe(woven["MPEG-2 PS"])
    lossless = encoding(codec="h264", quality="master", crf=0, threads=1)
    parts = []
    for start, stop in ((0, 12), (0, 5), (5, 7), (7, 12)):
        output = tmp_path / f"{start}-{stop}.mp4"
        transcode_window(source, index, start, stop, output, encoding=lossless, size=None)
        parts.append(shown_by_ffmpeg(output, (320, 192)))
    np.testing.assert_array_equal(parts[0], np.concatenate(parts[1:]))


def test_thumbnails_show_one_moment(woven, tmp_path):
    for kind in ("H.264 tff", "bff that says progressive"):
        source, index = probe(woven[kind])
        folder = strip_folder(Store(tmp_path), source, 50)
        write_window(source, index, Window(0, 0, 12), 50, folder)
        thumbnails = Strip(folder).thumbnails(0, 12)
        for number in (0, 7):
            expected = bar(2 * number).reshape(192, 320)[:, : 48 * 6].reshape(192, 48, 6).mean(2)
            shown = luma(thumbnails[number])[13]
            # 48 thumbnails' columns hold 320 pixels: compared where the bar's middle is.
            middle = (40 + number * 16) * 48 / 320
            weights = np.clip(shown - shown.min() - 20, 0, None)
            assert abs((weights * (np.arange(48) + 0.5)).sum() / weights.sum() - middle) < 0.25
            assert expected.shape == (192, 48)


def test_whole_pictures_are_not_taken_for_fields(tmp_path):
    """Whatever moves: sideways, up by odd lines, noise, fine stripes, nothing, drawings."""
    moving = {
        "pattern": "testsrc2=size=320x192:rate=25",
        "drawing": "testsrc=size=320x192:rate=25",
        "scroll": "testsrc2=size=320x192:rate=25,scroll=vertical=0.0052",
        "noise": "color=gray:size=320x192:rate=25,noise=alls=60:allf=t",
        "stripes": "color=gray:size=320x192:rate=25,geq=lum='128+80*lt(mod(Y,2),1)*between(X,8*N,8*N+60)':cb=128:cr=128",
        "fractal": "mandelbrot=size=320x192:rate=25",
        "life": "life=size=320x192:rate=25:seed=1",
        "still": "testsrc2=size=320x192:rate=25,loop=loop=30:size=1",
    }
    from montage_dask.media.ffmpeg import run_ffmpeg

    for name, drawn in moving.items():
        path = tmp_path / f"{name}.mp4"
        run_ffmpeg(
            ["-f", "lavfi", "-i", drawn, "-frames:v", "30", "-c:v", "libx264", "-preset", "ultrafast",
             "-pix_fmt", "yuv420p", f"file:{path}"],
            about=path,
        )  # fmt: skip
        source, _ = probe(path)
        assert (source.field_order, source.warnings) == ("", ()), name


def test_whole_pictures_that_say_interlaced_stay_as_they_are(tmp_path):
    """25 pictures a second in a stream that says 50 fields, as AVCHD has them."""
    told = ("-flags", "+ildct+ilme", "-x264-params", "tff=1", "-c:v", "libx264", "-qp", "4")
    path = film(tmp_path / "psf.mp4", *told, frames=12, size="320x192", filters="setfield=tff")
    source, index = probe(path)
    assert source.field_order == ""
    assert source.warnings == ("says interlaced, but its pictures are whole: not deinterlaced",)
    transcode_window(source, index, 0, 12, tmp_path / "t.mp4", encoding=GOOD, size=(160, 96))
    made, own = probe(tmp_path / "t.mp4")
    assert not next(decode_frames(made, own, 3, 4))[1].interlaced_frame


def test_what_does_not_move_is_believed(tmp_path):
    told = ("-flags", "+ildct+ilme", "-x264-params", "tff=1", "-c:v", "libx264", "-qp", "4")
    still = "loop=loop=12:size=1,setfield=tff"
    source, index = probe(film(tmp_path / "s.mp4", *told, frames=8, size="320x192", filters=still))
    assert source.field_order == "flagged"
    assert len(hashes(source, index, 0, 8)) == 8


def test_the_setting_overrules_and_what_is_made_has_another_address(woven, tmp_path):
    found = probe(woven["H.264 tff"])[0]
    off = probe(woven["H.264 tff"], deinterlace="off")[0]
    on = probe(woven["H.264 tff"], deinterlace="on")[0]
    assert (found.field_order, on.field_order, off.field_order) == ("tff", "tff", "")
    assert found.identity == on.identity != off.identity
    assert off.warnings[0].endswith("not deinterlaced, as `deinterlace` is off")
    plain = film(tmp_path / "plain.mp4", frames=8)
    assert probe(plain, deinterlace="off")[0] == probe(plain)[0]
    forced = probe(plain, deinterlace="on")[0]
    assert forced.field_order == "tff"
    assert forced.identity != probe(plain)[0].identity


def test_turned_fields(woven, tmp_path):
    """A camera on its side: deinterlaced before it is turned."""
    path = with_matrix(woven["H.264 tff"], tmp_path / "turned.mp4", (0, 1, -1, 0))
    source, index = probe(path)
    assert (source.field_order, source.rotation_degrees) == ("tff", 90)
    transcode_window(source, index, 0, 8, tmp_path / "t.mp4", encoding=GOOD, size=None)
    shown = np.rot90(shown_by_ffmpeg(tmp_path / "t.mp4", (192, 320)), 1, (1, 2))
    assert max(combed(shown[k], k) for k in range(8)) < 2
