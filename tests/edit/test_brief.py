"""Briefs read by rules: a table in English and German, and that nothing breaks them."""

# ruff: noqa: E501 - a table

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_catalogue import CITY, DOG, GROUP, MOUNTAIN, SEA, catalogue

from montage_dask.edit.brief import read_brief
from montage_dask.edit.director import PinWish, decision_of
from montage_dask.records import to_json


def first(clip=None, look=None):
    return PinWish("first", clip, look)


def last(clip=None, look=None):
    return PinWish("last", clip, look)


def in_(place, clip):
    return PinWish(place, clip, None)


FASTER, SLOWER = 1.41, 0.71

BRIEFS = [
    # English
    ("fast, hopeful, ends on the sea", {"pace": FASTER, "arc": "rising", "grade": "warm", "pins": (last(SEA),)}),
    ("slow and dreamy, starts with the dog", {"pace": SLOWER, "style": "dream", "pins": (first(DOG),)}),
    ("30 seconds, black and white", {"duration_seconds": 30, "grade": "noir"}),
    ("Very fast party video with hard cuts", {"pace": 2.0, "style": "party", "transition": "cut"}),
    ("not too fast, no crossfades", {"pace": 0.84, "transition": "cut"}),
    ("romantic wedding film, soft transitions, fade out", {"style": "wedding", "transition": "crossfade", "fade_out_seconds": 3.0}),
    ("epic trailer, starts slow, ends fast", {"style": "trailer", "arc": "rising"}),
    ("starts fast and ends calm", {"arc": "falling"}),
    ("starts with a bang", {"arc": "hook"}),
    ("ends on the darkest shot", {"pins": (last(look="dark"),)}),
    ("opens on a blue shot and closes on a bright one", {"pins": (first(look="blue"), last(look="bright"))}),
    ("ends on the dark sea", {"pins": (last(SEA, "dark"),)}),
    ("a calm documentary in chronological order, 2 minutes", {"pace": SLOWER, "style": "documentary", "order": "chronological", "duration_seconds": 120}),
    ("without the dog", {"leave_out": (DOG,)}),
    ("no dog, no city", {"leave_out": (CITY, DOG)}),
    ("slow motion, warm colours, ends on the mountain top", {"slow_motion": 0.5, "grade": "warm", "pins": (last(MOUNTAIN),)}),
    ("vintage look, gentle crossfades, 1:30", {"style": "vintage", "grade": "vintage", "transition": "crossfade", "duration_seconds": 90}),
    ("the dog at the drop", {"pins": (in_("drop", DOG),)}),
    ("must show the city", {"pins": (in_("anywhere", CITY),)}),
    ("instagram reel, 15s, punchy", {"style": "social", "duration_seconds": 15, "pace": FASTER}),
    ("builds up to a climax, teal and orange", {"arc": "rising", "grade": "teal-orange"}),
    ("no slow motion, high contrast, cut on the beat", {"slow_motion": 1.0, "grade": "high-contrast", "energy_response": 0.95}),
    ("melancholic, muted, slow burn", {"pace": SLOWER, "grade": "desaturated", "arc": "slow-burn"}),
    ("1 minute 20 seconds of action", {"duration_seconds": 80, "style": "action"}),
    ("half a minute, dips to black, no fade out", {"duration_seconds": 30, "transition": "dip-to-black", "fade_out_seconds": 0.0}),
    ("only the best shots, varied", {"emphasis": "quality"}),
    ("sport, white flashes, moonlight", {"style": "sport", "transition": "dip-to-white", "grade": "moonlight"}),
    ("trailer style but with natural colours", {"style": "trailer", "grade": "none"}),
    ("a bit faster than usual, not chronological", {"pace": 1.19, "order": "free"}),
    ("the group photo at the end", {"pins": (last(GROUP),)}),
    ("a three second fade out", {"fade_out_seconds": 3.0}),
    ("the sea last, a moody piece in black and white", {"pins": (last(SEA),), "grade": "noir"}),
    ("moody, end with people", {"grade": "cool", "pins": (last(GROUP),)}),
    ("ends with IMG 1234", {"pins": (last(3),)}),
    ("zoom punches on every beat, no shaking", {"punch": "beats", "shake": "none"}),
    ("party, strobe at the drop, speed ramps", {"style": "party", "flash": "drops", "ramp": "downbeats"}),
    ("sport without any effects", {"style": "sport", "punch": "none", "flash": "none", "shake": "none", "ramp": "none"}),
    # German
    ("schnell, hoffnungsvoll, endet am Meer", {"pace": FASTER, "arc": "rising", "grade": "warm", "pins": (last(SEA),)}),
    ("langsam und verträumt, beginnt mit dem Hund", {"pace": SLOWER, "style": "dream", "pins": (first(DOG),)}),
    ("schwarz-weiß, eine halbe Minute", {"grade": "noir", "duration_seconds": 30}),
    ("nicht zu schnell, keine Überblendungen", {"pace": 0.84, "transition": "cut"}),
    ("beginnt ruhig und endet schnell", {"arc": "rising"}),
    ("endet mit dem hellsten Bild", {"pins": (last(look="bright"),)}),
    ("ruhige Doku in chronologischer Reihenfolge, zwei Minuten", {"pace": SLOWER, "style": "documentary", "order": "chronological", "duration_seconds": 120}),
    ("ohne den Hund, mit Zeitlupe", {"leave_out": (DOG,), "slow_motion": 0.5}),
    ("Reisevideo, flott, endet mit dem Sonnenuntergang", {"style": "travel", "pace": FASTER, "pins": (last(SEA),)}),
    ("soll mit dem Gruppenfoto enden", {"pins": (last(GROUP),)}),
    ("am Ende das Gruppenfoto, am Anfang die Stadt", {"pins": (first(CITY), last(GROUP))}),
    ("fängt mit der Stadt an und hört mit dem Meer auf", {"pins": (first(CITY), last(SEA))}),
    ("Beim Drop der Hund", {"pins": (in_("drop", DOG),)}),
    ("zeig unbedingt die Stadt", {"pins": (in_("anywhere", CITY),)}),
    ("ein 3 Sekunden langer Fade am Ende", {"fade_out_seconds": 3.0}),
    ("90 Sekunden, kräftige Farben, harte Schnitte", {"duration_seconds": 90, "grade": "vibrant", "transition": "cut"}),
    ("anderthalb Minuten, weiche Überblendungen, ausblenden", {"duration_seconds": 90, "transition": "crossfade", "fade_out_seconds": 3.0}),
    ("Hochzeitsfilm, sehr langsam, warm", {"style": "wedding", "pace": 0.5, "grade": "warm"}),
    ("Ein ruhiger, warmer Film. Er beginnt mit den Bergen und endet am Strand.", {"pace": SLOWER, "grade": "warm", "pins": (first(MOUNTAIN), last(SEA))}),
    ("endet mit den Bergen und zuletzt ausblenden", {"pins": (last(MOUNTAIN),), "fade_out_seconds": 3.0}),
    ("Achterbahn der Gefühle, kontrastreich", {"arc": "crises", "grade": "high-contrast"}),
    ("Blitze auf dem Drop, Zoomstöße auf jeden Takt", {"flash": "drops", "punch": "downbeats"}),
    ("ein Trailer ohne Wackeln", {"style": "trailer", "shake": "none"}),
    ("traurig, entsättigt, kühl", {"pace": SLOWER, "grade": "desaturated"}),
]  # fmt: skip


