"""Which part fills which slot: one optimisation over the whole timeline.

The objective is a sum of three kinds of cost, so that every move can be judged by what it changes:
what a part lacks in its slot, what two parts next to each other have in common, and what is shown
more than once. `search` lowers it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from montage_dask.edit.candidates import Candidates, Flags, Floats, Ints
from montage_dask.edit.contents import TICKS_PER_SECOND
from montage_dask.edit.introduce import introduce
from montage_dask.edit.joins import MONO_GRADES, Sides, find_sides
from montage_dask.edit.looks import liking
from montage_dask.edit.pacing import Slot
from montage_dask.edit.roles import ENDING, OPENING, lack_of, roles_of
from montage_dask.edit.search import improve
from montage_dask.edit.styles import WEIGHTS, Style

JUMP_COST = 20.0
"""Of two parts of one take side by side, unless a style wants it: a jump cut."""
DUPLICATE_COST = 5.0
SAME_SOURCE_COST = 0.6
SIMILAR_COST = 4.0
"""At a weight of variety of 1; the weights of a style add up to 1."""
SECOND_NEIGHBOUR = 0.4
"""Share of the cost of neighbours that also holds for the neighbour's neighbour."""
REUSE_COST = 60.0
"""More than a part can lack and share: no content comes twice before each good shot, and each clip, came once."""
REUSE_GROWTH = 6.0
BAD_COST = 70.0
ALIKE_COST = 2.0
"""Of a shot that looks like one that is shown elsewhere."""
STILL_ALIKE_COST = 8.0
"""On top, where neither moves: it is the same picture again."""
CLIP_COST = 0.7
"""Of a clip that was shown when another one was not: every clip is wanted once."""
SUBJECT_COST = 0.25
"""Of a part without a subject, in units of the whole weight."""
EMPTY_COST = 2.5
"""Of a part that ends when its subject has gone."""
BARE_COST = 1.5
"""Of a part in which there is nothing to see, in a slot of the usual length: it is put where it is seen for the shortest time."""
HELD_SECONDS = 1.5
"""So long a picture is held at least before what happens in it matters in full."""
OVERLAP_COST = 400.0
"""Per second shown twice."""
IMPOSSIBLE = 1e7
BACKWARDS_COST = 30.0
"""Of a part that comes behind a later one of its take, unless a style wants jumps; of two that are near in time."""
BACKWARDS_SECONDS = 20
LIKING_COST = 6.0
"""Of a shot that has nothing of the looks that a style likes, beside one that has most of them."""
LIKING_SHARES = {OPENING: 2.0, ENDING: 1.25}
"""Of it, in places with a part of their own. (Where it were less, what nobody likes would be put there.)"""
TASTE = 0.08
"""Spread of the random taste of a seed, in units of the whole weight."""
WORK = 6_000_000
"""Candidates looked at after the first local optimum."""


@dataclass(slots=True, eq=False)
class Problem:
    """Slots, candidates and what they cost together."""

    candidates: Candidates
    needs: Floats
    """[S] source seconds that each slot needs, with the overlap of crossfades."""
    terms: dict[str, Floats]
    """[S, C] how well each part does in each slot, 0 … 1, by the name of the weight."""
    weights: dict[str, float]
    """Adding up to 1."""
    lack: Floats
    """[S, C] the weighted sum of what is lacking; IMPOSSIBLE where a part cannot go."""
    pinned: Ints
    """[S] the pin that a slot must fulfil, −1 for none."""
    sides: Sides
    """How parts begin and end."""
    opens: Flags
    """[S] whether a section begins with the slot."""
    jump_cost: float
    """Of two parts of one take side by side."""
    backwards_cost: float
    """Of a part that comes behind a later one of its take."""


