"""What shows the same is told whatever file it comes from, and is shown once."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from made_edit import footage, music, shot, source

from montage_dask.edit.contents import TICKS_PER_SECOND, find_contents
from montage_dask.edit.edit import edit
from montage_dask.edit.styles import load_style


def copied(original, name, skip_steps=0, steps=None, noise=0.01):
    """The same take in another file, from another moment on, with what an encoder changes."""
    random = np.random.default_rng(7)
    step = original.profile_step_frames
    stop = None if steps is None else skip_steps + steps
    motion = original.motion_profile[skip_steps:stop]
    quality = original.quality_profile[skip_steps:stop]
    seconds = Fraction(len(motion) * step, 25)
    return replace(
        original,
        source=f"id-{name}",
        index=0,
        start_frame=0,
        stop_frame=len(motion) * step,
        start_seconds=Fraction(0),
        stop_seconds=seconds,
        motion_profile=tuple(float(v + random.normal(0, noise)) for v in motion),
        quality_profile=quality,
    )


def alike(*shots):
    return tuple(replace(s, duplicate_group=0) for s in shots)


@pytest.mark.parametrize(("skip", "steps"), [(0, None), (10, None), (0, 20), (7, 25)])
def test_duplicates_are_aligned_in_time(skip, steps):
    random = np.random.default_rng(3)
    first = shot("a", 0, 0, 250, random)
    second = copied(first, "b", skip, steps)
    found = find_contents(alike(first, second))
    assert found.number.tolist() == [0, 0]
    later = (found.base[1] - found.base[0]) / TICKS_PER_SECOND
    assert later == pytest.approx(skip * first.profile_step_frames / 25, abs=0.15)


def test_a_duplicate_found_first_may_be_the_shorter_one():
    first = shot("a", 0, 0, 250, np.random.default_rng(3))
    found = find_contents(alike(copied(first, "b", 20, 20), first))
    assert found.number.tolist() == [0, 0]
    assert (found.base[0] - found.base[1]) / TICKS_PER_SECOND == pytest.approx(4, abs=0.15)
    assert found.base.min() >= 0


def test_what_only_looks_alike_is_other_content():
    random = np.random.default_rng(3)
    found = find_contents(alike(*(shot("a", k, 300 * k, 250, random) for k in range(6))))
    assert len(set(found.number.tolist())) == 6


def test_parts_of_one_take_lie_where_they_are():
    take = shot("a", 0, 0, 250, np.random.default_rng(1))
    parts = [
        replace(
            take, stop_frame=100, stop_seconds=Fraction(4), motion_profile=take.motion_profile[:20]
        ),
        replace(
            take,
            start_frame=150,
            start_seconds=Fraction(6),
            motion_profile=take.motion_profile[30:],
        ),
    ]
    found = find_contents(parts)
    assert found.number.tolist() == [0, 0]
    assert found.base[1] - found.base[0] == 6 * TICKS_PER_SECOND


@pytest.mark.parametrize("style", ["music-video", "travel", "action"])
def test_no_moment_is_shown_twice_when_a_clip_is_there_twice(style):
    """15 % of the cuts showed something again when an original and its re-encode lay in the folder."""
    shots, sources = footage(5, 4, seconds=(4, 7))
    copies = []
    for k, one in enumerate(shots):
        copies.append(replace(copied(one, f"copy{k}"), duplicate_group=k))
        sources[f"id-copy{k}"] = source(f"copy{k}", seconds=copies[-1].duration_seconds)
    both = tuple(replace(s, duplicate_group=k) for k, s in enumerate(shots)) + tuple(copies)
    timeline = edit(
        both, sources, music(30), load_style(style), fps=Fraction(30), width=64, height=36
    )
    number = {(s.source, s.index): (k % len(shots), s) for k, s in enumerate(both)}
    shown = []
    for e in timeline.events:
        group, s = number[e.source, e.shot]
        begin = float(e.in_seconds - s.start_seconds)
        shown.append((group, begin, begin + float(e.frames / timeline.fps * e.speed)))
    shown.sort()
    twice = sum(
        max(0.0, min(a[2], b[2]) - b[1]) for a, b in itertools.pairwise(shown) if a[0] == b[0]
    )
    assert twice <= 0.05 * len(shown)


def test_every_clip_is_shown_before_one_returns():
    shots, sources = footage(12, 5, seconds=(3, 5))
    shots = tuple(
        replace(s, quality=0.9, quality_profile=tuple(0.9 for _ in s.quality_profile))
        if s.source in ("id-clip00", "id-clip01")
        else s
        for s in shots
    )
    timeline = edit(
        shots, sources, music(40), load_style("travel"), fps=Fraction(30), width=64, height=36
    )
    assert len(timeline.events) >= 12
    assert {e.source for e in timeline.events} == set(sources)


def test_even_motion_between_the_same_cuts_is_the_same():
    """A slow pan has no course; two encodes of it were taken for two pictures."""
    random = np.random.default_rng(5)
    first = shot("a", 1, 0, 97, random)
    pan = tuple(float(v) for v in random.normal(0.06, 0.01, len(first.motion_profile)))
    first = replace(first, motion_profile=pan)
    second = copied(first, "b", noise=0.015)
    assert find_contents(alike(first, second)).number.tolist() == [0, 0]
    longer = shot("c", 0, 0, 150, random)
    longer = replace(longer, motion_profile=(0.06,) * len(longer.motion_profile))
    assert len(set(find_contents(alike(first, longer)).number.tolist())) == 2


def test_a_spike_at_a_cut_does_not_part_duplicates():
    """A fade that was cut off and a key frame: of slow motion these are most of what moves."""
    slow = tuple(0.1 + 0.06 * float(np.sin(k / 12)) for k in range(50))
    first = replace(
        shot("a", 0, 0, 250, np.random.default_rng(3)), motion_profile=(0.43, *slow[1:])
    )
    second = copied(replace(first, motion_profile=slow), "b", 3, 46, noise=0.006)
    second = replace(second, motion_profile=(*second.motion_profile[:34], 0.22, *second.motion_profile[35:]))  # fmt: skip
    found = find_contents(alike(first, second))
    assert found.number.tolist() == [0, 0]
    assert (found.base[1] - found.base[0]) / TICKS_PER_SECOND == pytest.approx(0.6, abs=0.25)
    other = tuple(0.1 + 0.06 * float(np.cos(k / 5)) for k in range(44))
    third = replace(second, motion_profile=other, stop_frame=220, stop_seconds=Fraction(44, 5))
    assert find_contents(alike(first, third)).number.tolist() == [0, 1]
