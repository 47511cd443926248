"""The window of a crop goes the way that the timeline says, on every frame, however the montage is cut into segments."""

from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
from makers import X264

from montage_dask.edit.reframe import window_of
from montage_dask.graph.operation import Request
from montage_dask.graph.rendering import encode_requests
from montage_dask.media.encoders import encoding
from montage_dask.media.ffmpeg import run_ffmpeg
from montage_dask.media.probe import probe
from montage_dask.records import Event, Focus, Timeline, Transition
from montage_dask.render.segments import plan_segments, render_segment

WIDE, HIGH = 400, 120
SIZE = (90, 120)
FPS = Fraction(30)
ENCODING = encoding("h264", "high", crf=8)
PATH = (Focus(-5, 2000, 5000), Focus(20, 2000, 5000), Focus(60, 7500, 5000), Focus(95, 4000, 5000))


def ramp(folder, rate, turned=False):
    """A picture whose brightness says how far from the left one is, for five seconds."""
    path = folder / f"ramp{float(rate):g}{turned}.mp4"
    side = "16+219*X/W"
    size = f"{WIDE}x{HIGH}"
    if turned:
        side, size = "16+219*(H-Y)/H", f"{HIGH}x{WIDE}"
    plain = folder / f"plain-{path.name}" if turned else path
    run_ffmpeg(
        ["-f", "lavfi", "-i", f"nullsrc=size={size}:rate={rate}:duration=5,geq=lum='{side}':cb=128:cr=128",
         *X264, "-crf", "10", "-g", "20", f"file:{plain}"],
        about=path,
    )  # fmt: skip
    if turned:
        run_ffmpeg(["-display_rotation", "-90", "-i", f"file:{plain}", "-c", "copy", f"file:{path}"], about=path)  # fmt: skip
    return probe(path)


def centres(path):
    """Where the middle of each frame's window lies, as a share of the picture."""
    with av.open(str(path)) as container:
        lumas = [f.to_ndarray(format="gray").astype(float) for f in container.decode(video=0)]
    middle = [v[20:100, SIZE[0] // 2 - 3 : SIZE[0] // 2 + 3].mean() for v in lumas]
    # "gray" is full range.
    return np.array([(v * 219 / 255) / 219 for v in middle])


def rendered(segment, source, index, folder, fit="cover"):
    output = folder / "segment.mp4"
    render_segment(
        segment, {source.identity: source}, {source.identity: index}, output,
        fit=fit, grade="none", encoding=ENCODING, work=folder,
    )  # fmt: skip
    return centres(output)


def timeline_of(source, *, speed=Fraction(1), focus=PATH, frames=90, in_seconds=Fraction(1, 2)):
    event = Event(0, frames, source.identity, 0, in_seconds, speed, focus=focus)
    return Timeline(FPS, *SIZE, (event,), "/m.wav", Fraction(0), "s", 0)


@pytest.mark.parametrize(
    ("rate", "speed", "turned"),
    [("25/2", 1, False), ("30", 1, False), ("60", 1, False), ("30", "1/2", False), ("30", 1, True)],
)
def test_the_window_is_where_the_path_says(tmp_path, rate, speed, turned):
    source, index = ramp(tmp_path, Fraction(rate), turned)
    assert (source.width, source.height) == (WIDE, HIGH)
    made = timeline_of(source, speed=Fraction(speed))
    (segment,) = plan_segments(made, maximum_frames=200)
    shown = rendered(segment, source, index, tmp_path)
    true = np.array([made.events[0].centre_at(k)[0] for k in range(90)])
    # Where pictures are repeated, the window moves with them.
    held = float(FPS / Fraction(rate) / Fraction(speed))
    most = 0.02 + max(0.0, held) * np.abs(np.diff(true)).max()
    assert np.abs(shown - true).max() <= most
    still = np.abs(shown[:20] - 0.2).max()
    assert still <= 0.012


def test_segments_that_split_an_event_show_the_same(tmp_path):
    source, index = ramp(tmp_path, 30)
    made = timeline_of(source)
    whole = rendered(*plan_segments(made, maximum_frames=200), source, index, tmp_path)
    parts = plan_segments(made, maximum_frames=40)
    assert len(parts) == 3
    joined = np.concatenate([rendered(p, source, index, tmp_path) for p in parts])
    assert np.abs(whole - joined).max() < 0.01


def test_the_path_goes_on_in_a_crossfade(tmp_path):
    source, index = ramp(tmp_path, 30)
    flat = (Focus(0, 5000, 5000),)
    events = (
        Event(0, 40, source.identity, 0, Fraction(0), focus=flat),
        Event(40, 100, source.identity, 0, Fraction(2), transition=Transition("crossfade", 20),
              focus=(Focus(-10, 2000, 5000), Focus(10, 5000, 5000))),
    )  # fmt: skip
    made = Timeline(FPS, *SIZE, events, "/m.wav", Fraction(0), "s", 0)
    (segment,) = plan_segments(made, maximum_frames=200)
    shown = rendered(segment, source, index, tmp_path)
    assert shown[35] == pytest.approx(0.5 - 0.25 * 0.225, abs=0.03)
    assert shown[49] == pytest.approx(0.485, abs=0.02)
    assert shown[70] == pytest.approx(0.5, abs=0.01)


def test_centre_and_no_path_crop_in_the_middle(tmp_path):
    source, index = ramp(tmp_path, 30)
    for fit, focus in (("centre", PATH), ("cover", ())):
        (segment,) = plan_segments(timeline_of(source, focus=focus, frames=5), maximum_frames=200)
        assert np.abs(rendered(segment, source, index, tmp_path, fit) - 0.5).max() < 0.01


def test_a_path_beyond_the_edge_stops_at_it(tmp_path):
    source, index = ramp(tmp_path, 30)
    (segment,) = plan_segments(
        timeline_of(source, focus=(Focus(0, 0, 0),), frames=5), maximum_frames=200
    )
    half = window_of(source, Fraction(*SIZE))[0] / 2
    assert np.abs(rendered(segment, source, index, tmp_path) - half).max() < 0.012


class Options(dict):
    """The settings of a job."""


def test_segments_are_found_again_that_were_made_before_windows_moved():
    """The parameters of an encode without a moving window are those of the time before there were any."""
    source = SimpleNamespace(identity="a")
    made = timeline_of(source, focus=())
    job = Options({"segment-frames": 240, "fit": "cover", "codec": "h264", "quality": "high", "crf": None,
                   "encoder-threads": 1})  # fmt: skip

    def described(timeline, fit="cover"):
        ((_, request),) = encode_requests(Options({**job, "fit": fit}), timeline, {}, {})
        assert isinstance(request, Request)
        return request

    plain = described(made)
    assert "focus" not in plain.parameters["segment"]["events"][0]
    moved = described(timeline_of(source))
    assert moved.key != plain.key
    assert described(timeline_of(source), "centre").key == plain.key
    assert described(timeline_of(source), "blur").key == described(made, "blur").key
    elsewhere = replace(timeline_of(source).events[0], focus=(Focus(0, 1, 1),))
    other = replace(made, events=(elsewhere,))
    assert described(other).key not in (plain.key, moved.key)
