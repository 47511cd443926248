"""A frame is the same whoever decodes it, from wherever: windows, the whole file in one go, excerpts, and what is rendered."""

from __future__ import annotations

import hashlib
import random
import re
from fractions import Fraction

import av
import numpy as np
import pytest
from makers import X264, copied, film

from montage_dask.media import groups
from montage_dask.media.cutting import cut_range
from montage_dask.media.decode import decode_frames, show_rgb
from montage_dask.media.encoders import encoding
from montage_dask.media.nal import nal_length, restarts
from montage_dask.media.probe import probe
from montage_dask.records import Event
from montage_dask.render import pieces, transcode
from montage_dask.render.segments import Segment, render_segment
from montage_dask.render.transcode import transcode_window

FRAMES = 90
VPX = ("-deadline", "good", "-cpu-used", "5", "-threads", "1", "-b:v", "900k", "-g", "30")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-crf", "16", "-x265-params")
MPEG2 = ("-c:v", "mpeg2video", "-bf", "2", "-g", "12", "-q:v", "3")
FULL = ("-c:v", "libx264", "-preset", "medium", "-threads", "1", "-pix_fmt", "yuv444p", "-g", "25")
LIVE = ("-live", "1", "-f", "webm")

PLAIN = {
    "open.ts": (*X264, "-bf", "3", "-g", "15", "-x264-params", "open-gop=1"),
    "closed.ts": (*X264, "-bf", "2", "-g", "15"),
    "refresh.mp4": (*X264, "-g", "20", "-x264-params", "intra-refresh=1"),
    "refresh.ts": (*X264, "-g", "20", "-x264-params", "intra-refresh=1"),
    "cra.mkv": (*X265, "open-gop=1:keyint=15:min-keyint=15:bframes=4:pools=1:log-level=error"),
    "cra.ts": (*X265, "open-gop=1:keyint=15:min-keyint=15:bframes=4:pools=1:log-level=error"),
    "refresh265.mp4": (*X265, "intra-refresh=1:keyint=20:pools=1:log-level=error"),
    "altref.webm": ("-c:v", "libvpx-vp9", *VPX, "-auto-alt-ref", "1", "-lag-in-frames", "16"),
    "altref8.webm": ("-c:v", "libvpx", *VPX, "-auto-alt-ref", "1", "-lag-in-frames", "16"),
    "live.webm": ("-c:v", "libvpx", *VPX, *LIVE),
    "av1.mp4": ("-c:v", "libsvtav1", "-preset", "12", "-g", "30", "-svtav1-params", "lp=1"),
    "mpeg2.ts": MPEG2,
    "mpeg2.mpg": MPEG2,
    "mpeg4.avi": ("-c:v", "mpeg4", "-bf", "2", "-g", "15", "-q:v", "3"),
    "wrap.ts": (*X264, "-bf", "2", "-g", "25", "-output_ts_offset", "95442"),
    "late.ts": (*X264, "-bf", "2", "-g", "25", "-output_ts_offset", "40000"),
}
TOLD = ("told.mp4", "told.mkv", "told.ts", "told.mov")
"""With another build of x264 in their first packet: decoded wrong everywhere, and everywhere alike."""


def told_another_build(path):
    """In place: x264 is said to be build 142, which coded 4:4:4 in another arithmetic."""
    data = path.read_bytes()
    named = re.search(rb"x264 - core (\d{3})", data)
    assert named
    path.write_bytes(data.replace(named[0], b"x264 - core 142"))
    return path


def without_idr(path, folder):
    """Every intra picture is called a keyframe, and none but the first forgets what was before."""
    whole = film(
        folder / "whole.mp4", "-c:v", "libx264", "-preset", "medium", "-threads", "1", "-bf", "0",
        "-x264-params", "keyint=250:min-keyint=250:scenecut=90:ref=6",
        frames=FRAMES, filters="negate=enable='gt(mod(n\\,7)\\,2)'",
    )  # fmt: skip
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        length = nal_length(bytes(stream.codec_context.extradata))
        for packet in source.demux(stream):
            if packet.size:
                packet.is_keyframe = restarts(bytes(packet), length)
                packet.stream = copy
                target.mux(packet)
    return path


LYING = {
    "mpeg4.nut": ("-c:v", "mpeg4", "-bf", "0", "-g", "25", "-q:v", "3"),
    "vp8.nut": ("-c:v", "libvpx", *VPX),
    "vp9.nut": ("-c:v", "libvpx-vp9", *VPX),
    "mpeg2.nut": ("-c:v", "mpeg2video", "-bf", "0", "-g", "25", "-q:v", "3"),
    "hevc.nut": (*X265, "keyint=25:bframes=0:pools=1:log-level=error"),
}
"""Containers that call every picture a keyframe."""


def all_keys(path, folder):
    """A copy in which every packet is a keyframe."""
    whole = film(folder / f"true-{path.name}", *LYING[path.name], frames=FRAMES)
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        copy = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.is_keyframe = True
                packet.stream = copy
                target.mux(packet)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("everywhere")
    kept = {}

    def of(name):
        if name not in kept:
            path = folder / name
            if name == "noidr.nut":
                kept[name] = without_idr(path, folder)
            elif name in LYING:
                kept[name] = all_keys(path, folder)
            elif name in TOLD:
                kept[name] = told_another_build(film(path, *FULL, frames=FRAMES))
            else:
                kept[name] = film(path, *PLAIN[name], frames=FRAMES)
        return kept[name]

    return of


