"""Direction: what a brief may decide about an edit, as a closed list; checked, and applied to the edit. Pure.

A brief is read by rules (`brief`) or by a language model (`prompt`). Either way what comes out is a `Decision`: names and
numbers of the lists that the `Catalogue` holds, and one sentence for people. Nothing else of an answer is kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from typing import Any

from montage_dask.edit.beat_effects import BEATS, EFFECTS
from montage_dask.edit.choose import FIRST, LABELS, LAST, PIN_PLACES, Pin
from montage_dask.edit.closed import Choice, Line, Many, Number, Record, RefusedError
from montage_dask.edit.looks import LOOKS, most
from montage_dask.edit.story import ARCS
from montage_dask.edit.styles import GRADES, ORDERS, PLACES, TRANSITIONS, WEIGHTS, Style
from montage_dask.errors import printable
from montage_dask.records import Shot, to_json

VERSION = 2
"""Rises when the same brief and catalogue may be decided otherwise."""
MAXIMUM_PINS = 8
LONGEST_REASON = 200
LONGEST_ANSWER = 65_536
MAXIMUM_SECONDS = 24 * 3600
LEAST_PACE, MOST_PACE = 0.25, 4.0


@dataclass(frozen=True, slots=True)
class ClipEntry:
    """A clip that a director may name."""

    identity: str
    name: str
    """File name, without its folder."""
    seconds: float
    shots: int
    """0: the footage has not been analysed yet."""
    looks: Mapping[str, float]
    """The most that any of its shots has of each look, 0 … 1; empty when not analysed."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All that may be chosen from."""

    clips: tuple[ClipEntry, ...]
    """The number of a clip is its place here."""
    styles: Mapping[str, str]
    """Descriptions by name."""
    sections: tuple[str, ...] = ()
    """Labels that the music has; empty when it has not been analysed yet."""
    music_seconds: float = 0.0
    """From the start of the montage to the end of the music."""
    tempo_bpm: float = 0.0
    fixed: Mapping[str, str] = field(default_factory=dict)
    """What the user has set already, by setting: it wins over what is decided."""

    @property
    def analysed(self) -> bool:
        """Whether it is known what is in the clips."""
        return any(c.shots for c in self.clips)


@dataclass(frozen=True, slots=True)
class PinWish:
    """A shot that must be in the montage: of a clip, with a look, or both."""

    place: str
    """One of `choose.PIN_PLACES`."""
    clip: int | None
    """Number in the catalogue."""
    look: str | None
    """A name in `looks.LOOKS`: the shot that has most of it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided; None leaves it to the style and the settings."""

    style: str | None = None
    pace: float | None = None
    """Cuts per time relative to the style: 2 cuts twice as often."""
    arc: str | None = None
    energy_response: float | None = None
    """0: pace and motion follow the arc alone … 1: the energy of the music alone."""
    emphasis: str | None = None
    """The weight of selection that counts double."""
    transition: str | None = None
    transition_at: str | None = None
    grade: str | None = None
    order: str | None = None
    punch: str | None = None
    """Where an effect comes, one of `BEATS`; the same for those that follow."""
    flash: str | None = None
    shake: str | None = None
    ramp: str | None = None
    slow_motion: float | None = None
    """Speed of calm shots, 1/4 … 1."""
    fade_out_seconds: float | None = None
    duration_seconds: int | None = None
    pins: tuple[PinWish, ...] = ()
    leave_out: tuple[int, ...] = ()
    """Numbers of clips that are not used."""
    reason: str = ""
    """One line for people."""


