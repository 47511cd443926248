"""What a brief names: shots that come first or last, in a part of the song, at all, or not.

What was read is taken out of the text, so that its words do not count as moods.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from montage_dask.edit import vocabulary as words
from montage_dask.edit.choose import FIRST, LAST
from montage_dask.edit.director import MAXIMUM_PINS, Catalogue, PinWish
from montage_dask.edit.subject import Subject, find_subject
from montage_dask.edit.votes import compiled, pace_steps

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


@dataclass(slots=True)
class Reading:
    """What was read so far, and the text that is left."""

    catalogue: Catalogue
    text: str
    pins: list[PinWish] = field(default_factory=list)
    leave_out: set[int] = field(default_factory=set)
    ends: dict[str, float] = field(default_factory=dict)
    """Pace that the start and the end ask for: "starts slow"."""
    missing: list[str] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    """Phrases that named clips and still stand in the text."""

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


def read_ends(reading: Reading) -> None:
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
            rf"(?<!\w)(?:mit|auf|am|an|bei|beim|im) (?P<x>(?:(?!\b(?:und|and)\b)[^,.;:!?\n]){{2,60}}?) {last}(?!\w)",
            rf"(?<!\w){verb}{_FILLER}(?:\s+{_PREPOSITION})?\s+(?P<x>[^,.;:!?\n]{{2,60}}?){_UNTIL}",
            rf"(?<!\w){adverb}\s+(?P<x>[^,.;:!?\n]{{2,60}}?){_UNTIL}",
            rf"(?:^|(?<=[,.;:!?\n])|\b(?:and|und)\b)\s*(?P<x>[^,.;:!?\n]{{2,40}}?)\s+(?:{adverb}|{place}(?=\s*(?:[,.;:!?\n]|$)))(?!\w)",
        )
        for form in forms:
            match = re.search(form, reading.text)
            if match is not None and _end(reading, place, match):
                break


def _end(reading: Reading, place: str, match: re.Match[str]) -> bool:
    """Read what a montage starts or ends with; whether it was understood."""
    phrase = match["x"].strip()
    subject = find_subject(phrase, reading.catalogue)
    steps = pace_steps(f" {phrase} ")
    if subject is None and steps:
        reading.ends[place] = steps
        reading.take(match)
        return True
    if subject is None:
        if (
            re.search(r"\w{3}", phrase)
            and not _says(match[0])
            and not any(phrase.startswith(m) for m in reading.missing)
        ):
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
    return any(compiled(p).search(phrase) for table in tables for p in table)


def read_sections(reading: Reading) -> None:
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


def read_left_out(reading: Reading) -> None:
    """ "without X", "kein X": clips by their names only."""
    for match in re.finditer(
        rf"(?<!\w){_WITHOUT} (?P<x>[^,.;:!?\n]{{2,40}}?){_UNTIL}", reading.text
    ):
        subject = find_subject(match["x"], reading.catalogue, named=True)
        if subject is None:
            continue
        reading.named.append(match[0])
        pinned = {p.clip for p in reading.pins}
        if len(reading.leave_out | set(subject.clips)) < len(reading.catalogue.clips):
            reading.leave_out |= set(subject.clips) - pinned


def read_wanted(reading: Reading) -> None:
    """ "must show X", "unbedingt X": clips by their names only."""
    for match in re.finditer(rf"(?<!\w){_SHOW} (?P<x>[^,.;:!?\n]{{2,40}}?){_UNTIL}", reading.text):
        subject = find_subject(match["x"], reading.catalogue, named=True)
        if subject is not None and subject.first not in reading.leave_out:
            reading.named.append(match[0])
            reading.pin("anywhere", subject)
