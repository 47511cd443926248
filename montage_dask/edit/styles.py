"""Styles: how a montage is paced, chosen and coloured. One YAML file each, checked strictly."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from montage_dask.edit.beat_effects import BEATS, EFFECTS, NO_EFFECT, BeatEffect
from montage_dask.edit.choose import LABELS
from montage_dask.edit.looks import LOOKS
from montage_dask.edit.match import MATCHES
from montage_dask.edit.story import ARCS
from montage_dask.errors import UsageError, printable
from montage_dask.received import read_yaml
from montage_dask.schema_versions import KEY, read_version

WEIGHTS = ("quality", "motion", "variety", "arc", "action")
TRANSITIONS = ("cut", "crossfade", "dip-to-black", "dip-to-white")
PLACES = ("none", "sections", "all")
ORDERS = ("free", "chronological")
GRADES = (
    *("none", "vibrant", "warm", "cool", "teal-orange", "noir", "filmic-warm"),
    *("high-contrast", "desaturated", "bleach", "vintage", "faded", "moonlight"),
)
OPTIONAL = ("taste", *EFFECTS)
"""Keys that a file may leave out."""
FOLDER = Path(__file__).resolve().parent.parent / "styles"


@dataclass(frozen=True, slots=True)
class Style:
    """How a montage is made. Every field but `name` is a key of the YAML file; all are required but for `OPTIONAL`."""

    name: str
    description: str
    """One line for people; the only key that leaves the montage as it is."""
    beats_per_cut: Mapping[str, int]
    """Beats that a shot lasts at medium energy, by section label."""
    energy_response: float
    """What pace and motion follow: 0 the arc alone … 1 the energy of the music alone."""
    arc: str
    """Tension over the montage; a name in `story.ARCS`."""
    weights: Mapping[str, float]
    """What selection looks for; only the ratios count."""
    minimum_shot_seconds: float
    maximum_shot_seconds: float
    prefer_downbeats: bool
    transition: str
    """Kind of the transitions."""
    transition_at: str
    """none, sections (where a section begins), or all cuts."""
    transition_chance: float
    """Chance, 0 … 1, of a transition at every other cut."""
    transition_beats: float
    """How long a transition lasts, in beats."""
    grade: str
    """Name of a preset."""
    match: str
    """Whether shots of one scene are brought to one look: auto, on or off."""
    fade_out_seconds: float
    slow_motion: Fraction
    """Speed of shots at low intensity, 1/4 … 1; 1 for none."""
    speed_change: float
    """By how much a shot may run faster or slower so that its peak meets a beat, 1 … 2; 1 for not at all."""
    jump_cuts: bool
    """Whether two parts of one take may follow each other."""
    order: str
    """free, or chronological (as the footage was shot: by file name, then time)."""
    taste: Mapping[str, float] = field(default_factory=dict)
    """Which looks it likes to show, and how much; only the ratios count."""
    punch: BeatEffect = NO_EFFECT
    """The picture jumps nearer on a beat, and back."""
    flash: BeatEffect = NO_EFFECT
    """It is brighter on a beat."""
    shake: BeatEffect = NO_EFFECT
    """It shakes on a beat."""
    ramp: BeatEffect = NO_EFFECT
    """What it shows begins slowly on a beat and becomes faster to the next one."""

    @property
    def beat_effects(self) -> dict[str, BeatEffect]:
        """Its effects on beats, by name."""
        return {name: getattr(self, name) for name in EFFECTS}


LATER: Mapping[str, Any] = {"match": "off", "speed_change": 1, "jump_cuts": False}
"""What counts in styles of version 1 that lack a key: 0.1 got these on its way."""


def style_names() -> tuple[str, ...]:
    """The styles that come with the package, sorted."""
    return tuple(sorted(p.stem for p in FOLDER.glob("*.yaml")))


def load_style(name_or_path: str) -> Style:
    """A style of the package by name, or of a user by the path of a .yaml file.

    Raises:
        UsageError: no such style, or the file does not hold one.
    """
    if name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path)
    elif name_or_path in style_names():
        path = FOLDER / f"{name_or_path}.yaml"
    else:
        close = difflib.get_close_matches(name_or_path, style_names(), 1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise UsageError(f"no style {printable(name_or_path)!r}: {hint}{_known()}")
    try:
        data = read_yaml(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise UsageError(f"style {printable(str(path))}: {reason}; {_known()}") from error
    except ValueError as error:
        reason = printable(str(error))[:200]
        raise UsageError(f"style {printable(str(path))}: not YAML: {reason}") from error
    return parse_style(data, path.stem, str(path))


def parse_style(data: Any, name: str, where: str) -> Style:
    """The style that a mapping describes.

    Args:
        data: what the YAML file holds.
        name: name of the style.
        where: the file, for messages.

    Raises:
        UsageError: a key is unknown, missing or has a wrong value.
    """
    data = _check_keys(data, where)
    values = {}
    for key, read in _READERS.items():
        if key in OPTIONAL and key not in data:
            continue
        try:
            values[key] = read(data[key])
        except _WrongError as wrong:
            detail = f"{key}{wrong.key}: {wrong}"
            raise UsageError(f"style {printable(where)}: {detail}; {_known()}") from wrong
    style = Style(name=name, **values)
    if style.minimum_shot_seconds >= style.maximum_shot_seconds:
        raise UsageError(
            f"style {printable(where)}: minimum_shot_seconds must be below "
            f"maximum_shot_seconds; {_known()}"
        )
    return style


class _WrongError(Exception):
    """A value is not what its key wants."""

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message)
        self.key = key


def _known() -> str:
    return "styles: " + ", ".join(style_names())


def _check_keys(data: Any, where: str) -> dict[str, Any]:
    """The keys of a style of this version."""
    if not isinstance(data, dict):
        raise UsageError(f"style {printable(where)}: expected a mapping of keys; {_known()}")
    first = read_version("style", data, f"style {where}") == 1
    data = {**(LATER if first else {}), **{k: v for k, v in data.items() if k != KEY}}
    required = set(_READERS) - set(OPTIONAL)
    for problem, keys in (
        ("unknown", set(data) - set(_READERS)),
        ("missing", required - set(data)),
    ):
        if keys:
            listed = ", ".join(printable(k) for k in sorted(map(str, keys)))
            raise UsageError(f"style {printable(where)}: {problem} key {listed}; {_known()}")
    return data


def _number(low: float, high: float) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _WrongError(f"expected a number, got {value!r}")
        if not low <= value <= high:
            raise _WrongError(f"{value!r} is not between {low:g} and {high:g}")
        return float(value)

    return read


def _beats(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 64:
        raise _WrongError(f"expected whole beats, 1 to 64, got {value!r}")
    return value


def _one_of(*names: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in names:
            raise _WrongError(f"{value!r} is not one of {', '.join(names)}")
        return value

    return read


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _WrongError(f"expected true or false, got {value!r}")
    return value


def _matching(value: Any) -> str:
    # YAML reads on and off as true and false.
    return _one_of(*MATCHES)(
        {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value
    )


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _WrongError(f"expected a line of text, got {value!r}")
    return value.strip()


def _speed(value: Any) -> Fraction:
    return Fraction(str(_number(0.25, 1)(value))).limit_denominator(100)


def _effect(value: Any) -> BeatEffect:
    if value == "none":
        return NO_EFFECT
    if not isinstance(value, dict) or set(value) != {"at", "strength"}:
        raise _WrongError(f"expected none, or the keys at and strength, got {value!r}")
    found: dict[str, Any] = {}
    for key, read in (("at", _one_of(*BEATS)), ("strength", _number(0, 1))):
        try:
            found[key] = read(value[key])
        except _WrongError as wrong:
            raise _WrongError(str(wrong), f".{key}") from wrong
    return BeatEffect(**found)


def _each(names: tuple[str, ...], read: Callable[[Any], Any]) -> Callable[[Any], dict[str, Any]]:
    def read_all(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or set(value) != set(names):
            raise _WrongError(f"expected the keys {', '.join(names)}, got {value!r}")
        result = {}
        for name in names:
            try:
                result[name] = read(value[name])
            except _WrongError as wrong:
                raise _WrongError(str(wrong), f".{name}") from wrong
        return result

    return read_all


def _some(names: Collection[str], read: Callable[[Any], Any]) -> Callable[[Any], dict[str, Any]]:
    def read_some(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or not set(value) <= set(names):
            raise _WrongError(f"expected keys of {', '.join(names)}, got {value!r}")
        return _each(tuple(value), read)(value)

    return read_some


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "description": _text,
    "beats_per_cut": _each(LABELS, _beats),
    "energy_response": _number(0, 1),
    "arc": _one_of(*ARCS),
    "weights": _each(WEIGHTS, _number(0, 10)),
    "minimum_shot_seconds": _number(0.1, 30),
    "maximum_shot_seconds": _number(0.5, 120),
    "prefer_downbeats": _flag,
    "transition": _one_of(*TRANSITIONS),
    "transition_at": _one_of(*PLACES),
    "transition_chance": _number(0, 1),
    "transition_beats": _number(0.125, 16),
    "grade": _one_of(*GRADES),
    "match": _matching,
    "fade_out_seconds": _number(0, 20),
    "slow_motion": _speed,
    "speed_change": _number(1, 2),
    "jump_cuts": _flag,
    "order": _one_of(*ORDERS),
    "taste": _some(LOOKS, _number(0, 10)),
    **dict.fromkeys(EFFECTS, _effect),
}
assert set(_READERS) == {f.name for f in dataclasses.fields(Style)} - {"name"}
