"""Ramps, punches, flashes and shakes in rendered pictures: measured frame by frame, against what the timeline says."""

from dataclasses import replace
from fractions import Fraction
from itertools import accumulate

import av
import numpy as np
import pytest
from made_footage import (
    HEIGHT,
    VFR_STEPS,
    WIDTH,
    coloured,
    luma_frames,
    number_of,
    numbered,
    planes_of,
)

from montage_dask.graph.rendering import _described
from montage_dask.media.encoders import encoding
from montage_dask.media.probe import probe
from montage_dask.records import Accent, Event, Focus, Pace, Timeline, Transition
from montage_dask.render.accents import SHAKEN, flashes, left_of, views
from montage_dask.render.segments import Segment, plan_segments, render_segment

FPS = Fraction(25)
ENCODING = encoding("h264", "high", crf=4)
SIZE = (320, 180)
RAMP = (Pace(10, Fraction(6)), Pace(20, Fraction(14)), Pace(32, Fraction(27)))


def rendered(segment, found, folder, **options):
    source, index = found
    output = folder / f"{len(list(folder.iterdir()))}.mp4"
    render_segment(
        segment, {source.identity: source}, {source.identity: index}, output,
        fit=options.pop("fit", "cover"), grade="none", encoding=options.pop("encoding", ENCODING), work=folder, **options,
    )  # fmt: skip
    return output


