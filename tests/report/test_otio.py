from __future__ import annotations

import json
import shutil
from dataclasses import replace
from fractions import Fraction
from urllib.parse import unquote

import opentimelineio as otio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_timeline import HOSTILE, music, on_beats, sources_in, timelines

from montage_dask.errors import UsageError
from montage_dask.records import Accent, Focus, Match, Pace
from montage_dask.report.otio import media_of, read_otio, write_otio

SIZE = {"fps": Fraction(30), "width": 1280, "height": 720}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("otio")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_what_is_written_is_read_again_exactly(folder, data):
    sources, track = sources_in(folder), music(folder)
    timeline = data.draw(timelines(sources, track.path))
    path = folder / "round.otio"
    write_otio(timeline, sources, track, path)
    assert read_otio(path, sources, **SIZE) == timeline
    used = {sources[e.source].path for e in timeline.events}
    assert set(media_of(path)) == used


def test_a_match_stays_with_its_clip_and_goes_when_another_takes_its_place(tmp_path):
    sources, track = sources_in(tmp_path), music(tmp_path)
    timeline = on_beats(sources, track)
    match = Match((9871, 13, -7, 0, 10412, 5, 1, 2, 9999), (-333, 41, 0))
    events = (replace(timeline.events[0], match=match), *timeline.events[1:])
    path = tmp_path / "t.otio"
    write_otio(replace(timeline, events=events), sources, track, path)
    assert read_otio(path, sources, **SIZE).events[0].match == match
    document = otio.adapters.read_from_file(str(path))
    clips = list(document.video_tracks()[0].find_clips())
    other = next(
        c for c in clips if c.media_reference.target_url != clips[0].media_reference.target_url
    )
    clips[0].media_reference = other.media_reference.deepcopy()
    otio.adapters.write_to_file(document, str(path))
    assert read_otio(path, sources, **SIZE).events[0].match is None


def test_any_file_name_is_found_again(tmp_path):
    sources, track = sources_in(tmp_path, HOSTILE), music(tmp_path)
    timeline = on_beats(sources, track)
    write_otio(timeline, sources, track, tmp_path / "t.otio")
    assert set(media_of(tmp_path / "t.otio")) == {s.path for s in sources.values()}
    assert read_otio(tmp_path / "t.otio", sources, **SIZE) == timeline


def test_names_that_look_quoted_are_told_from_those_that_are(tmp_path):
    sources, track = sources_in(tmp_path, ("a b.mp4", "a%20b.mp4", "a%2520b.mp4")), music(tmp_path)
    timeline = on_beats(sources, track)
    write_otio(timeline, sources, track, tmp_path / "t.otio")
    assert read_otio(tmp_path / "t.otio", sources, **SIZE) == timeline


def test_media_are_found_when_the_folder_was_moved(tmp_path):
    old = tmp_path / "old"
    old.mkdir()
    sources, track = sources_in(old), music(old)
    write_otio(on_beats(sources, track), sources, track, old / "t.otio")
    new = tmp_path / "new place"
    shutil.move(old, new)
    assert all(p.startswith(str(new)) for p in media_of(new / "t.otio"))


def test_other_programs_see_rates_links_and_beats(tmp_path):
    sources, track = sources_in(tmp_path), music(tmp_path)
    timeline = on_beats(sources, track, fps=Fraction(30000, 1001), kind="crossfade")
    write_otio(timeline, sources, track, tmp_path / "t.otio")
    document = otio.adapters.read_from_file(str(tmp_path / "t.otio"))
    [video], [sound] = document.video_tracks(), document.audio_tracks()
    length = document.duration()
    assert length.rate == pytest.approx(30000 / 1001)
    assert length.value == timeline.frames
    assert sound.duration().value == timeline.frames
    clips = [c for c in video if isinstance(c, otio.schema.Clip)]
    assert [c.source_range.duration.value for c in clips] == [e.frames for e in timeline.events]
    assert {unquote(c.media_reference.target_url) for c in clips} == {
        "one.mp4",
        "two.mp4",
        "three.mov",
    }
    (tmp_path / "far").mkdir()
    write_otio(timeline, sources, track, tmp_path / "far" / "t.otio")
    far = otio.adapters.read_from_file(str(tmp_path / "far" / "t.otio"))
    assert all(c.media_reference.target_url.startswith("file:///") for c in far.find_clips())
    fades = [c for c in video if isinstance(c, otio.schema.Transition)]
    assert [f.in_offset.value + f.out_offset.value for f in fades] == [8.0] * 4
    colours = [m.color for m in document.tracks.markers]
    assert len(colours) == len(timeline.beats_seconds)
    assert colours[:5] == ["RED", "YELLOW", "YELLOW", "YELLOW", "RED"]


