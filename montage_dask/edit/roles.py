"""Places of a montage with a part of their own: what opens it, what a drop lands on, what begins a section, what it ends on.

What they ask of a shot is added to what every slot asks for: an opening is strong and readable, a drop's shot has the action and
the one before it the calm. An ending is clear and comes to rest: a face, a gesture that is completed, somebody in view until the
end, or at least a wide and colourful picture; an empty road and a back that does not move are calm, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from montage_dask.edit.candidates import Candidates, Floats, ranks
from montage_dask.edit.views import COLOURFUL
from montage_dask.records import Music

if TYPE_CHECKING:
    from montage_dask.edit.pacing import Slot

OPENING, DROP, SECTION, ENDING, CALM_BEFORE = (
    "opening",
    "drop",
    "section",
    "ending",
    "before a drop",
)

RISE = 0.25
"""A section that begins with so much more energy than the one before it is a drop, whatever it is called."""


def roles_of(slots: Sequence[Slot]) -> tuple[str, ...]:
    """[S] the role of each slot, "" for none."""
    roles = [""] * len(slots)
    for k, slot in enumerate(slots):
        if not slot.opens_section:
            continue
        before = slots[k - 1] if k else None
        rises = before is not None and slot.energy - before.energy >= RISE
        new = before is None or before.label != slot.label
        roles[k] = DROP if (slot.label == "drop" and new) or rises else SECTION
        if roles[k] == DROP and k > 1 and not roles[k - 1]:
            roles[k - 1] = CALM_BEFORE
    if len(slots) > 2:
        roles[0], roles[-1] = OPENING, ENDING
    return tuple(roles)


def drops_of(music: Music) -> Iterator[Fraction]:
    """Music times where drops begin: sections of that name, and those with much more energy than the one before."""
    for before, section in pairwise((None, *music.sections)):
        assert section is not None
        new = before is None or before.label != "drop"
        rises = before is not None and section.energy - before.energy >= RISE
        if (section.label == "drop" and new) or rises:
            yield section.start_seconds


def strength(candidates: Candidates) -> Floats:
    """[C] how much action a part has, as a rank among all, 0 … 1: its strongest moment, and all of it."""
    return ranks(0.6 * candidates.action + 0.4 * candidates.motion)


NOTHING_COST = 6.0
"""Of an opening or an ending with nothing to see."""

ABSENCE_COST = 3.0
"""Of an ending without anybody in its last frames; less where it is colourful."""

EMPTY_CALM_COST = 3.0
"""Of the calm before a drop with nothing to see."""

UNSEEN_COST = 0.8
"""Of an opening or an ending whose subject comes in only later."""

FACE_WORTH = 0.8
"""Of an opening or an ending with a face."""

REST, RESTLESS = 0.6, 0.1
"""The share of an ending behind which its subject should rest; how much it moves there at the most that counts."""


def lack_of(
    role: str, candidates: Candidates, need_seconds: float, *, colours: bool = True
) -> Floats | float:
    """[C] what each part lacks for a role, in units of the whole weight of a style.

    Args:
        role: of a slot.
        candidates: the parts.
        need_seconds: how much source time the slot needs.
        colours: whether the montage shows any.
    """
    c = candidates
    if role == OPENING:
        nothing = NOTHING_COST * c.bare(need_seconds) + UNSEEN_COST * c.begins_empty(need_seconds)
        nothing -= FACE_WORTH * c.faces(need_seconds)
        return 1.2 * (1 - c.quality) + 0.6 * (1 - c.intensity) + nothing
    if role == DROP:
        return 9.0 * (1 - strength(c)) + 0.5 * (1 - c.quality)
    if role == CALM_BEFORE:
        return 0.8 * np.asarray(c.motion) + EMPTY_CALM_COST * c.bare(need_seconds)
    if role == SECTION:
        return 0.6 * (1 - c.quality)
    if role == ENDING:
        colourful = np.minimum(1, c.colour / COLOURFUL)[c.shot] * colours
        absent = ABSENCE_COST * (1 - c.ends_seen(need_seconds)) * (1 - 0.7 * colourful)
        nothing = NOTHING_COST * c.bare(need_seconds) + UNSEEN_COST * c.begins_empty(need_seconds)
        unrest = 0.6 * np.minimum(1, c.stir(need_seconds, REST) / RESTLESS)
        face = FACE_WORTH * c.faces(need_seconds, REST)
        return unrest + 1.0 * (1 - c.quality) + absent + nothing - face
    return 0.0
