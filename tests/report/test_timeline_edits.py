"""timeline.otio: what is written is read back exactly; what others made of it is understood or refused."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import opentimelineio as otio
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from made_timelines import HOSTILE, media, music, timeline, timelines

from montage_dask.errors import UsageError
from montage_dask.records import Timeline
from montage_dask.report.otio import media_of, read_otio, write_otio

FPS = Fraction(25)
SIZE = {"fps": FPS, "width": 640, "height": 360}


def read(path: Path, folder: Path) -> Timeline:
    return read_otio(path, media(folder), **SIZE)


@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_what_is_written_is_read_back(data, tmp_path):
    given_ = data.draw(timelines(tmp_path))
    path = tmp_path / "timeline.otio"
    write_otio(given_, media(tmp_path), music(tmp_path), path)
    assert read(path, tmp_path) == given_
    used = {media(tmp_path)[e.source].path for e in given_.events}
    assert set(media_of(path)) == used


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, Timeline]:
    made = timeline(tmp_path, [50, 25, 75, 30])
    path = tmp_path / "timeline.otio"
    write_otio(made, media(tmp_path), music(tmp_path), path)
    return path, made


def document(path: Path) -> tuple[otio.schema.Timeline, otio.schema.Track]:
    found = otio.adapters.read_from_file(str(path), adapter_name="otio_json")
    return found, found.video_tracks()[0]


def save(found: otio.schema.Timeline, path: Path) -> None:
    otio.adapters.write_to_file(found, str(path), adapter_name="otio_json")


def span(start: float, frames: float, rate: float = 25) -> otio.opentime.TimeRange:
    time = otio.opentime.RationalTime
    return otio.opentime.TimeRange(time(start, rate), time(frames, rate))


def test_a_trimmed_clip_moves_what_follows(written, tmp_path):
    path, made = written
    found, track = document(path)
    track[1].source_range = span(8 * 25 + 5, 20)
    save(found, path)
    edited = read(path, tmp_path)
    assert [e.frames for e in edited.events] == [50, 20, 75, 30]
    assert edited.events[1].in_seconds == Fraction(205, 25)
    assert edited.events[1].beat_seconds == made.events[1].beat_seconds
    assert edited.events[2].beat_seconds is None, "it no longer stands on its beat"
    assert edited.events[0] == made.events[0]


def test_clips_in_another_order(written, tmp_path):
    path, made = written
    found, track = document(path)
    first = track[0]
    del track[0]
    track.append(first)
    save(found, path)
    edited = read(path, tmp_path)
    assert [e.source for e in edited.events] == [made.events[i].source for i in (1, 2, 3, 0)]
    assert [e.start_frame for e in edited.events] == [0, 25, 100, 130]
    assert edited.frames == made.frames


def test_a_removed_clip(written, tmp_path):
    path, made = written
    found, track = document(path)
    del track[2]
    save(found, path)
    edited = read(path, tmp_path)
    assert [e.frames for e in edited.events] == [50, 25, 30]
    assert edited.events[2].in_seconds == made.events[3].in_seconds


def test_a_timeline_of_another_program_at_another_rate(tmp_path):
    """No metadata of ours, 30000/1001 written as 29.97, media that start at one hour."""
    clips = media(tmp_path, HOSTILE[:2])
    paths = [c.path for c in clips.values()]
    found = otio.schema.Timeline("other")
    track = otio.schema.Track("V1", kind="Video")
    found.tracks.append(track)
    hour = 3600 * 29.97
    for path, start in zip(paths, (0, 60), strict=True):
        reference = otio.schema.ExternalReference(
            path, otio.opentime.TimeRange(otio.opentime.RationalTime(hour, 29.97), otio.opentime.RationalTime(9000, 29.97))
        )  # fmt: skip
        track.append(otio.schema.Clip("c", reference, span(hour + start, 60, 29.97)))
    save(found, tmp_path / "other.otio")
    read_back = read_otio(tmp_path / "other.otio", clips, **SIZE)
    assert read_back.fps == FPS
    assert read_back.events[0].in_seconds == pytest.approx(0, abs=0.01)
    assert float(read_back.events[1].in_seconds) == pytest.approx(60 * 1001 / 30000, abs=0.01)
    assert read_back.frames == round(Fraction(120 * 1001, 30000) * 25)
    assert read_back.music_path == ""


def test_gaps_stacks_and_second_tracks_are_refused(written, tmp_path):
    path, _ = written
    for item in (
        otio.schema.Gap(source_range=span(0, 10)),
        otio.schema.Stack("nested"),
        otio.schema.Track("nested"),
    ):
        found, track = document(path)
        track.insert(1, item)
        save(found, tmp_path / "edited.otio")
        with pytest.raises(UsageError, match="cannot be rendered"):
            read(tmp_path / "edited.otio", tmp_path)
    found, track = document(path)
    found.tracks.insert(0, track.clone())
    save(found, tmp_path / "two.otio")
    with pytest.raises(UsageError, match="one video track"):
        read(tmp_path / "two.otio", tmp_path)
    found.tracks.clear()
    save(found, tmp_path / "none.otio")
    with pytest.raises(UsageError, match="one video track"):
        read(tmp_path / "none.otio", tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/a.mp4", "ftp://example.org/a.mp4", "https:/example.org/a.mp4", "file://server/share/a.mp4",
        "concat:a.mp4|b.mp4", "rtsp://x/y", "missing.mp4", "file:///nowhere/else.mp4", "data:text/plain,x", "",
    ],
)  # fmt: skip
def test_media_elsewhere_are_refused_by_name(written, tmp_path, url):
    path, _ = written
    found, track = document(path)
    track[0].media_reference = otio.schema.ExternalReference(url)
    save(found, path)
    for call in (lambda: media_of(path), lambda: read(path, tmp_path)):
        with pytest.raises(UsageError, match=r"does not exist|not a local file|names no media"):
            call()


def test_a_clip_without_media(written, tmp_path):
    path, _ = written
    found, track = document(path)
    track[0].media_reference = otio.schema.MissingReference()
    save(found, path)
    with pytest.raises(UsageError, match="names no media"):
        read(path, tmp_path)


@pytest.mark.parametrize("start", [-50, 600 * 25 - 10, 1e9, float("nan"), float("inf")])
def test_a_range_beyond_the_media(written, tmp_path, start):
    path, _ = written
    found, track = document(path)
    track[0].source_range = span(start, 50)
    save(found, path)
    with pytest.raises(UsageError):
        read(path, tmp_path)


@pytest.mark.parametrize("scalar", [0.0, -1.0, float("nan"), float("inf")])
def test_speeds_that_cannot_be_rendered(written, tmp_path, scalar):
    path, _ = written
    found, track = document(path)
    track[0].effects.append(otio.schema.LinearTimeWarp("speed", time_scalar=scalar))
    save(found, path)
    with pytest.raises(UsageError):
        read(path, tmp_path)


def test_the_folder_was_moved(written, tmp_path):
    """Media are found again beside the timeline."""
    path, made = written
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in [*HOSTILE, "trück & <b>.mp3"]:
        (tmp_path / name).rename(moved / name)
    target = path.rename(moved / path.name)
    assert read(target, moved) == replace(made, music_path=str(moved / "trück & <b>.mp3"))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[1]",
        "null",
        '{"OTIO_SCHEMA": "Clip.1"}',
        "not json",
        '{"OTIO_SCHEMA": "Timeline.1"}',
    ],
)
def test_files_that_are_no_timeline(tmp_path, content):
    path = tmp_path / "x.otio"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"x\.otio"):
        read(path, tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("fps", "0"),
        ("fps", "-5"),
        ("fps", "1e9"),
        ("fps", "nan"),
        ("width", "-2"),
        ("width", 99_999_999),
        ("height", "tall"),
        ("seed", "x"),
    ],
)
def test_nonsense_in_our_own_metadata(written, tmp_path, key, value):
    path, _ = written
    found, _ = document(path)
    found.metadata["montage"][key] = value
    save(found, path)
    with pytest.raises(UsageError):
        read(path, tmp_path)
