"""EDL: events follow each other, names stay on their lines."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction

import pytest
from made_timelines import media, music, timeline

from montage_dask.records import Transition
from montage_dask.report.edl import write_edl

EVENT = re.compile(
    r"^(\d{3})  ([0-9A-F]{8}) V     (C       |D    \d{3}) (\S{11}) (\S{11}) (\S{11}) (\S{11})$"
)


def written(tmp_path, made):
    music(tmp_path)
    write_edl(made, media(tmp_path), tmp_path / "t.edl")
    raw = (tmp_path / "t.edl").read_bytes()
    assert raw.isascii()
    return raw.decode().splitlines()


def test_drop_frame_events(tmp_path):
    lines = written(tmp_path, timeline(tmp_path, [1800, 30, 17982 - 1830], Fraction(30000, 1001)))
    assert lines[:3] == ["TITLE: test", "FCM: DROP FRAME", "* RATE: 30000/1001 FPS"]
    events = [m for m in map(EVENT.match, lines) if m]
    assert [m[1] for m in events] == ["001", "002", "003"]
    assert [(m[6], m[7]) for m in events] == [
        ("00:00:00;00", "00:01:00;02"),
        ("00:01:00;02", "00:01:01;02"),
        ("00:01:01;02", "00:10:00;00"),
    ]
    assert events[0][4] == "00:00:07;00"  # 7 s are 210 frames of 30000/1001


def test_whole_rates_do_not_drop(tmp_path):
    lines = written(tmp_path, timeline(tmp_path, [25, 50]))
    assert lines[1] == "FCM: NON-DROP FRAME"
    assert [m[7] for m in map(EVENT.match, lines) if m] == ["00:00:01:00", "00:00:03:00"]


def test_hostile_names_stay_on_their_lines(tmp_path):
    lines = written(tmp_path, timeline(tmp_path, [25] * 10, style="x\nTITLE: fake"))
    assert sum(line.startswith("TITLE") for line in lines) == 1
    assert sum(bool(EVENT.match(line)) for line in lines) == 10
    assert all(line.startswith(("TITLE", "FCM", "* ")) or EVENT.match(line) for line in lines)


def test_a_dissolve_names_both_clips_and_a_dip_is_a_comment(tmp_path):
    made = timeline(tmp_path, [50, 50, 50])
    first, second, third = made.events
    events = (
        first,
        replace(second, transition=Transition("crossfade", 12), speed=Fraction(1, 2)),
        replace(third, transition=Transition("dip-to-black", 6)),
    )
    lines = written(tmp_path, replace(made, events=events))
    dissolve = next(line for line in lines if " D    012 " in line)
    assert dissolve.startswith("002  00000001")
    held = EVENT.match(lines[lines.index(dissolve) - 1])
    assert held is not None
    assert held[1] == "002"
    assert held[4] == held[5] == "00:00:09:00"  # where the first clip was left
    assert any(line.startswith("M2   00000001 012.5") for line in lines)
    assert "* TRANSITION: dip-to-black 6 FRAMES" in lines


@pytest.mark.parametrize("count", [1000])
def test_more_events_than_the_format_can_number(tmp_path, count):
    lines = written(tmp_path, timeline(tmp_path, [2] * count))
    numbers = [m[1] for m in map(EVENT.match, lines) if m]
    assert len(numbers) == count
    assert numbers[-2:] == ["999", "001"]
