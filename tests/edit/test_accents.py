"""Effects on beats: on which frames they come, how strong, and what they leave alone."""

import itertools
from dataclasses import replace
from fractions import Fraction

import pytest
from made_edit import check, footage, music, source

from montage_dask.edit.accents import SECONDS, accented
from montage_dask.edit.beat_effects import BEATS, EFFECTS, NO_EFFECT, BeatEffect, parse_beat_effects
from montage_dask.edit.edit import edit
from montage_dask.edit.pacing import nearest_frame
from montage_dask.edit.roles import drops_of
from montage_dask.edit.styles import load_style, style_names
from montage_dask.errors import UsageError
from montage_dask.flashing import FLASHES_PER_SECOND, flash_frames, too_many
from montage_dask.records import CUT, Event, Timeline, Transition

FPS = Fraction(30)
CALM = ("documentary", "dream", "minimalist", "nature", "noir", "travel", "vintage", "wedding")


TRACK = music(60)


def made(effects, track=TRACK, *, rate=50, beats_per_event=4, dips=False):
    """A montage that is cut every so many beats, with effects."""
    frames = [
        0,
        *(nearest_frame(b, FPS) for b in track.beats_seconds[beats_per_event::beats_per_event]),
    ]
    one = source("clip", rate=rate)
    events = tuple(
        Event(
            a, b, one.identity, 0, Fraction(3 * k), Fraction(1) if k % 3 else Fraction(9, 10),
            transition=Transition("dip-to-white", 4) if dips and k % 5 == 3 else CUT,
        )
        for k, (a, b) in enumerate(itertools.pairwise(frames))
    )  # fmt: skip
    timeline = Timeline(
        fps=FPS, width=64, height=36, events=events, music_path="", music_start_seconds=Fraction(0), style="", seed=0,
    )  # fmt: skip
    wanted = parse_beat_effects(effects, dict.fromkeys(EFFECTS, NO_EFFECT))
    return accented(timeline, track, wanted, {one.identity: one})


def accents(timeline, kind):
    """Output frames on which accents of a kind begin, with their strengths."""
    return {
        e.start_frame + a.frame: a.strength
        for e in timeline.events
        for a in e.accents
        if a.kind == kind
    }


def frames_of(track, at):
    """Frames of the beats of a kind in the loud sections."""
    down = {track.beats_seconds[k] for k in track.downbeats}
    loud = [
        b
        for s in track.sections
        if s.label in ("high", "drop")
        for b in track.beats_seconds
        if s.start_seconds <= b < s.stop_seconds
    ]
    return {nearest_frame(b, FPS) for b in loud if at == "beats" or b in down}


def test_where_accents_come():
    track = TRACK
    drop = next(drops_of(track))
    assert drop == next(s.start_seconds for s in track.sections if s.label == "build")
    found = {at: accents(made(f"punch={at}:1"), "punch") for at in BEATS}
    assert not found["none"]
    begins = [nearest_frame(s.start_seconds, FPS) for s in track.sections]
    for frame in found["drops"]:
        assert min(abs(frame - b) for b in begins) <= 0.5 * FPS
        assert found["drops"][frame] == found["beats"][frame] == 1200
    assert set(found["drops"]) < set(found["downbeats"]) < set(found["beats"])
    last = made("off").events[-1].start_frame
    for at in ("downbeats", "beats"):
        wanted = {f for f in frames_of(track, at) if f < last}
        assert set(found[at]) - set(found["drops"]) == wanted - set(found["drops"])
    # A beat is less than a downbeat, and that less than a drop.
    assert set(found["beats"].values()) == {1200, 720, 480}


def test_accents_stay_within_their_events():
    timeline = made("punch=beats:1,shake=beats:1,flash=downbeats:1", beats_per_event=1)
    for event in timeline.events:
        for accent in event.accents:
            assert 0 <= accent.frame < accent.frame + accent.frames <= event.frames
            assert accent.frames <= round(SECONDS[accent.kind] * FPS)