@dataclass(frozen=True, slots=True)
class Direction:
    """A decision, what it was made of, and by whom."""

    brief: str
    decision: Decision
    catalogue: Catalogue
    answered_by: str
    """"rules", or the server and its model."""
    reused: bool = False
    """Whether the answer was there from an earlier job."""
    overruled: tuple[str, ...] = ()
    """What was decided and does not count, as the user has set it."""
    notes: tuple[str, ...] = ()
    """What was not understood, or why a server was not heard."""

    def summary(self) -> dict[str, Any]:
        """As JSON, for plans and reports."""
        return {
            "brief": self.brief,
            "answered_by": self.answered_by,
            "reused": self.reused,
            "reason": self.decision.reason,
            "chosen": described(self.decision, self.catalogue),
            "overruled": list(self.overruled),
            "notes": list(self.notes),
            "provisional": not self.catalogue.analysed,
            "decision": to_json(self.decision),
        }


def form_of(catalogue: Catalogue) -> Record:
    """The form of a decision over a catalogue: every name and number that may be in one."""
    clip = Number(0, max(0, len(catalogue.clips) - 1), whole=True)
    sections = [p for p in PIN_PLACES if p not in LABELS or p in catalogue.sections]
    pin = Record({"place": Choice(sections, False), "clip": clip, "look": Choice(tuple(LOOKS))})
    out = Number(0, max(0, len(catalogue.clips) - 1), whole=True, optional=False)
    return Record(
        {
            "style": Choice(tuple(catalogue.styles)),
            "pace": Number(LEAST_PACE, MOST_PACE),
            "arc": Choice(tuple(ARCS)),
            "energy_response": Number(0, 1),
            "emphasis": Choice(WEIGHTS),
            "transition": Choice(TRANSITIONS),
            "transition_at": Choice(PLACES),
            "grade": Choice(GRADES),
            "order": Choice(ORDERS),
            **dict.fromkeys(EFFECTS, Choice(BEATS)),
            "slow_motion": Number(0.25, 1),
            "fade_out_seconds": Number(0, 20),
            "duration_seconds": Number(1, MAXIMUM_SECONDS, whole=True),
            "pins": Many(pin, MAXIMUM_PINS),
            "leave_out": Many(out, max(0, len(catalogue.clips) - 1)),
            "reason": Line(LONGEST_REASON),
        }
    )


def parse_answer(text: str, catalogue: Catalogue) -> Decision:
    """The decision that a model's answer holds: one JSON object, with or without a fence around it.

    Raises:
        RefusedError: it holds none, or something that the catalogue does not allow.
    """
    if len(text) > LONGEST_ANSWER:
        raise RefusedError(
            f"the answer has {len(text)} characters, at most {LONGEST_ANSWER} are read"
        )
    start, stop = text.find("{"), text.rfind("}")
    if start < 0 or stop < start:
        raise RefusedError("the answer holds no JSON object")
    try:
        data = json.loads(
            text[start : stop + 1], parse_constant=_no_constant, object_pairs_hook=_once
        )
    except RecursionError as error:
        raise RefusedError("the answer is nested too deeply") from error
    except RefusedError:
        raise
    except ValueError as error:
        raise RefusedError(f"the answer is not JSON: {error}") from error
    return decision_of(data, catalogue)