@pytest.mark.parametrize(("brief", "wanted"), BRIEFS, ids=[b for b, _ in BRIEFS])
def test_what_a_brief_says(brief, wanted):
    decision, notes = read_brief(brief, catalogue())
    found = {
        k: v for k, v in zip(decision.__slots__, decision_values(decision), strict=True)
        if k != "reason" and v not in (None, ())
    }  # fmt: skip
    assert found == wanted
    assert notes == ()


def decision_values(decision):
    return [getattr(decision, name) for name in decision.__slots__]


def test_what_is_not_there_is_said():
    decision, notes = read_brief("ends on the unicorn", catalogue())
    assert decision.pins == ()
    assert notes[0] == "nothing in the footage is known as 'the unicorn'"
    assert read_brief("beginnt mit dem Einhorn und endet am Meer", catalogue())[1] == (
        "nothing in the footage is known as 'dem einhorn'",
    )
    decision, notes = read_brief("asdf qwerty", catalogue())
    assert "no word of the brief is known" in notes[0]
    assert to_json(decision) | {"reason": ""} == to_json(type(decision)())


def test_the_sea_is_blue_where_no_file_is_called_so():
    names = ("DJI_1.mp4", "DJI_2.mp4")
    blue = catalogue(names, looks=[{"blue": 0.0}, {"blue": 0.4}])
    assert read_brief("ends on the sea", blue)[0].pins == (last(look="blue"),)
    grey = catalogue(names, looks=[{"blue": 0.0}, {"blue": 0.01}])
    decision, notes = read_brief("ends on the sea", grey)
    assert decision.pins == ()
    assert "the sea" in notes[0]
    unseen = catalogue(names, analysed=False)
    assert read_brief("ends on the sea", unseen)[0].pins == (last(look="blue"),)


