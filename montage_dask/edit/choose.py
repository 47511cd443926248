"""What the user wants in and out: `--include`, `--exclude` and `--pin CLIP[@t]`."""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from montage_dask.errors import UsageError, printable
from montage_dask.records import Shot, Source

_TIME = re.compile(r"(?:(\d+):)?(?:(\d+):)?(\d+(?:\.\d+)?)s?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Selector:
    """Clips, or the shot of a clip that is on screen at a time."""

    text: str
    """As the user wrote it."""
    name: str
    """File name, stem, path, folder or glob: the text without a trailing @time."""
    at_seconds: Fraction | None = None
    """Source time; None for whole clips."""


ANYWHERE, FIRST, LAST = "anywhere", "first", "last"
LABELS = ("intro", "low", "build", "high", "drop", "outro")
"""Of sections of the music."""
PIN_PLACES = (ANYWHERE, FIRST, LAST, *LABELS)


@dataclass(frozen=True, slots=True)
class Pin:
    """A clip, or a moment of it, that must be in the montage."""

    source: str
    """Identity of the source."""
    at_seconds: Fraction | None
    """Source time that must be on screen; None when any part of the clip will do."""
    shots: tuple[Shot, ...] = ()
    """The shots that fulfil it; they need not be among those that an edit may choose freely."""
    place: str = ANYWHERE
    """One of `PIN_PLACES`: it opens the montage, ends it, or lies in a section where the montage has such a one."""
    music_seconds: Fraction | None = None
    """Music time at which it must be on screen, such as a beat; None for any. Counts more than `place`."""
    by: str = "the user"
    """Who pinned it, for people."""

    def __post_init__(self) -> None:
        if self.place not in PIN_PLACES:
            raise ValueError(f"expected a place of {PIN_PLACES}, got {self.place = }")


def parse_selector(text: str) -> Selector:
    """The selector of "CLIP" or "CLIP@t", t in seconds or mm:ss.

    Only a trailing @time is a time: "me@home.mp4" is a name.

    Raises:
        UsageError: the text is empty.
    """
    if not text.strip():
        raise UsageError("a clip selector is empty: expected CLIP or CLIP@t")
    name, at, time = text.rpartition("@")
    match = _TIME.fullmatch(time.strip()) if at and name else None
    if match is None:
        return Selector(text, text)
    first, second, last = match.groups()
    parts = [p for p in (first, second) if p is not None]
    seconds = Fraction(last)
    for power, part in enumerate(reversed(parts), 1):
        seconds += int(part) * 60**power
    return Selector(text, name, seconds)


def _is(name: str, path: str) -> bool:
    """Whether a name means the file at `path`."""
    file = Path(path)
    if name in (path, file.name, file.stem) or str(Path(name)) == path:
        return True
    relative = str(Path(name)) if not name.startswith("/") else name.rstrip("/")
    relative = re.sub(r"^(\.\.?/)+", "", relative)
    if relative.startswith("/"):
        return path.startswith(relative + "/") or fnmatch.fnmatchcase(path, name)
    if "/" in relative and path.endswith("/" + relative):
        return True
    if relative not in (".", "..") and f"/{relative}/" in str(file):
        return True
    return fnmatch.fnmatchcase(file.name, name) or (
        "/" in relative and fnmatch.fnmatchcase(path, "*/" + relative)
    )


def _resolved(selector: Selector, sources: Mapping[str, Source]) -> tuple[list[str], Selector]:
    """Identities that a selector names; a file whose very name ends in "@2" comes before a time."""
    if selector.at_seconds is not None:
        literal = [k for k, s in sources.items() if _is(selector.text, s.path)]
        if literal:
            return literal, Selector(selector.text, selector.text)
    return [k for k, s in sources.items() if _is(selector.name, s.path)], selector


def _hint(name: str, names: Sequence[str]) -> str:
    """What a name that no file has may have meant."""
    stems = {Path(n).stem: n for n in names}
    near = difflib.get_close_matches(name, names, 3, 0.5)
    near += [stems[s] for s in difflib.get_close_matches(name, list(stems), 3, 0.5)]
    word = name.strip("*").lower()
    holding = [n for n in names if len(word) > 2 and word in n.lower()]
    if holding:
        at = holding[0].lower().index(word)
        pattern = printable(f"*{holding[0][at : at + len(word)]}*")  # in the case that the file has
        return f"did you mean {pattern!r} ({', '.join(map(printable, holding[:3]))})"
    if near:
        return "did you mean " + ", ".join(map(printable, dict.fromkeys(near)))
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return "there are " + ", ".join(map(printable, names[:5])) + more


def resolve_named(selector: Selector, sources: Mapping[str, Source]) -> tuple[list[str], Selector]:
    """Identities of the clips that a selector names, and the selector as it is meant.

    Raises:
        UsageError: it names nothing, or a time after the end.
    """
    found, meant = _resolved(selector, sources)
    if not found:
        hint = _hint(meant.name, sorted({Path(s.path).name for s in sources.values()}))
        raise UsageError(f"no clip is called {printable(meant.name)!r}: {hint}")
    if meant.at_seconds is not None:
        longest = max(sources[k].duration_seconds for k in found)
        if meant.at_seconds >= longest:
            raise UsageError(
                f"{printable(selector.text)}: the clip ends at {float(longest):.2f} s; "
                "give an earlier time"
            )
    return found, meant


def holds(shot: Shot, meant: Selector, identities: Sequence[str]) -> bool:
    """Whether a shot is meant by a selector that names these sources."""
    if shot.source not in identities:
        return False
    at = meant.at_seconds
    # A time within a transition means the shot that it leads to.
    begin = shot.start_seconds if shot.boundary_seconds is None else shot.boundary_seconds
    return at is None or begin <= at < shot.stop_seconds


def filter_shots(
    shots: Sequence[Shot],
    sources: Mapping[str, Source],
    include: Sequence[Selector],
    exclude: Sequence[Selector],
) -> tuple[Shot, ...]:
    """The shots that an edit may choose from.

    A selector that names none of `sources` is passed over here, because clips that are ruled out or
    broken are no longer there; `clips_ruled_out`, which sees them all, complains.

    Args:
        shots: all shots.
        sources: by identity.
        include: when there are any, only what they name is kept.
        exclude: what they name is left out; it wins over `include`.
    """
    wanted = [_resolved(s, sources) for s in include]
    unwanted = [_resolved(s, sources) for s in exclude]
    return tuple(
        shot
        for shot in shots
        if (not wanted or any(holds(shot, meant, found) for found, meant in wanted))
        and not any(holds(shot, meant, found) for found, meant in unwanted)
    )


def resolve_pins(
    shots: Sequence[Shot], sources: Mapping[str, Source], selectors: Sequence[Selector]
) -> tuple[Pin, ...]:
    """One pin per clip that a selector names.

    Args:
        shots: all shots, also those that include and exclude leave out: a pin wins.
        sources: by identity.
        selectors: what the user pinned.

    Raises:
        UsageError: a selector names no clip, or no shot of it.
    """
    pins = []
    for selector in selectors:
        found, meant = resolve_named(selector, sources)
        hits = [
            Pin(identity, meant.at_seconds, held)
            for identity in found
            if (held := tuple(s for s in shots if holds(s, meant, (identity,))))
        ]
        if not hits:
            raise UsageError(f"cannot pin {printable(selector.text)}: it has no usable shot there")
        pins += hits
    return tuple(dict.fromkeys(pins))


def clips_ruled_out(
    sources: Mapping[str, Source],
    include: Sequence[Selector],
    exclude: Sequence[Selector],
    pins: Sequence[Selector],
) -> set[str]:
    """Identities of clips that no shot can come from, so that they need not be analysed.

    Raises:
        UsageError: a selector names no clip, or a time after its end.
    """
    wanted = [resolve_named(s, sources)[0] for s in include]
    unwanted = [resolve_named(s, sources) for s in exclude]
    pinned = {k for s in pins for k in resolve_named(s, sources)[0]}
    out = set(sources) - {k for found in wanted for k in found} if wanted else set()
    out |= {k for found, meant in unwanted if meant.at_seconds is None for k in found}
    return out - pinned
