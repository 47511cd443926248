"""Pins with a place: the first shot, the last one, one on a beat, one in a section."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from made_edit import check, footage, music, shot, source

from montage_dask.edit.choose import Pin
from montage_dask.edit.edit import edit
from montage_dask.edit.styles import load_style, style_names
from montage_dask.errors import UsageError

SHOTS, SOURCES = footage(6, 5)


def make(pins, track=None, style="music-video", **options):
    wanted = {"fps": Fraction(25), "width": 640, "height": 360, **options}
    sources = {**SOURCES, "id-tiny": source("tiny", seconds=1)}
    return edit(SHOTS, sources, track or music(40), load_style(style), pins=pins, **wanted)


def pin(number, place="anywhere", **more):
    return Pin(SHOTS[number].source, None, (SHOTS[number],), place, **more)


def shown(event):
    return event.source, event.shot


def of(number):
    return SHOTS[number].source, SHOTS[number].index


@pytest.mark.parametrize("style", style_names())
def test_first_and_last_shot_in_every_style(style):
    track = music(40)
    timeline = make([pin(17, "first"), pin(3, "last", by="the director")], track, style, seed=2)
    check(timeline, SHOTS, track)
    assert shown(timeline.events[0]) == of(17)
    assert shown(timeline.events[-1]) == of(3)
    assert timeline.events[0].reason == "Pinned by the user; as the first shot."
    assert timeline.events[-1].reason == "Pinned by the director; as the last shot."


def test_the_same_pins_without_a_place_are_elsewhere():
    """The tests above would pass by chance otherwise."""
    timeline = make([pin(17), pin(3)], seed=2)
    assert shown(timeline.events[0]) != of(17)
    assert shown(timeline.events[-1]) != of(3)


@pytest.mark.parametrize("beat", [1, 7, 20, 60])
def test_an_event_begins_on_the_beat_of_its_pin(beat):
    track = music(40)
    at = track.beats_seconds[beat]
    timeline = make([pin(9, music_seconds=at + Fraction(1, 10))], track)
    check(timeline, SHOTS, track)
    (event,) = [e for e in timeline.events if e.beat_seconds == at]
    assert shown(event) == of(9)
    assert "on the beat at" in event.reason


@pytest.mark.parametrize("label", ["intro", "build", "drop", "outro"])
def test_a_pin_in_a_section(label):
    track = music(40)
    timeline = make([pin(12, label)], track)
    check(timeline, SHOTS, track)
    section = next(s for s in track.sections if s.label == label)
    pinned = [e for e in timeline.events if "Pinned" in e.reason]
    assert [shown(e) for e in pinned] == [of(12)]
    middle = Fraction(pinned[0].start_frame + pinned[0].stop_frame, 2) / timeline.fps
    assert section.start_seconds <= middle <= section.stop_seconds
    assert not any("elsewhere" in n for n in timeline.notes)


def test_a_section_that_the_montage_lacks_is_noted():
    timeline = make([pin(12, "outro")], duration_seconds=10)
    assert any(shown(e) == of(12) for e in timeline.events)
    assert any("'outro'" in n and "elsewhere" in n for n in timeline.notes)


@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("style", ["minimalist", "documentary", "action"])
def test_a_short_shot_gets_a_short_slot_cut_on_a_beat_where_one_is(place, style):
    track = music(40)
    tiny = shot("tiny", 0, 0, 20, np.random.default_rng(5))
    timeline = make([Pin("id-tiny", None, (tiny,), place)], track, style)
    check(timeline, SHOTS, track, extra=[tiny])
    event = timeline.events[0 if place == "first" else -1]
    assert event.source == "id-tiny"
    assert event.frames <= 20
    cut = timeline.events[1] if place == "first" else event
    assert cut.beat_seconds is not None  # half a second between beats, 0.8 s of shot


def test_chronological_styles_keep_the_order_of_the_rest():
    timeline = make([pin(25, "first"), pin(2, "last")], style="documentary")
    assert not any("order" in n for n in timeline.notes)
    places = [(e.source, e.in_seconds) for e in timeline.events[1:-1]]
    assert places == sorted(places)
    assert of(25) not in [shown(e) for e in timeline.events[1:]]


def test_one_slot_is_halved_for_a_first_and_a_last_shot():
    track = music(1.5)
    timeline = make([pin(4, "first"), pin(8, "last")], track, "minimalist")
    check(timeline, SHOTS, track)
    assert [shown(timeline.events[0]), shown(timeline.events[-1])] == [of(4), of(8)]


@pytest.mark.parametrize(
    ("pins", "message"),
    [
        ([pin(1, "last"), pin(2, "last")], "same place \\(last\\)"),
        ([pin(1, "first"), pin(2, "first")], "same place \\(first\\)"),
        ([pin(1, music_seconds=Fraction(5)), pin(2, music_seconds=Fraction(5))], "same place"),
        ([pin(1, music_seconds=Fraction(50))], "outside the montage"),
    ],
)
def test_pins_that_contradict_each_other_are_refused(pins, message):
    with pytest.raises(UsageError, match=message):
        make(pins)


def test_an_unknown_place_is_refused():
    with pytest.raises(ValueError, match="place"):
        pin(1, "second")


@settings(max_examples=25)
@given(
    first=st.integers(0, 29),
    last=st.integers(0, 29),
    beats=st.lists(st.integers(1, 70), max_size=3, unique=True),
    style=st.sampled_from(["music-video", "wedding", "travel", "minimalist"]),
    seconds=st.integers(6, 40),
)
def test_places_hold_together(first, last, beats, style, seconds):
    track = music(40)
    at = [track.beats_seconds[b] for b in beats]
    assume(all(b < seconds - 1 for b in at))
    pins = [pin(first, "first"), pin(last, "last"), *(pin(11, music_seconds=b) for b in at)]
    timeline = make(pins, track, style, duration_seconds=seconds)
    check(timeline, SHOTS, track)
    assert shown(timeline.events[0]) == of(first)
    assert shown(timeline.events[-1]) == of(last)
    for beat in at:
        assert [shown(e) for e in timeline.events if e.beat_seconds == beat] == [of(11)]
    assert timeline == make(pins, track, style, duration_seconds=seconds)
