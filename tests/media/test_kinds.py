"""Files of many kinds, as cameras, editors and browsers leave them: frames and pictures are those that ffmpeg shows."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from made_showing import shown_by_ffmpeg, with_edits
from makers import X264, copied, film

from montage_dask.errors import MediaError
from montage_dask.media.decode import decode_frames, show_rgb
from montage_dask.media.encoders import encoding
from montage_dask.media.ffmpeg import run_ffmpeg
from montage_dask.media.probe import probe
from montage_dask.render.transcode import join_transcode, transcode_window

GOOD = encoding(codec="h264", quality="master", crf=6, threads=1)

KINDS = {
    "camera.mts": (*X264, "-mpegts_m2ts_mode", "1", "-f", "mpegts"),
    "alpha4444.mov": ("-c:v", "prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le"),
    "alpha.webm": ("-c:v", "libvpx-vp9", "-cpu-used", "8", "-deadline", "realtime", "-pix_fmt", "yuva420p"),
    "animated.png": ("-plays", "0", "-f", "apng"),
    "animated.avif": ("-c:v", "libaom-av1", "-cpu-used", "8", "-still-picture", "0", "-f", "avif"),
    "422_10.mov": ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv422p10le"),
    "mjpeg422.avi": ("-c:v", "mjpeg", "-pix_fmt", "yuvj422p"),
    "full.mp4": ("-vf", "scale=out_range=pc", *X264, "-pix_fmt", "yuvj420p"),
    "animation.mov": ("-c:v", "qtrle"),
    "v210.mov": ("-c:v", "v210"),
    "uyvy.avi": ("-c:v", "rawvideo", "-pix_fmt", "uyvy422"),
    "grey.mp4": (*X264, "-pix_fmt", "gray"),
    "png.mov": ("-c:v", "png"),
    "cineform.mov": ("-c:v", "cfhd", "-s", "160x96"),
    "timecode.mov": (*X264, "-timecode", "01:00:00:00"),
    "411.mov": ("-vf", "scale=720:480", "-r", "30000/1001", "-c:v", "dvvideo", "-pix_fmt", "yuv411p"),
}  # fmt: skip
"""Options that make one, of 10 frames."""


def compare(path: Path, tolerance: float = 9.0):
    """Check frames, a still and a transcode of a file against what ffmpeg shows of it; its record and index."""
    source, index = probe(path)
    size = (source.width, source.height)
    shown = shown_by_ffmpeg(path, size, stream=source.stream_index)
    assert len(index) == len(shown)
    for number in sorted({0, len(index) // 2, len(index) - 1}):
        still = show_rgb(next(decode_frames(source, index, number, number + 1))[1], source)
        assert np.abs(still.astype(int) - shown[number]).mean() < tolerance
    output = path.with_name("transcoded.mp4")
    transcode_window(source, index, 0, len(index), output, encoding=GOOD, size=None)
    made = shown_by_ffmpeg(output, size)
    assert np.abs(made.astype(int) - shown).mean((1, 2, 3)).max() < tolerance
    return source, index


@pytest.mark.parametrize("name", KINDS)
def test_frames_and_pictures_are_ffmpegs(name, tmp_path):
    path = film(tmp_path / name, *KINDS[name], frames=10)
    source, _ = compare(path)
    assert source.frames == 10
    # Cameras say of all DV that it is interlaced.
    assert bool(source.warnings) == (source.codec == "dvvideo")


def test_a_sequence_beside_its_cover_still_is_played(tmp_path):
    """AVIF holds the first picture once more, as a stream of its own that comes first."""
    path = film(tmp_path / "a.avif", *KINDS["animated.avif"], frames=6)
    assert probe(path)[0].stream_index == 1


@pytest.mark.parametrize(
    ("size", "rate"), [("16x16", 25), ("853x481", 25), ("160x90", 1000), ("160x90", "1/2")]
)
def test_odd_sizes_and_rates(tmp_path, size, rate):
    path = film(
        tmp_path / "a.mp4", *X264, "-pix_fmt", "yuv444p", frames=8, size=size, rate=str(rate)
    )
    source, index = compare(path)
    assert index.duration_seconds == 8 / Fraction(rate)
    assert source.warnings == ()


def test_pictures_of_a_gif_stay_as_long_as_they_say(tmp_path):
    path = tmp_path / "a.gif"
    delays = "setpts='N*(1+mod(N,3))*0.05/TB'"
    run_ffmpeg(
        ["-f", "lavfi", "-i", "testsrc2=size=160x90:rate=10", "-frames:v", "8", "-vf", delays,
         "-fps_mode", "passthrough", f"file:{path}"],
        about=path,
    )  # fmt: skip
    compare(path)


def test_wrong_names_garbage_behind_and_no_index(tmp_path):
    good = film(tmp_path / "a.mp4", frames=20)
    wrong = tmp_path / "wrong.avi"
    wrong.write_bytes(good.read_bytes())
    garbage = tmp_path / "garbage.mp4"
    garbage.write_bytes(good.read_bytes() + np.random.default_rng(0).bytes(20_000))
    indexed = film(tmp_path / "i.avi", "-c:v", "mpeg4", "-g", "12", frames=20)
    cut = tmp_path / "noindex.avi"
    data = indexed.read_bytes()
    cut.write_bytes(data[: data.rfind(b"idx1")])
    for path in (wrong, garbage, cut):
        assert compare(path)[0].frames == 20


EDITS = {
    "trimmed": ([(2, 1)], 50),
    "trimmed end": ([(1, 0)], 25),
    "two parts": ([(1, 0), (1, 3)], 50),
    "swapped": ([(1, 3), (1, 0)], 50),
    "repeated": ([(1, 1), (1, 1), (1, 1)], 75),
    "delayed": ([(1.5, -1), (4, 0)], 100),
}


@pytest.fixture(scope="module")
def hundred(tmp_path_factory):
    return film(tmp_path_factory.mktemp("edits") / "a.mp4", *X264, "-g", "25", frames=100)


@pytest.mark.parametrize("name", EDITS)
def test_what_an_edit_list_hides_is_not_lost(hundred, tmp_path, name):
    edits, frames = EDITS[name]
    source, _ = compare(with_edits(hundred, tmp_path / "e.mp4", edits))
    assert (source.frames, source.warnings) == (frames, ())


@pytest.mark.parametrize("name", ["whole", "trimmed", "two parts"])
def test_what_is_really_cut_off_is_said_with_and_without_an_edit_list(hundred, tmp_path, name):
    edits = EDITS[name][0] if name != "whole" else [(4, 0)]
    edited = with_edits(hundred, tmp_path / "e.mp4", edits)
    front = (
        copied(edited, tmp_path / "front.mp4", "-movflags", "+faststart")
        if name == "whole"
        else None
    )
    data = (front or edited).read_bytes()
    if front is None:
        # The index goes to the front by hand: ffmpeg would write another edit list.
        moov, mdat = data.find(b"moov") - 4, data.find(b"mdat") - 4
        index = bytearray(data[moov:])
        at = index.find(b"stco") + 8
        for k in range(int.from_bytes(index[at : at + 4], "big")):
            place = at + 4 + 4 * k
            moved = int.from_bytes(index[place : place + 4], "big") + len(index)
            index[place : place + 4] = moved.to_bytes(4, "big")
        data = data[:mdat] + bytes(index) + data[mdat:moov]
    short = tmp_path / "short.mp4"
    short.write_bytes(data[: len(data) * 6 // 10])
    source, index = probe(short)
    assert len(index) < EDITS.get(name, (0, 100))[1]
    assert source.warnings
    assert source.warnings[0].startswith("truncated: ")


def two_pictures(path: Path, *options: str, seconds: float = 5) -> Path:
    """A slide show of two: the second comes after so many seconds."""
    times = f"select='eq(n,0)+eq(n,20)',setpts='if(eq(N,0),0,{seconds})/TB'"
    run_ffmpeg(
        [
            "-t", "1", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25", "-vf", times,
            "-fps_mode", "passthrough", *(options or X264), f"file:{path}",
        ],
        about=path,
    )  # fmt: skip
    return path


def lasting(path: Path, frames: int, seconds: float) -> Path:
    """A film whose last picture stays for so many seconds."""
    longer = f"setts=duration=if(eq(N\\,{frames - 1})\\,{seconds}/TB\\,1/25/TB)"
    return film(path, *X264, "-bf", "0", "-bsf:v", longer, frames=frames)


@pytest.mark.parametrize("name", ["two.mkv", "two.mp4", "two.mov", "two.avif", "two.gif"])
def test_a_slide_show_of_two_pictures_keeps_its_time(tmp_path, name):
    options = {
        ".gif": ("-c:v", "gif"),
        ".avif": ("-c:v", "libaom-av1", "-cpu-used", "8", "-still-picture", "0"),
    }
    path = two_pictures(tmp_path / name, *options.get(Path(name).suffix, ()))
    source, index = compare(path)
    assert index.time_seconds(1) == 5
    assert 5 < source.duration_seconds < Fraction(51, 10)
    assert kept(source, index, tmp_path) == source.duration_seconds


@pytest.mark.parametrize(("frames", "seconds"), [(1, 5), (2, 3), (3, 5), (30, 2)])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_last_picture_that_stays_keeps_its_time(tmp_path, frames, seconds, suffix):
    path = lasting(tmp_path / "l.mp4", frames, seconds)
    if suffix == ".mkv":
        path = copied(path, tmp_path / "l.mkv")
    source, index = probe(path)
    assert source.duration_seconds == Fraction(frames - 1, 25) + seconds
    assert kept(source, index, tmp_path) == source.duration_seconds


def kept(source, index, folder: Path) -> Fraction:
    """How long a transcode of a source lasts, made in windows of two frames."""
    parts = []
    for start in range(0, len(index), 20):
        part = folder / f"part{start}.mp4"
        stop = min(len(index), start + 20)
        transcode_window(source, index, start, stop, part, encoding=GOOD, size=None)
        parts.append(part)
    output = folder / "joined.mp4"
    join_transcode(source, index, parts, output, audio="none")
    return probe(output)[0].duration_seconds


def test_usual_short_films_have_their_usual_rate(tmp_path):
    for frames in (1, 2, 3):
        source, _ = probe(film(tmp_path / f"{frames}.mp4", frames=frames))
        assert (source.frame_rate, source.constant_frame_rate) == (25, True)


def test_an_animated_webp_is_called_what_it_is(tmp_path):
    path = film(tmp_path / "a.webp", "-c:v", "libwebp_anim", "-loop", "0", frames=5)
    with pytest.raises(MediaError, match="is an animated WebP, which cannot be decoded here"):
        probe(path)
    still = film(tmp_path / "s.webp", "-c:v", "libwebp", frames=1)
    with pytest.raises(MediaError, match="is a still image, not a video"):
        probe(still)


def test_what_a_codec_crops_on_the_left_is_cropped_as_by_ffmpeg(tmp_path):
    path = film(tmp_path / "a.mp4", frames=12)
    cropped = tmp_path / "cropped.mp4"
    crop = "h264_metadata=crop_left=10:crop_top=6"
    run_ffmpeg(["-i", str(path), "-c", "copy", "-bsf:v", crop, f"file:{cropped}"], about=path)
    source, index = probe(cropped)
    assert (source.width, source.height) == (150, 84)
    whole = next(decode_frames(*probe(path), 3, 4))[1].to_ndarray(format="rgb24")
    part = next(decode_frames(source, index, 3, 4))[1].to_ndarray(format="rgb24")
    assert np.abs(whole[6:, 10:].astype(int) - part).max() < 40
