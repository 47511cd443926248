"""What a file is, exactly: times, colours, rotation, streams, and what is odd about it."""

from __future__ import annotations

from fractions import Fraction

import pytest
from makers import X264, film, flipped

from montage_dask.errors import MediaError
from montage_dask.media.ffmpeg import run_ffmpeg
from montage_dask.media.probe import fingerprint, probe, stat_key
from montage_dask.records import Source, from_json, to_json


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("probe")


@pytest.mark.parametrize("rate", ["24000/1001", "25", "30000/1001", "60000/1001", "12.5", "120"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_constant_rates_are_exact_whatever_the_ticks(folder, rate, suffix):
    path = film(folder / f"{rate.replace('/', '-')}.{suffix}", *X264, "-bf", "2", rate=rate)
    source, index = probe(path)
    assert source.constant_frame_rate
    assert source.frame_rate == Fraction(rate)
    assert source.frames == len(index) == 60
    assert source.duration_seconds == pytest.approx(float(60 / Fraction(rate)), abs=0.002)
    assert index.time_seconds(0) == 0
    assert from_json(Source, to_json(source)) == source


def test_a_variable_rate_is_known_as_one(folder):
    path = film(
        folder / "vfr.mkv", *X264, "-fps_mode", "vfr", filters="setpts='(N+5*mod(N\\,4))/(25*TB)'"
    )
    source, _ = probe(path)
    assert not source.constant_frame_rate


def test_colours_are_read_from_the_pictures(folder):
    tags = (*X264, "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "pc")  # fmt: skip
    marked = "setparams=range=pc:color_primaries=bt709:color_trc=bt709:colorspace=bt709"
    source, _ = probe(film(folder / "full.mp4", *tags, frames=3, filters=marked))
    assert (source.color_space, source.color_primaries, source.color_transfer) == ("bt709",) * 3
    assert source.color_range == "pc"
    assert not source.hdr
    plain, _ = probe(film(folder / "untagged.mp4", frames=3))
    assert plain.color_space == plain.color_transfer == plain.color_range == "unspecified"
    pq = "setparams=range=tv:color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc"
    deep, _ = probe(film(folder / "hdr.mkv", *X264, "-pix_fmt", "yuv420p10le", frames=3, filters=pq))  # fmt: skip
    assert deep.hdr
    assert deep.bit_depth == 10
    assert deep.pixel_format == "yuv420p10le"
    assert deep.color_primaries == "bt2020"


def test_sound_and_the_largest_picture_are_chosen(folder):
    small = film(folder / "small.mp4", *X264, "-c:a", "aac", sound=True, size="64x64", frames=20)
    large = film(folder / "large.mp4", frames=20)
    both = folder / "both.mp4"
    run_ffmpeg(["-i", str(small), "-i", str(large), "-map", "0", "-map", "1", "-c", "copy", str(both)], about=both)  # fmt: skip
    source, _ = probe(both)
    assert (source.width, source.height) == (160, 90)
    assert source.stream_index == 2
    assert source.audio is not None
    assert (source.audio.stream_index, source.audio.codec) == (1, "aac")
    assert source.audio.sample_rate == 48000
    assert probe(large)[0].audio is None


def test_equal_bytes_have_one_identity(folder):
    path = film(folder / "a.mp4", frames=3)
    other = folder / "b.mov"
    other.write_bytes(path.read_bytes())
    assert probe(path)[0].identity == probe(other)[0].identity == fingerprint(path)
    assert len(fingerprint(path)) == 32
    assert stat_key(path) != stat_key(other)
    assert stat_key(path)["size_bytes"] == path.stat().st_size


def test_a_late_start_is_frame_zero(folder):
    path = film(folder / "late.mkv", *X264, "-output_ts_offset", "100", frames=20)
    source, index = probe(path)
    assert source.start_pts * source.time_base == pytest.approx(100, abs=0.001)
    assert index.time_seconds(0) == 0
    assert source.duration_seconds == Fraction(4, 5)


def test_one_and_two_frames(folder):
    for frames in (1, 2):
        source, _ = probe(film(folder / f"{frames}.mp4", frames=frames))
        assert source.frames == frames
        assert source.frame_rate == 25
        assert source.duration_seconds == Fraction(frames, 25)


def test_a_moving_gif_is_a_video(folder):
    source, _ = probe(film(folder / "moving.gif", "-c:v", "gif", frames=10))
    assert source.frames == 10


def test_a_raw_stream_says_what_to_do(folder):
    path = film(folder / "raw.h264", *X264, "-bf", "2", frames=20)
    try:
        source, _ = probe(path)
    except MediaError as error:
        assert "container" in error.reason  # noqa: PT017
    else:
        assert source.frames == 20


def test_sound_may_be_longer_than_the_picture_without_a_warning(folder):
    for suffix in ("mp4", "mkv"):
        path = folder / f"long-sound.{suffix}"
        run_ffmpeg(
            ["-f", "lavfi", "-i", "testsrc2=size=64x64:duration=2", "-f", "lavfi", "-i",
             "sine=duration=3.5", *X264, "-c:a", "aac", str(path)],
            about=path,
        )  # fmt: skip
        assert probe(path)[0].warnings == ()


@pytest.mark.parametrize("seed", range(12))
def test_bytes_flipped_anywhere_never_crash_the_probe(folder, seed):
    kind = [("a.mp4", X264), ("a.mkv", X264), ("a.ts", X264), ("a.avi", ("-c:v", "mpeg4"))][seed % 4]  # fmt: skip
    whole = film(folder / f"whole-{kind[0]}", *kind[1], "-g", "10", frames=30)
    path = flipped(whole, folder / f"{seed}-{kind[0]}", (seed * 0.083) % 1, 3000, step=5 + seed)
    try:
        source, index = probe(path)
    except MediaError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert source.frames == len(index) > 0
