"""Edits by hand: what was asked for is shown, the cuts stay on their beats, and the rest stays as it was."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import made_edit
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from montage_dask.edit import gaps, hand
from montage_dask.edit.edit import edit
from montage_dask.edit.pacing import slots_between
from montage_dask.edit.styles import load_style
from montage_dask.errors import UsageError
from montage_dask.records import to_json

SHOTS, SOURCES = made_edit.footage(5, 4, seconds=(3.0, 6.0))
MUSIC = made_edit.music(16)
STYLE = load_style("music-video")
TIMELINE = edit(SHOTS, SOURCES, MUSIC, STYLE, fps=Fraction(25), width=320, height=180)
FADED = edit(
    SHOTS, SOURCES, MUSIC, STYLE, fps=Fraction(25), width=320, height=180, transition="crossfade"
)
KNOWN = {(s.source, s.index): s for s in SHOTS}
COUNT = len(TIMELINE.events)


def cuts(timeline):
    return [(e.start_frame, e.stop_frame, e.beat_seconds, e.transition) for e in timeline.events]


def shown(timeline):
    return [(e.source, e.shot, e.in_seconds) for e in timeline.events]


@pytest.mark.parametrize("timeline", [TIMELINE, FADED])
@settings(max_examples=25)
@given(data=st.data())
def test_any_edit_keeps_the_cuts_and_stays_inside_its_shots(timeline, data):
    number = st.integers(0, len(timeline.events) - 1)
    try:
        match data.draw(st.sampled_from(["show", "move", "swap"])):
            case "show":
                shot = data.draw(st.sampled_from(SHOTS))
                at = shot.start_seconds + data.draw(st.fractions(0, 1)) * shot.duration_seconds
                edited = hand.show(timeline, data.draw(number), shot, at, "because")
            case "move":
                edited = hand.move(timeline, data.draw(number), data.draw(number), KNOWN, SOURCES)
            case _:
                edited = hand.swap(timeline, data.draw(number), data.draw(number), KNOWN, SOURCES)
    except UsageError as error:
        assert "choose a longer shot" in str(error)  # noqa: PT017 - it may also fit
        return
    assert cuts(edited) == cuts(timeline)
    whole = replace(
        edited,
        events=tuple(
            replace(e, scores=timeline.events[0].scores) for e in edited.events
        ),  # of what a person chose there are none
    )
    made_edit.check(whole, SHOTS, MUSIC)


def test_a_moment_is_shown_from_the_cut_on():
    shot = max(SHOTS, key=lambda s: s.duration_seconds)
    at = shot.start_seconds + Fraction(1, 2)
    event = hand.show(TIMELINE, 2, shot, at, "I like it").events[2]
    assert (event.source, event.shot, event.in_seconds) == (shot.source, shot.index, at)
    assert event.reason == "By hand: I like it"
    # Too near to the end of the shot: it begins earlier.
    late = hand.show(TIMELINE, 2, shot, shot.stop_seconds, "").events[2]
    assert late.in_seconds + late.frames / TIMELINE.fps == shot.stop_seconds


def test_moving_shifts_what_lies_between():
    before = [s for s, _, _ in shown(TIMELINE)]
    moved = hand.move(TIMELINE, 4, 1, KNOWN, SOURCES)
    after = [s for s, _, _ in shown(moved)]
    assert after == [before[0], before[4], *before[1:4], *before[5:]]
    assert moved.events[1].reason.startswith("By hand: moved from")
    assert moved.events[2].reason == TIMELINE.events[1].reason
    back = hand.move(moved, 1, 4, KNOWN, SOURCES)
    assert [s for s, _, _ in shown(back)] == before


def test_what_is_excluded_is_replaced_and_the_rest_stays():
    gone = TIMELINE.events[1].source
    numbers = [k for k, e in enumerate(TIMELINE.events) if e.source == gone]
    left = [s for s in SHOTS if s.source != gone]
    edited = gaps.refill(TIMELINE, numbers, left, KNOWN, SOURCES, MUSIC, STYLE)
    made_edit.check(edited, SHOTS, MUSIC)
    assert all(e.source != gone for e in edited.events)
    kept = [k for k in range(COUNT) if k not in numbers]
    assert [edited.events[k] for k in kept] == [TIMELINE.events[k] for k in kept]
    # Not what stands next to it, while there is other footage.
    for k in numbers:
        around = [edited.events[n] for n in (k - 1, k + 1) if 0 <= n < COUNT]
        assert all((e.source, e.shot) != (edited.events[k].source, edited.events[k].shot) for e in around)  # fmt: skip
    assert gaps.refill(TIMELINE, numbers, left, KNOWN, SOURCES, MUSIC, STYLE) == edited


def test_a_pin_takes_the_weakest_picture_and_never_what_a_person_chose():
    spans = [(e.start_frame, e.stop_frame) for e in TIMELINE.events]
    slots = slots_between(MUSIC, STYLE, spans, fps=TIMELINE.fps, start=Fraction(0))
    shot = max(SHOTS, key=lambda s: s.duration_seconds)
    timeline, taken = TIMELINE, []
    for _ in range(3):
        place = hand.best_place(timeline, shot, KNOWN, slots)
        taken.append(place)
        timeline = hand.show(timeline, place, shot, None, "pinned")
    assert len(set(taken)) == 3
    quality = [KNOWN[e.source, e.shot].quality for e in TIMELINE.events]
    assert quality[taken[0]] <= sorted(quality)[len(quality) // 2]


def test_slots_between_the_cuts_are_those_of_the_edit():
    spans = [(e.start_frame, e.stop_frame) for e in TIMELINE.events]
    slots = slots_between(MUSIC, STYLE, spans, fps=TIMELINE.fps, start=Fraction(0))
    assert [s.beat_seconds for s in slots] == [e.beat_seconds for e in TIMELINE.events]
    assert {s.label for s in slots} <= set(made_edit.LABELS)
    assert all(0 <= v <= 1 for s in slots for v in (s.energy, s.tension, s.intensity))


def test_what_cannot_be_is_said():
    short = next(s for s in SHOTS if s.duration_seconds < 4)
    long_event = max(range(COUNT), key=lambda k: TIMELINE.events[k].frames)
    tiny = replace(short, stop_seconds=short.start_seconds + Fraction(1, 10))
    with pytest.raises(UsageError, match=r"event \d+ needs .* s, and the shot has 0.10 s"):
        hand.show(TIMELINE, long_event, tiny, None, "")
    with pytest.raises(UsageError, match=f"0 … {COUNT - 1}"):
        hand.move(TIMELINE, 0, COUNT, KNOWN, SOURCES)
    known = {**KNOWN, (tiny.source, tiny.index): tiny}
    with pytest.raises(UsageError, match="no other shot is as long"):
        gaps.refill(TIMELINE, [long_event], [tiny], known, SOURCES, MUSIC, STYLE)
    with pytest.raises(UsageError, match="are not known"):
        gaps.refill(TIMELINE, [0], SHOTS, {}, SOURCES, MUSIC, STYLE)
    assert to_json(TIMELINE)


def test_the_next_best_come_in_order_and_the_best_is_what_a_refill_takes():
    number = 2
    gone = (TIMELINE.events[number].source, TIMELINE.events[number].shot)
    left = tuple(s for s in SHOTS if (s.source, s.index) != gone)
    offered = gaps.alternatives(TIMELINE, number, SHOTS, KNOWN, SOURCES, MUSIC, STYLE, 4)
    keys = [(e.source, e.shot) for e in offered]
    assert len(set(keys)) == 4
    assert gone not in keys
    refilled = gaps.refill(TIMELINE, [number], left, KNOWN, SOURCES, MUSIC, STYLE).events[number]
    assert gaps.alternatives(TIMELINE, number, left, KNOWN, SOURCES, MUSIC, STYLE, 1) == (refilled,)
    put = hand.put(TIMELINE, number, offered[1])
    assert cuts(put) == cuts(TIMELINE)
    assert put.events[number].reason == f"By hand: {offered[1].reason}"
    assert hand.by_hand(hand.hold(TIMELINE, number).events[number])


@pytest.mark.parametrize("timeline", [TIMELINE, FADED])
@settings(max_examples=40)
@given(number=st.integers(0, COUNT - 2), frames=st.integers(-60, 60))
def test_a_trimmed_cut_moves_alone_and_both_shots_stay_in_step(timeline, number, frames):
    number = min(number, len(timeline.events) - 2)
    try:
        edited = hand.trim(timeline, number, frames, KNOWN, SOURCES)
    except UsageError as error:
        said = str(error)
        assert any(w in said for w in ("no more room", "would be left", "choose a"))
        return
    event, after = edited.events[number : number + 2]
    was, was_after = timeline.events[number : number + 2]
    assert event.stop_frame == after.start_frame == was.stop_frame + frames
    assert (event.start_frame, after.stop_frame) == (was.start_frame, was_after.stop_frame)
    assert min(event.frames, after.frames) >= hand.LEAST_FRAMES
    assert event.in_seconds == was.in_seconds
    # At any moment the same picture of either shot as before.
    assert after.in_seconds - was_after.in_seconds == frames / timeline.fps * after.speed
    for one in (event, after):
        shot = KNOWN[one.source, one.shot]
        assert shot.start_seconds <= one.in_seconds
        assert one.in_seconds + one.frames / timeline.fps * one.speed <= shot.stop_seconds
        assert hand.by_hand(one)
    rest = [k for k in range(len(timeline.events)) if k not in (number, number + 1)]
    assert [edited.events[k] for k in rest] == [timeline.events[k] for k in rest]


def test_what_cannot_be_trimmed_is_said():
    with pytest.raises(UsageError, match="there is no event"):
        hand.trim(TIMELINE, COUNT - 1, 1, KNOWN, SOURCES)
    with pytest.raises(UsageError, match="a shot of less than"):
        hand.trim(TIMELINE, 0, -TIMELINE.events[0].frames + 1, KNOWN, SOURCES)


def test_sliding_ends_where_the_shot_does():
    shown = [KNOWN[e.source, e.shot] for e in TIMELINE.events]
    shot = max(shown, key=lambda s: s.duration_seconds)
    number = shown.index(shot)
    event = TIMELINE.events[number]
    first = hand.slide(TIMELINE, number, -100_000, KNOWN, SOURCES)
    assert first.events[number].in_seconds == shot.start_seconds
    later = hand.slide(first, number, 3, KNOWN, SOURCES).events[number]
    assert later.in_seconds == shot.start_seconds + 3 / first.fps * event.speed
    with pytest.raises(UsageError, match="no more room"):
        hand.slide(first, number, -1, KNOWN, SOURCES)
    assert cuts(first) == cuts(TIMELINE)