def edited(tmp_path, change):
    """A timeline of ours after `change(document, clips)`; returns (before, after)."""
    sources, track = sources_in(tmp_path), music(tmp_path)
    timeline = on_beats(sources, track)
    path = tmp_path / "t.otio"
    write_otio(timeline, sources, track, path)
    document = otio.adapters.read_from_file(str(path))
    video = document.video_tracks()[0]
    change(document, video)
    otio.adapters.write_to_file(document, str(path))
    return timeline, read_otio(path, sources, **SIZE)


def test_a_slipped_clip_shows_another_part(tmp_path):
    def slip(document, video):
        old = video[2].source_range
        start = old.start_time + otio.opentime.RationalTime(15, 30)
        video[2].source_range = otio.opentime.TimeRange(start, old.duration)

    before, after = edited(tmp_path, slip)
    assert abs(
        after.events[2].in_seconds - before.events[2].in_seconds - Fraction(1, 2)
    ) < Fraction(1, 10**5)
    assert after.events[2].beat_seconds == before.events[2].beat_seconds
    assert after.events[:2] + after.events[3:] == before.events[:2] + before.events[3:]


def test_swapped_clips_take_the_beats_of_their_new_places(tmp_path):
    def swap(document, video):
        first, second = video[1].clone(), video[2].clone()
        video[1], video[2] = second, first

    before, after = edited(tmp_path, swap)
    assert [e.source for e in after.events[1:3]] == [
        before.events[2].source,
        before.events[1].source,
    ]
    assert after.frames == before.frames
    errors = [after.error_ms(e) for e in after.events[1:]]
    assert all(e is not None and abs(e) <= 1000 / 60 for e in errors)


def test_a_cut_off_the_beat_says_so(tmp_path):
    def trim(document, video):
        old = video[0].source_range
        video[0].source_range = otio.opentime.TimeRange(
            old.start_time, old.duration - otio.opentime.RationalTime(5, 30)
        )

    before, after = edited(tmp_path, trim)
    assert after.frames == before.frames - 5
    assert all(e.beat_seconds is None for e in after.events[1:])


def foreign(
    tmp_path, *, rate=25.0, clips=((3600.0, 50), (3610.0, 33), (3600.5, 20)), relative=False
):
    """A file as another program writes it: media with a start timecode of one hour, another rate, no metadata of ours."""
    sources = sources_in(tmp_path, ("one 1.mp4",))
    [one] = sources.values()
    time = otio.opentime.RationalTime
    reference = otio.schema.ExternalReference(
        "one%201.mp4" if relative else "file://localhost" + one.path.replace(" ", "%20"),
        otio.opentime.TimeRange(time(3600 * rate, rate), time(100 * rate, rate)),
    )
    track = otio.schema.Track(kind="Video")
    for start, frames in clips:
        track.append(
            otio.schema.Clip(
                "a",
                reference.clone(),
                otio.opentime.TimeRange(time(start * rate, rate), time(frames, rate)),
            )
        )
    document = otio.schema.Timeline("foreign")
    document.tracks.append(track)
    document.tracks.append(otio.schema.Track(kind="Video"))  # an empty one does no harm
    return sources, document


