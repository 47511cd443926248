"""Selection that keeps the order in which the footage was filmed, by dynamic programming."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from montage_dask.edit.candidates import Floats, Ints
from montage_dask.edit.selection import BAD_COST, IMPOSSIBLE, REUSE_COST, TASTE, Problem

LAGS = 8
"""Parts of the same shot that may be passed over."""


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

    The cost of a path is what its parts lack, plus `REUSE_COST` for every good shot that is passed
    over: so no shot is shown twice where a good one could be shown. Likeness of neighbours does not
    count: order leaves little to choose.
    """
    c = problem.candidates
    random = np.random.default_rng([abs(seed), len(problem.needs), 1])
    liked = np.clip(random.normal(0, TASTE, len(c.shot)), -2 * TASTE, 2 * TASTE)
    # In order of filming, parts of one shot by place.
    rows = np.lexsort((c.anchor, c.order[c.shot]))
    shots = len(c.shots)
    passed = np.zeros(shots + 1)
    good = np.zeros(shots)
    good[c.order] = c.good
    passed[1:] = np.cumsum(good * REUSE_COST)
    order = c.order[c.shot[rows]]
    first_of_shot = np.searchsorted(order, order, "left")
    best: Floats = np.empty(0)
    ends: Ints = np.empty(0, np.intp)
    came: list[Ints] = []
    for slot, need in enumerate(problem.needs):
        own = problem.lack[slot, rows] + liked[rows] + np.where(c.good[c.shot[rows]], 0, BAD_COST)
        start, stop = c.interval(c.positions(need), need)
        start, stop = start[rows], stop[rows]
        if slot == 0:
            best = own + passed[order]
            came.append(np.full(len(rows), -1, np.intp))
        else:
            # From a candidate of an earlier shot: the running minimum, less what lies in between.
            value = best - passed[order + 1]
            running, where = _running_minimum(value)
            before = first_of_shot - 1
            cost = np.where(before >= 0, running[before] + passed[order], np.inf)
            origin = np.where(before >= 0, where[before], -1)
            _from_same_shot(order, best, ends, start, cost, origin)
            best = own + cost
            came.append(origin)
        best = np.where(own >= IMPOSSIBLE / 2, np.inf, best)
        ends = stop
    total = best + passed[-1] - passed[order + 1]
    last = int(np.argmin(total))
    if not np.isfinite(total[last]):
        return None
    path = [last]
    for origin in reversed(came[1:]):
        path.append(int(origin[path[-1]]))
    return rows[np.array(path[::-1], np.intp)]


def _running_minimum(values: Floats) -> tuple[Floats, Ints]:
    """The least value up to each place, and where it stands."""
    running = np.minimum.accumulate(values)
    new = np.concatenate([[True], running[1:] < running[:-1]])
    return running, np.maximum.accumulate(np.where(new, np.arange(len(values)), 0))


def _from_same_shot(
    order: Ints, best: Floats, ends: Ints, start: Ints, cost: Floats, origin: Ints
) -> None:
    """Lower `cost` in place where one of the parts just before in the same shot comes cheaper."""
    for lag in range(1, min(LAGS, len(order) - 1) + 1):
        apart = (order[lag:] == order[:-lag]) & (ends[:-lag] <= start[lag:])
        through = np.where(apart, best[:-lag] + REUSE_COST, np.inf)
        rows = np.flatnonzero(through < cost[lag:])
        cost[lag + rows] = through[rows]
        origin[lag + rows] = rows
