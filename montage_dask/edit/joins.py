"""How well the end of one part and the beginning of the next go together: direction, size, light, energy, colour.

The eye follows what goes on as it did, or is told that something else begins; what is almost the same is what jars. So each
feature costs nothing where it matches, most where it is a little off, and little where the contrast is decisive. A movement
against the one before it costs most, and a black-and-white picture beside one in colour, except where a section begins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from montage_dask.edit.views import STEP_SECONDS, Floats, course
from montage_dask.records import Shot, Timeline

if TYPE_CHECKING:
    from montage_dask.edit.candidates import Flags, Ints

DIRECTION_COST, SIZE_COST, LIGHT_COST, ENERGY_COST = 0.6, 0.3, 0.3, 0.2
"""In units of the whole weight of a style."""

BREAK_COST = 1.5
"""Of black and white beside colour within a section."""

GREY = 0.02
"""Colourfulness below which a picture is black and white."""

LEAST_SPEED = 0.08
"""Picture sizes a second, from which on a subject goes somewhere."""

NEAR_CUT_SECONDS = 0.15
"""From the cut, where both sides are looked at."""

SIZES = (0.0, 0.2, 0.45, 0.75)
"""Heights of a subject, in shares of the picture, at which the next size of shot begins: none, total, long, medium, close."""

LIGHTS, ENERGIES = 8, 4
MONO_GRADES = ("noir",)
"""Grades that take the colour out of all."""

_NONE, _LEFT, _RIGHT, _UP, _DOWN = range(5)
_OPPOSITE = {(_LEFT, _RIGHT), (_RIGHT, _LEFT), (_UP, _DOWN), (_DOWN, _UP)}


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """What C parts look like where they begin and where they end, as numbers of K kinds."""

    begin: Ints
    """[C] kind of the first pictures."""
    end: Ints
    """[C] kind of the last pictures."""
    inside: Floats
    """[K, K] cost of a kind (row) before another one, within a section."""
    opening: Floats
    """[K, K] the same where a section begins."""


def find_sides(
    shots: Sequence[Shot], shot_of: Ints, anchor: Floats, usual: float, *, colours: bool
) -> Sides:
    """The sides of parts.

    Args:
        shots: the table.
        shot_of: [C] index into it.
        anchor: [C] where each part begins, seconds from the start of its shot.
        usual: how long a part is, seconds.
        colours: whether the montage shows any.
    """
    courses = [course(s) for s in shots]
    base = np.cumsum([0, *(len(c) for c in courses)])
    every = np.concatenate(courses)
    profiles = [np.array(s.motion_profile or (s.motion,)) for s in shots]
    levels = np.quantile(np.concatenate(profiles), np.arange(1, ENERGIES) / ENERGIES)
    motion_base = np.cumsum([0, *(len(p) for p in profiles)])
    motion = np.searchsorted(levels, np.concatenate(profiles))
    per_second = np.array(
        [len(p) / float(s.duration_seconds) for p, s in zip(profiles, shots, strict=True)]
    )
    light = np.array([min(LIGHTS - 1, int(s.exposure * LIGHTS)) for s in shots])
    mono = np.array([s.colourfulness < GREY and colours for s in shots])

    def kinds(at: Floats) -> Ints:
        first, last = base[shot_of], base[shot_of + 1] - 1
        seen = every[np.clip(first + (at / STEP_SECONDS).astype(int), first, last)]
        first, last = motion_base[shot_of], motion_base[shot_of + 1] - 1
        energy = motion[np.clip(first + (at * per_second[shot_of]).astype(int), first, last)]
        size = np.where(seen[:, 2] > 0, np.searchsorted(SIZES, seen[:, 2], "right"), 0)
        found: Ints = np.stack(
            [_directions(seen), size, light[shot_of], energy, mono[shot_of]], axis=1
        ).astype(np.intp)
        return found

    length = np.array([float(s.duration_seconds) for s in shots])[shot_of]
    stop = np.minimum(anchor + usual, length)
    both = np.concatenate(
        [kinds(anchor + NEAR_CUT_SECONDS), kinds(np.maximum(0, stop - NEAR_CUT_SECONDS))]
    )
    kind, number = np.unique(both, axis=0, return_inverse=True)
    number = number.reshape(-1).astype(np.intp)
    opening, breaks = _costs(kind)
    return Sides(
        number[: len(anchor)], number[len(anchor) :], opening + BREAK_COST * breaks, opening
    )


def _directions(seen: Floats) -> Ints:
    """Where subjects go: [n], from their speeds [n, 2 or more]."""
    across, down = seen[:, 0], seen[:, 1]
    sideways = np.where(across < 0, _LEFT, _RIGHT)
    upright = np.where(down < 0, _UP, _DOWN)
    where: Ints = np.where(np.abs(across) >= np.abs(down), sideways, upright).astype(np.intp)
    where[np.maximum(np.abs(across), np.abs(down)) < LEAST_SPEED] = _NONE
    return where


def _costs(kind: Ints) -> tuple[Floats, Flags]:
    """[K, K] what each kind costs before each other, and whether one is black and white and the other is not."""
    turn = np.full((5, 5), 0.25)
    for a in range(1, 5):
        for b in range(1, 5):
            turn[a, b] = 0.0 if a == b else 1.0 if (a, b) in _OPPOSITE else 0.5
    direction, size, light, energy, mono = kind.T
    both = (size[:, None] > 0) & (size[None] > 0)
    cost = DIRECTION_COST * turn[direction[:, None], direction[None]]
    cost += SIZE_COST * np.where(both, _jar(size, len(SIZES) - 1), 0.5)
    cost += LIGHT_COST * _jar(light, LIGHTS - 1) + ENERGY_COST * _jar(energy, ENERGIES - 1)
    return cost, mono[:, None] != mono[None]


def _jar(level: Ints, most: int) -> Floats:
    """[K, K] 0 where two levels match, 1 where they are a little apart, little where they are as far apart as can be."""
    apart = np.abs(level[:, None] - level[None]) / most
    cost: Floats = np.interp(apart, [0, 0.13, 0.34, 0.7, 1], [0, 0.3, 1, 0.2, 0.1])
    return cost


def direction_flips(timeline: Timeline, shots: Mapping[tuple[str, int], Shot]) -> tuple[int, int]:
    """Cuts across which a subject's direction turns round, and cuts with a direction on both sides.

    Args:
        timeline: the montage.
        shots: whole shots, by source and number.
    """
    sides = []
    for event in timeline.events:
        shot = shots[event.source, event.shot]
        seen = course(shot)
        stop = event.in_seconds + event.frames / timeline.fps * event.speed
        near = Fraction(NEAR_CUT_SECONDS)
        at = [float(t - shot.start_seconds) for t in (event.in_seconds + near, stop - near)]
        rows = np.clip([int(t / STEP_SECONDS) for t in at], 0, len(seen) - 1)
        sides.append(_directions(seen[rows]).tolist())
    cuts = [(a[1], b[0]) for a, b in pairwise(sides) if a[1] and b[0]]
    return sum(cut in _OPPOSITE for cut in cuts), len(cuts)