def timeline(*events, size=SIZE, fps=FPS):
    return Timeline(
        fps=fps, width=size[0], height=size[1], events=events, music_path="", music_start_seconds=Fraction(0),
        style="", seed=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def bar_codes(tmp_path_factory):
    """Footage that says the number of each frame: even, of another rate, and of a telephone under load."""
    folder = tmp_path_factory.mktemp("codes")
    steps = [VFR_STEPS[n % len(VFR_STEPS)] for n in range(119)]
    return {
        "even": probe(numbered(folder / "even.mp4", 120)),
        "fast": probe(numbered(folder / "fast.mp4", 200, rate=Fraction(60000, 1001), b_frames=2)),
        "vfr": probe(
            numbered(folder / "vfr.mkv", 120, pts=list(accumulate(steps, initial=170)),
                     time_base=Fraction(1, 1000), rate=Fraction(30))
        ),
    }  # fmt: skip


@pytest.fixture(scope="module")
def slope(tmp_path_factory):
    """A still whose brightness says how far from the left, and whose colour how far from the top, one is."""
    wide, high = 640, 180
    luma = np.tile(np.linspace(40, 200, wide), (high, 1)).round().astype(np.uint8)
    blue = np.tile(np.linspace(60, 200, high // 2)[:, None], (1, wide // 2)).round().astype(np.uint8)  # fmt: skip
    path = tmp_path_factory.mktemp("slope") / "slope.mp4"
    return probe(
        coloured(path, [luma, blue, np.full_like(blue, 128)], "yuv420p", frames=60, space=1)
    )


@pytest.mark.parametrize("kind", ["even", "fast", "vfr"])
def test_a_ramp_shows_each_moment_when_it_says(bar_codes, tmp_path, kind):
    source, index = bar_codes[kind]
    event = Event(
        0, 40, source.identity, 0, Fraction(7, 10), Fraction(9, 10) if kind == "fast" else Fraction(1),
        ramp=RAMP,
    )  # fmt: skip
    segment = Segment((event,), FPS, WIDTH, HEIGHT)
    shown = [number_of(f) for f in luma_frames(rendered(segment, (source, index), tmp_path))]
    assert shown == [index.frame_at(event.seconds_at(k, FPS)) for k in range(40)]
    even = [index.frame_at(replace(event, ramp=()).seconds_at(k, FPS)) for k in range(40)]
    assert shown != even
    assert shown[0] == even[0]
    assert event.seconds_at(40, FPS) == replace(event, ramp=()).seconds_at(40, FPS)


def test_a_ramp_is_the_same_in_pieces_and_split(bar_codes, tmp_path):
    """Decoded by number, as where ffmpeg cannot read a file itself; and in parts, as long events are rendered."""
    source, index = bar_codes["even"]
    event = Event(0, 40, source.identity, 0, Fraction(1), ramp=RAMP)
    promised = [index.frame_at(event.seconds_at(k, FPS)) for k in range(40)]
    uneven = replace(source, uniform=False), index
    segment = Segment((event,), FPS, WIDTH, HEIGHT)
    assert [number_of(f) for f in luma_frames(rendered(segment, uneven, tmp_path))] == promised
    parts = plan_segments(timeline(event, size=(WIDTH, HEIGHT)), maximum_frames=13)
    assert len(parts) == 4
    shown = [
        number_of(f)
        for part in parts
        for f in luma_frames(rendered(part, (source, index), tmp_path))
    ]
    assert shown == promised


def test_a_ramp_under_a_crossfade_runs_evenly_beyond_its_edges():
    event = Event(0, 40, "any", 0, Fraction(1), ramp=RAMP)
    assert event.seconds_at(-3, FPS) == Fraction(1) - 3 / FPS
    assert event.seconds_at(43, FPS) == Fraction(1) + 43 / FPS
    assert all(event.frame_at(event.seconds_at(k, FPS), FPS) == k for k in range(-3, 44))


def luma_of_ten(path, at):
    """Luma of a frame of 10 bits, in units of 8."""
    with av.open(str(path)) as container:
        frame = next(f for n, f in enumerate(container.decode(video=0)) if n == at)
        return frame.to_ndarray()[: frame.height] / 4


@pytest.mark.parametrize("bits", [8, 10])
def test_a_flash_is_on_its_frame_and_gone_after_the_last(tmp_path, bits):
    grey = [np.full((180, 320), 90, np.uint8), *[np.full((90, 160), 100, np.uint8)] * 2]
    found = probe(coloured(tmp_path / "grey.mp4", grey, "yuv420p", frames=60, space=1))
    accent = Accent("flash", 7, 5, 5000)
    event = Event(0, 20, found[0].identity, 0, Fraction(0), accents=(accent,))
    segment = Segment((event,), FPS, *SIZE)
    kind = ENCODING if bits == 8 else encoding("hevc", "master", crf=4)
    assert kind.pixel_format.endswith("10le") == (bits == 10)
    path = rendered(segment, found, tmp_path, encoding=kind)
    shares = flashes(segment)
    assert sorted(shares) == [7, 8, 9, 10, 11]
    assert shares[7] == 5000
    for at in (6, 7, 8, 11, 12):
        share = shares.get(at, 0) / Accent.UNIT
        luma = planes_of(path, at)[0]
        if bits == 10:
            luma = luma_of_ten(path, at)
        assert float(luma.mean()) == pytest.approx(90 + (235 - 90) * share, abs=1.2)


def zoomed(path, at, size=SIZE):
    """How much larger frame `at` is than the first one, and the value of its middle, by the slope of its brightness."""
    first, there = (planes_of(path, n)[0].astype(float).mean(axis=0) for n in (0, at))
    columns = np.arange(size[0])
    grow = [np.polyfit(columns[8:-8], v[8:-8], 1)[0] for v in (first, there)]
    return grow[0] / grow[1], float(there[size[0] // 2 - 4 : size[0] // 2 + 4].mean())


def test_a_punch_zooms_at_once_and_comes_back(slope, tmp_path):
    accent = Accent("punch", 5, 8, 1500)
    event = Event(0, 20, slope[0].identity, 0, Fraction(0), accents=(accent,))
    segment = Segment((event,), FPS, *SIZE)
    path = rendered(segment, slope, tmp_path)
    middle = zoomed(path, 0)[1]
    for at in (4, 5, 6, 9, 13):
        zoom, value = zoomed(path, at)
        assert zoom == pytest.approx(1 + 0.15 * left_of(accent, at), abs=0.012)
        assert value == pytest.approx(middle, abs=1)
    assert 13 not in views(segment)
    # What is beyond the picture never comes into view.
    assert min(float(f.min()) for f in luma_frames(path)) > 30


def test_a_punch_zooms_into_the_window_that_follows(slope, tmp_path):
    """The window stands far right of the middle: a punch enlarges what is in it, not the middle of the picture."""
    size = (100, 178)
    event = Event(
        0, 12, slope[0].identity, 0, Fraction(0), focus=(Focus(0, 8000, 5000),),
        accents=(Accent("punch", 6, 6, 1200),),
    )  # fmt: skip
    path = rendered(Segment((event,), FPS, *size), slope, tmp_path)
    assert zoomed(path, 6, size)[0] == pytest.approx(1.12, abs=0.03)
    assert zoomed(path, 6, size)[1] == pytest.approx(40 + 160 * 0.8, abs=2)
    assert zoomed(path, 0, size)[1] == pytest.approx(40 + 160 * 0.8, abs=2)


def test_a_shake_goes_both_ways_and_stays_within_the_picture(slope, tmp_path):
    accent = Accent("shake", 4, 10, 300)
    event = Event(0, 20, slope[0].identity, 0, Fraction(0), accents=(accent,))
    segment = Segment((event,), FPS, *SIZE)
    path = rendered(segment, slope, tmp_path)
    pictures = luma_frames(path)
    assert min(float(f.min()) for f in pictures) > 30
    rest = zoomed(path, 0)[1]
    per_pixel = 160 / 640
    for at, view in views(segment).items():
        centre = (view.x + SIZE[0] / 2) * SIZE[0] / view.width - SIZE[0] / 2
        assert zoomed(path, at)[1] - rest == pytest.approx(centre * per_pixel, abs=0.6)
        assert 0 <= view.x <= view.width - SIZE[0]
        assert 0 <= view.y <= view.height - SIZE[1]
    moved = [zoomed(path, at)[1] - rest for at in (4, 5, 6)]
    assert [np.sign(m) for m in moved] == [np.sign(SHAKEN[k][0]) for k in range(3)]


def test_accents_are_the_same_however_the_montage_is_split(slope, tmp_path):
    identity = slope[0].identity
    accents = (
        Accent("flash", 9, 6, 4000),
        Accent("punch", 9, 9, 1000),
        Accent("shake", 20, 6, 200),
    )
    events = (
        Event(0, 30, identity, 0, Fraction(0), accents=accents),
        Event(30, 44, identity, 0, Fraction(1), transition=Transition("crossfade", 6), accents=(Accent("punch", 0, 5, 900),)),
    )  # fmt: skip
    whole = timeline(replace(events[0], accents=accents), replace(events[1], transition=Transition("cut", 0)))  # fmt: skip
    together = plan_segments(whole, maximum_frames=100)
    apart = plan_segments(whole, maximum_frames=11)
    assert len(together) == 1
    assert len(apart) > 4

    def changed(segments):
        at, seen, bright = 0, {}, {}
        for segment in segments:
            seen |= {at + n: v for n, v in views(segment).items()}
            bright |= {at + n: v for n, v in flashes(segment).items()}
            at += segment.frames
        return seen, bright

    assert changed(together) == changed(apart)
    one = luma_frames(rendered(together[0], slope, tmp_path))
    many = [f for s in apart for f in luma_frames(rendered(s, slope, tmp_path))]
    worst = max(np.abs(a.astype(int) - b).max() for a, b in zip(one, many, strict=True))
    assert worst <= 6  # of the encoder
    # Under a crossfade the picture that they make together is enlarged.
    faded = rendered(Segment(events, FPS, *SIZE), slope, tmp_path)
    assert zoomed(faded, 30)[0] == pytest.approx(1.09, abs=0.012)


def test_what_has_no_accent_is_asked_for_as_ever(slope):
    """Segments that were made before there were accents are found again."""
    plain = _described(Segment((Event(0, 9, slope[0].identity, 0, Fraction(0)),), FPS, *SIZE))
    assert not {"ramp", "accents", "focus"} & set(plain["events"][0])
    event = Event(0, 9, slope[0].identity, 0, Fraction(0), accents=(Accent("punch", 0, 4, 500),))
    assert _described(Segment((event,), FPS, *SIZE))["events"][0]["accents"]
