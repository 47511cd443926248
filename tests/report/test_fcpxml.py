"""FCPXML: it parses, its times add up, and no file name leaves its place."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

import pytest
from made_timelines import HOSTILE, media, music, timeline

from montage_dask.records import Transition
from montage_dask.report.fcpxml import write_fcpxml


def seconds(text: str) -> Fraction:
    assert text.endswith("s")
    return Fraction(text[:-1])


def written(folder: Path, made) -> ET.Element:
    write_fcpxml(made, media(folder), music(folder), folder / "t.fcpxml")
    return ET.parse(folder / "t.fcpxml").getroot()


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001)])
def test_clips_follow_each_other_and_fill_the_sequence(tmp_path, fps):
    made = timeline(tmp_path, [50, 25, 75, 30], fps)
    root = written(tmp_path, made)
    sequence = root.find(".//sequence")
    assert sequence is not None
    assert seconds(sequence.get("duration")) == made.duration_seconds
    at = Fraction(0)
    clips = root.findall(".//spine/asset-clip")
    for clip, event in zip(clips, made.events, strict=True):
        assert seconds(clip.get("offset")) == at
        assert seconds(clip.get("start")) == event.in_seconds
        at += seconds(clip.get("duration"))
    assert at == made.duration_seconds
    assert sequence.get("tcFormat") == ("NDF" if fps == 25 else "DF")


def test_every_reference_is_defined(tmp_path):
    made = timeline(tmp_path, [50] * len(HOSTILE))
    made = replace(
        made, events=(made.events[0], replace(made.events[1], transition=Transition("crossfade", 8)), *made.events[2:])
    )  # fmt: skip
    root = written(tmp_path, made)
    defined = {e.get("id") for e in root.find("resources")}
    used = {e.get(k) for e in root.iter() for k in ("ref", "format") if e.get(k)}
    assert used <= defined
    assert len(root.findall(".//spine/transition")) == 1


def test_hostile_names_come_back_whole_from_their_urls(tmp_path):
    root = written(tmp_path, timeline(tmp_path, [20] * len(HOSTILE)))
    urls = [r.get("src") for r in root.findall(".//asset/media-rep")]
    names = {Path(unquote(urlsplit(u).path, errors="surrogateescape")).name for u in urls}
    assert names == {*HOSTILE, "trück & <b>.mp3"}
    assert not root.findall(".//script")
    assert not root.findall(".//b")
    labels = [e.get("name") for e in root.findall(".//spine/asset-clip")]
    assert labels[1] == HOSTILE[1]
    assert all(label.isprintable() for label in labels)


def test_the_music_starts_where_it_is_heard_and_beats_are_marked(tmp_path):
    made = timeline(tmp_path, [50, 50])
    root = written(tmp_path, made)
    sound = root.find(".//asset-clip[@ref='music']")
    assert seconds(sound.get("start")) == made.music_start_seconds
    assert seconds(sound.get("duration")) == made.duration_seconds
    clips = root.findall(".//spine/asset-clip")
    marked = [
        seconds(m.get("start")) - seconds(c.get("start")) + seconds(c.get("offset"))
        for c in clips
        for m in c.findall("marker")
    ]
    heard = [b - made.music_start_seconds for b in made.beats_seconds]
    expected = [b for b in heard if b < made.duration_seconds]
    assert len(marked) == len(expected)
    assert all(abs(a - b) <= Fraction(1, 50) for a, b in zip(marked, expected, strict=True))


def test_a_slow_clip_has_a_time_map(tmp_path):
    made = timeline(tmp_path, [50, 50])
    made = replace(made, events=(made.events[0], replace(made.events[1], speed=Fraction(1, 2))))
    root = written(tmp_path, made)
    first, second = root.findall(".//spine/asset-clip")
    assert first.find("timeMap") is None
    assert seconds(second.get("start")) == made.events[1].in_seconds * 2
    points = second.findall("timeMap/timept")
    slope = seconds(points[1].get("value")) / seconds(points[1].get("time"))
    assert slope == Fraction(1, 2)
