from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest
from made_timeline import HOSTILE, RATES, music, on_beats, sources_in

from montage_dask.records import Accent, Pace, Transition
from montage_dask.report.fcpxml import write_fcpxml


def written(tmp_path, timeline, sources, track):
    path = tmp_path / "t.fcpxml"
    write_fcpxml(timeline, sources, track, path)
    assert "<!DOCTYPE fcpxml>" in path.read_text(encoding="utf-8")
    return ET.parse(path).getroot()


def seconds(text: str) -> Fraction:
    assert text.endswith("s")
    return Fraction(text[:-1])


@pytest.mark.parametrize("fps", RATES)
def test_clips_fill_the_sequence_on_frames(tmp_path, fps):
    sources, track = sources_in(tmp_path), music(tmp_path)
    timeline = on_beats(sources, track, fps=fps, start=Fraction(3, 2))
    root = written(tmp_path, timeline, sources, track)
    sequence = root.find(".//sequence")
    assert seconds(sequence.get("duration")) == timeline.duration_seconds
    form = root.find(f".//format[@id='{sequence.get('format')}']")
    assert seconds(form.get("frameDuration")) == 1 / fps
    assert (form.get("width"), form.get("height")) == ("1920", "1080")
    at = Fraction(0)
    for clip, event in zip(root.findall(".//spine/asset-clip"), timeline.events, strict=True):
        assert seconds(clip.get("offset")) == at
        at += seconds(clip.get("duration"))
        rate = sources[event.source].frame_rate
        start = seconds(clip.get("start"))
        assert (start * rate).denominator == 1  # on a frame of the media: the one on screen
        assert 0 <= event.in_seconds - start < 1 / rate
    assert at == timeline.duration_seconds
    assert sequence.get("tcFormat") == (
        "DF" if fps.denominator == 1001 and round(fps) % 30 == 0 else "NDF"
    )


def test_beats_are_markers_and_music_is_connected(tmp_path):
    sources, track = sources_in(tmp_path), music(tmp_path)
    timeline = on_beats(sources, track, start=Fraction(2))
    root = written(tmp_path, timeline, sources, track)
    clips = root.findall(".//spine/asset-clip")
    found = []
    for clip in clips:
        shift = seconds(clip.get("offset")) - seconds(clip.get("start"))
        found += [seconds(m.get("start")) + shift for m in clip.findall("marker")]
    expected = [round((b - 2) * timeline.fps) / timeline.fps for b in timeline.beats_seconds]
    assert found == expected
    [connected] = clips[0].findall("asset-clip")
    assert connected.get("lane") == "-1"
    assert connected.get("offset") == clips[0].get("start")
    assert seconds(connected.get("start")) == 2
    assert seconds(connected.get("duration")) == timeline.duration_seconds
    assert list(clips[0]).index(connected) < list(clips[0]).index(clips[0].find("marker"))


def test_every_reference_exists_and_every_name_survives(tmp_path):
    sources, track = sources_in(tmp_path, HOSTILE), music(tmp_path)
    root = written(tmp_path, on_beats(sources, track, events=6), sources, track)
    known = {e.get("id") for e in root.find("resources")}
    assert len(known) == len(root.find("resources"))
    used = {e.get(k) for e in root.iter() for k in ("ref", "format") if e.get(k)}
    assert used <= known
    urls = [e.get("src") for e in root.iter("media-rep")]
    assert {str(tmp_path / unquote(u)) for u in urls} == {
        *(s.path for s in sources.values()),
        track.path,
    }
    (tmp_path / "far").mkdir()
    root = written(tmp_path / "far", on_beats(sources, track, events=6), sources, track)
    urls = [e.get("src") for e in root.iter("media-rep")]
    assert all(u.startswith("file:///") for u in urls)
    assert {unquote(u[len("file://") :]) for u in urls} == {
        *(s.path for s in sources.values()),
        track.path,
    }


def test_transitions_lie_around_their_cuts_and_not_before_the_start(tmp_path):
    sources, track = sources_in(tmp_path), music(tmp_path)
    timeline = on_beats(sources, track, kind="crossfade")
    first = replace(timeline.events[0], transition=Transition("dip-to-black", 8))
    timeline = replace(timeline, events=(first, *timeline.events[1:]))
    root = written(tmp_path, timeline, sources, track)
    fades = root.findall(".//spine/transition")
    cuts = [e.start_frame for e in timeline.events[1:] if e.transition.frames]
    assert [seconds(f.get("offset")) * 30 + 4 for f in fades] == cuts
    assert all(seconds(f.get("duration")) == Fraction(8, 30) for f in fades)


@pytest.mark.parametrize("speed", [Fraction(1), Fraction(1, 2)])
def test_a_ramp_maps_time_from_point_to_point(tmp_path, speed):
    sources, track = sources_in(tmp_path), music(tmp_path)
    timeline = on_beats(sources, track)
    ramp = (Pace(10, Fraction(5)), Pace(22, Fraction(18)))
    accents = (Accent("flash", 4, 7, 4000),)
    event = replace(timeline.events[1], speed=speed, ramp=ramp, accents=accents)
    timeline = replace(timeline, events=(timeline.events[0], event, *timeline.events[2:]))
    clip = written(tmp_path, timeline, sources, track).findall(".//spine/asset-clip")[1]
    points = [(seconds(p.get("time")), seconds(p.get("value"))) for p in clip.find("timeMap")]
    assert points == sorted(points)
    start = seconds(clip.get("start"))

    def value(at):
        (a, x), (b, y) = next(p for p in itertools.pairwise(points) if p[0][0] <= at <= p[1][0])
        return x + (y - x) * (at - a) / (b - a)

    first = value(start)
    for k in range(event.frames + 1):
        wanted = event.shown_at(k) / timeline.fps * speed
        assert value(start + k / timeline.fps) - first == wanted
    marks = [m.get("value") for m in clip.findall("marker")]
    assert "flash 40 % over 7 frames" in marks


def test_a_speed_maps_time(tmp_path):
    sources, track = sources_in(tmp_path), music(tmp_path)
    timeline = on_beats(sources, track)
    slow = replace(timeline.events[1], speed=Fraction(1, 2))
    timeline = replace(timeline, events=(timeline.events[0], slow, *timeline.events[2:]))
    root = written(tmp_path, timeline, sources, track)
    clip = root.findall(".//spine/asset-clip")[1]
    points = [(seconds(p.get("time")), seconds(p.get("value"))) for p in clip.find("timeMap")]
    assert points[0] == (0, 0)
    assert points[1][1] / points[1][0] == Fraction(1, 2)
    assert abs(seconds(clip.get("start")) * slow.speed - slow.in_seconds) <= slow.speed / 60
