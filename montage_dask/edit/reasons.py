"""What is said to people: why each part was chosen, and what the montage had to do without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from montage_dask.edit.candidates import Ints
from montage_dask.edit.choose import FIRST, LAST, Pin
from montage_dask.edit.inpoints import Place, Use
from montage_dask.edit.pacing import Slot
from montage_dask.edit.placing import place_of
from montage_dask.edit.selection import Problem
from montage_dask.records import Music

ENDS = (FIRST, LAST)
NAMES = {
    "quality": "a good picture",
    "motion": "as lively as the music here",
    "arc": "fits the story here",
    "action": "a strong moment",
    "variety": "unlike its neighbours",
}


def scores_of(problem: Problem, choice: Ints, slot: int) -> dict[str, float]:
    """The terms of the objective for one slot, 0 … 1 each, and their weighted total."""
    candidate = int(choice[slot])
    scores = {name: float(term[slot, candidate]) for name, term in problem.terms.items()}
    c = problem.candidates
    shot = int(c.shot[candidate])
    around = [int(c.shot[choice[k]]) for k in (slot - 1, slot + 1) if 0 <= k < len(choice)]
    alike = [1.0 if s == shot else float(c.embedding[s] @ c.embedding[shot]) for s in around]
    scores["variety"] = 1 - max([0.0, *alike])
    scores["total"] = sum(problem.weights[name] * value for name, value in scores.items())
    return {name: round(min(1.0, max(0.0, value)), 4) for name, value in scores.items()}


def explain(
    problem: Problem, slots: Sequence[Slot], choice: Ints, slot: int, pins: Sequence[Pin]
) -> str:
    """One sentence: where in the music, and the two things that spoke most for the part."""
    here = slots[slot]
    if problem.pinned[slot] >= 0:
        pin = pins[problem.pinned[slot]]
        where = f"placed in the {here.label} part"
        if pin.music_seconds is not None:
            where = f"on the beat at {place_of(pin)}"
        elif pin.place in ENDS:
            where = f"as the {pin.place} shot"
        return f"Pinned by {pin.by}; {where}."
    scores = scores_of(problem, choice, slot)
    weighed = {name: problem.weights[name] * scores[name] for name in NAMES}
    first, second = sorted(weighed, key=lambda name: (-weighed[name], name))[:2]
    place = f"the {here.label} part begins" if here.opens_section else f"{here.label} part"
    c = problem.candidates
    shot = int(c.shot[choice[slot]])
    shown = [k for k in range(slot) if c.shot[choice[k]] == shot]
    again = "; another part of a shot seen before" if shown else ""
    return f"{place[0].upper()}{place[1:]}: {NAMES[first]} and {NAMES[second]}{again}."


def notes_on(
    music: Music,
    stretch: float,
    slots: Sequence[Slot],
    uses: Sequence[Use],
    places: Mapping[int, Place],
) -> list[str]:
    """What the edit had to do without."""
    notes = []
    if music.confidence <= 0:
        notes.append("no beat was found in the music: the cuts follow an even grid")
    if stretch > 1:
        notes.append(f"footage is short: cuts come up to {stretch:g} times slower than the style's")
    twice = _shown_twice(uses, places)
    if twice:
        notes.append(f"footage is short: {twice} of {len(slots)} cuts show something again")
    off = sum(1 for s in slots[1:] if s.beat_seconds is None)
    if off and music.confidence > 0:
        notes.append(f"{off} cuts are off the beat: no shot lasts until the next one")
    return notes


def _shown_twice(uses: Sequence[Use], places: Mapping[int, Place]) -> int:
    """Uses that show source time that another use has shown."""
    spans: dict[object, list[tuple[Fraction, Fraction, int]]] = {}
    for use in uses:
        place = places[use.slot]
        last = place.in_seconds + use.shown_seconds * place.pace
        spans.setdefault(use.shot, []).append((place.in_seconds, last, use.slot))
    twice = 0
    for parts in spans.values():
        parts.sort()
        end = parts[0][1]
        for first, last, _ in parts[1:]:
            twice += first < end
            end = max(end, last)
    return twice
