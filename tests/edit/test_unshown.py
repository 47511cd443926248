"""A clip of which nothing is shown is named with the reason, whatever the reason is."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from made_edit import footage, music
from test_usable import spoiled

from montage_dask.edit.edit import edit
from montage_dask.edit.styles import load_style
from montage_dask.edit.unshown import MOST_NAMED, NO_PLACE, notes_on_unshown, unshown
from montage_dask.edit.usable import choose_usable


def made(shots, sources, allow=(), offered=None):
    usable = choose_usable(shots if offered is None else offered, allow)
    timeline = edit(
        usable.shots, sources, music(20), load_style("travel"), fps=Fraction(30), width=64, height=36
    )  # fmt: skip
    found = unshown(timeline, shots, shots if offered is None else offered, sources, allow)
    assert not {e.source for e in timeline.events} & found.keys()
    assert {e.source for e in timeline.events} | found.keys() == sources.keys()
    return found, notes_on_unshown(found, sources)


def test_all_are_shown():
    shots, sources = footage(3, 2, seconds=(6, 6))
    assert made(shots, sources) == ({}, [])


@pytest.mark.parametrize(
    ("kind", "why"), [("card", "it shows cards or graphics"), ("text", "text is laid over it")]
)
def test_a_clip_without_anything_usable(kind, why):
    shots, sources = footage(3, 1, seconds=(6, 6))
    shots = (spoiled(shots[0], kind, 0, 6), *shots[1:])
    _, notes = made(shots, sources)
    assert notes == [f"clip00.mp4 is not shown: {why} (--allow {kind} takes it)"]
    for allowed in (kind, "all"):
        assert made(shots, sources, allow=[allowed]) == ({}, [])
    assert made(shots, sources, allow=["black"])[1] == notes


def test_a_clip_that_the_user_leaves_out():
    shots, sources = footage(3, 1, seconds=(6, 6))
    assert made(shots, sources, offered=shots[1:])[1] == [
        "clip00.mp4 is not shown: it was left out by wish"
    ]


def test_a_clip_whose_shots_are_too_short():
    shots, sources = footage(3, 1, seconds=(6, 6))
    short = replace(
        shots[0], stop_frame=shots[0].start_frame + 5, stop_seconds=shots[0].start_seconds + Fraction(1, 5)
    )  # fmt: skip
    (note,) = made((short, *shots[1:]), sources)[1]
    assert note.startswith("clip00.mp4 is not shown: no part of it lasts as long as a shot (")


def test_a_duplicate_of_what_is_shown():
    shots, sources = footage(3, 1, seconds=(6, 6))
    first = replace(shots[0], duplicate_group=1)
    twin = replace(first, source=shots[1].source)
    timeline = edit(
        (first, shots[2]), sources, music(20), load_style("travel"), fps=Fraction(30), width=64, height=36
    )  # fmt: skip
    everything = (first, twin, shots[2])
    found = unshown(timeline, everything, everything, sources)
    assert notes_on_unshown(found, sources) == [
        "clip01.mp4 is not shown: clip00.mp4 shows the same"
    ]


def test_many_clips_without_a_place_are_one_note():
    shots, sources = footage(40, 1, seconds=(6, 6))
    found, (note,) = made(shots, sources)
    assert set(found.values()) == {NO_PLACE}
    assert note.count(".mp4") == MOST_NAMED
    assert f"and {len(found) - MOST_NAMED} more are not shown: {NO_PLACE}" in note
