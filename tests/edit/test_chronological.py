"""In the order of filming, too, each clip comes once before any take comes again."""

import itertools
from dataclasses import replace

import numpy as np
from made_edit import music, shot, source

from montage_dask.edit.candidates import find_candidates
from montage_dask.edit.chronological import select_in_order
from montage_dask.edit.pacing import plan_slots
from montage_dask.edit.selection import make_problem
from montage_dask.edit.styles import load_style


def chosen(clips, slots, copies=None):
    """Shots that are chosen of clips: for each the lengths of its shots in seconds, and their quality."""
    random = np.random.default_rng(0)
    style = load_style("wedding")
    shots, sources = [], {}
    for name, (lengths, quality) in clips.items():
        start = 0
        for index, seconds in enumerate(lengths):
            shots.append(shot(name, index, start, seconds * 25, random, quality=quality))
            start += seconds * 25
        sources[f"id-{name}"] = source(name)
    for copy, original in (copies or {}).items():
        first = next(s for s in shots if s.source == f"id-{original}")
        shots = [
            replace(s, motion_profile=first.motion_profile, duplicate_group=1) if s.source == f"id-{copy}"
            else replace(s, duplicate_group=1) if s is first else s
            for s in shots
        ]  # fmt: skip
    planned = plan_slots(music(60), style, fps=30, start=0, frames=1800, limit_seconds=3.0)
    planned = planned[:slots]
    needs = np.full(slots, 2.0)
    candidates = find_candidates(shots, sources, needs)
    problem = make_problem(planned, candidates, needs, style, [-1] * slots)
    return [candidates.shots[candidates.shot[c]] for c in select_in_order(problem, 0)]


def test_each_clip_is_shown_before_a_clip_with_many_shots_fills_the_film():
    found = chosen({"a": ([4] * 5, 0.9), "b": ([3], 0.5), "c": ([3], 0.5)}, 4)
    assert {s.source for s in found} == {"id-a", "id-b", "id-c"}
    assert [(s.source, s.index) for s in found] == sorted((s.source, s.index) for s in found)


def test_no_take_comes_twice_in_a_row_while_others_are_left():
    found = chosen({"a": ([60], 0.9), "b": ([3], 0.5), "c": ([3, 3], 0.5)}, 4)
    assert all((a.source, a.index) != (b.source, b.index) for a, b in itertools.pairwise(found))


def test_a_long_take_fills_what_is_left():
    found = chosen({"a": ([60], 0.9), "b": ([3], 0.5)}, 5)
    assert [s.source for s in found].count("id-a") == 4


def test_a_duplicate_of_what_was_shown_comes_after_another_part_of_a_long_take():
    found = chosen({"a": ([3], 0.9), "b": ([60], 0.9), "c": ([3], 0.9)}, 3, copies={"c": "a"})
    assert [s.source for s in found] == ["id-a", "id-b", "id-b"]
