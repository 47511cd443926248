"""What a phrase such as "the dark sea" means in this footage: clips by their file names, or a look."""

from __future__ import annotations

import re
from dataclasses import dataclass

from montage_dask.edit import vocabulary as words
from montage_dask.edit.director import Catalogue

_STOP = """
the a an some any of my our your its that this these those with on in at to and or very most all
shot shots clip clips scene picture image footage file mp mov mkv webm avi m
der die das dem den des ein eine einem einen einer kein keine keinen vom von zum zur am im an auf mit bei und oder sehr alle
bild bilder aufnahme szene mein meine meinem meinen unser unsere unserem
"""
STOP_WORDS = frozenset(_STOP.split())
LEAST_STEM = 4
"""Letters that two words must share from the start to count as one word."""
LEAST_LOOK = 0.08
"""What a look must reach in some clip to be there at all."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Clips that a phrase names, a look, or both."""

    clips: tuple[int, ...]
    look: str | None

    @property
    def first(self) -> int | None:
        """The first clip in the order of the footage; None when only a look is meant."""
        return self.clips[0] if self.clips else None

    @property
    def last(self) -> int | None:
        """The last clip in the order of the footage; None when only a look is meant."""
        return self.clips[-1] if self.clips else None


def find_subject(phrase: str, catalogue: Catalogue, *, named: bool = False) -> Subject | None:
    """What a phrase means, or None.

    Args:
        phrase: folded text.
        catalogue: the clips and their looks.
        named: only clips by their names count.
    """
    asked = [w for w in words.words_of(phrase) if w not in STOP_WORDS and len(w) > 1]
    numbers = re.findall(r"\d+", phrase)
    look = None if named else _look(asked, catalogue)
    clips = _clips(asked, numbers, catalogue)
    if clips:
        return Subject(clips, look)
    if named:
        return None
    if look is None:
        look = _stand_in(asked, catalogue)
    return Subject((), look) if look is not None else None


def _clips(asked: list[str], numbers: list[str], catalogue: Catalogue) -> tuple[int, ...]:
    """The clips whose names share the most words with the phrase; numbers only tell equals apart."""
    scores = []
    for clip in catalogue.clips:
        own = words.words_of(clip.name)
        shared = sum(any(_same(word, name) for name in own) for word in asked)
        digits = {n.lstrip("0") for n in re.findall(r"\d+", clip.name)}
        exact = sum(n.lstrip("0") in digits for n in numbers)
        scores.append((shared, exact) if shared else (0, 0))
    best = max(scores, default=(0, 0))
    if best <= (0, 0):
        return ()
    return tuple(k for k, score in enumerate(scores) if score == best)


def _same(word: str, name: str) -> bool:
    if word == name:
        return True
    short, long = sorted((word, name), key=len)
    if len(short) >= LEAST_STEM and (long.startswith(short) or long.endswith(short)):
        return True
    stems = _stems(word)
    return any(
        stems & group and (name in group or _compound(name, group)) for group, _ in words.CONCEPTS
    )


def _stems(word: str) -> set[str]:
    """A word and what may be left of it without an ending: Bergen, Berge, Berg."""
    endings = (end for end in ("n", "s", "e", "en", "es") if word.endswith(end))
    return {word, *(word[: -len(end)] for end in endings if len(word) - len(end) >= LEAST_STEM)}


def _compound(name: str, group: frozenset[str]) -> bool:
    """Whether a compound ("Gruppenfoto", "bigbuckbunny") begins or ends with a word of a group; short ones would too often."""
    return any(
        len(member) > LEAST_STEM and (name.startswith(member) or name.endswith(member))
        for member in group
    )


def _look(asked: list[str], catalogue: Catalogue) -> str | None:
    """The look that a word names."""
    for word in asked:
        for pattern, look in words.LOOKS.items():
            if re.fullmatch(pattern, word) and _there(look, catalogue):
                return look
    return None


def _stand_in(asked: list[str], catalogue: Catalogue) -> str | None:
    """The look that stands for a thing: blue for the sea."""
    for word in asked:
        for group, look in words.CONCEPTS:
            if _stems(word) & group and look is not None and _there(look, catalogue):
                return look
    return None


def _there(look: str, catalogue: Catalogue) -> bool:
    """Whether some clip has the look; taken to be so before the footage is analysed."""
    if not catalogue.analysed:
        return True
    return max(c.looks.get(look, 0.0) for c in catalogue.clips) >= LEAST_LOOK
