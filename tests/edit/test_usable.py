"""What is no footage is not shown, and a good shot is used around its title."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from made_edit import footage, music

from montage_dask.edit.edit import edit
from montage_dask.edit.styles import load_style, style_names
from montage_dask.edit.usable import choose_usable, usable_parts
from montage_dask.records import Unusable


def spoiled(shot, kind, start, stop):
    """The shot with a stretch that is no footage, in seconds from its start."""
    rate = Fraction(shot.stop_frame - shot.start_frame) / shot.duration_seconds
    first, last = (shot.start_frame + round(t * rate) for t in (start, stop))
    last = min(last, shot.stop_frame)
    at = [shot.start_seconds + (f - shot.start_frame) / rate for f in (first, last)]
    return replace(shot, unusable=(*shot.unusable, Unusable(kind, first, last, *at)))


def overlap(event, timeline, span):
    start = event.in_seconds
    stop = start + event.frames / timeline.fps * event.speed
    return min(stop, span.stop_seconds) > max(start, span.start_seconds)


def test_a_title_in_the_middle_leaves_two_parts():
    shots, _ = footage(1, 1, seconds=(8, 8))
    shot = spoiled(shots[0], "text", 3, 5)
    first, second = usable_parts([shot])
    span = shot.unusable[0]
    # It fades in and out: what is half there is not told yet.
    assert (first.start_frame, first.stop_frame) == (shot.start_frame, span.start_frame - 20)
    assert second.stop_frame == shot.stop_frame
    assert span.stop_frame + 12 <= second.start_frame <= span.stop_frame + 13
    rate = (shot.stop_frame - shot.start_frame) / shot.duration_seconds
    assert first.stop_seconds == shot.start_seconds + first.stop_frame / rate
    assert second.start_seconds == shot.start_seconds + second.start_frame / rate
    for part in (first, second):
        steps = -(-(part.stop_frame - part.start_frame) // part.profile_step_frames)
        assert len(part.motion_profile) == len(part.quality_profile) == steps
    assert usable_parts([shot], ["text"]) == (shot,)
    assert usable_parts([shot], ["all"]) == (shot,)
    assert len(usable_parts([shot], ["card"])) == 2


def test_overlapping_kinds_and_slivers():
    shots, _ = footage(1, 1, seconds=(8, 8))
    shot = spoiled(spoiled(shots[0], "text", 1.8, 4), "black", 3, 5)
    first, second = usable_parts([shot])
    assert first.duration_seconds == 1
    assert second.duration_seconds == 3
    sliver = spoiled(shots[0], "text", 0.3, 7.8)
    assert usable_parts([sliver]) == ()


@pytest.mark.parametrize("style", style_names())
def test_no_style_shows_what_is_left_out(style):
    shots, sources = footage(6, 4, seconds=(6, 9))
    shots = tuple(
        spoiled(s, ("text", "card", "black")[k % 3], 0.5, 2.5) for k, s in enumerate(shots)
    )
    usable = choose_usable(shots)
    track = music(40)
    timeline = edit(
        usable.shots, sources, track, load_style(style), fps=Fraction(30), width=64, height=36
    )
    spans = {(s.source, s.index): s.unusable for s in shots}
    for event in timeline.events:
        for span in spans[event.source, event.shot]:
            assert not overlap(event, timeline, span)
    # With what is left of half a second before each: it is too short to be shown.
    assert usable.notes[0].endswith("are left out: black 16.0 s, card 16.0 s, text 16.0 s")


def test_where_nothing_is_left_it_is_said_and_shown():
    shots, _ = footage(2, 1, seconds=(6, 6))
    shots = tuple(spoiled(s, "card", 0, 6) for s in shots)
    usable = choose_usable(shots)
    assert usable.shots == shots
    assert "all of the footage is of a kind that is left out (card 12.0 s)" in usable.notes[0]
