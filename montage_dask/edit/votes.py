"""How words vote: what patterns say in a text, with denials and degrees."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from montage_dask.edit import vocabulary as words


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)")


def before(text: str, place: int) -> str:
    """The words before a place, back to the last comma or stop, at most 30 characters."""
    return re.split(r"[,.;:!?\n]|\bbut\b|\baber\b|\bsondern\b", text[max(0, place - 30) : place])[
        -1
    ]


def negated(text: str, place: int) -> bool:
    """Whether the word at a place is denied: at most two words lie between it and the "not"."""
    return bool(re.search(rf"(?<!\w){words.NEGATION}(?: \w+){{0,2}} *$", before(text, place)))


def votes(text: str, table: Mapping[str, str]) -> list[tuple[int, str]]:
    """Where and what the words of a text say that are not denied."""
    found = []
    for pattern, value in table.items():
        for match in compiled(pattern).finditer(text):
            found.append((match.start(), value))  # noqa: PERF401 - two loops read better so
    return sorted(v for v in found if not negated(text, v[0]))


def voted(text: str, table: Mapping[str, str]) -> str | None:
    """What most words say; of equals the first in the text."""
    values = [value for _, value in votes(text, table)]
    return max(values, key=values.count) if values else None


def pace_steps(text: str) -> float | None:
    """The sum of what words say about pace; None when none does."""
    total, found = 0.0, False
    for pattern, step in words.PACE.items():
        for match in compiled(pattern).finditer(text):
            degree = before(text, match.start())
            factor = 1.0
            if negated(text, match.start()):
                factor = -0.5
            elif re.search(rf"(?<!\w){words.STRONG} *$", degree):
                factor = 2.0
            elif re.search(rf"(?<!\w){words.WEAK} *$", degree):
                factor = 0.5
            total += factor * step
            found = True
    return total if found else None