def make_problem(
    slots: Sequence[Slot],
    candidates: Candidates,
    needs: Floats,
    style: Style,
    pinned: Sequence[int],
) -> Problem:
    """The objective for these slots in this style."""
    colours = style.grade not in MONO_GRADES
    total = sum(style.weights.values()) or 1.0
    weights = {name: style.weights[name] / total for name in WEIGHTS}
    energy = np.array([s.energy for s in slots])[:, None]
    tense = np.array([s.tension for s in slots])[:, None]
    intensity = np.array([s.intensity for s in slots])[:, None]
    shape = (len(slots), len(candidates.shot))
    terms = {
        "quality": np.broadcast_to(candidates.quality, shape),
        "motion": 1 - np.abs(candidates.motion - energy),
        "arc": 1 - np.abs(candidates.intensity - tense),
        # Strong moments are wanted where it is loud and are no use where it is calm.
        "action": np.broadcast_to(candidates.action, shape) * (0.25 + 0.75 * intensity),
    }
    lack = np.zeros(shape)
    for name, term in terms.items():
        lack += weights[name] * (1 - term)
    # Where somebody is, the eye has something to follow: small beside what a style weighs.
    lack += SUBJECT_COST * (1 - candidates.subject)
    liked = liking(candidates.shots, style.taste, 1 - candidates.still)
    disliked = LIKING_COST * (1 - liked)[candidates.shot]
    bare_cost = BARE_COST / float(needs.mean())
    empty = {
        need: EMPTY_COST * candidates.ends_empty(need)
        + bare_cost * need * min(1.0, need / HELD_SECONDS) * candidates.bare(need)
        for need in set(needs.tolist())
    }
    for row, need in enumerate(needs.tolist()):
        lack[row] += empty[need]
    for row, role in enumerate(roles_of(slots)):
        lack[row] += lack_of(role, candidates, float(needs[row]), colours=colours)
        lack[row] += disliked * LIKING_SHARES.get(role, 1.0)
    pin = np.array(pinned, np.intp)
    possible = np.where(pin[:, None] < 0, candidates.free, candidates.pin == pin[:, None])
    for row, need in enumerate(needs):
        possible[row] &= candidates.fits(need)
    lack[~possible] = IMPOSSIBLE
    sides = find_sides(
        candidates.shots,
        candidates.shot,
        candidates.anchor,
        candidates.usual_seconds,
        colours=colours,
    )
    opens = np.array([s.opens_section for s in slots])
    jump, back = (0.0, 0.0) if style.jump_cuts else (JUMP_COST, BACKWARDS_COST)
    return Problem(candidates, needs, terms, weights, lack, pin, sides, opens, jump, back)