@pytest.mark.parametrize("relative", [False, True])
def test_a_file_of_another_program_is_snapped_to_output_frames(tmp_path, relative):
    sources, document = foreign(tmp_path, relative=relative)
    otio.adapters.write_to_file(document, str(tmp_path / "f.otio"))
    timeline = read_otio(tmp_path / "f.otio", sources, **SIZE)
    # 50, 83 and 103 frames at 25 are 60, 99.6 and 123.6 at 30.
    assert [e.stop_frame for e in timeline.events] == [60, 100, 124]
    assert [e.in_seconds for e in timeline.events] == [0, 10, Fraction(1, 2)]
    assert (timeline.width, timeline.height, timeline.fps) == (1280, 720, 30)
    assert timeline.music_path == ""
    assert all(e.reason for e in timeline.events)


def test_music_of_another_program_counts_in_samples(tmp_path):
    sources, document = foreign(tmp_path)
    (tmp_path / "song.wav").touch()
    time = otio.opentime.RationalTime
    span = otio.opentime.TimeRange(time(96000, 48000), time(480000, 48000))
    reference = otio.schema.ExternalReference(f"file://{tmp_path}/song.wav")
    track = otio.schema.Track(kind="Audio")
    track.append(otio.schema.Clip("song", reference, span))
    document.tracks.append(track)
    otio.adapters.write_to_file(document, str(tmp_path / "f.otio"))
    timeline = read_otio(tmp_path / "f.otio", sources, **SIZE)
    assert timeline.music_path == str(tmp_path / "song.wav")
    assert timeline.music_start_seconds == 2


def test_speed_and_dissolve_of_another_program(tmp_path):
    sources, document = foreign(tmp_path, clips=((3605.0, 50), (3610.0, 50)))
    video = document.video_tracks()[0]
    video[1].effects.append(otio.schema.LinearTimeWarp(time_scalar=0.5))
    half = otio.opentime.RationalTime(5, 25)
    video.insert(
        1, otio.schema.Transition(transition_type="SMPTE_Dissolve", in_offset=half, out_offset=half)
    )
    otio.adapters.write_to_file(document, str(tmp_path / "f.otio"))
    first, second = read_otio(tmp_path / "f.otio", sources, **SIZE).events
    assert (first.speed, second.speed) == (1, Fraction(1, 2))
    assert (second.transition.kind, second.transition.frames) == ("crossfade", 12)


def refuse(name):
    """A change that makes a foreign document impossible to render."""
    time, span = otio.opentime.RationalTime, otio.opentime.TimeRange

    def change(document):
        video = document.video_tracks()[0]
        if name == "gap":
            video.insert(1, otio.schema.Gap(source_range=span(time(0, 25), time(10, 25))))
        elif name == "nested":
            video.insert(1, otio.schema.Stack(children=[video[0].clone()]))
        elif name == "two tracks":
            document.tracks.append(video.clone())
        elif name == "url":
            video[1].media_reference.target_url = "https://example.org/a.mp4"
        elif name == "host":
            video[1].media_reference.target_url = "file://server/share/a.mp4"
        elif name == "gone":
            video[1].media_reference.target_url = "file:///nowhere/lost%20clip.mp4"
        elif name == "no media":
            video[1].media_reference = otio.schema.MissingReference()
        elif name == "beyond":
            video[1].source_range = span(time(3690 * 25, 25), time(20 * 25, 25))
        elif name == "before":
            video[1].source_range = span(time(3590 * 25, 25), time(25, 25))
        elif name == "disabled":
            video[1].enabled = False
        elif name == "freeze":
            video[1].effects.append(otio.schema.FreezeFrame())
        elif name == "reverse":
            video[1].effects.append(otio.schema.LinearTimeWarp(time_scalar=-1.0))
        elif name == "infinite":
            video[1].effects.append(otio.schema.LinearTimeWarp(time_scalar=float("inf")))
        elif name == "empty":
            del video[:]
        elif name == "rate":
            video[1].source_range = span(time(0, 0), time(10, 0))
        elif name == "long transition":
            half = time(40, 25)
            video.insert(1, otio.schema.Transition(in_offset=half, out_offset=half))
        elif name == "no material":
            half = time(5, 25)
            video.insert(2, otio.schema.Transition(in_offset=half, out_offset=half))
            video[3].source_range = span(time(3600 * 25, 25), time(25, 25))
        elif name == "size":
            document.metadata["montage"] = {"width": 10**9, "height": 2}
        elif name == "seed":
            document.metadata["montage"] = {"seed": "many"}

    return change


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gap", "gap"), ("nested", "stack"), ("two tracks", "one video track"), ("url", "not a local file"),
        ("host", "not a local file"), ("gone", "lost clip.mp4 does not exist"), ("no media", "names no media"),
        ("beyond", "beyond its media"), ("before", "beyond its media"), ("disabled", "disabled"), ("freeze", "speed"),
        ("reverse", "speed"), ("infinite", "damaged"), ("empty", "one video track"), ("rate", "damaged"),
        ("long transition", "shorter than its transitions"), ("no material", "beyond its media"),
        ("size", "8192"), ("seed", "damaged"),
    ],
)  # fmt: skip
def test_what_cannot_be_rendered_is_refused(tmp_path, name, said):
    sources, document = foreign(tmp_path)
    refuse(name)(document)
    otio.adapters.write_to_file(document, str(tmp_path / "f.otio"))
    with pytest.raises(UsageError, match=said) as caught:
        read_otio(tmp_path / "f.otio", sources, **SIZE)
    assert "f.otio" in str(caught.value) or name in ("reverse", "freeze")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "hello", '{"OTIO_SCHEMA": "Clip.1"}', '{"OTIO_SCHEMA": "Nonsense.9"}']
)
def test_other_files_are_no_timelines(tmp_path, text):
    (tmp_path / "x.otio").write_text(text)
    with pytest.raises(UsageError, match=r"x\.otio"):
        media_of(tmp_path / "x.otio")