def _no_constant(name: str) -> Any:
    raise RefusedError(f"{name} is not JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise RefusedError("a key comes twice")
    return found


def decision_of(data: Any, catalogue: Catalogue) -> Decision:
    """The decision that JSON data describes.

    Raises:
        RefusedError: a key or value is not in the catalogue's lists, or values contradict each other.
    """
    read = form_of(catalogue).read(data, "answer")
    pins = tuple(dict.fromkeys(PinWish(**p) for p in read.pop("pins")))
    leave_out = tuple(sorted(set(read.pop("leave_out"))))
    for k, pin in enumerate(pins):
        if pin.clip is None and pin.look is None:
            raise RefusedError(f"pins[{k}]: name a clip, a look or both")
        if pin.clip in leave_out:
            raise RefusedError(f"pins[{k}]: clip {pin.clip} is left out")
    for place in (FIRST, LAST):
        if sum(p.place == place for p in pins) > 1:
            raise RefusedError(f"pins: only one can be {place}")
    return Decision(**read, pins=pins, leave_out=leave_out)


def directed_style(style: Style, decision: Decision) -> Style:
    """A style with what was decided in place of its own values."""
    d = decision
    changed: dict[str, Any] = {
        name: value
        for name, value in (
            ("arc", d.arc),
            ("energy_response", d.energy_response),
            ("transition_at", d.transition_at),
            ("order", d.order),
            ("fade_out_seconds", d.fade_out_seconds),
        )
        if value is not None
    }
    if d.slow_motion is not None:
        changed["slow_motion"] = Fraction(str(d.slow_motion)).limit_denominator(100)
    if d.pace is not None:
        beats = {k: min(64, max(1, round(b / d.pace))) for k, b in style.beats_per_cut.items()}
        changed["beats_per_cut"] = beats
        changed["minimum_shot_seconds"] = min(30.0, max(0.1, style.minimum_shot_seconds / d.pace))
        changed["maximum_shot_seconds"] = min(120.0, max(0.5, style.maximum_shot_seconds / d.pace))
    if d.emphasis is not None:
        # At least as much as an average weight, so that it counts in styles that ignore it.
        mean = sum(style.weights.values()) / len(style.weights)
        doubled = min(10.0, max(2 * style.weights[d.emphasis], 2 * mean))
        changed["weights"] = {**style.weights, d.emphasis: doubled}
    return replace(style, **changed)


def without_left_out(
    shots: Sequence[Shot], decision: Decision, catalogue: Catalogue
) -> tuple[Shot, ...]:
    """The shots of the clips that are not left out."""
    out = {catalogue.clips[k].identity for k in decision.leave_out}
    return tuple(s for s in shots if s.source not in out)


def directed_pins(
    shots: Sequence[Shot], decision: Decision, catalogue: Catalogue
) -> tuple[tuple[Pin, ...], tuple[str, ...]]:
    """The pins that were decided, on the shots that there are.

    Args:
        shots: those that the edit may choose from.
        decision: what was decided.
        catalogue: over which.

    Returns:
        Pins, and a note on each wish that no shot fulfils.
    """
    pins: list[Pin] = []
    notes: list[str] = []
    taken: set[Shot] = set()
    for wish in decision.pins:
        clip = None if wish.clip is None else catalogue.clips[wish.clip]
        found = [s for s in shots if clip is None or s.source == clip.identity]
        if wish.look is not None:
            # One shot is not pinned twice for two looks while others are left.
            found = [s for s in found if s not in taken] or found
            found = [most(found, wish.look)] if found else []
        if not found:
            notes.append(f"the director's pin ({described_pin(wish, catalogue)}) finds no shot")
            continue
        taken.update(found[:1] if wish.look is not None else ())
        pins.append(Pin(found[0].source, None, tuple(found), wish.place, by="the director"))
    return tuple(dict.fromkeys(pins)), tuple(notes)


def described_pin(pin: PinWish, catalogue: Catalogue) -> str:
    """A pin for people, on one line whatever the file is called."""
    what = [] if pin.look is None else [f"the shot that is most {pin.look}"]
    if pin.clip is not None:
        what.append(printable(catalogue.clips[pin.clip].name))
    return f"{pin.place}: {' of '.join(what)}"


def described(decision: Decision, catalogue: Catalogue) -> list[str]:
    """What was decided, one line each, for people."""
    lines = []
    for name in (f.name for f in fields(Decision)):
        value = getattr(decision, name)
        if name in ("pins", "leave_out", "reason") or value is None:
            continue
        shown = f"{value:g}" if isinstance(value, float) else str(value)
        lines.append(f"{name.replace('_', ' ')}: {shown}")
    lines += [described_pin(p, catalogue) for p in decision.pins]
    lines += [f"left out: {printable(catalogue.clips[k].name)}" for k in decision.leave_out]
    return lines
