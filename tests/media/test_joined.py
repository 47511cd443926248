"""Files joined end to end: all frames of both, in order, or an error that says so. Nothing vanishes without a word."""

from __future__ import annotations

import numpy as np
import pytest
from makers import X264, film, hashes

from montage_dask.errors import MediaError
from montage_dask.media.audio import decode_mono
from montage_dask.media.decode import decode_frames
from montage_dask.media.ffmpeg import run_ffmpeg
from montage_dask.media.matroska_chain import links
from montage_dask.media.probe import probe

H264 = (*X264, "-bf", "2", "-g", "12", "-pix_fmt", "yuv420p")
MPEG2 = ("-c:v", "mpeg2video", "-bf", "2", "-g", "12", "-q:v", "4")
FRAGMENTS = ("-movflags", "frag_keyframe+empty_moov")
READ = {
    "ts": H264,
    "mkv": H264,
    "h264": H264,
    "mpg": MPEG2,
    "m2v": MPEG2,
    "webm": ("-c:v", "libvpx", "-b:v", "300k", "-g", "12"),
    "ogv": ("-c:v", "libtheora", "-q:v", "6", "-g", "12"),
    "avi": ("-c:v", "mpeg4", "-q:v", "4"),
    "hevc": ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:pools=1"),
}
REFUSED = {
    "mp4": H264,
    "fragmented.mp4": (*H264, *FRAGMENTS),
    "mov": H264,
    "flv": H264,
    "ivf": ("-c:v", "libvpx", "-b:v", "300k"),
    "y4m": ("-pix_fmt", "yuv420p"),
    "wmv": ("-c:v", "wmv2", "-q:v", "4"),
}


def joined(folder, kind, first, second):
    """Two films, and the file of both."""
    parts = [
        film(folder / f"a.{kind}", *first, frames=36),
        film(folder / f"b.{kind}", *second, frames=24, filters="negate"),
    ]
    path = folder / f"joined.{kind}"
    path.write_bytes(b"".join(p.read_bytes() for p in parts))
    return path, parts


@pytest.mark.parametrize("kind", READ)
def test_both_films_are_there(tmp_path, kind):
    path, parts = joined(tmp_path, kind, READ[kind], READ[kind])
    source, index = probe(path)
    own = [hashes(*probe(p), 0, n) for p, n in zip(parts, (36, 24), strict=True)]
    assert hashes(source, index, 0, len(index)) == own[0] + own[1]
    assert hashes(source, index, 30, 41) == (own[0] + own[1])[30:41]
    assert source.duration_seconds == len(index) / source.frame_rate
    assert source.frame_rate == 25
    assert [w.split(":")[0] for w in source.warnings] == (["joined"] if source.restarted else [])


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_to_its_end_is_named(tmp_path, kind):
    path, parts = joined(tmp_path, kind, REFUSED[kind], REFUSED[kind])
    with pytest.raises(MediaError, match="joined end to end"):
        probe(path)
    assert probe(parts[0])[0].frames == 36


def test_matroska_of_unequal_coding_is_named(tmp_path):
    path, _ = joined(tmp_path, "mkv", H264, (*H264, "-vf", "scale=96:96"))
    with pytest.raises(MediaError, match="joined end to end"):
        probe(path)


@pytest.mark.parametrize("first", [H264, MPEG2])
def test_parts_in_different_codecs_are_named(tmp_path, first):
    path, _ = joined(tmp_path, "ts", first, MPEG2 if first is H264 else H264)
    with pytest.raises(MediaError, match=r"different codecs|cannot be decoded"):
        probe(path)


@pytest.mark.parametrize("offset", [0.5, 100, 5000])
def test_a_clock_that_leaps_or_goes_back(tmp_path, offset):
    for ahead, behind in ((0, offset), (offset, 0)):
        path, parts = joined(
            tmp_path,
            "ts",
            (*H264, "-output_ts_offset", str(ahead)),
            (*H264, "-output_ts_offset", str(behind)),
        )
        source, index = probe(path)
        assert len(index) == 60
        own = [h for p in parts for h in hashes(*probe(p), 0, probe(p)[0].frames)]
        assert hashes(source, index, 0, 60) == own
        assert source.duration_seconds < 10


def test_packets_with_the_time_of_others_are_frames_of_their_own(tmp_path):
    # 4000 frames a second in a clock of milliseconds.
    path = film(tmp_path / "dense.mkv", *X264, frames=40, rate="4000")
    source, index = probe(path)
    whole = hashes(source, index, 0, len(index))
    assert len(index) == len(set(whole)) == 40


def test_unequal_parts_are_one_picture(tmp_path):
    path, parts = joined(tmp_path, "ts", H264, (*H264, "-vf", "scale=80:80,setsar=1"))
    source, index = probe(path)
    frames = [f.to_ndarray(format="rgb24") for _, f in decode_frames(source, index, 0, 60)]
    assert {f.shape for f in frames} == {(90, 160, 3)}
    # The second one is square: 90 pixels wide in the middle of black.
    second = np.array(frames[36:]).astype(int)
    assert second[:, :, :33].max() < 8
    assert second[:, :, -33:].max() < 8
    square, times = probe(parts[1])
    for shown, (_, frame) in zip(second, decode_frames(square, times, 0, 24), strict=True):
        expected = frame.reformat(90, 90, "rgb24", interpolation="BICUBIC").to_ndarray()
        assert np.abs(shown[:, 34:124] - expected.astype(int)).mean() < 8


@pytest.mark.parametrize("kind", ["wav", "aiff", "m4a", "wma"])
def test_music_that_cannot_be_read_to_its_end_is_named(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    run_ffmpeg(["-f", "lavfi", "-i", "sine=d=1", f"file:{path}"], about=path)
    assert len(decode_mono(path)) > 20_000
    both = tmp_path / f"both.{kind}"
    both.write_bytes(path.read_bytes() * 2)
    with pytest.raises(MediaError, match="joined end to end"):
        decode_mono(both)


@pytest.mark.parametrize(
    ("names", "codecs"),
    [(("a.webm", "b.webm"), ("libopus", "libopus")), (("a.mka", "b.webm"), ("aac", "libopus")),
     (("a.mka", "b.mka"), ("libvorbis", "libvorbis"))],
)  # fmt: skip
def test_joined_matroska_sounds_as_its_parts(tmp_path, names, codecs):
    """Each begins with a decoder of its own, and what that needs to settle is not heard."""
    parts = []
    for name, codec in zip(names, codecs, strict=True):
        path = tmp_path / name
        run_ffmpeg(
            ["-f", "lavfi", "-i", "sine=330:d=1:r=48000", "-c:a", codec, f"file:{path}"], about=path
        )
        parts.append(path)
    both = tmp_path / names[0].replace("a.", "both.")
    both.write_bytes(b"".join(p.read_bytes() for p in parts))
    assert np.array_equal(
        decode_mono(both, 48_000), np.concatenate([decode_mono(p, 48_000) for p in parts])
    )


def test_a_file_attached_to_another_is_no_part_of_it(tmp_path):
    inner, outer = tmp_path / "inner.mka", tmp_path / "outer.mka"
    run_ffmpeg(["-f", "lavfi", "-i", "sine=d=1", f"file:{inner}"], about=inner)
    attached = ("-attach", str(inner), "-metadata:s:t", "mimetype=application/octet-stream")
    run_ffmpeg(["-f", "lavfi", "-i", "sine=d=2", *attached, f"file:{outer}"], about=outer)
    assert links(str(outer)) == [(0, outer.stat().st_size)]
    assert len(decode_mono(outer, 48_000)) == pytest.approx(96_000, abs=2000)
