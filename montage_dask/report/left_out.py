"""What of the footage was left out, and why: for JSON and for people, the same for a plan, an analysis and a run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from montage_dask.edit.usable import WORDS, reason_of, refused, usable_parts
from montage_dask.errors import printable
from montage_dask.records import Shot, Source

MOST_LEFT_OUT = 500
"""Stretches, and clips, that are listed."""
MOST_STRETCHES = 4
"""Stretches that a line about a clip tells; the rest is counted."""


def left_out(
    shots: Sequence[Shot], sources: Mapping[str, Source], allow: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Stretches of the footage that are none, and why, in the order of the clips.

    Args:
        shots: of the footage.
        sources: by identity.
        allow: kinds that may be shown all the same.
    """
    found = [
        {
            "path": sources[shot.source].path,
            "kind": span.kind,
            "reason": WORDS[span.kind],
            "start_seconds": round(float(span.start_seconds), 3),
            "stop_seconds": round(float(span.stop_seconds), 3),
        }
        for shot in shots
        if shot.source in sources
        for span in refused(shot, allow)
    ]
    return found[:MOST_LEFT_OUT]


def never_shown(
    shots: Sequence[Shot], sources: Mapping[str, Source], allow: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Clips of which no montage would show anything, and why.

    Args:
        shots: of the footage.
        sources: by identity.
        allow: kinds that may be shown all the same.
    """
    by_source: dict[str, list[Shot]] = {}
    for shot in shots:
        by_source.setdefault(shot.source, []).append(shot)
    reasons = {
        k: reason_of(mine, allow) for k, mine in by_source.items() if not usable_parts(mine, allow)
    }
    return not_shown(reasons, sources)


def not_shown(reasons: Mapping[str, str], sources: Mapping[str, Source]) -> list[dict[str, Any]]:
    """Clips that are not shown, and why, for JSON.

    Args:
        reasons: by identity.
        sources: by identity.
    """
    found = [{"path": sources[k].path, "reason": r} for k, r in reasons.items() if k in sources]
    return found[:MOST_LEFT_OUT]


def left_out_lines(result: Mapping[str, Any]) -> list[str]:
    """What was left out, for people: a line per clip.

    Args:
        result: with `left_out` and `not_shown`.
    """
    gone = [(one["path"], one["reason"]) for one in result.get("not_shown") or ()]
    lines = [f"{_name(path)} is not shown: {reason}" for path, reason in gone]
    by_clip: dict[str, list[Mapping[str, Any]]] = {}
    for one in result.get("left_out") or ():
        by_clip.setdefault(one["path"], []).append(one)
    named = {path for path, _ in gone}
    for path, found in by_clip.items():
        if path in named:
            continue
        told = [
            f"{one['start_seconds']:.1f}–{one['stop_seconds']:.1f} s {one['reason']}"
            for one in found[:MOST_STRETCHES]
        ]
        more = len(found) - MOST_STRETCHES
        told += [f"and {more} more"] if more > 0 else []
        lines.append(f"{_name(path)}, left out: {'; '.join(told)}")
    return lines


def _name(path: str) -> str:
    return printable(Path(path).name)
