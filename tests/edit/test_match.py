"""Shots of one scene come nearer to each other, by bounded changes; the others stay as they are."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_edit import shot, source

from montage_dask.edit.match import (
    MOST_CHROMA,
    MOST_LUMA,
    colour_distance,
    match_events,
    match_to,
    scenes_of,
)
from montage_dask.records import Event, Match, from_json, to_json
from montage_dask.render.lut import matched

SOURCES = {f"id-{n}": source(n) for n in "abc"}
LUMA = np.array([0.2126, 0.7152, 0.0722])


def colours_of(pixels):
    """The statistics of pixels [n, 3], as `Shot.colour` has them."""
    covariance = np.cov(pixels.T, bias=True)[np.triu_indices(3)]
    return tuple(float(v) for v in (*pixels.mean(axis=0), *covariance))


def matrix_of(match):
    return np.array(match.matrix).reshape(3, 3) / Match.UNIT, np.array(match.offset) / Match.UNIT


def pixels_of(seed, gain=(1, 1, 1), gamma=1.0):
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(800, 3)) @ random.normal(0, 0.07, (3, 3)) + [0.45, 0.42, 0.4]
    return np.clip(np.clip(mixed, 0.02, 0.98) ** gamma * gain, 0, 1)


def shown(name, index, pixels, look):
    made = shot(name, index, index * 50, 50, np.random.default_rng(0), embedding=look)
    return replace(made, colour=colours_of(pixels))


def timeline(shots):
    return [
        Event(k * 25, (k + 1) * 25, s.source, s.index, Fraction(0)) for k, s in enumerate(shots)
    ]


def by_key(shots):
    return {(s.source, s.index): s for s in shots}


ONE, TWO = [1.0, 0.0, 0.1], [0.0, 1.0, 0.1]


def scene():
    """Three takes of a scene, exposed and balanced differently."""
    return [
        pixels_of(1),
        pixels_of(1, (1.12, 1.0, 0.9)),
        pixels_of(1, gamma=1.25),
    ]


def test_a_scene_comes_together():
    pixels = scene()
    shots = [shown(n, 0, p, ONE) for n, p in zip("abc", pixels, strict=True)]
    events = match_events(timeline(shots), by_key(shots), SOURCES, "on")
    moved = []
    for event, values in zip(events, pixels, strict=True):
        assert event.match is not None
        moved.append(matched(values, event.match))
    after = [replace(s, colour=colours_of(p)) for s, p in zip(shots, moved, strict=True)]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert colour_distance(after[i], after[j]) < 0.5 * colour_distance(shots[i], shots[j])


def test_auto_goes_part_of_the_way():
    shots = [shown(n, 0, p, ONE) for n, p in zip("abc", scene(), strict=True)]
    found = {
        how: match_events(timeline(shots), by_key(shots), SOURCES, how)[1].match
        for how in ("auto", "on")
    }
    parts = [np.abs(matrix_of(m)[0] - np.eye(3)).sum() for m in found.values()]
    assert 0.5 * parts[1] < parts[0] < 0.8 * parts[1]


def test_off_alone_and_other_looks_stay():
    pixels = scene()
    shots = [shown("a", 0, pixels[0], ONE), shown("b", 0, pixels[1], TWO)]
    for how, known in (("off", [shots[0], shots[0]]), ("on", shots), ("on", shots[:1])):
        events = match_events(timeline(known), by_key(known), SOURCES, how)
        assert [e.match for e in events] == [None] * len(known)
    # Far apart in time, and far apart in colour, is another scene, too.
    alike = [shown("a", k, p, ONE if k in (0, 3) else TWO) for k, p in enumerate(pixels * 2)][:4]
    assert scenes_of(timeline(alike), by_key(alike), SOURCES, "auto") == [
        [("id-a", 1), ("id-a", 2)]
    ]
    night = [shown("a", 0, pixels[0], ONE), shown("a", 1, pixels[0] * 0.1, ONE)]
    assert scenes_of(timeline(night), by_key(night), SOURCES, "on") == []


def test_one_shot_has_one_match_wherever_it_is_shown():
    shots = [shown(n, 0, p, ONE) for n, p in zip("abc", scene(), strict=True)]
    events = match_events(timeline([*shots, shots[0]]), by_key(shots), SOURCES, "on")
    assert events[0].match == events[3].match is not None


def test_hdr_and_unknown_colours_are_left_alone():
    shots = [shown(n, 0, p, ONE) for n, p in zip("ab", scene(), strict=False)]
    hdr = {**SOURCES, "id-b": replace(SOURCES["id-b"], color_transfer="smpte2084")}
    assert scenes_of(timeline(shots), by_key(shots), hdr, "on") == []
    bare = [shots[0], replace(shots[1], colour=())]
    assert scenes_of(timeline(bare), by_key(bare), SOURCES, "on") == []


def test_nothing_to_do_is_no_match():
    values = np.full(3, 0.4), 0.02 * np.eye(3)
    assert match_to(values, values, 1.0) is None
    assert match_to(values, (np.full(3, 0.6), 0.03 * np.eye(3)), 0.0) is None


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
@example(810)  # two bright greys that both become white
def test_any_match_keeps_its_bounds_and_its_text(seed):
    random = np.random.default_rng(seed)

    def look():
        root = random.normal(0, random.uniform(0.001, 0.5), (3, 3))
        return random.uniform(0, 1, 3), root @ root.T + 4e-4 * np.eye(3)

    match = match_to(look(), look(), random.uniform(0, 1))
    if match is None:
        return
    assert from_json(Match, to_json(match)) == match
    matrix, offset = matrix_of(match)
    greys = np.linspace(0, 1, 17)[:, None] * np.ones(3)
    moved = greys @ matrix.T + offset - greys
    luma = moved @ LUMA
    assert np.abs(luma).max() <= MOST_LUMA + 1e-3
    assert np.linalg.norm(moved - luma[:, None], axis=1).max() <= MOST_CHROMA + 1e-3
    # Black stays black, and brighter stays brighter, up to where all is white.
    shown_greys = matched(greys, match)
    assert (shown_greys[0] == 0).all()
    steps = np.diff(shown_greys @ LUMA)
    assert ((steps > 0) | (shown_greys[1:] == 1).all(axis=1)).all()
    # Skin keeps its hue within a few degrees.
    skin = np.array([0.78, 0.57, 0.47])
    before, after = (c - c @ LUMA for c in (skin, skin @ matrix.T + offset))
    cosine = before @ after / np.linalg.norm(before) / np.linalg.norm(after)
    assert cosine > 0.85


@pytest.mark.parametrize("how", ["auto", "on"])
def test_matches_do_not_depend_on_the_order_of_the_shots(how):
    shots = [shown(n, 0, p, ONE) for n, p in zip("abc", scene(), strict=True)]
    events = timeline(shots)
    forwards = match_events(events, by_key(shots), SOURCES, how)
    assert match_events(events, by_key(shots[::-1]), SOURCES, how) == forwards
