from __future__ import annotations

import itertools
import re
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_timeline import HOSTILE, RATES, music, on_beats, sources_in

from montage_dask.records import Accent, Pace
from montage_dask.report.edl import write_edl
from montage_dask.timecode import drops, timecode

NTSC = Fraction(30000, 1001)


def frames_of(code: str, fps: Fraction) -> int:
    """The frame of a timecode, counted as the standard's definition says: skip the numbers that do not exist."""
    hours, minutes, seconds, frames = (int(p) for p in re.split("[:;]", code))
    nominal = round(fps)
    total = ((hours * 60 + minutes) * 60 + seconds) * nominal + frames
    if drops(fps):
        whole = hours * 60 + minutes
        total -= nominal // 15 * (whole - whole // 10)
    return total


@pytest.mark.parametrize(
    ("frame", "fps", "code"),
    [
        (0, Fraction(25), "00:00:00:00"),
        (90000, Fraction(25), "01:00:00:00"),
        (1799, NTSC, "00:00:59;29"),
        (1800, NTSC, "00:01:00;02"),
        (17981, NTSC, "00:09:59;29"),
        (17982, NTSC, "00:10:00;00"),
        (107892, NTSC, "01:00:00;00"),
        (3600, Fraction(60000, 1001), "00:01:00;04"),
        (1439, Fraction(24000, 1001), "00:00:59:23"),
        (1440, Fraction(24000, 1001), "00:01:00:00"),
    ],
)
def test_known_timecodes(frame, fps, code):
    assert timecode(frame, fps) == code


@given(st.integers(0, 2_000_000), st.sampled_from(RATES))
@settings(deadline=None)
def test_a_timecode_is_one_frame(frame, fps):
    assert frames_of(timecode(frame, fps), fps) == frame % (
        frames_of(f"23:59:59:{round(fps) - 1:02d}", fps) + 1
    )


def test_no_time_before_zero():
    with pytest.raises(ValueError, match="-1"):
        timecode(-1, NTSC)


def rows(path):
    """Events of an EDL: (number, reel, kind, source in, source out, record in, record out)."""
    line = re.compile(r"^(\d{3})  (\S+)\s+V\s+(C|D    \d{3})\s+(\S+) (\S+) (\S+) (\S+)$")
    return [m.groups() for m in map(line.match, path.read_text(encoding="ascii").splitlines()) if m]


@pytest.mark.parametrize("fps", RATES)
def test_records_follow_each_other_and_make_the_whole(tmp_path, fps):
    sources, track = sources_in(tmp_path), music(tmp_path)
    timeline = on_beats(sources, track, fps=fps, events=12)
    write_edl(timeline, sources, tmp_path / "t.edl")
    found = rows(tmp_path / "t.edl")
    assert [int(r[0]) for r in found] == list(range(1, 13))
    edges = [(frames_of(r[5], fps), frames_of(r[6], fps)) for r in found]
    assert edges == [(e.start_frame, e.stop_frame) for e in timeline.events]
    for row, event in zip(found, timeline.events, strict=True):
        begins, ends = frames_of(row[3], fps), frames_of(row[4], fps)
        assert ends - begins == event.frames
        # The label of the source's frame on screen: hours to seconds are the source's, the frames are those of the output rate.
        rate = sources[event.source].frame_rate
        frame, seconds = int(event.in_seconds * rate), int(row[3][6:8])
        back = int(int(row[3][9:]) * round(rate) / round(fps)) + seconds * round(rate)
        assert back == frame if fps >= rate else abs(back - frame) <= round(rate) // round(fps)
    text = (tmp_path / "t.edl").read_text()
    assert ("FCM: DROP FRAME" in text) == drops(fps)
    assert f"* RATE: {fps} FPS" in text


def test_a_dissolve_is_recorded_from_its_first_frame(tmp_path):
    sources, track = sources_in(tmp_path), music(tmp_path)
    timeline = on_beats(sources, track, kind="crossfade", events=4)
    fps = timeline.fps
    write_edl(timeline, sources, tmp_path / "t.edl")
    found = rows(tmp_path / "t.edl")
    held, fade = found[1:3]
    cut = timeline.events[1].start_frame
    assert (held[0], fade[0]) == ("002", "002")
    assert fade[2] == "D    008"
    assert frames_of(fade[5], fps) == cut - 4
    assert frames_of(found[0][6], fps) == cut - 4
    # The outgoing clip is named where it stands then; the incoming one begins four frames early.
    assert held[3] == held[4] == found[0][4]
    assert abs(frames_of(fade[3], fps) - (timeline.events[1].in_seconds * fps - 4)) <= 1
    lasting = [r for r in found if r[5] != r[6]]
    assert all(a[6] == b[5] for a, b in itertools.pairwise(lasting))
    assert frames_of(lasting[-1][6], fps) == timeline.frames


def test_dips_and_speeds_are_told(tmp_path):
    sources, track = sources_in(tmp_path), music(tmp_path)
    timeline = on_beats(sources, track, kind="dip-to-black", events=3)
    events = (replace(timeline.events[0], speed=Fraction(1, 2)), *timeline.events[1:])
    write_edl(replace(timeline, events=events), sources, tmp_path / "t.edl")
    text = (tmp_path / "t.edl").read_text()
    assert "* TRANSITION: dip-to-black 8 FRAMES" in text
    assert re.search(r"^M2   \S+\s+015\.0 +\d\d:\d\d:\d\d:\d\d$", text, re.M)


def test_effects_on_beats_are_told(tmp_path):
    sources, track = sources_in(tmp_path), music(tmp_path)
    timeline = on_beats(sources, track, events=3)
    accents = (Accent("punch", 0, 12, 650),)
    ramp = (Pace(10, Fraction(5)),)
    events = (replace(timeline.events[0], accents=accents, ramp=ramp), *timeline.events[1:])
    write_edl(replace(timeline, events=events), sources, tmp_path / "t.edl")
    write_edl(timeline, sources, tmp_path / "plain.edl")
    text = (tmp_path / "t.edl").read_text()
    assert "* EFFECT: punch 6.5 % over 12 frames at frame 0" in text
    assert "* EFFECT: speed ramp 0.50x to 1.22x" in text
    without = [line for line in text.splitlines() if not line.startswith("* EFFECT")]
    assert without == (tmp_path / "plain.edl").read_text().splitlines()


def test_any_file_name_stays_on_its_line(tmp_path):
    sources, track = sources_in(tmp_path, HOSTILE), music(tmp_path)
    write_edl(on_beats(sources, track, events=6), sources, tmp_path / "t.edl")
    text = (tmp_path / "t.edl").read_text(encoding="ascii")
    kinds = ("TITLE", "FCM", "* ", "0", "M2")
    assert all(line.startswith(kinds) for line in text.splitlines())
    assert "* FROM CLIP NAME: new\\nline.mp4" in text
    assert len({r[1] for r in rows(tmp_path / "t.edl")}) == len(HOSTILE)
