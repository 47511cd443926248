"""Selection that keeps the order in which the footage was filmed, by dynamic programming."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from montage_dask.edit.candidates import Candidates, Flags, Floats, Ints
from montage_dask.edit.selection import (
    BAD_COST,
    IMPOSSIBLE,
    REUSE_COST,
    REUSE_GROWTH,
    TASTE,
    Problem,
)

LAGS = 8
"""Parts of the same take that may be passed over."""
DUPLICATE_SHARE = 1.5
"""Of `REUSE_COST`, that a duplicate of an earlier take costs: it may show the very same seconds."""
CLIP_SHARE = 0.5
"""Of `REUSE_COST`, that it costs besides to pass over the best take of a clip: every clip is wanted once."""


def select_around(problem: Problem, own: Sequence[int], seed: int) -> Ints | None:
    """As `select_in_order`, but slots whose pin names its place need not keep the order.

    Args:
        problem: what is asked.
        own: those slots; each gets what suits it best.
        seed: as for `select_in_order`.
    """
    if not own:
        return select_in_order(problem, seed)
    choice = np.argmin(problem.lack, axis=1).astype(np.intp)
    rest = np.array([k for k in range(len(problem.needs)) if k not in own], np.intp)
    if not len(rest):
        return choice
    shot = problem.candidates.shot
    again = np.isin(shot, shot[choice[list(own)]]) & (problem.candidates.pin < 0)
    inner = replace(
        problem,
        needs=problem.needs[rest],
        terms={name: term[rest] for name, term in problem.terms.items()},
        lack=problem.lack[rest] + REUSE_COST * again,
        pinned=problem.pinned[rest],
        opens=problem.opens[rest],
    )
    found = select_in_order(inner, seed)
    if found is None:
        return None
    choice[rest] = found
    return choice


def select_in_order(problem: Problem, seed: int) -> Ints | None:
    """[S] candidates that follow one another in the footage, or None when there is no such choice.

    The cost of a path is what its parts lack, plus `REUSE_COST` for every good take that is passed
    over, and more for the best one of a clip: so no take is shown twice where a good one could be
    shown, and each clip once. Parts of one take beside each other cost what they do in any order.
    """
    c = problem.candidates
    random = np.random.default_rng([abs(seed), len(problem.needs), 1])
    liked = np.clip(random.normal(0, TASTE, len(c.shot)), -2 * TASTE, 2 * TASTE)
    # In order of filming, parts of one shot by place.
    rows = np.lexsort((c.anchor, c.order[c.shot]))
    take_of, worth, known = _takes(c)
    passed = np.concatenate([[0.0], np.cumsum(worth)])
    take = take_of[c.shot[rows]]
    first_of_take = np.searchsorted(take, take, "left")
    usual = np.where(c.good[c.shot[rows]], 0, BAD_COST) + liked[rows]
    usual += DUPLICATE_SHARE * REUSE_COST * known[take]
    again = REUSE_COST + problem.jump_cost + REUSE_GROWTH / c.views[c.shot[rows]]
    best: Floats = np.empty(0)
    ends: Ints = np.empty(0, np.intp)
    came: list[Ints] = []
    for slot, need in enumerate(problem.needs):
        own = problem.lack[slot, rows] + usual
        start, stop = c.interval(c.positions(need), need)
        start, stop = start[rows], stop[rows]
        if slot == 0:
            best = own + passed[take]
            came.append(np.full(len(rows), -1, np.intp))
        else:
            # From a candidate of an earlier take: the running minimum, less what lies in between.
            value = best - passed[take + 1]
            running, where = _running_minimum(value)
            before = first_of_take - 1
            cost = np.where(before >= 0, running[before] + passed[take], np.inf)
            origin = np.where(before >= 0, where[before], -1)
            _from_same_take(take, best + again, ends, start, cost, origin)
            best = own + cost
            came.append(origin)
        best = np.where(own >= IMPOSSIBLE / 2, np.inf, best)
        ends = stop
    total = best + passed[-1] - passed[take + 1]
    last = int(np.argmin(total))
    if not np.isfinite(total[last]):
        return None
    path = [last]
    for origin in reversed(came[1:]):
        path.append(int(origin[path[-1]]))
    return rows[np.array(path[::-1], np.intp)]


def _takes(c: Candidates) -> tuple[Ints, Floats, Flags]:
    """Takes in the order of filming: shots that follow one another and show one content.

    Returns:
        [shots] the number of each one's take; [takes] what it costs to pass over each one; [takes]
        whether an earlier one shows the same content.
    """
    filmed = np.argsort(c.order)
    content = c.content[filmed]
    new = np.concatenate([[True], content[1:] != content[:-1]])
    take_of = np.empty(len(filmed), np.intp)
    take_of[filmed] = np.cumsum(new) - 1
    firsts = np.unique(content[new], return_index=True)[1]
    known = np.ones(int(new.sum()), np.bool_)
    known[firsts] = False
    worth = np.zeros(len(known))
    # The one that is wanted of a clip is not its empty one.
    quality = np.array([shot.quality for shot in c.shots]) * (1 - c.still)
    own: dict[int, int] = {}
    for k in filmed.tolist():
        if not c.good[k] or known[take_of[k]]:
            continue
        worth[take_of[k]] = REUSE_COST
        source = int(c.source[k])
        if source not in own or quality[k] > quality[own[source]]:
            own[source] = k
    for k in own.values():
        worth[take_of[k]] += CLIP_SHARE * REUSE_COST
    return take_of, worth, known


def _running_minimum(values: Floats) -> tuple[Floats, Ints]:
    """The least value up to each place, and where it stands."""
    running = np.minimum.accumulate(values)
    new = np.concatenate([[True], running[1:] < running[:-1]])
    return running, np.maximum.accumulate(np.where(new, np.arange(len(values)), 0))


def _from_same_take(
    take: Ints, best: Floats, ends: Ints, start: Ints, cost: Floats, origin: Ints
) -> None:
    """Lower `cost` in place where one of the parts just before in the same take comes cheaper."""
    for lag in range(1, min(LAGS, len(take) - 1) + 1):
        apart = (take[lag:] == take[:-lag]) & (ends[:-lag] <= start[lag:])
        through = np.where(apart, best[:-lag], np.inf)
        rows = np.flatnonzero(through < cost[lag:])
        cost[lag + rows] = through[rows]
        origin[lag + rows] = rows
