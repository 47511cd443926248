"""Clips of which a montage shows nothing, and why: nobody is left to wonder where a clip went."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from montage_dask.edit.contents import find_contents
from montage_dask.edit.usable import reason_of, usable_parts
from montage_dask.errors import printable
from montage_dask.records import Shot, Source, Timeline

MOST_NAMED = 8
"""Clips that a note names; the rest is counted."""

NO_PLACE = "other shots took every place (--pin takes it)"


def unshown(
    timeline: Timeline,
    shots: Sequence[Shot],
    offered: Sequence[Shot],
    sources: Mapping[str, Source],
    allow: Collection[str] = (),
) -> dict[str, str]:
    """Why nothing of a clip is shown, by its identity, in the order of the clips.

    Args:
        timeline: the montage.
        shots: of all footage.
        offered: what selectors and a brief left of it.
        sources: by identity, of all clips that could be used.
        allow: kinds of `Unusable` that may be shown all the same.
    """
    there = {e.source for e in timeline.events}
    gone = [identity for identity in sources if identity not in there]
    if not gone:
        return {}
    mine = _by_source(shots)
    left = _by_source(offered)
    parts = {k: usable_parts(left.get(k, ()), allow) for k in sources}
    twins = _twins(gone, there, parts)
    shortest = min(e.frames / timeline.fps * e.speed for e in timeline.events)
    found = {}
    for identity in gone:
        longest = max((p.duration_seconds for p in parts[identity]), default=Fraction())
        if identity not in mine:
            found[identity] = "no shot was found in it"
        elif identity not in left:
            found[identity] = "it was left out by wish"
        elif not parts[identity]:
            found[identity] = reason_of(left[identity], allow)
        elif identity in twins:
            found[identity] = (
                f"{printable(Path(sources[twins[identity]].path).name)} shows the same"
            )
        elif longest < shortest:
            found[identity] = f"no part of it lasts as long as a shot ({float(shortest):.1f} s)"
        else:
            found[identity] = NO_PLACE
    return found


def notes_on_unshown(found: Mapping[str, str], sources: Mapping[str, Source]) -> list[str]:
    """Notes: the clips of each reason together.

    Args:
        found: of `unshown`.
        sources: by identity.
    """
    by_reason: dict[str, list[str]] = {}
    for identity, reason in found.items():
        by_reason.setdefault(reason, []).append(printable(Path(sources[identity].path).name))
    notes = []
    for reason, names in by_reason.items():
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        are = "is" if len(names) == 1 else "are"
        notes.append(f"{', '.join(names[:MOST_NAMED])}{more} {are} not shown: {reason}")
    return notes


def _by_source(shots: Sequence[Shot]) -> dict[str, list[Shot]]:
    found: dict[str, list[Shot]] = {}
    for shot in shots:
        found.setdefault(shot.source, []).append(shot)
    return found


def _twins(
    gone: Sequence[str], there: Collection[str], parts: Mapping[str, Sequence[Shot]]
) -> dict[str, str]:
    """Clips whose every content a clip shows that is in the montage: the first such clip."""
    # Only of groups of shots that look alike can contents be one: the others are not compared.
    groups = {s.duplicate_group for k in gone for s in parts[k]} - {-1}
    alike = [s for found in parts.values() for s in found if s.duplicate_group in groups]
    number = dict(zip(alike, find_contents(alike).number.tolist(), strict=True)) if alike else {}
    shown: dict[int, str] = {}
    for shot in alike:
        if shot.source in there:
            shown.setdefault(number[shot], shot.source)
    return {
        k: shown[number[parts[k][0]]]
        for k in gone
        if parts[k] and all(number.get(s) in shown for s in parts[k])
    }
