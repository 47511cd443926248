"""The order of first sights: as long as a good shot has not been seen, no content is seen a second time.

The optimisation counts uses over the whole timeline; where in it the second use falls is decided here, by swapping it with the
first use of a shot that comes later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from montage_dask.edit.selection import Filling

TOLERATED = 0.5
"""What the objective may lose for one swap: less than two neighbours of one source cost."""
POSSIBLE = 1e6
"""Lack from which on a part cannot go into a slot."""


def introduce(filling: Filling) -> None:
    """Swap parts until no content returns before every good shot was seen.

    Only where the parts fit their slots, and neither brings alike pictures together.
    """
    problem, candidates = filling.problem, filling.problem.candidates
    slots = range(len(filling.choice))
    for slot in slots:
        shots = candidates.shot[filling.choice]
        shown = candidates.content[shots]
        seen = set(shown[:slot].tolist())
        if int(shown[slot]) not in seen or problem.pinned[slot] >= 0:
            continue
        later = [
            other
            for other in slots[slot + 1 :]
            if candidates.good[shots[other]]
            and int(shown[other]) not in seen
            and problem.pinned[other] < 0
            and problem.lack[slot, filling.choice[other]] < POSSIBLE
            and problem.lack[other, filling.choice[slot]] < POSSIBLE
        ]
        # One slot of each unseen content is enough to look at: its first.
        firsts = {int(shown[other]): other for other in reversed(later)}
        if firsts:
            best = min(firsts.values(), key=lambda other: (_gain(filling, slot, other), other))
            if _gain(filling, slot, best) <= TOLERATED:
                _swap(filling, slot, best)


def _swap(filling: Filling, a: int, b: int) -> float:
    """Exchange what is in two slots; returns what both cost then."""
    first, second = filling.take(a), filling.take(b)
    cost = filling.cost(a, second)
    filling.put(a, second)
    cost += filling.cost(b, first)
    filling.put(b, first)
    return cost


def _gain(filling: Filling, a: int, b: int) -> float:
    """What an exchange of two slots would add to the objective."""
    after = _swap(filling, a, b)
    return after - _swap(filling, a, b)