def straight(path, **options):
    """Digests and pictures of all frames, decoded in one go from the start of the file."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        stream.codec_context.options = options
        return [f.to_ndarray() for f in container.decode(stream)]


def never(*_):
    raise AssertionError("decoded again")


def digest(picture):
    return hashlib.sha256(picture.tobytes()).hexdigest()[:16]


def seen(path):
    """All frames as they are meant to be seen."""
    source, index = probe(path)
    frames = decode_frames(source, index, 0, len(index))
    return [show_rgb(f, source).astype(int) for _, f in frames]


def assert_shows(picture, whole, number):
    """A picture is a frame, and no other one is nearer to it."""
    near = range(max(0, number - 3), min(len(whole), number + 4))
    distances = {n: float(np.abs(picture - whole[n]).mean()) for n in near}
    assert distances[number] < 12, (number, distances)
    assert distances[number] <= min(distances.values()) + 1e-3, (number, distances)


@pytest.mark.parametrize("name", [*PLAIN, *TOLD, *LYING, "noidr.nut"])
def test_windows_are_as_one_decode_from_the_start(made, name):
    path = made(name)
    source, index = probe(path)
    whole = [digest(p) for p in straight(path)]
    assert len(index) == len(whole) == FRAMES
    rng = random.Random(name)
    for start in [0, *(rng.randrange(FRAMES) for _ in range(9))]:
        stop = min(FRAMES, start + rng.randint(1, 12))
        own = [digest(f.to_ndarray()) for _, f in decode_frames(source, index, start, stop)]
        assert own == whole[start:stop], (start, stop)


@pytest.mark.parametrize("name", PLAIN)
def test_healthy_files_are_decoded_once(made, name, monkeypatch):
    monkeypatch.setattr(groups, "_mended", never)
    source, index = probe(made(name))
    assert source.uniform
    assert len(list(decode_frames(source, index, 17, FRAMES))) == FRAMES - 17


@pytest.mark.parametrize("name", [*PLAIN, *TOLD, *LYING, "noidr.nut"])
def test_what_is_rendered_is_what_is_decoded(made, tmp_path, name, monkeypatch):
    path = made(name)
    if name in PLAIN:  # read by ffmpeg itself, once
        monkeypatch.setattr(pieces, "make_piece", never)
        monkeypatch.setattr(transcode, "make_piece", never)
    source, index = probe(path)
    whole = seen(path)  # as decoded from the start: see above
    rng = random.Random(name)
    starts = [rng.randrange(FRAMES - 12) for _ in range(5)]
    events = tuple(
        Event(12 * k, 12 * k + 12, source.identity, 0, index.time_seconds(start))
        for k, start in enumerate(starts)
    )
    output = tmp_path / "out.mp4"
    given = {source.identity: source}, {source.identity: index}
    render_segment(
        Segment(events, source.frame_rate, 160, 90), *given, output,
        fit="contain", grade="none", encoding=encoding("h264", "high", crf=8), work=tmp_path,
    )  # fmt: skip
    shown = seen(output)
    assert len(shown) == 60
    for k, picture in enumerate(shown):
        assert_shows(picture, whole, starts[k // 12] + k % 12)
    start = starts[0]
    transcode_window(
        source,
        index,
        start,
        start + 12,
        output,
        encoding=encoding("h264", "high", crf=8),
        size=None,
    )
    shown = seen(output)
    assert len(shown) == 12
    for k, picture in enumerate(shown):
        assert_shows(picture, whole, start + k)


@pytest.mark.parametrize("name", TOLD)
def test_the_build_goes_along_with_an_excerpt(made, tmp_path, name):
    assert probe(made(name))[0].x264_build == 142
    # Told the other build, these packets decode without an error: only what is told can make them alike.
    right = film(tmp_path / f"right.{name.split('.')[1]}", *FULL, frames=FRAMES)
    own, times = probe(right)
    cut = cut_range(own, times, 60, 70, tmp_path / "cut")
    assert cut.source.x264_build == own.x264_build > 150
    whole = [digest(p) for p in straight(right)]
    shown = [digest(f.to_ndarray()) for _, f in decode_frames(cut.source, cut.index, 60, 70)]
    assert shown == whole[60:70]


def test_a_build_that_only_the_second_of_two_joined_files_says(made, tmp_path):
    parts = [film(tmp_path / "new.ts", *FULL, frames=50), made("told.ts")]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(p.read_bytes() for p in parts))
    source, index = probe(path)
    whole = [digest(p) for p in straight(path)]
    assert whole[:50] == [digest(p) for p in straight(parts[0])]
    for start in (0, 40, 60, 110):
        own = [digest(f.to_ndarray()) for _, f in decode_frames(source, index, start, start + 12)]
        assert own == whole[start : start + 12]


def test_a_copied_middle_of_a_transport_stream(made, tmp_path):
    """Its first packets lie in the middle of a group."""
    data = made("closed.ts").read_bytes()
    path = tmp_path / "middle.ts"
    path.write_bytes(data[188 * (len(data) // 188 // 4) :])
    source, index = probe(path)
    whole = {p.tobytes() for p in straight(path)}
    found = [f.to_ndarray().tobytes() for _, f in decode_frames(source, index, 5, 30)]
    assert set(found) <= whole
    again = copied(path, tmp_path / "again.mkv")
    assert probe(again)[0].frames >= source.frames - 1
    assert source.start_pts * source.time_base > Fraction(0)
