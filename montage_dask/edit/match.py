"""Shot matching: the shots of one scene are brought towards their common look, each by a bounded change of its colours.

A shot's colours are taken for a normal distribution (mean and covariance of R'G'B'). The linear Monge–Kantorovich map
(Pitié and Kokaram, "The linear Monge-Kantorovitch linear colour mapping for example-based colour transfer", 2007) turns one
distribution into another with the least movement, so that it changes contrast and cast and never swaps colours. It is a
3×3 matrix and an offset, which the renderer bakes into a lookup table. Pure: no pictures are read here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from montage_dask.records import Event, Match, Shot, Source

Doubles: TypeAlias = NDArray[np.float64]
ShotKey: TypeAlias = tuple[str, int]

MATCHES = ("auto", "on", "off")

REACH = 2
"""Events apart at most between two shots of one scene: further apart nobody compares them."""

MOST_LUMA, MOST_CHROMA, MOST_STRETCH = 0.12, 0.07, 0.25
"""The most that a match moves the luma of a grey, 0 … 1, its colour, and any colour difference, relative to it."""

NOTICEABLE = 0.01
"""Changes of no colour by more than this are left out: a lookup costs time."""

_NOISE = 4e-4
"""Variance, (1/50)², added to all: flat pictures have no contrast that could be stretched."""

_LUMA = np.array([0.2126, 0.7152, 0.0722])

_SAME_LOOK, _SAME_PLACE = (0.6, 0.35), (0.35, 0.20)
"""Shots of one scene agree at least so well (embedding), and their colours lie at most so far apart (`colour_distance`)."""


def match_events(
    events: Sequence[Event],
    shots: Mapping[ShotKey, Shot],
    sources: Mapping[str, Source],
    how: str,
) -> tuple[Event, ...]:
    """The events of a timeline with their matches.

    Args:
        events: in order.
        shots: of the events, by source and index.
        sources: by identity.
        how: off; auto: shots that clearly have one look, brought two thirds of the way; on: neighbours that may belong
            together, too, and all the way.

    Returns:
        The same events; one of a shot that stands alone, or differs in nothing that shows, has no match.
    """
    plain = tuple(replace(e, match=None) for e in events)
    if how == "off":
        return plain
    matches: dict[ShotKey, Match | None] = {}
    for scene in scenes_of(plain, shots, sources, how):
        target = _common([_statistics(shots[k]) for k in scene])
        for key in scene:
            matches[key] = match_to(_statistics(shots[key]), target, 1.0 if how == "on" else 2 / 3)
    return tuple(replace(e, match=matches.get((e.source, e.shot))) for e in plain)


def scenes_of(
    events: Sequence[Event],
    shots: Mapping[ShotKey, Shot],
    sources: Mapping[str, Source],
    how: str,
) -> list[list[ShotKey]]:
    """Shots of one scene, two at least: near in the timeline, and near in look and colour, directly or over others."""
    keys = [(e.source, e.shot) for e in events]
    scene: dict[ShotKey, set[ShotKey]] = {k: {k} for k in keys}
    for number, key in enumerate(keys):
        for other in keys[number + 1 : number + 1 + REACH]:
            if other not in scene[key] and _together(shots, sources, key, other, how):
                joined = scene[key] | scene[other]
                for member in joined:
                    scene[member] = joined
    found = {min(members): sorted(members) for members in scene.values() if len(members) > 1}
    return [found[first] for first in sorted(found)]


def _together(
    shots: Mapping[ShotKey, Shot],
    sources: Mapping[str, Source],
    left: ShotKey,
    right: ShotKey,
    how: str,
) -> bool:
    a, b = shots.get(left), shots.get(right)
    if a is None or b is None or not a.colour or not b.colour:
        return False
    # The strip of an HDR source shows other colours than the renderer, which tone-maps it.
    if any(sources[key[0]].hdr for key in (left, right)):
        return False
    alike = float(np.dot(a.embedding, b.embedding))
    apart = colour_distance(a, b)
    rules = (_SAME_LOOK, _SAME_PLACE) if how == "on" else (_SAME_LOOK,)
    return any(alike >= least and apart <= most for least, most in rules)


def colour_distance(a: Shot, b: Shot) -> float:
    """How far apart the colours of two shots lie: the Wasserstein distance of their distributions, in R'G'B' of 0 … 1."""
    (mean_a, cov_a), (mean_b, cov_b) = _statistics(a), _statistics(b)
    root = _root(cov_a)
    cross = np.trace(_root(root @ cov_b @ root))
    squared = float(np.sum((mean_a - mean_b) ** 2) + np.trace(cov_a + cov_b) - 2 * cross)
    return max(squared, 0.0) ** 0.5


def match_to(
    statistics: tuple[Doubles, Doubles], target: tuple[Doubles, Doubles], strength: float
) -> Match | None:
    """The change that brings colours towards a target, or None when it would not show.

    Args:
        statistics: mean [3] and covariance [3, 3] of R'G'B', 0 … 1.
        target: the same of the look wanted.
        strength: 0 nothing … 1 all the way; less where a bound is met.
    """
    (mean, cov), (wanted_mean, wanted_cov) = statistics, target
    root = _root(cov)
    inverse = np.linalg.inv(root)
    matrix = inverse @ _root(root @ wanted_cov @ root) @ inverse
    offset = wanted_mean - matrix @ mean
    part = strength * min(1.0, 1 / max(_excess(matrix, offset), 1e-9))
    matrix = np.eye(3) + part * (matrix - np.eye(3))
    offset = part * offset
    if _largest_move(matrix, offset) < NOTICEABLE:
        return None
    return Match(
        matrix=tuple(round(float(v) * Match.UNIT) for v in matrix.ravel()),
        offset=tuple(round(float(v) * Match.UNIT) for v in offset),
    )


def _excess(matrix: Doubles, offset: Doubles) -> float:
    """By how much a change breaks its bounds; less than 1 when it keeps all of them."""
    greys = np.linspace(0, 1, 5)[:, None] * np.ones(3)
    moved = greys @ matrix.T + offset - greys
    luma = moved @ _LUMA
    chroma = np.linalg.norm(moved - luma[:, None], axis=1)
    stretch = np.abs(np.linalg.eigvalsh((matrix + matrix.T) / 2) - 1).max()
    return float(
        max(np.abs(luma).max() / MOST_LUMA, chroma.max() / MOST_CHROMA, stretch / MOST_STRETCH)
    )


def _largest_move(matrix: Doubles, offset: Doubles) -> float:
    corners = np.array([[r, g, b] for r in (0, 1) for g in (0, 1) for b in (0, 1)], float)
    return float(np.abs(corners @ matrix.T + offset - corners).max())


def _common(statistics: Sequence[tuple[Doubles, Doubles]]) -> tuple[Doubles, Doubles]:
    """The look in the middle: the mean of the means, and of the roots of the covariances."""
    mean = np.mean([m for m, _ in statistics], axis=0)
    root = np.mean([_root(c) for _, c in statistics], axis=0)
    return mean, root @ root


def _statistics(shot: Shot) -> tuple[Doubles, Doubles]:
    """Mean [3] and covariance [3, 3]."""
    values = np.array(shot.colour)
    covariance = np.empty((3, 3))
    covariance[np.triu_indices(3)] = values[3:]
    covariance.T[np.triu_indices(3)] = values[3:]
    return values[:3], covariance + _NOISE * np.eye(3)


def _root(matrix: Doubles) -> Doubles:
    """The symmetric square root of a symmetric positive matrix."""
    values, vectors = np.linalg.eigh(matrix)
    root: Doubles = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return root
