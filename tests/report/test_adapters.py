"""OpenTimelineIO's adapters read every export, and find in it what the timeline shows."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree as ET

import opentimelineio as otio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_timeline import HOSTILE, RATES, music, on_beats, sources_in, timelines

from montage_dask.records import Accent, Pace, Transition
from montage_dask.report.edl import write_edl
from montage_dask.report.fcpxml import write_fcpxml
from montage_dask.report.otio import write_otio
from montage_dask.report.xmeml import write_xmeml
from montage_dask.timecode import number_of, starts_at

NTSC = Fraction(30000, 1001)
STARTS = {  # what cameras write, by rate
    Fraction(24): "23:10:05:23", Fraction(25): "14:09:42:00", Fraction(30): "00:59:59:29",
    NTSC: "01:00:00;00", Fraction(60000, 1001): "10:09:59;58", Fraction(24000, 1001): "01:00:00:00",
}  # fmt: skip


def material(folder: Path, fps: Fraction, label: str | None = None, names=("one.mov", "two.mov")):
    """Sources of one rate that start at a timecode, and music."""
    found = {
        k: replace(
            s, frame_rate=fps, timecode=label or STARTS[fps], timecode_rate=fps,
            frames=int(s.duration_seconds * fps),
        )
        for k, s in sources_in(folder, names).items()
    }  # fmt: skip
    return found, music(folder)


def shown(timeline, sources):
    """Of each event: first frame of the source on screen, by its own timecode, and frames shown."""
    return [
        (
            number_of(sources[e.source].timecode, timeline.fps) + int(e.in_seconds * timeline.fps),
            e.frames,
        )
        for e in timeline.events
    ]


def read_edl(path: Path, fps: Fraction):
    return otio.adapters.read_from_file(str(path), rate=float(fps))


def clips_of(document):
    [track] = document.video_tracks()
    return [c for c in track if isinstance(c, otio.schema.Clip)]


def ranges(clips):
    return [(c.source_range.start_time.value, c.source_range.duration.value) for c in clips]


@pytest.mark.parametrize("fps", RATES)
def test_cmx3600_reads_the_edl(tmp_path, fps):
    sources, track = material(tmp_path, fps)
    timeline = on_beats(sources, track, fps=fps, events=12)
    write_edl(timeline, sources, tmp_path / "t.edl")
    document = read_edl(tmp_path / "t.edl", fps)
    assert ranges(clips_of(document)) == shown(timeline, sources)
    assert document.duration().value == timeline.frames


@pytest.mark.parametrize("label", ["01:00:00:00", "01:00:00;00", "00:00:58:20", "00:00:58;20", "09:59:59;29"])  # fmt: skip
def test_drop_frame_sources_keep_their_count(tmp_path, label):
    """The timeline drops numbers; a source that does not is not counted as if it did."""
    sources, track = material(tmp_path, NTSC, label)
    timeline = on_beats(sources, track, fps=NTSC, events=12)
    write_edl(timeline, sources, tmp_path / "t.edl")
    assert ranges(clips_of(read_edl(tmp_path / "t.edl", NTSC))) == shown(timeline, sources)
    rows = re.findall(r"^\d{3} .*$", (tmp_path / "t.edl").read_text(), re.M)
    assert {r.split()[4][8] for r in rows} == {label[8]}
    assert {r.split()[6][8] for r in rows} == {";"}


@pytest.mark.parametrize(
    ("rate", "label", "counted", "seconds", "first"),
    [
        (Fraction(50), "14:09:42:10", Fraction(25), "1/50", "14:09:42:12"),  # 10½ of 25, 12.6 of 30
        (Fraction(25), "14:09:42:00", Fraction(25), "1", "14:09:43:00"),
        (Fraction(25), "14:09:42:00", Fraction(25), "12/25", "14:09:42:15"),
        (Fraction(60), "10:00:00:00", Fraction(60), "1/2", "10:00:00:15"),
        (Fraction(24000, 1001), "01:00:00:00", Fraction(24000, 1001), "1001/1000", "01:00:01:00"),
    ],
)
def test_another_rate_keeps_hours_minutes_and_seconds(
    tmp_path, rate, label, counted, seconds, first
):
    sources, track = material(tmp_path, Fraction(30))
    timeline = on_beats(sources, track, fps=Fraction(30), events=1)
    sources = {
        k: replace(s, frame_rate=rate, timecode=label, timecode_rate=counted)
        for k, s in sources.items()
    }
    [event] = timeline.events
    event = replace(event, in_seconds=Fraction(seconds))
    write_edl(replace(timeline, events=(event,)), sources, tmp_path / "t.edl")
    [row] = re.findall(r"^001 .*$", (tmp_path / "t.edl").read_text(), re.M)
    assert row.split()[4] == first


def test_dissolves_and_speeds_are_read_from_the_edl(tmp_path):
    fps = Fraction(25)
    sources, track = material(tmp_path, fps)
    timeline = on_beats(sources, track, fps=fps, kind="crossfade", events=8)
    speeds = (Fraction(1), Fraction(1, 2), Fraction(2), Fraction(4, 5))
    events = tuple(replace(e, speed=speeds[k % 4]) for k, e in enumerate(timeline.events))
    write_edl(replace(timeline, events=events), sources, tmp_path / "t.edl")
    document = read_edl(tmp_path / "t.edl", fps)
    assert document.duration().value == timeline.frames
    clips = clips_of(document)
    fades = [i for i in document.video_tracks()[0] if isinstance(i, otio.schema.Transition)]
    assert [f.out_offset.value for f in fades] == [8.0] * 4
    warps = [[w.time_scalar for w in c.effects] for c in clips]
    assert warps == [[] if s == 1 else [pytest.approx(float(s), abs=0.002)] for s in speeds * 2]
    for clip, event in zip(clips, events, strict=True):
        lead = 4 if event.transition.frames else 0
        at = event.in_seconds - lead / fps * event.speed
        assert clip.source_range.start_time.value == number_of("14:09:42:00", fps) + int(at * fps)


@pytest.mark.parametrize("fps", [Fraction(24), Fraction(25), Fraction(30)])
def test_fcpx_reads_the_fcpxml(tmp_path, fps):
    sources, track = material(tmp_path, fps)
    timeline = on_beats(sources, track, fps=fps)
    write_fcpxml(timeline, sources, track, tmp_path / "t.fcpxml")
    [document] = otio.adapters.read_from_file(str(tmp_path / "t.fcpxml"))
    # The adapter makes frames of seconds by cutting doubles off, and so may be one short.
    for got, wanted in zip(ranges(clips_of(document)), shown(timeline, sources), strict=True):
        assert all(0 <= w - g <= 1 for g, w in zip(got, wanted, strict=True))
    [sound] = document.audio_tracks()
    assert [c.name for c in sound if isinstance(c, otio.schema.Clip)] == ["music.ogg"]


@pytest.mark.parametrize("fps", RATES)
def test_the_fcpxml_starts_where_the_source_does(tmp_path, fps):
    sources, track = material(tmp_path, fps)
    timeline = on_beats(sources, track, fps=fps)
    slow = replace(timeline.events[1], speed=Fraction(1, 2))
    timeline = replace(timeline, events=(timeline.events[0], slow, *timeline.events[2:]))
    write_fcpxml(timeline, sources, track, tmp_path / "t.fcpxml")
    root = ET.parse(tmp_path / "t.fcpxml").getroot()
    begin = number_of(STARTS[fps], fps) / fps
    for asset in root.findall("resources/asset[@hasVideo]"):
        assert Fraction(asset.get("start")[:-1]) == begin
        length = Fraction(asset.get("duration")[:-1])
    clips = root.findall(".//spine/asset-clip")
    for clip, event in zip(clips, timeline.events, strict=True):
        assert clip.get("tcFormat") == ("DF" if ";" in STARTS[fps] else "NDF")
        inside = Fraction(clip.get("start")[:-1]) - begin
        if event.speed == 1:
            assert inside == int(event.in_seconds * fps) / fps
            assert inside + event.frames / fps <= length
        else:
            points = [
                [Fraction(p.get(k)[:-1]) - begin for k in ("time", "value")]
                for p in clip.findall("timeMap/timept")
            ]
            assert points == [[0, 0], [length / event.speed, length]]
            assert abs(inside * event.speed - event.in_seconds) <= event.speed / fps


CHILDREN = {  # of the FCPXML 1.10 DTD, what we write: children in order
    "fcpxml": "(resources)(library)", "resources": "(format|asset|effect)+", "asset": "(media-rep)+",
    "library": "(event)+", "event": "(project)+", "project": "(sequence)", "sequence": "(spine)",
    "spine": "(asset-clip|transition)+", "asset-clip": "(timeMap)?(asset-clip)*(marker)*",
    "timeMap": "(timept)(timept)+", "transition": "(filter-video)?",
}  # fmt: skip
ATTRIBUTES = {
    "fcpxml": "version", "format": "id frameDuration width height colorSpace", "effect": "id name uid",
    "asset": "id name start duration hasVideo format videoSources hasAudio audioSources audioChannels",
    "media-rep": "kind src", "event": "name", "project": "name",
    "sequence": "format tcStart duration tcFormat audioLayout audioRate", "timept": "time value interp",
    "asset-clip": "ref name srcEnable offset start duration tcFormat lane audioRole", "transition": "name offset duration",
    "filter-video": "ref name", "marker": "start duration value",
}  # fmt: skip


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_timeline_is_written_as_the_formats_want(tmp_path, data):
    sources, track = material(tmp_path, Fraction(25), names=HOSTILE)
    timeline = data.draw(timelines(sources, track.path))
    write_fcpxml(timeline, sources, track, tmp_path / "t.fcpxml")
    root = ET.parse(tmp_path / "t.fcpxml").getroot()
    for element in root.iter():
        assert set(element.keys()) <= set(ATTRIBUTES.get(element.tag, "").split()), element.tag
        tags = "".join(f"<{c.tag}>" for c in element)
        pattern = re.sub(r"[a-zA-Z-]+", lambda m: f"<{m[0]}>", CHILDREN.get(element.tag, ""))
        assert re.fullmatch(pattern, tags), (element.tag, tags)
        for name in ("start", "duration", "offset", "time", "value", "tcStart", "frameDuration"):
            if (element.get(name) and element.tag != "marker") or (
                name == "start" and element.get(name)
            ):
                assert re.fullmatch(r"-?\d+(/\d+)?s", element.get(name))
    write_edl(timeline, sources, tmp_path / "t.edl")
    assert read_edl(tmp_path / "t.edl", timeline.fps).duration().value == timeline.frames
    write_xmeml(timeline, sources, track, tmp_path / "t.xml")
    document = otio.adapters.read_from_file(str(tmp_path / "t.xml"), "fcp_xml")
    assert len(clips_of(document)) == len(timeline.events)
    length = document.video_tracks()[0].duration()
    assert length.to_seconds() == pytest.approx(float(timeline.duration_seconds))


@pytest.mark.parametrize("kind", ["cut", "crossfade", "dip-to-black"])
@pytest.mark.parametrize("fps", RATES)
def test_fcp7_reads_the_premiere_xml(tmp_path, fps, kind):
    sources, track = material(tmp_path, fps)
    timeline = on_beats(sources, track, fps=fps, kind=kind, start=Fraction(1))
    write_xmeml(timeline, sources, track, tmp_path / "timeline.xml")
    document = otio.adapters.read_from_file(str(tmp_path / "timeline.xml"), "fcp_xml")
    clips = clips_of(document)
    assert [(round(start, 6), round(length, 6)) for start, length in ranges(clips)] == shown(
        timeline, sources
    )
    assert all(c.source_range.start_time.rate == pytest.approx(float(fps)) for c in clips)
    for clip in clips:
        media = clip.media_reference
        assert media.available_range.start_time.value == number_of(STARTS[fps], fps)
        assert media.target_url.startswith("file://localhost/")
    items = document.video_tracks()[0]
    fades = [i for i in items if isinstance(i, otio.schema.Transition)]
    assert [f.in_offset.value for f in fades] == [4.0] * (4 if kind == "crossfade" else 0)
    [sound] = document.audio_tracks()
    assert ranges(sound) == [(round(fps), timeline.frames)]
    marks = document.tracks.markers
    beats = [m.marked_range.start_time.value for m in marks if m.name == "beat"]
    on_frames = [round((b - 1) * fps) for b in timeline.beats_seconds]
    assert beats == [f for f in on_frames if f < timeline.frames]
    assert len([m for m in marks if m.name.startswith("dip")]) == (4 if "dip" in kind else 0)


def test_the_premiere_xml_tells_speeds_and_names_each_file_once(tmp_path):
    sources, track = material(tmp_path, Fraction(25), names=HOSTILE)
    timeline = on_beats(sources, track, fps=Fraction(25), events=12)
    slow = replace(
        timeline.events[1], speed=Fraction(2, 5), ramp=(Pace(10, Fraction(5)),), accents=(Accent("punch", 3, 9, 700),)
    )  # fmt: skip
    timeline = replace(timeline, events=(timeline.events[0], slow, *timeline.events[2:]))
    write_xmeml(timeline, sources, track, tmp_path / "t.xml")
    root = ET.parse(tmp_path / "t.xml").getroot()
    whole = [f for f in root.iter("file") if len(f)]
    assert len({f.get("id") for f in whole}) == len(whole) == len(HOSTILE) + 1
    assert {f.get("id") for f in root.iter("file")} == {f.get("id") for f in whole}
    clip = root.findall(".//video/track/clipitem")[1]
    assert clip.findtext("filter/effect/effectid") == "timeremap"
    values = {p.findtext("parameterid"): p.findtext("value") for p in clip.iter("parameter")}
    assert (values["speed"], values["reverse"]) == ("40", "FALSE")
    assert int(clip.findtext("in")) == int(slow.in_seconds * Fraction(5, 2) * 25)
    assert int(clip.findtext("out")) - int(clip.findtext("in")) == slow.frames
    marks = {m.findtext("name"): int(m.findtext("in")) for m in root.iter("marker")}
    assert marks["punch 7 % over 9 frames"] == slow.start_frame + 3
    assert (
        next(at for name, at in marks.items() if name.startswith("speed ramp 0.20x"))
        == slow.start_frame
    )


def test_the_first_event_needs_nothing_before_it(tmp_path):
    sources, track = material(tmp_path, Fraction(25))
    timeline = on_beats(sources, track, fps=Fraction(25), kind="crossfade")
    first = replace(timeline.events[0], transition=Transition("crossfade", 8))
    timeline = replace(timeline, events=(first, *timeline.events[1:]))
    write_xmeml(timeline, sources, track, tmp_path / "t.xml")
    write_edl(timeline, sources, tmp_path / "t.edl")
    for document in (
        otio.adapters.read_from_file(str(tmp_path / "t.xml"), "fcp_xml"),
        read_edl(tmp_path / "t.edl", Fraction(25)),
    ):
        assert isinstance(document.video_tracks()[0][0], otio.schema.Clip)


@pytest.mark.parametrize("fps", RATES)
def test_the_otio_file_counts_from_the_source_timecode(tmp_path, fps):
    sources, track = material(tmp_path, fps)
    timeline = on_beats(sources, track, fps=fps)
    write_otio(timeline, sources, track, tmp_path / "t.otio")
    document = otio.adapters.read_from_file(str(tmp_path / "t.otio"))
    for clip, event in zip(clips_of(document), timeline.events, strict=True):
        source = sources[event.source]
        begin = clip.media_reference.available_range.start_time
        assert begin.value == pytest.approx(number_of(STARTS[fps], fps), abs=1e-6)
        inside = clip.source_range.start_time - begin
        assert inside.to_seconds() == pytest.approx(float(event.in_seconds), abs=1e-6)
        assert starts_at(source) == number_of(STARTS[fps], fps) / fps
