"""Selectors: what a user may write for a clip, and what it means."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from made_edit import footage, source

from montage_dask.edit.choose import (
    clips_ruled_out,
    filter_shots,
    parse_selector,
    resolve_pins,
)
from montage_dask.errors import UsageError

SHOTS, SOURCES = footage(3, 4)


def selectors(*texts):
    return [parse_selector(t) for t in texts]


@pytest.mark.parametrize(
    ("text", "name", "at"),
    [
        ("a.mp4", "a.mp4", None),
        ("a.mp4@12.5", "a.mp4", Fraction(25, 2)),
        ("a.mp4@1:02.5", "a.mp4", Fraction(125, 2)),
        ("a.mp4@1:00:02", "a.mp4", Fraction(3602)),
        ("a.mp4@3s", "a.mp4", Fraction(3)),
        ("me@home.mp4", "me@home.mp4", None),
        ("me@home.mp4@4", "me@home.mp4", Fraction(4)),
        ("@5", "@5", None),
        ("a@-5", "a@-5", None),
        ("a@nan", "a@nan", None),
        ("a@", "a@", None),
    ],
)
def test_only_a_trailing_time_is_a_time(text, name, at):
    selector = parse_selector(text)
    assert (selector.name, selector.at_seconds, selector.text) == (name, at, text)


def test_an_empty_selector_is_refused():
    with pytest.raises(UsageError):
        parse_selector("  ")


@pytest.mark.parametrize(
    "text",
    [
        "clip01.mp4",
        "clip01",
        "/footage/clip01.mp4",
        "footage/clip01.mp4",
        "*01*",
        "/footage/*1.mp4",
    ],
)
def test_names_stems_paths_and_globs(text):
    kept = filter_shots(SHOTS, SOURCES, selectors(text), [])
    assert {s.source for s in kept} == {"id-clip01"}
    assert len(kept) == 4


@pytest.mark.parametrize("text", ["/footage", "footage", "footage/", "./footage", "../footage/"])
def test_folders(text):
    assert filter_shots(SHOTS, SOURCES, selectors(text), []) == SHOTS
    assert filter_shots(SHOTS, SOURCES, [], selectors(text)) == ()


def test_a_file_whose_name_ends_like_a_time():
    odd = replace(source("x"), path="/f/take@2.mp4", identity="odd")
    bare = replace(source("y"), path="/f/take@3", identity="bare")
    sources = {"odd": odd, "bare": bare}
    assert clips_ruled_out(sources, selectors("take@2"), [], []) == {"bare"}
    assert clips_ruled_out(sources, selectors("take@3"), [], []) == {"odd"}


def test_a_time_means_the_shot_on_screen_then():
    second = [s for s in SHOTS if s.source == "id-clip00"][1]
    at = float(second.start_seconds)
    assert filter_shots(SHOTS, SOURCES, selectors(f"clip00@{at}"), []) == (second,)
    rest = filter_shots(SHOTS, SOURCES, [], selectors(f"clip00@{at}"))
    assert set(SHOTS) - set(rest) == {second}


def test_exclude_wins_over_include_and_pins_over_both():
    both = selectors("clip00", "clip01")
    kept = filter_shots(SHOTS, SOURCES, both, selectors("clip01"))
    assert {s.source for s in kept} == {"id-clip00"}
    out = clips_ruled_out(SOURCES, both, selectors("clip01"), [])
    assert out == {"id-clip01", "id-clip02"}
    assert clips_ruled_out(SOURCES, both, selectors("clip01"), selectors("clip01@1")) == {
        "id-clip02"
    }
    assert clips_ruled_out(SOURCES, [], selectors("clip01@1"), []) == set()
    assert clips_ruled_out(SOURCES, [], [], []) == set()


def test_clips_that_are_gone_are_no_error_when_filtering():
    left = {k: v for k, v in SOURCES.items() if k != "id-clip02"}
    shots = [s for s in SHOTS if s.source in left]
    assert len(filter_shots(shots, left, [], selectors("clip02"))) == 8


def test_pins():
    (pin,) = resolve_pins(SHOTS, SOURCES, selectors("clip01@0:01"))
    assert (pin.source, pin.at_seconds) == ("id-clip01", 1)
    assert len(pin.shots) == 1
    assert pin.shots[0].start_seconds <= 1 < pin.shots[0].stop_seconds
    (whole,) = resolve_pins(SHOTS, SOURCES, selectors("clip02"))
    assert whole.at_seconds is None
    assert len(whole.shots) == 4
    assert len(resolve_pins(SHOTS, SOURCES, selectors("clip0?.mp4"))) == 3
    with pytest.raises(UsageError, match="no usable shot"):
        resolve_pins([], SOURCES, selectors("clip01@1"))


def test_unknown_names_and_late_times_are_refused_with_help():
    for call in (
        lambda s: clips_ruled_out(SOURCES, s, [], []),
        lambda s: clips_ruled_out(SOURCES, [], s, []),
        lambda s: clips_ruled_out(SOURCES, [], [], s),
        lambda s: resolve_pins(SHOTS, SOURCES, s),
    ):
        with pytest.raises(UsageError, match=r"did you mean clip01\.mp4"):
            call(selectors("clp01.mp4"))
        with pytest.raises(UsageError, match="there are clip00"):
            call(selectors("zzz"))
        with pytest.raises(UsageError, match="ends at"):
            call(selectors("clip01@9:59"))


def test_a_part_of_a_name_is_offered_as_a_pattern():
    sources = {n: source(n) for n in ("Beach-Walk", "city", "harbour")}
    with pytest.raises(UsageError, match=r"did you mean '\*Walk\*' \(Beach-Walk\.mp4\)"):
        clips_ruled_out(sources, [], selectors("walk*"), [])
    many = {n: source(n) for n in "abcdefg"}
    with pytest.raises(UsageError, match=r"there are a\.mp4.*e\.mp4 and 2 more"):
        clips_ruled_out(many, [], selectors("zzz"), [])
