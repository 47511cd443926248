"""Every shown frame has one number and one time, whatever the container says, and the ffmpeg executable agrees."""

from __future__ import annotations

import hashlib
from pathlib import Path

import av
import pytest
from makers import X264, copied, film, hashes

from montage_dask.errors import MediaError
from montage_dask.media import timing
from montage_dask.media.ffmpeg import input_arguments, run_ffmpeg
from montage_dask.media.probe import probe

FRAMES = 60
B_FRAMES = ("-c:v", "libx264", "-preset", "fast", "-threads", "1", "-bf", "3", "-g", "20")
MPEG2 = ("-c:v", "mpeg2video", "-bf", "2", "-g", "12", "-q:v", "4")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params")
OPEN_265 = (*X265, "keyint=15:min-keyint=15:bframes=3:open-gop=1:pools=1:log-level=error")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("timing")


def shown_by_ffmpeg(source, folder: Path) -> list[tuple[int, str]]:
    """(PTS, digest) of every frame that the executable shows."""
    listing = folder / "listing"
    run_ffmpeg(
        [
            "-copyts", "-noautorotate", *input_arguments(source.path, source.format_name),
            "-map", f"0:{source.stream_index}", "-fps_mode", "passthrough", "-enc_time_base", "demux",
            "-pix_fmt", source.pixel_format, "-c:v", "rawvideo", "-f", "framehash", "-hash", "sha256",
            str(listing),
        ],
        about=source.path,
    )  # fmt: skip
    rows = [r.split(",") for r in listing.read_text().splitlines() if not r.startswith("#")]
    return [(int(r[2]), r[5].strip()[:16]) for r in rows]