def test_of_equal_names_the_first_opens_and_the_last_closes():
    clips = catalogue(("beach1.mp4", "x.mp4", "beach2.mp4"))
    assert read_brief("starts on the beach, ends on the beach", clips)[0].pins == (
        first(0),
        last(2),
    )
    assert read_brief("ends on beach 1", clips)[0].pins == (last(0),)


def test_not_everything_is_left_out():
    decision, _ = read_brief("no beach", catalogue(("beach1.mp4", "beach2.mp4")))
    assert decision.leave_out == ()


words = st.sampled_from([w for brief, _ in BRIEFS for w in brief.split()])


@settings(max_examples=40)
@given(st.one_of(st.text(max_size=200), st.lists(words, max_size=40).map(" ".join)))
def test_any_brief_gives_a_decision_of_the_catalogue(brief):
    clips = catalogue()
    decision, _ = read_brief(brief, clips)
    assert decision_of(to_json(decision), clips) == decision
    assert read_brief(brief, clips)[0] == decision


def test_long_briefs_take_no_long_time():
    """No pattern backtracks without end."""
    for brief in (
        "starts with " * 160,
        "a " * 1000,
        "ends on the " + "x" * 1900,
        "mit " * 500,
        "no the " * 280,
    ):
        read_brief(brief[:2000], catalogue())


@pytest.mark.parametrize(
    "brief",
    [
        "kein Text, schnell",
        "fast, without titles",
        "schnell, ohne Untertitel",
        "schnell, ohne Titel",
        "fast, no captions",
    ],
)
def test_what_is_left_out_anyway_is_said(brief):
    decision, notes = read_brief(brief, catalogue())
    assert decision.pace == FASTER
    assert notes == ("titles, captions and cards are left out, as always",)


def test_titles_that_are_wanted_need_a_setting():
    for brief in ("mit Titeln", "with titles", "mit Text"):
        _, notes = read_brief(brief, catalogue())
        assert "--allow text" in notes[0], brief


def test_each_part_of_a_brief_is_used_or_named():
    decision, notes = read_brief("schnell und warm, mit viel Wumms, endet ruhig", catalogue())
    assert (decision.pace, decision.grade, decision.arc) == (FASTER, "warm", "three-act")
    assert notes == ("not understood: 'mit viel wumms'",)


def test_a_thing_in_a_compound_name():
    """Three clips were bunnies, and "Hase" was unknown."""
    clips = (replace(catalogue().clips[0], name="bigbuckbunny.mp4"), *catalogue().clips[1:])
    decision, notes = read_brief("beginnt mit dem Hasen", replace(catalogue(), clips=clips))
    assert [(p.place, p.clip) for p in decision.pins] == [("first", 0)]
    assert notes == ()
