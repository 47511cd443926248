"""Bytes that a recording lacks in its middle: what is spoilt is shown by nobody, what is left is exact, and it is said."""

from __future__ import annotations

import av
import numpy as np
import pytest
from makers import X264, film, hashes

from montage_dask.analysis.scenes import with_holes
from montage_dask.media.encoders import Encoding
from montage_dask.media.opening import decoded
from montage_dask.media.probe import probe
from montage_dask.records import Boundary
from montage_dask.render.segments import count_frames
from montage_dask.render.transcode import transcode_window

H264 = ("-c:v", "libx264", "-preset", "fast", "-threads", "1", "-bf", "2", "-g", "12", "-pix_fmt", "yuv420p")  # fmt: skip
MPEG2 = ("-c:v", "mpeg2video", "-g", "12", "-bf", "2", "-q:v", "4")
KINDS = {
    "h264.ts": H264,
    "hevc.ts": ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:keyint=12:pools=1"),
    "mpeg2.ts": MPEG2,
    "a.mpg": MPEG2,
    "a.mkv": H264,
    "a.flv": H264,
    "a.h264": H264,
    "a.webm": ("-c:v", "libvpx", "-b:v", "600k", "-g", "12"),
    "a.ogv": ("-c:v", "libtheora", "-q:v", "6", "-g", "12"),
    "a.wmv": ("-c:v", "wmv2", "-q:v", "4", "-g", "12"),
}  # fmt: skip


def holed(path, *, start=0.4, stop=0.6, odd=0):
    """A copy that lacks bytes in its middle."""
    data = path.read_bytes()
    begin, end = (int(len(data) * part) // 188 * 188 for part in (start, stop))
    made = path.with_name(f"holed{odd}-{path.name}")
    made.write_bytes(data[: begin + odd] + data[end:])
    return made


@pytest.mark.parametrize("name", KINDS)
def test_what_is_left_is_exact_and_the_hole_is_named(tmp_path, name):
    whole = film(tmp_path / name, *KINDS[name], frames=90, size="320x180", sound=name != "a.h264")
    good = hashes(*probe(whole), 0, 90)
    assert not probe(whole)[0].holes
    assert not probe(whole)[0].warnings
    for odd in (0, 57):
        source, index = probe(holed(whole, odd=odd))
        shown = hashes(source, index, 0, len(index))
        assert set(shown) <= set(good)
        assert shown[:24] == good[:24]
        assert shown[-12:] == good[-12:]
        assert any("damaged: pictures are missing at 1." in w for w in source.warnings)
        # No stretch between holes lacks a frame.
        places = [good.index(h) for h in shown]
        lacking = np.flatnonzero(np.diff(places) > 1).tolist()
        assert set(lacking) <= set(source.holes)
        for start in range(0, len(index), 11):
            stop = min(len(index), start + 11)
            assert hashes(source, index, start, stop) == shown[start:stop]


def test_no_shot_spans_a_hole(tmp_path):
    source, _ = probe(holed(film(tmp_path / "a.ts", *H264, frames=90, size="320x180")))
    assert source.holes
    soft = Boundary("dissolve", source.holes[0] - 3, source.holes[0] + 4, 0.9)
    for found in ((), (soft,)):
        cuts = with_holes(found, source)
        assert [b.start_frame for b in cuts] == [h + 1 for h in source.holes]
        assert {b.kind for b in cuts} == {"cut"}
    far = Boundary("cut", 5, 5, 0.9)
    assert with_holes((far,), source)[0] == far


def test_all_frames_that_are_left_are_transcoded(tmp_path):
    source, index = probe(holed(film(tmp_path / "a.ts", *H264, frames=90, size="320x180")))
    hole = source.holes[0]
    encoding = Encoding("h264", {"vcodec": "libx264", "preset": "ultrafast"}, "yuv420p")
    for start, stop in ((0, 20), (hole - 4, hole + 5)):
        assert source.is_plain(start, stop) == (stop == 20)
        made = tmp_path / f"{start}.mp4"
        transcode_window(source, index, start, stop, made, encoding=encoding, size=None)
        assert count_frames(made) == stop - start


def test_a_picture_that_stands_for_seconds_is_told_from_damage(tmp_path):
    path = film(tmp_path / "a.mkv", *X264, frames=60, filters="setpts='PTS+gte(N,30)*4/TB'")
    source, index = probe(path)
    assert (len(index), source.holes, source.spoilt) == (60, (29,), False)
    assert source.warnings == (
        "one picture stands at 1.2–5.2 s: the rest is lost, or was never recorded",
    )
    slides = film(tmp_path / "slides.mkv", *X264, frames=6, rate="1/4")
    assert (probe(slides)[0].holes, probe(slides)[0].warnings) == ((), ())


def test_an_error_is_heard_every_time(tmp_path):
    """PyAV keeps back what a decoder says when it said the same just before: only who decoded it first would hear of it."""
    path = film(tmp_path / "a.mov", "-c:v", "mjpeg", frames=1)
    with av.open(str(path)) as container:
        packet = next(bytes(p) for p in container.demux(video=0) if p.size)
    context = av.CodecContext.create("mjpeg", "r")
    assert [decoded(context, av.Packet(packet[:-100]))[1] for _ in range(3)] == [True] * 3