def test_damaged_metadata_is_an_error_and_not_a_crash(tmp_path):
    sources, track = sources_in(tmp_path), music(tmp_path)
    timeline = replace(on_beats(sources, track), notes=("n",))
    path = tmp_path / "t.otio"
    write_otio(timeline, sources, track, path)
    document = json.loads(path.read_text())
    for value in ("x", "1/0", None, [1]):
        document["metadata"]["montage"]["fps"] = value
        path.write_text(json.dumps(document))
        with pytest.raises(UsageError, match="damaged"):
            read_otio(path, sources, **SIZE)


def test_media_that_were_not_probed_are_named(tmp_path):
    _, document = foreign(tmp_path)
    otio.adapters.write_to_file(document, str(tmp_path / "f.otio"))
    with pytest.raises(UsageError, match=r"one 1\.mp4 cannot be used"):
        read_otio(tmp_path / "f.otio", {}, **SIZE)


def test_the_way_of_a_window_travels_and_moves_with_the_in_point(tmp_path):
    sources, track = sources_in(tmp_path), music(tmp_path)
    timeline = on_beats(sources, track)
    way = (Focus(-3, 1200, 5000), Focus(20, 8000, 5000))
    events = (replace(timeline.events[0], focus=way), *timeline.events[1:])
    path = tmp_path / "t.otio"
    write_otio(replace(timeline, events=events), sources, track, path)
    assert read_otio(path, sources, **SIZE).events[0].focus == way
    document = otio.adapters.read_from_file(str(path))
    clip = next(iter(document.video_tracks()[0].find_clips()))
    begin = clip.source_range.start_time
    clip.source_range = otio.opentime.TimeRange(
        begin + otio.opentime.RationalTime(6, begin.rate), clip.source_range.duration
    )
    otio.adapters.write_to_file(document, str(path))
    moved = read_otio(path, sources, **SIZE).events[0]
    late = round(6 / events[0].speed)
    assert [f.frame for f in moved.focus] == [-3 - late, 20 - late]


ACCENTS = (Accent("punch", 0, 12, 600), Accent("flash", 20, 7, 4000), Accent("shake", 20, 9, 120))
RAMP = (Pace(9, Fraction(13, 3)), Pace(21, Fraction(18)))


def with_effects(tmp_path, **changes):
    """A written timeline whose second event has effects; its path, and what else reading it needs."""
    sources, track = sources_in(tmp_path), music(tmp_path)
    timeline = on_beats(sources, track)
    events = list(timeline.events)
    events[1] = replace(events[1], **{"ramp": RAMP, "accents": ACCENTS, **changes})
    path = tmp_path / "t.otio"
    write_otio(replace(timeline, events=tuple(events)), sources, track, path)
    return path, sources, events