def played(path: Path) -> list[str]:
    """Digests of all frames that a decoder shows, in its order."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        return [
            hashlib.sha256(f.to_ndarray().tobytes()).hexdigest()[:16]
            for f in container.decode(stream)
        ]


def check(path: Path, folder: Path):
    """Index, windows, a plain decoder and the executable must tell the same story."""
    source, index = probe(path)
    whole = hashes(source, index, 0, len(index))
    assert whole == played(path)
    for start in range(0, len(index), 7):
        stop = min(len(index), start + 11)
        assert hashes(source, index, start, stop) == whole[start:stop], start
    expected = list(zip(index.pts.tolist(), whole, strict=True))
    assert shown_by_ffmpeg(source, folder) == expected
    return source, index


UNTIMED = {
    "bare.h264": B_FRAMES,
    "bare.hevc": OPEN_265,
    "bare.m2v": MPEG2,
    "reordered.avi": B_FRAMES,
    "packed.avi": ("-c:v", "libxvid", "-bf", "2", "-g", "20", "-q:v", "6"),
}


@pytest.mark.parametrize("name", UNTIMED)
def test_without_time_stamps_to_trust_packets_tell_frames_apart(folder, name):
    path = film(folder / name, *UNTIMED[name], "-pix_fmt", "yuv420p", frames=FRAMES)
    source, index = check(path, folder)
    assert index.packets is not None
    assert index.key_pts.tolist() == [int(index.pts[0])], "nobody may seek in it"
    assert len(index.keyframes) > 2
    assert index.keyframes[0] == 0
    assert source.frames in (FRAMES, FRAMES - 1, FRAMES - 2)
    assert 2.2 < index.duration_seconds < 2.6


def test_a_bare_stream_that_begins_in_the_middle_of_a_group(folder):
    whole = film(folder / "whole.h264", *B_FRAMES, frames=FRAMES)
    path = folder / "middle.h264"
    path.write_bytes(whole.read_bytes()[whole.stat().st_size // 5 :])
    _, index = check(path, folder)
    assert 30 <= len(index) < FRAMES


TIMED = {
    "a.mp4": B_FRAMES,
    "a.mkv": B_FRAMES,
    "a.ts": B_FRAMES,
    "a.flv": B_FRAMES,
    "late.mp4": (*B_FRAMES, "-output_ts_offset", "5"),
    "fragments.mp4": (*B_FRAMES, "-movflags", "frag_keyframe+empty_moov"),
    "interlaced.mp4": (*B_FRAMES, "-flags", "+ildct+ilme"),
    "open.mp4": OPEN_265,
    "open.ts": OPEN_265,
    "a.mpg": MPEG2,
    "a.mxf": MPEG2,
    "a.avi": ("-c:v", "mpeg4", "-bf", "2", "-g", "15", "-q:v", "5"),
    "a.ogv": ("-c:v", "libtheora", "-g", "16"),
    "a.ivf": ("-c:v", "libsvtav1", "-preset", "13", "-g", "20", "-svtav1-params", "lp=1"),
}


@pytest.mark.parametrize("name", TIMED)
def test_the_executable_shows_the_same_frames_at_the_same_times(folder, name):
    path = film(folder / name, *TIMED[name], frames=FRAMES, size="128x96")
    _, index = check(path, folder)
    assert index.packets is None
    assert len(index) == FRAMES


@pytest.mark.parametrize("codec", [B_FRAMES, OPEN_265])
def test_the_executable_agrees_about_edit_lists(folder, codec):
    whole = film(folder / "uncut.mp4", *codec, frames=FRAMES)
    path = copied(whole, folder / "cut.mp4", before=("-ss", "1.1"))
    _, index = check(path, folder)
    assert 25 <= len(index) <= 33
    assert index.key_pts[0] < index.pts[0]
    assert index.keyframe_before(0) == 0


def two_passes(path: Path, *codec: str) -> Path:
    """Noise, encoded so that the encoder uses alternate reference frames: they are decoded and never shown."""
    options = (
        *codec, "-auto-alt-ref", "1", "-lag-in-frames", "16", "-g", "30", "-b:v", "100k",
        "-deadline", "good", "-passlogfile", str(path.with_suffix(".log")), "-pass",
    )  # fmt: skip
    for number in "1", "2":
        film(
            path,
            *options,
            number,
            frames=40,
            size="96x64",
            filters="noise=alls=15:allf=t:all_seed=1",
        )
    return path


def packets_of(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for p in container.demux(video=0) if p.size)


def test_alternate_reference_frames_are_never_shown(folder):
    path = two_passes(folder / "alt.webm", "-c:v", "libvpx", "-cpu-used", "5")
    assert packets_of(path) > 40
    _, index = check(path, folder)
    assert len(index) == 40


def test_packets_that_bring_no_picture_get_no_number(folder):
    whole = two_passes(folder / "super.webm", "-c:v", "libvpx-vp9", "-cpu-used", "5")
    # The hidden frames of the stream in packets of their own, each with a time of its own.
    path = copied(whole, folder / "split.nut", "-bsf:v", "vp9_superframe_split,setts=ts=N*20")
    assert packets_of(path) > packets_of(whole) == 40
    source, index = check(path, folder)
    assert len(index) == 40
    assert index.packets is None
    assert hashes(source, index, 0, 40) == played(whole)


@pytest.mark.parametrize("name", ["refresh.mp4", "refresh.ts"])
def test_where_intra_refresh_begins_decoding_cannot_start(folder, name):
    path = film(folder / name, *B_FRAMES, "-x264-params", "intra-refresh=1", frames=FRAMES)
    with av.open(str(path)) as container:
        assert sum(1 for p in container.demux(video=0) if p.size and p.is_keyframe) > 1
    _, index = check(path, folder)
    assert len(index.key_pts) == 1


def test_the_torso_of_a_last_frame_is_left_out(folder):
    whole = film(folder / "fast.mp4", *X264, "-g", "12", "-movflags", "+faststart", frames=FRAMES)
    path = folder / "torn.mp4"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    source, index = probe(path)
    assert 20 < len(index) < FRAMES
    assert f"of {FRAMES} frames" in source.warnings[0]
    assert len(set(hashes(source, index, 0, len(index)))) == len(index)
    assert len(shown_by_ffmpeg(source, folder)) == len(index)


def test_a_file_cut_off_without_an_index_says_how_much_is_there(folder):
    whole = film(folder / "all.mkv", *X264, "-g", "12", frames=FRAMES)
    path = folder / "half.mkv"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    source, _ = probe(path)
    assert source.warnings[0].startswith("incomplete: 1.")
    assert not probe(whole)[0].warnings


def test_what_no_decoder_can_make_sense_of_is_refused(folder):
    whole = film(folder / "good.mp4", *X264, frames=10)
    with av.open(str(whole)) as container:
        sizes = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(whole.read_bytes())
    for position, size in sizes:
        data[position : position + size] = bytes(size)
    path = folder / "blank.mp4"
    path.write_bytes(data)
    with pytest.raises(MediaError, match=r"cannot be decoded: its h264 stream gives no frame"):
        probe(path)


def test_a_clip_whose_packets_tell_the_truth_is_not_decoded_whole(folder, monkeypatch):
    path = film(folder / "plain.mp4", *B_FRAMES, frames=FRAMES)

    def refused(*_arguments):
        raise AssertionError("decoded whole")

    monkeypatch.setattr(timing, "decoded_pictures", refused)
    assert probe(path)[0].frames == FRAMES


@pytest.mark.parametrize("name", ["negative.mkv", "little.mkv", "negative.flv", "wrapping.ts", "wrapping.mpg"])  # fmt: skip
def test_a_clock_that_begins_before_zero_or_wraps(folder, name):
    """All pictures, in order, at even times: as they play."""
    coded = ("-c:v", "mpeg2video", "-q:v", "4") if name.endswith("mpg") else B_FRAMES
    begin = {"negative": -1.0, "little": -0.01}.get(name.split(".")[0], (1 << 33) / 90_000 - 2.5)
    plain = film(folder / "plain.nut", *coded, frames=FRAMES)
    options = ("-output_ts_offset", str(begin), "-avoid_negative_ts", "disabled")
    path = copied(plain, folder / name, *options)
    source, index = probe(path)
    assert hashes(source, index, 0, len(index)) == hashes(*probe(plain), 0, FRAMES)
    assert hashes(source, index, 20, 31) == hashes(*probe(plain), 20, 31)
    assert (source.frame_rate, source.constant_frame_rate) == (25, True)
    assert source.restarted == (name == "negative.flv")