class Filling:
    """An assignment of candidates to slots that knows its costs. `choice[s]` is −1 while empty."""

    def __init__(self, problem: Problem, lack: Floats) -> None:
        self.problem = problem
        self.lack = lack
        slots = len(problem.needs)
        self.choice = np.full(slots, -1, np.intp)
        self.begin = np.zeros(slots, np.intp)
        self.end = np.zeros(slots, np.intp)
        candidates = problem.candidates
        self.uses = np.zeros(int(candidates.content.max(initial=-1)) + 1, np.intp)
        """[contents] how often each is shown."""
        self.clips = np.zeros(int(candidates.source.max(initial=-1)) + 1, np.intp)
        """[sources] how often each is shown."""
        self.groups = np.zeros(int(candidates.group.max(initial=-1)) + 2, np.intp)
        """[duplicate groups] how often each is shown; the last one, which −1 means, never counts."""
        self._rows: dict[int, Floats] = {}

    def likeness(self, shot: int) -> Floats:
        """[shots] cost of each shot next to this one."""
        row = self._rows.get(shot)
        if row is None:
            c = self.problem.candidates
            alike = np.maximum(0.0, c.embedding @ c.embedding[shot]).astype(np.float64)
            row = SIMILAR_COST * self.problem.weights["variety"] * alike
            row += SAME_SOURCE_COST * (c.source == c.source[shot])
            if c.group[shot] >= 0:
                row += DUPLICATE_COST * (c.group == c.group[shot])
            row += self.problem.jump_cost * (c.content == c.content[shot])
            if len(self._rows) > 1000:
                self._rows.clear()
            self._rows[shot] = row
        return row

    def interval(self, slot: int, candidate: int) -> tuple[int, int]:
        """Ticks that a candidate would show in a slot."""
        c, need = self.problem.candidates, self.problem.needs[slot]
        shot = c.shot[candidate]
        place = max(0.0, min(c.anchor[candidate], c.duration[shot] - need))
        start = int(np.floor(place * TICKS_PER_SECOND + 1e-6))
        stop = int(np.ceil((place + need) * TICKS_PER_SECOND - 1e-6))
        return int(c.base[shot]) + start, int(c.base[shot]) + max(stop, start + 1)

    def put(self, slot: int, candidate: int) -> None:
        """Fill an empty slot."""
        self.choice[slot] = candidate
        self.begin[slot], self.end[slot] = self.interval(slot, candidate)
        self._count(candidate, 1)

    def take(self, slot: int) -> int:
        """Empty a slot; returns what was in it."""
        candidate = int(self.choice[slot])
        self._count(candidate, -1)
        self.choice[slot] = -1
        return candidate

    def _count(self, candidate: int, times: int) -> None:
        c = self.problem.candidates
        shot = c.shot[candidate]
        self.uses[c.content[shot]] += times
        self.clips[c.source[shot]] += times
        self.groups[c.group[shot]] += times if c.group[shot] >= 0 else 0

    def around(self, slot: int) -> Floats:
        """[shots] cost of each shot next to what is around a slot."""
        c = self.problem.candidates
        cost = np.zeros(len(c.shots))
        for offset, share in ((-1, 1.0), (1, 1.0), (-2, SECOND_NEIGHBOUR), (2, SECOND_NEIGHBOUR)):
            other = slot + offset
            if 0 <= other < len(self.choice) and self.choice[other] >= 0:
                cost += share * self.likeness(int(c.shot[self.choice[other]]))
        return cost

    def _join(self, slot: int) -> Floats:
        """[K, K] what kinds of pictures cost across the cut that a slot begins with."""
        sides = self.problem.sides
        return sides.opening if self.problem.opens[slot] else sides.inside

    def joins(self, slot: int) -> Floats:
        """[C] cost of each candidate's cuts to what is around a slot."""
        sides = self.problem.sides
        cost = np.zeros(len(sides.begin))
        if slot and self.choice[slot - 1] >= 0:
            cost += self._join(slot)[sides.end[self.choice[slot - 1]]][sides.begin]
        if slot + 1 < len(self.choice) and self.choice[slot + 1] >= 0:
            cost += self._join(slot + 1)[:, sides.begin[self.choice[slot + 1]]][sides.end]
        return cost

    def costs(self, slot: int) -> Floats:
        """[C] what each candidate would add to the objective in this empty slot."""
        c, need = self.problem.candidates, self.problem.needs[slot]
        per_shot = self.around(slot)
        per_shot += np.where(c.good, 0.0, BAD_COST)
        uses = self.uses[c.content]
        used = uses > 0
        per_shot += np.where(used, REUSE_COST + REUSE_GROWTH * (uses - 1) / c.views, 0.0)
        per_shot += CLIP_COST * (self.clips[c.source] > 0)
        per_shot += (ALIKE_COST + STILL_ALIKE_COST * c.still) * (self.groups[c.group] > 0)
        total = self.lack[slot] + per_shot[c.shot] + self.joins(slot)
        # Only candidates of contents in use can overlap.
        rows = np.flatnonzero(used[c.shot])
        if len(rows):
            start, stop = c.interval(c.positions(need, rows), need, rows)
            total[rows] += (
                OVERLAP_COST / TICKS_PER_SECOND * (self._shown(stop) - self._shown(start))
            )
            back = self._backwards(slot, start, c.shot[rows])
            total[rows] += self.problem.backwards_cost * back
        return total

    def _backwards(self, slot: int, start: Ints, shot: Ints) -> Ints:
        """[rows] how many parts of the take of each come before it although they are later in the take, or the other way round.

        Args:
            slot: where the parts would come.
            start: [rows] first tick of each.
            shot: [rows] of each.
        """
        near = BACKWARDS_SECONDS * TICKS_PER_SECOND
        span = self.problem.candidates.span[shot]
        filled = self.choice >= 0
        before = np.sort(self.begin[:slot][filled[:slot]])
        behind = np.sort(self.begin[slot + 1 :][filled[slot + 1 :]])
        later = np.searchsorted(before, np.minimum(span[:, 1], start + near))
        later -= np.searchsorted(before, start, "right")
        earlier = np.searchsorted(behind, start)
        earlier -= np.searchsorted(behind, np.maximum(span[:, 0], start - near))
        found: Ints = np.maximum(0, later) + np.maximum(0, earlier)
        return found

    def _shown(self, ticks: Ints) -> Ints:
        """How many ticks are shown before each of some ticks, those that are shown twice counted twice."""
        filled = self.choice >= 0
        shown = np.zeros(len(ticks), np.intp)
        for edges, sign in ((self.begin[filled], 1), (self.end[filled], -1)):
            edges = np.sort(edges)
            passed = np.searchsorted(edges, ticks)
            sums = np.concatenate([[0], np.cumsum(edges)])
            shown += sign * (passed * ticks - sums[passed])
        return shown

    def cost(self, slot: int, candidate: int) -> float:
        """What one candidate would add to the objective in this empty slot."""
        c = self.problem.candidates
        shot = int(c.shot[candidate])
        total = self.lack[slot, candidate] + (0.0 if c.good[shot] else BAD_COST)
        for offset, share in ((-1, 1.0), (1, 1.0), (-2, SECOND_NEIGHBOUR), (2, SECOND_NEIGHBOUR)):
            other = slot + offset
            if 0 <= other < len(self.choice) and self.choice[other] >= 0:
                total += share * self.likeness(int(c.shot[self.choice[other]]))[shot]
        sides = self.problem.sides
        if slot and self.choice[slot - 1] >= 0:
            total += self._join(slot)[sides.end[self.choice[slot - 1]], sides.begin[candidate]]
        if slot + 1 < len(self.choice) and self.choice[slot + 1] >= 0:
            total += self._join(slot + 1)[sides.end[candidate], sides.begin[self.choice[slot + 1]]]
        total += CLIP_COST * bool(self.clips[c.source[shot]])
        alike = ALIKE_COST + STILL_ALIKE_COST * c.still[shot]
        total += alike * bool(self.groups[c.group[shot]])
        uses = self.uses[c.content[shot]]
        if uses:
            total += REUSE_COST + REUSE_GROWTH * (uses - 1) / c.views[shot]
            start, stop = self.interval(slot, candidate)
            both = np.minimum(self.end, stop) - np.maximum(self.begin, start)
            twice = np.maximum(0, both)[self.choice >= 0].sum()
            total += OVERLAP_COST / TICKS_PER_SECOND * float(twice)
            back = self._backwards(slot, np.array([start]), np.array([shot]))
            total += self.problem.backwards_cost * float(back[0])
        return float(total)


def objective(problem: Problem, choice: Sequence[int] | Ints) -> float:
    """The whole cost of an assignment: lower is better."""
    filling = Filling(problem, problem.lack)
    total = 0.0
    for slot, candidate in enumerate(choice):
        total += filling.cost(slot, int(candidate))
        filling.put(slot, int(candidate))
    return total


def select(problem: Problem, seed: int, work: int = WORK) -> Ints:
    """[S] the candidate for each slot.

    Args:
        problem: what is asked.
        seed: another seed has another taste, and so finds another montage that is about as good.
        work: how long to go on improving, in candidates looked at.
    """
    random = np.random.default_rng([seed & 0xFFFFFFFF, len(problem.needs)])
    c = problem.candidates
    # A taste per shot and place: the same part is liked in one place and not in another.
    liked = random.normal(0, TASTE, len(c.shots))[c.shot] + random.normal(0, TASTE, len(c.shot))
    filling = Filling(problem, problem.lack + np.clip(liked, -2 * TASTE, 2 * TASTE))
    improve(filling, random, work)
    introduce(filling)
    return filling.choice.copy()