def test_effects_travel_and_stay_with_their_beats(tmp_path):
    path, sources, events = with_effects(tmp_path)
    again = read_otio(path, sources, **SIZE)
    assert again.events == tuple(events)
    document = otio.adapters.read_from_file(str(path))
    track = document.video_tracks()[0]
    # Moved by one place: the beats are others; what it shows in which time is not.
    clips = [c.deepcopy() for c in track]
    track[:] = [clips[1], clips[0], *clips[2:]]
    otio.adapters.write_to_file(document, str(path))
    moved = read_otio(path, sources, **SIZE)
    assert moved.events[0].accents == ()
    assert moved.events[0].ramp == RAMP
    assert "3 of its effects on beats are left out" in moved.notes[-1]


def test_a_trimmed_clip_keeps_what_is_still_in_it(tmp_path):
    path, sources, _ = with_effects(tmp_path)
    document = otio.adapters.read_from_file(str(path))
    clip = list(document.video_tracks()[0].find_clips())[1]
    clip.source_range = otio.opentime.TimeRange(
        clip.source_range.start_time, otio.opentime.RationalTime(15, 30)
    )
    otio.adapters.write_to_file(document, str(path))
    event = read_otio(path, sources, **SIZE).events[1]
    assert event.frames == 15
    assert event.accents == ACCENTS[:1]
    assert event.ramp == ()


@pytest.mark.parametrize(
    "damage",
    [
        {"accents": (Accent("zoom", 0, 5, 10),)},
        {"accents": (Accent("flash", 0, 5, 5001),)},
        {"accents": (Accent("shake", 0, 5, 2000),)},
        {"accents": (Accent("punch", -1, 5, 100),)},
        {"accents": (Accent("punch", 0, 0, 100),)},
        {"accents": (Accent("punch", 0, 5, 100),) * 2001},
        {"ramp": (Pace(9, Fraction(-1)),)},
        {"ramp": (Pace(9, Fraction(4)), Pace(9, Fraction(5)))},
        {"ramp": (Pace(9, Fraction(5)), Pace(12, Fraction(4)))},
        {"ramp": (Pace(9, Fraction(29)), Pace(12, Fraction(30)))},
        {"ramp": (Pace(400, Fraction(400)),)},
    ],
)
def test_effects_that_are_none_are_refused(tmp_path, damage):
    path, sources, _ = with_effects(tmp_path, **damage)
    with pytest.raises(UsageError, match="damaged timeline"):
        read_otio(path, sources, **SIZE)


def test_flashes_that_may_harm_are_refused(tmp_path):
    four = tuple(Accent("flash", k, 3, 3000) for k in (0, 8, 16, 24))
    path, sources, _ = with_effects(tmp_path, accents=four)
    with pytest.raises(UsageError, match="more than 3 flashes within a second from frame 33 on"):
        read_otio(path, sources, **SIZE)


@pytest.mark.parametrize(
    "points",
    [
        [{"frame": 5, "x": 1, "y": 1}, {"frame": 5, "x": 2, "y": 1}],
        [{"frame": 0, "x": 10_001, "y": 1}],
        [{"frame": 0, "x": -1, "y": 1}],
        [{"frame": "0,drawtext", "x": 1, "y": 1}],
        [{"frame": k, "x": 1, "y": 1} for k in range(3000)],
    ],
)
def test_a_way_that_is_none_is_refused(tmp_path, points):
    sources, track = sources_in(tmp_path), music(tmp_path)
    path = tmp_path / "t.otio"
    write_otio(on_beats(sources, track), sources, track, path)
    document = json.loads(path.read_text())
    clip = next(c for c in document["tracks"]["children"][0]["children"] if c["OTIO_SCHEMA"].startswith("Clip"))  # fmt: skip
    clip["metadata"]["montage"]["focus"] = points
    path.write_text(json.dumps(document))
    with pytest.raises(UsageError, match="damaged timeline"):
        read_otio(path, sources, **SIZE)