@pytest.mark.parametrize("bpm", [100, 150, 190])
@pytest.mark.parametrize("dips", [False, True])
def test_never_more_than_three_flashes_a_second(bpm, dips):
    timeline = made("flash=beats:1", music(60, bpm, labels=("drop",)), dips=dips)
    frames = flash_frames(timeline)
    assert len(frames) > 20
    assert too_many(frames, FPS) is None
    window = round(FPS) + 1
    assert max(sum(f <= g < f + window for g in frames) for f in frames) <= FLASHES_PER_SECOND
    assert max(accents(timeline, "flash").values()) <= 5000


def test_a_ramp_shows_the_same_part_and_keeps_the_beats():
    even, uneven = made("off"), made("ramp=downbeats:1")
    ramped = [(a, b) for a, b in zip(even.events, uneven.events, strict=True) if b.ramp]
    assert len(ramped) > 5
    hits = frames_of(TRACK, "downbeats")
    for plain, event in ramped:
        assert replace(event, ramp=()) == plain
        times = [event.seconds_at(k, FPS) for k in range(event.frames + 1)]
        assert all(a < b for a, b in itertools.pairwise(times))
        assert (times[0], times[-1]) == (plain.in_seconds, plain.seconds_at(plain.frames, FPS))
        for k in range(event.frames):
            if event.start_frame + k in hits:
                assert times[k] == plain.seconds_at(k, FPS)
        # Of 50 frames a second no less than 20 are left.
        slowest = min((b - a) * FPS for a, b in itertools.pairwise(times))
        assert slowest >= Fraction(39, 100)
        assert slowest < plain.speed * Fraction(6, 10)


def test_a_ramp_takes_no_footage_that_would_stutter():
    assert not any(e.ramp for e in made("ramp=beats:1", rate=21).events)


def test_calm_styles_have_none_and_flashes_are_for_drops():
    styles = [load_style(name) for name in style_names()]
    still = {s.name for s in styles if set(s.beat_effects.values()) == {NO_EFFECT}}
    assert still == set(CALM)
    assert {s.flash.at for s in styles} == {"none", "drops"}
    assert all(e.strength < 1 for s in styles for e in s.beat_effects.values())


def test_an_edit_has_the_effects_of_its_style_unless_they_are_off():
    shots, sources = footage(6, 4, rate=50, seconds=(4, 8))
    track = music(24, labels=("low", "drop"))
    options = dict(fps=FPS, width=64, height=36)
    style = load_style("music-video")
    timeline = edit(shots, sources, track, style, **options)
    check(timeline, shots, track)
    plain = edit(shots, sources, track, style, beat_effects="off", **options)
    assert accents(timeline, "punch")
    assert accents(timeline, "flash")
    assert tuple(replace(e, accents=()) for e in timeline.events) == plain.events


def test_without_beats_and_at_the_end_nothing_happens():
    text = ",".join(f"{name}=beats:1" for name in EFFECTS)
    silent = made(text, replace(TRACK, confidence=0.0))
    assert not any(e.accents or e.ramp for e in silent.events)
    loud = made(text, music(60, labels=("high",)))
    assert loud.events[-2].accents
    assert loud.events[-2].ramp
    assert not loud.events[-1].accents
    assert not loud.events[-1].ramp


def test_what_a_person_asks_for():
    own = {**dict.fromkeys(EFFECTS, NO_EFFECT), "punch": BeatEffect("drops", 0.3)}
    assert set(parse_beat_effects("off", own).values()) == {NO_EFFECT}
    found = parse_beat_effects("punch=beats, flash=drops:0.25", own)
    assert found["punch"] == BeatEffect("beats", 0.3)
    assert found["flash"] == BeatEffect("drops", 0.25)
    assert found["shake"] == NO_EFFECT
    assert parse_beat_effects("shake=drops", own)["shake"].strength == 0.5


@pytest.mark.parametrize(
    "text", ["", "on", "punch", "punch=bars", "zoom=drops", "punch=drops:2", "punch=drops:-1", "punch=drops;off"]
)  # fmt: skip
def test_what_is_no_effect_is_refused(text):
    with pytest.raises(UsageError, match="beat effects must be off"):
        parse_beat_effects(text, dict.fromkeys(EFFECTS, NO_EFFECT))
