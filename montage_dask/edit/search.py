"""The search for the best filling of all slots.

A greedy filling (hardest slots first) is improved by replacing and swapping until
no such move helps, then a few slots are emptied and filled anew as often as the budget allows.
The budget counts steps, not seconds: equal inputs and seed give equal results on any machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from montage_dask.edit.candidates import Floats
    from montage_dask.edit.selection import Filling

LEAST_GAIN = 1e-9
SWAPS_TRIED = 3
NEAR_SLOTS = 2
"""So far the neighbours of a slot reach."""
RUINED = 5
"""Slots that are emptied at once, at most."""
ROUNDS_PER_SLOT = 24
LEAST_ROUNDS = 300
HOT, COLD = 0.3, 0.01
"""Spread of the randomness at the begin and at the end, in units of the objective."""
LOSS = 0.5
"""Share of it by which a filling may be worse."""


def improve(filling: Filling, random: np.random.Generator, work: int) -> None:
    """Fill all slots and improve until nothing helps and the work is done."""
    # The slots that the fewest candidates fit come first: others have a choice.
    possible = (filling.lack < 1e6).sum(axis=1)
    for slot in np.lexsort((np.arange(len(possible)), possible)):
        _fill(filling, int(slot))
    _settle(filling, random)
    slots, candidates = filling.lack.shape
    if slots > 1:
        affordable = work // (candidates * 2 * min(RUINED, slots) + 2000)
        _anneal(filling, random, min(affordable, max(LEAST_ROUNDS, ROUNDS_PER_SLOT * slots)))
    _settle(filling, random)


def _anneal(filling: Filling, random: np.random.Generator, rounds: int) -> None:
    """Rebuild again and again, allowing ever smaller losses; end with the best that was seen."""
    total = lowest = 0.0
    best = filling.choice.copy()
    for turn in range(rounds):
        heat = HOT * (COLD / HOT) ** (turn / rounds)
        total += _rebuild(filling, random, heat)
        if total < lowest - LEAST_GAIN:
            lowest, best = total, filling.choice.copy()
    for slot in np.flatnonzero(filling.choice != best):
        filling.take(int(slot))
    for slot in np.flatnonzero(filling.choice < 0):
        filling.put(int(slot), int(best[slot]))


def _fill(filling: Filling, slot: int, blur: Floats | None = None) -> float:
    """Put the cheapest candidate, give or take `blur`, into an empty slot; returns its cost."""
    costs = filling.costs(slot)
    best = int(np.argmin(costs if blur is None else costs + blur))
    filling.put(slot, best)
    return float(costs[best])


def _settle(filling: Filling, random: np.random.Generator) -> None:
    """Replace and swap until neither helps. Each move lowers the objective, so this ends.

    What nothing changed around is seldom worth another look: it gets one when all others are settled.
    """
    count = len(filling.choice)
    every = np.arange(count)
    waiting = every
    while len(waiting):
        before = filling.choice.copy()
        for move in (_replace, _swap):
            for slot in random.permutation(waiting):
                move(filling, int(slot))
        changed = np.flatnonzero(filling.choice != before)
        if len(changed):
            near = changed[:, None] + np.arange(-NEAR_SLOTS, NEAR_SLOTS + 1)
            waiting = np.unique(np.clip(near, 0, count - 1))
        else:
            waiting = every if len(waiting) < count else every[:0]


def _replace(filling: Filling, slot: int) -> bool:
    """Take a better candidate for a slot, if there is one."""
    old = filling.take(slot)
    costs = filling.costs(slot)
    best = int(np.argmin(costs))
    gained = bool(costs[best] < costs[old] - LEAST_GAIN)
    filling.put(slot, best if gained else old)
    return gained


def _swap(filling: Filling, slot: int) -> bool:
    """Exchange a slot's candidate with another slot's, if that helps."""
    choice, lack = filling.choice, filling.lack
    shot_of = filling.problem.candidates.shot
    mine = int(choice[slot])
    delta = lack[slot, choice] + lack[:, mine] - lack[slot, mine]
    delta -= lack[np.arange(len(choice)), choice]
    # An estimate: what mine would cost around the others is left to the exact check.
    around = filling.around(slot)
    delta += around[shot_of[choice]] - around[shot_of[mine]]
    delta[slot] = np.inf
    for other in np.argsort(delta, kind="stable")[:SWAPS_TRIED]:
        if delta[other] < 1.0 and _exchange(filling, slot, int(other)):
            return True
    return False


def _exchange(filling: Filling, a: int, b: int) -> bool:
    """Exchange two slots' candidates and keep it if the objective is lower."""
    y = filling.take(b)
    cost = filling.cost(b, y)
    x = filling.take(a)
    cost += filling.cost(a, x)
    new = filling.cost(a, y)
    if new < 1e6:
        filling.put(a, y)
        new += filling.cost(b, x)
        if new < cost - LEAST_GAIN:
            filling.put(b, x)
            return True
        filling.take(a)
    filling.put(a, x)
    filling.put(b, y)
    return False


def _rebuild(filling: Filling, random: np.random.Generator, heat: float) -> float:
    """Empty a few slots, neighbours or any, and fill them anew, a little at random.

    Returns:
        What it changed the objective by; 0 when the old filling was kept.
    """
    slots, candidates = filling.lack.shape
    count = int(random.integers(2, min(RUINED, slots) + 1))
    if random.random() < 0.5:
        first = int(random.integers(0, slots - count + 1))
        chosen = np.arange(first, first + count)
    else:
        chosen = random.choice(slots, count, replace=False)
    order = random.permutation(chosen)
    old, before = [], 0.0
    for slot in order:
        candidate = filling.take(int(slot))
        before += filling.cost(int(slot), candidate)
        old.append(candidate)
    refill = random.permutation(order)
    blur: Floats = heat * np.asarray(random.standard_exponential(candidates))
    after = 0.0
    for slot in refill:
        after += _fill(filling, int(slot), blur)
    if after - before <= heat * random.standard_exponential() * LOSS:
        return after - before
    for slot in refill:
        filling.take(int(slot))
    for slot, candidate in zip(order, old, strict=True):
        filling.put(int(slot), candidate)
    return 0.0
