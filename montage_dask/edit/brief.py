"""A brief read by rules: no model, no network, the same decision each time. English and German.

What names a shot ("ends on the sea", "ohne den Hund") is read first and taken out of the text, so that its words do not count as
moods; then words vote for pace, style, arc and colours. A word after "not" or "ohne" votes the other way, or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache

from montage_dask.edit import vocabulary as words
from montage_dask.edit.choose import FIRST, LAST
from montage_dask.edit.director import (
    LEAST_PACE,
    MAXIMUM_PINS,
    MAXIMUM_SECONDS,
    MOST_PACE,
    Catalogue,
    Decision,
    PinWish,
    described,
)
from montage_dask.edit.subject import Subject, find_subject
from montage_dask.errors import printable

_PREPOSITION = r"(?:on|with|in|at|by|as|mit|am|an|auf|bei|beim|im|in|als)"
_START = (
    r"(?:starts?|starting|begins?|beginning|opens?|opening|kicks? off|first (?:shot|clip)|"
    r"beginn\w*|startet|starte|faengt|anfang\w*|eroeffne\w*|"
    r"(?:erstes bild|erste (?:einstellung|aufnahme)))"
)
_END = (
    r"(?:ends?|ending|finish(?:es|ing)?|clos(?:es?|ing)|concludes?|(?:last|final) (?:shot|clip)|"
    r"ende[nt]?|endet|hoert|schliess\w*|schluss\w*|"
    r"(?:letztes bild|letzte (?:einstellung|aufnahme)))"
)
_FILLER = (
    r"(?:\s+(?:it|everything|the (?:film|video|montage)|should be|is|"
    r"das (?:video|ganze)|der film|es|alles|soll|ist|sein|auf|an|up)\b)*"
)
_AT_START = r"(?:at the (?:start|beginning)|first(?= )|zu beginn|am anfang|zuerst|zu anfang)"
_AT_END = r"(?:at the (?:very )?end|finally|lastly|zum schluss|am (?:ende|schluss)|zuletzt)"
_UNTIL = r"(?=\s*(?:[,.;:!?\n]|$|\b(?:and then|then|and|und dann|dann|und|but|aber|before|bevor|while|after|danach)\b))"
_WITHOUT = r"(?:without|no|leave out|skip|except(?: for)?|not|ohne|kein\w*|ausser|nicht)"
_SHOW = r"(?:must (?:show|include|have)|include|show|feature|featuring|make sure|zeig\w*|unbedingt|muss|mit dabei|enthaelt)"

FADE_SECONDS = 3.0


@dataclass(slots=True)
class _Reading:
    """What was read so far, and the text that is left."""

    catalogue: Catalogue
    text: str
    pins: list[PinWish] = field(default_factory=list)
    leave_out: set[int] = field(default_factory=set)
    ends: dict[str, float] = field(default_factory=dict)
    """Pace that the start and the end ask for: "starts slow"."""
    missing: list[str] = field(default_factory=list)

    def take(self, match: re.Match[str]) -> None:
        """Remove what was read; a comma keeps what stood around it apart."""
        self.text = f"{self.text[: match.start()]} , {self.text[match.end() :]}"

    def pin(self, place: str, subject: Subject) -> None:
        """Pin a subject at a place, unless the place or the subject is taken."""
        if place in (FIRST, LAST) and any(p.place == place for p in self.pins):
            return
        clip = subject.last if place == LAST else subject.first
        wish = PinWish(place, clip, subject.look)
        if wish not in self.pins and len(self.pins) < MAXIMUM_PINS:
            self.pins.append(wish)


def read_brief(brief: str, catalogue: Catalogue) -> tuple[Decision, tuple[str, ...]]:
    """The decision that rules read from a brief.

    Args:
        brief: what the user wants, in words.
        catalogue: what may be chosen from.

    Returns:
        The decision, and notes on what was not understood.
    """
    reading = _Reading(catalogue, " " + re.sub(r"[ \t]+", " ", words.fold(brief)) + " ")
    fade = _fade(reading)
    duration = _duration(reading)
    _ends(reading)
    _sections(reading)
    _left_out(reading)
    _wanted(reading)
    slow = _flag(reading, words.SLOW_MOTION)
    text = reading.text
    pace = _pace(text)
    decision = Decision(
        style=_style(text, catalogue),
        pace=pace,
        arc=_arc(text, reading.ends),
        energy_response=0.95 if _votes(text, {words.TO_THE_MUSIC: "yes"}) else None,
        emphasis=_voted(text, words.EMPHASES),
        transition=_transition(text),
        grade=_voted(text, words.GRADES),
        order=_order(text),
        slow_motion=None if slow is None else (0.5 if slow else 1.0),
        fade_out_seconds=fade,
        duration_seconds=duration,
        pins=tuple(reading.pins),
        leave_out=tuple(sorted(reading.leave_out))[: max(0, len(catalogue.clips) - 1)],
    )
    notes = [f"nothing in the footage is known as {printable(m)!r}" for m in reading.missing]
    lines = described(decision, catalogue)
    if not lines:
        notes.append("no word of the brief is known to the rules: the style stays as it is")
    reason = "what the words of the brief stand for" if lines else "no word was understood"
    return replace(decision, reason=reason), tuple(notes)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)")


def _before(text: str, place: int) -> str:
    """The words before a place, back to the last comma or stop, at most 30 characters."""
    return re.split(r"[,.;:!?\n]|\bbut\b|\baber\b|\bsondern\b", text[max(0, place - 30) : place])[
        -1
    ]


def _negated(text: str, place: int) -> bool:
    """Whether the word at a place is denied: at most two words lie between it and the "not"."""
    return bool(re.search(rf"(?<!\w){words.NEGATION}(?: \w+){{0,2}} *$", _before(text, place)))


def _votes(text: str, table: Mapping[str, str]) -> list[tuple[int, str]]:
    """Where and what the words of a text say that are not denied."""
    found = []
    for pattern, value in table.items():
        for match in _compiled(pattern).finditer(text):
            found.append((match.start(), value))  # noqa: PERF401 - two loops read better so
    return sorted(v for v in found if not _negated(text, v[0]))


def _voted(text: str, table: Mapping[str, str]) -> str | None:
    """What most words say; of equals the first in the text."""
    votes = [value for _, value in _votes(text, table)]
    return max(votes, key=votes.count) if votes else None


def _style(text: str, catalogue: Catalogue) -> str | None:
    """The style that is named, or that most words speak for."""
    named = {re.escape(name).replace(r"\-", "[- ]"): name for name in catalogue.styles}
    exact = _voted(
        text, {f"{p} style|style {p}|stil {p}|{p}stil|{p}-stil": n for p, n in named.items()}
    )
    voted = exact or _voted(text, {p: s for p, s in words.STYLES.items() if s in catalogue.styles})
    if voted is None:
        voted = _voted(text, named)
    return voted


def _pace_steps(text: str) -> float | None:
    """The sum of what words say about pace; None when none does."""
    total, found = 0.0, False
    for pattern, step in words.PACE.items():
        for match in _compiled(pattern).finditer(text):
            before = _before(text, match.start())
            factor = 1.0
            if _negated(text, match.start()):
                factor = -0.5
            elif re.search(rf"(?<!\w){words.STRONG} *$", before):
                factor = 2.0
            elif re.search(rf"(?<!\w){words.WEAK} *$", before):
                factor = 0.5
            total += factor * step
            found = True
    return total if found else None


def _pace(text: str) -> float | None:
    steps = _pace_steps(text)
    if not steps:
        return None
    return round(min(MOST_PACE, max(LEAST_PACE, 2 ** (min(3.0, max(-3.0, steps)) / 2))), 2)


def _arc(text: str, ends: Mapping[str, float]) -> str | None:
    """The arc that is named; else what a slow or fast start and end make."""
    start, end = ends.get(FIRST), ends.get(LAST)
    if start is not None and end is not None and start != end:
        return "rising" if start < end else "falling"
    named = _voted(text, words.ARCS)
    if named is not None:
        return named
    if start is not None:
        return "slow-burn" if start < 0 else "hook"
    if end is not None:
        return "three-act" if end < 0 else "rising"
    return None


def _transition(text: str) -> str | None:
    """The kind that is named; denied crossfades and dips leave cuts."""
    found = _voted(text, words.TRANSITIONS)
    if found is not None:
        return found
    for pattern, kind in words.TRANSITIONS.items():
        if kind != "cut" and _compiled(pattern).search(text):
            return "cut"  # it is there, and did not vote: it was denied
    return None


def _order(text: str) -> str | None:
    found = _voted(text, words.ORDERS)
    if found is None and any(
        _compiled(p).search(text) for p, o in words.ORDERS.items() if o == "chronological"
    ):
        return "free"  # denied
    return found


def _flag(reading: _Reading, pattern: str) -> bool | None:
    """Whether something is asked for (True) or denied (False); None when it is not spoken of. It is taken."""
    match = _compiled(pattern).search(reading.text)
    if match is None:
        return None
    wanted = not _negated(reading.text, match.start())
    reading.take(match)
    return wanted


def _fade(reading: _Reading) -> float | None:
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


def _duration(reading: _Reading) -> int | None:
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


def _ends(reading: _Reading) -> None:
    """ "starts with X", "ends on X", "am Ende X", "mit X enden"."""
    for place, verb, adverb, last in (
        (
            FIRST,
            _START,
            _AT_START,
            r"(?:beginnen|beginnt|anfangen|anfaengt|starten|eroeffnen|losgehen)",
        ),
        (
            LAST,
            _END,
            _AT_END,
            r"(?:enden|endet|aufhoeren|aufhoert|schliessen|abschliessen|ausklingen)",
        ),
    ):
        forms = (
            rf"(?<!\w)(?:mit|auf|am|an|bei|beim|im) (?P<x>[^,.;:!?\n]{{2,60}}?) {last}(?!\w)",
            rf"(?<!\w){verb}{_FILLER}(?:\s+{_PREPOSITION})?\s+(?P<x>[^,.;:!?\n]{{2,60}}?){_UNTIL}",
            rf"(?<!\w){adverb}\s+(?P<x>[^,.;:!?\n]{{2,60}}?){_UNTIL}",
            rf"(?:^|(?<=[,.;:!?\n])|\b(?:and|und)\b)\s*(?P<x>[^,.;:!?\n]{{2,40}}?)\s+{adverb}(?!\w)",
        )
        for form in forms:
            match = re.search(form, reading.text)
            if match is not None and _end(reading, place, match):
                break


def _end(reading: _Reading, place: str, match: re.Match[str]) -> bool:
    """Read what a montage starts or ends with; whether it was understood."""
    phrase = match["x"].strip()
    subject = find_subject(phrase, reading.catalogue)
    steps = _pace_steps(f" {phrase} ")
    if subject is None and steps:
        reading.ends[place] = steps
        reading.take(match)
        return True
    if subject is None:
        if re.search(r"\w{3}", phrase) and not _says(match[0]) and phrase not in reading.missing:
            reading.missing.append(phrase)
        return False
    reading.pin(place, subject)
    if phrase in reading.missing:
        reading.missing.remove(phrase)
    reading.take(match)
    return True


def _says(phrase: str) -> bool:
    """Whether a phrase says something about mood, colours or transitions."""
    tables = (words.ARCS, words.GRADES, words.TRANSITIONS, words.STYLES, words.EMPHASES)
    return any(_compiled(p).search(phrase) for table in tables for p in table)


def _sections(reading: _Reading) -> None:
    """ "the jump at the drop", "beim Refrain der Tanz": clips by their names only."""
    for pattern, labels in words.SECTIONS.items():
        label = next((x for x in labels if x in reading.catalogue.sections), None)
        where = rf"(?:on|at|in|during|to|beim|im|zum|am|bei) (?:the |dem |der )?(?:{pattern})(?!\w)"
        for form in (
            rf"(?P<x>[^,.;:!?\n]{{2,40}}?) {where}",
            rf"(?<!\w){where}:? (?P<x>[^,.;:!?\n]{{2,40}}?){_UNTIL}",
        ):
            match = re.search(form, reading.text)
            subject = find_subject(match["x"], reading.catalogue, named=True) if match else None
            if match and subject and label:
                reading.pin(label, subject)
                reading.take(match)
                break


def _left_out(reading: _Reading) -> None:
    """ "without X", "kein X": clips by their names only."""
    for match in re.finditer(
        rf"(?<!\w){_WITHOUT} (?P<x>[^,.;:!?\n]{{2,40}}?){_UNTIL}", reading.text
    ):
        subject = find_subject(match["x"], reading.catalogue, named=True)
        if subject is None:
            continue
        pinned = {p.clip for p in reading.pins}
        if len(reading.leave_out | set(subject.clips)) < len(reading.catalogue.clips):
            reading.leave_out |= set(subject.clips) - pinned


def _wanted(reading: _Reading) -> None:
    """ "must show X", "unbedingt X": clips by their names only."""
    for match in re.finditer(rf"(?<!\w){_SHOW} (?P<x>[^,.;:!?\n]{{2,40}}?){_UNTIL}", reading.text):
        subject = find_subject(match["x"], reading.catalogue, named=True)
        if subject is not None and subject.first not in reading.leave_out:
            reading.pin("anywhere", subject)
