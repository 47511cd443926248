"""A brief read by rules: no model, no network, the same decision each time. English and German.

What names a shot ("ends on the sea", "ohne den Hund") is read first and taken out of the text, so that its words do not count as
moods; then words vote for pace, style, arc and colours. A word after "not" or "ohne" votes the other way, or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from montage_dask.edit import vocabulary as words
from montage_dask.edit.beat_effects import EFFECTS
from montage_dask.edit.choose import FIRST, LAST
from montage_dask.edit.director import (
    LEAST_PACE,
    MAXIMUM_SECONDS,
    MOST_PACE,
    Catalogue,
    Decision,
    described,
)
from montage_dask.edit.naming import Reading, read_ends, read_left_out, read_sections, read_wanted
from montage_dask.edit.votes import compiled, negated, pace_steps, voted, votes
from montage_dask.errors import printable

FADE_SECONDS = 3.0


def read_brief(brief: str, catalogue: Catalogue) -> tuple[Decision, tuple[str, ...]]:
    """The decision that rules read from a brief.

    Args:
        brief: what the user wants, in words.
        catalogue: what may be chosen from.

    Returns:
        The decision, and notes on what was not understood.
    """
    reading = Reading(catalogue, " " + re.sub(r"[ \t]+", " ", words.fold(brief)) + " ")
    fade = _fade(reading)
    duration = _duration(reading)
    junk = _flag(reading, words.JUNK)
    effects = _beat_effects(reading)
    read_ends(reading)
    read_sections(reading)
    read_left_out(reading)
    read_wanted(reading)
    slow = _flag(reading, words.SLOW_MOTION)
    text = reading.text
    pace = _pace(text)
    decision = Decision(
        style=_style(text, catalogue),
        pace=pace,
        arc=_arc(text, reading.ends),
        energy_response=0.95 if votes(text, {words.TO_THE_MUSIC: "yes"}) else None,
        emphasis=voted(text, words.EMPHASES),
        transition=_transition(text),
        grade=voted(text, words.GRADES) or voted(text, words.MOODS),
        order=_order(text),
        **effects,
        slow_motion=None if slow is None else (0.5 if slow else 1.0),
        fade_out_seconds=fade,
        duration_seconds=duration,
        pins=tuple(reading.pins),
        leave_out=tuple(sorted(reading.leave_out))[: max(0, len(catalogue.clips) - 1)],
    )
    notes = [f"nothing in the footage is known as {printable(m)!r}" for m in reading.missing]
    if junk is not None:
        notes.append(
            "titles, captions and cards are asked for: --allow text or card takes them"
            if junk
            else "titles, captions and cards are left out, as always"
        )
    lines = described(decision, catalogue)
    strange = _not_understood(text, [*reading.missing, *reading.named])
    if strange and lines:
        notes.append("not understood: " + ", ".join(repr(printable(w)) for w in strange[:8]))
    if not lines and junk is None:
        notes.append("no word of the brief is known to the rules: the style stays as it is")
    reason = "what the words of the brief stand for" if lines else "no word was understood"
    return replace(decision, reason=reason), tuple(notes)


_READ = "\0"
"""Stands for words that a rule reads."""


def _not_understood(text: str, named: list[str]) -> list[str]:
    """Parts of a brief that no rule reads any word of; `named` are phrases that were read, or told as missing, already."""
    tables = (
        words.PACE, words.STYLES, words.ARCS, words.GRADES, words.MOODS, words.TRANSITIONS, words.ORDERS, words.EMPHASES,
        words.SECTIONS, words.LOOKS,
    )  # fmt: skip
    patterns = [*(p for table in tables for p in table), words.TO_THE_MUSIC, words.SLOW_MOTION]
    said = {w for phrase in named for w in words.words_of(phrase)}
    for pattern in patterns:
        text = compiled(pattern).sub(f" {_READ} ", text)
    text = compiled(words.NEGATION).sub(" ", text)
    found = []
    for part in re.split(r"[,.;:!?\n]|\b(?:and|und|but|aber|then|dann)\b", text):
        strange = [w for w in words.words_of(part) if len(w) > 3 and w not in words.FILLERS | said]
        if strange and _READ not in part:
            found.append(" ".join(part.split()))
    return list(dict.fromkeys(found))


def _style(text: str, catalogue: Catalogue) -> str | None:
    """The style that is named, or that most words speak for."""
    named = {re.escape(name).replace(r"\-", "[- ]"): name for name in catalogue.styles}
    exact = voted(
        text, {f"{p} style|style {p}|stil {p}|{p}stil|{p}-stil": n for p, n in named.items()}
    )
    if exact is not None:
        return exact
    by_mood = voted(text, {p: s for p, s in words.STYLES.items() if s in catalogue.styles})
    return by_mood or voted(text, named)


def _pace(text: str) -> float | None:
    steps = pace_steps(text)
    if not steps:
        return None
    return round(min(MOST_PACE, max(LEAST_PACE, 2 ** (min(3.0, max(-3.0, steps)) / 2))), 2)


def _arc(text: str, ends: Mapping[str, float]) -> str | None:
    """The arc that is named; else what a slow or fast start and end make."""
    start, end = ends.get(FIRST), ends.get(LAST)
    if start is not None and end is not None and start != end:
        return "rising" if start < end else "falling"
    named = voted(text, words.ARCS)
    if named is not None:
        return named
    if start is not None:
        return "slow-burn" if start < 0 else "hook"
    if end is not None:
        return "three-act" if end < 0 else "rising"
    return None


def _transition(text: str) -> str | None:
    """The kind that is named; denied crossfades and dips leave cuts."""
    found = voted(text, words.TRANSITIONS)
    if found is not None:
        return found
    for pattern, kind in words.TRANSITIONS.items():
        if kind != "cut" and compiled(pattern).search(text):
            return "cut"  # it is there, and did not vote: it was denied
    return None


def _order(text: str) -> str | None:
    found = voted(text, words.ORDERS)
    if found is None and any(
        compiled(p).search(text) for p, o in words.ORDERS.items() if o == "chronological"
    ):
        return "free"  # denied
    return found


def _flag(reading: Reading, pattern: str) -> bool | None:
    """Whether something is asked for (True) or denied (False); None when it is not spoken of. It is taken."""
    match = compiled(pattern).search(reading.text)
    if match is None:
        return None
    wanted = not negated(reading.text, match.start())
    reading.take(match)
    return wanted


def _beat_effects(reading: Reading) -> dict[str, str]:
    """Where effects on beats come, by name, where the brief speaks of them; they are taken."""
    where = "|".join(words.WHERE_BEATS)
    place = rf"(?: (?:on|at|auf|bei|zum|zur|zu|im|in)(?: \w+){{0,2}}? ({where}))?"
    found: dict[str, str] = {}
    if _flag(reading, rf"(?:without|no|keine|ohne) (?:any )?{words.ALL_BEAT_EFFECTS}") is not None:
        found = dict.fromkeys(EFFECTS, "none")
    for pattern, effect in words.BEAT_EFFECTS.items():
        match = compiled(f"(?:{pattern}){place}").search(reading.text)
        if match is None:
            continue
        at = next((b for p, b in words.WHERE_BEATS.items() if re.fullmatch(p, match[1] or "")), "downbeats")  # fmt: skip
        found[effect] = "none" if negated(reading.text, match.start()) else at
        reading.take(match)
    return found


def _fade(reading: Reading) -> float | None:
    """Seconds of the fade at the end, where the brief speaks of one."""
    timed = re.search(rf"{_time()} ?(?:long|langer?s?|langes)? ?(?:fade|aus|ab)\w*", reading.text)
    if timed is not None:
        reading.take(timed)
        return min(20.0, _seconds(timed[1], timed[2]))
    wanted = _flag(reading, words.FADE_OUT)
    return None if wanted is None else (FADE_SECONDS if wanted else 0.0)


@cache
def _time() -> str:
    """A pattern with two groups: a number in digits or words, and its unit."""
    number = "|".join(sorted(map(re.escape, words.NUMBERS), key=len, reverse=True))
    long_units = "secs?|seconds?|sekunden?|sek|mins?|minutes?|minuten?"
    # "am" is no minute: a unit of one letter stands right behind its digits.
    short = rf"\d+(?:[.,]\d+)?(?=[sm]\b|[ -]?(?:{long_units})\b)"
    return rf"(?<!\w)({short}|(?:{number})(?=[ -](?:{long_units})\b))[ -]?({long_units}|s|m)(?!\w)"


def _duration(reading: Reading) -> int | None:
    """Whole seconds of the montage, where the brief names them."""
    clock = re.search(r"(?<![\d:])(\d{1,2}):([0-5]\d)(?![\d:])(?: ?(?:min\w*))?", reading.text)
    if clock:
        reading.take(clock)
        return _whole(float(int(clock[1]) * 60 + int(clock[2])))
    found = re.search(rf"{_time()}(?: (?:and |und )?{_time()})?", reading.text)
    if found is None:
        return None
    reading.take(found)
    return _whole(_seconds(found[1], found[2]) + (_seconds(found[3], found[4]) if found[3] else 0))


def _seconds(number: str, unit: str) -> float:
    value = words.NUMBERS.get(number)
    if value is None:
        value = float(number.replace(",", "."))
    return value * (60 if unit.startswith("m") else 1)


def _whole(seconds: float) -> int | None:
    return round(seconds) if 1 <= seconds <= MAXIMUM_SECONDS else None
