"""What a value may look like: each kind reads what a user writes, or refuses it, and says its form in words."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Generic, TypeVar

import dask.utils

T = TypeVar("T")

HUGE = re.compile(r"[eE][+-]?\d{4}")
"""An exponent that a Fraction would work out for hours."""

TIME = {"type": ["number", "string"], "minimum": 0, "maximum": 86_400, "pattern": r"^[0-9:./ ]+$"}
"""The JSON schema of times."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A kind of values. Call it with what a user wrote."""

    read: Callable[[Any], T]
    form: str
    """What a value looks like, in words, for people."""
    schema: Mapping[str, Any] = field(default_factory=dict)
    """The same for editors, as JSON schema: how a value is usually written. An unusual spelling may be read all the same."""
    in_job_files: bool = False
    """Whether a job file may set it, which is a thing that one receives (see `config.declaration.Trust`)."""

    def __call__(self, value: Any) -> T:
        """The value, converted.

        Raises:
            ValueError, TypeError, OverflowError, ZeroDivisionError: it is not of this kind.
        """
        return self.read(value)


def kind(form: str, **schema: Any) -> Callable[[Callable[[Any], T]], Kind[T]]:
    """Makes a kind of the function that reads it."""
    return lambda read: Kind(read, form, schema or {"type": "string", "minLength": 1})


@kind("time: seconds, `1:30` or `0:01:30.5`, up to 24 hours", **TIME)
def seconds(value: Any) -> Fraction:
    """A time of at least 0: a number of seconds, "90", "1:30" or "0:01:30.5".

    Raises:
        ValueError: it is not one.
    """
    if isinstance(value, bool):
        raise ValueError("not a time")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("not a finite time")
    total = Fraction(0)
    parts = str(value).strip().split(":")
    if not 1 <= len(parts) <= 3 or HUGE.search(str(value)):
        raise ValueError("not a time")
    for part in parts:
        number = Fraction(part)
        if number < 0 or part.startswith("-"):
            raise ValueError("a time cannot be negative")
        total = total * 60 + number
    if total > 24 * 3600:
        raise ValueError("longer than 24 hours")
    return total


@kind("time above 0: seconds, `1:30` or `0:01:30.5`", **TIME, **{"not": {"enum": [0, "0"]}})
def positive_seconds(value: Any) -> Fraction:
    """As `seconds`, but more than 0."""
    result = seconds(value)
    if result <= 0:
        raise ValueError("must be more than 0")
    return result


@kind(
    "time: seconds, `1:30` or `0:01:30.5`, up to 24 hours; or `auto`",
    anyOf=[{"const": "auto"}, TIME],
)
def seconds_or_auto(value: Any) -> Fraction | str:
    """As `seconds`, or "auto"."""
    return "auto" if value == "auto" else seconds(value)


@kind(
    "frame rate: `25`, `29.97` or `30000/1001`; 1 to 240",
    type=["number", "string"], minimum=1, maximum=240, pattern=r"^[0-9./ ]+$",
)  # fmt: skip
def rate(value: Any) -> Fraction:
    """A frame rate: 25, "29.97" (taken as 30000/1001) or "24000/1001"."""
    if HUGE.search(str(value)):
        raise ValueError("must lie between 1 and 240")
    number = Fraction(str(value).strip())
    if not 1 <= number <= 240:
        raise ValueError("must lie between 1 and 240")
    ntsc = Fraction(round(number * Fraction(1001, 1000)) * 1000, 1001)
    # 23.976, 29.97 and 59.94 are everyday names of n·1000/1001.
    if number.denominator != 1 and abs(number - ntsc) < Fraction(1, 100):
        return ntsc
    return number.limit_denominator(100_000)


SIZES: Mapping[str, str] = {
    "reel": "1080x1920",
    "short": "1080x1920",
    "square": "1080x1080",
    "portrait": "1080x1350",
    "landscape": "1920x1080",
    "4k": "3840x2160",
}
"""Sizes that have a name."""


@kind(
    "WIDTHxHEIGHT in pixels, both even, 16 to 8192; or `reel` `short` `square` `portrait` `landscape` `4k`",
    anyOf=[{"enum": list(SIZES)}, {"type": "string", "pattern": r"^ *[0-9]+[xX][0-9]+ *$"}],
)
def size(value: Any) -> str:
    """WIDTHxHEIGHT in even pixels, 16 to 8192, or a name of `SIZES`."""
    named = str(value).strip().lower()
    width, _, height = SIZES.get(named, named).partition("x")
    if not (width.isascii() and width.isdigit() and height.isascii() and height.isdigit()):
        raise ValueError("must look like 1920x1080")
    if not (16 <= int(width) <= 8192 and 16 <= int(height) <= 8192):
        raise ValueError("each side must lie between 16 and 8192")
    if int(width) % 2 or int(height) % 2:
        raise ValueError("both sides must be even")
    return f"{int(width)}x{int(height)}"


def whole(low: int, high: int) -> Kind[int]:
    """Whole numbers in [low, high]."""

    def read(value: Any) -> int:
        if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
            raise ValueError("must be a whole number")
        number = int(value)
        if not low <= number <= high:
            raise ValueError(f"must lie between {low} and {high}")
        return number

    schema = {"type": "integer", "minimum": low, "maximum": high}
    return Kind(read, f"whole number, {low} to {high}", schema)


def number(low: float, high: float) -> Kind[float]:
    """Finite numbers in [low, high]."""

    def read(value: Any) -> float:
        if isinstance(value, bool):
            raise ValueError("must be a number")
        result = float(value)
        if not low <= result <= high:  # NaN fails too
            raise ValueError(f"must lie between {low:g} and {high:g}")
        return result

    schema = {"type": "number", "minimum": low, "maximum": high}
    return Kind(read, f"number, {low:.9g} to {high:.9g}", schema)


def one_of(*names: str) -> Kind[str]:
    """One of several words."""

    def read(value: Any) -> str:
        if value not in names:
            raise ValueError("must be one of " + ", ".join(names))
        return str(value)

    return Kind(read, " ".join(f"`{n}`" for n in names), {"enum": list(names)})


@kind("text")
def text(value: Any) -> str:
    """Text that is not empty."""
    if not isinstance(value, str | os.PathLike) or not str(value):
        raise ValueError("must be text")
    return str(value)


@kind("text of 1 to 2000 characters", type="string", minLength=1, maxLength=2000)
def brief(value: Any) -> str:
    """A text of at most 2000 characters."""
    words = text(value)
    if not words.strip() or len(words) > 2000:
        raise ValueError("must be a text of 1 to 2000 characters")
    return words


@kind("address at http:// or https://", type="string", pattern="^https?://")
def http_url(value: Any) -> str:
    """The base URL of a server with an OpenAI API."""
    from montage_dask.director_client import server_url

    return server_url(text(value))


@kind("`true` `false`", type="boolean")
def switch(value: Any) -> bool:
    """Yes or no."""
    words = {"true": True, "yes": True, "1": True, "on": True}
    words |= {"false": False, "no": False, "0": False, "off": False}
    if str(value).lower() not in words:
        raise ValueError("must be true or false")
    return words[str(value).lower()]


@kind("`auto` `true` `false`", enum=["auto", True, False])
def automatic(value: Any) -> str:
    """auto, true or false."""
    return "auto" if str(value).lower() == "auto" else str(switch(value)).lower()


@kind("`auto` `on` `off`", enum=["auto", "on", "off", True, False])
def on_off_or_auto(value: Any) -> str:
    """auto, on or off; YAML reads the latter two as true and false."""
    words = {"auto": "auto", "on": "on", "true": "on", "off": "off", "false": "off"}
    if str(value).lower() not in words:
        raise ValueError("must be auto, on or off")
    return words[str(value).lower()]


@kind(
    "off, or effects: such as `punch=downbeats:0.5,flash=drops`",
    anyOf=[{"type": "string", "minLength": 1}, {"const": False}],
)
def beat_effects(value: Any) -> str:
    """Effects on beats, or off; YAML reads the latter as false."""
    from montage_dask.edit.beat_effects import EFFECTS, NO_EFFECT, OFF, parse_beat_effects

    words = OFF if value is False else text(value)
    parse_beat_effects(words, dict.fromkeys(EFFECTS, NO_EFFECT))
    return words


@kind("bytes: `1.5GB`, `800 MiB`; 64 MiB to 16 TiB", type=["string", "number"])
def byte_size(value: Any) -> int:
    """Bytes, as Dask writes them: "1.5GB", "800 MiB"."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError('must look like "1.5GB"')
    result = int(dask.utils.parse_bytes(value))
    if not 1 << 26 <= result <= 1 << 44:
        raise ValueError("must lie between 64 MiB and 16 TiB")
    return result


@kind("bytes: `20GB`, `800 MiB`; 1 MB to 1 PiB", type=["string", "number"])
def cache_size(value: Any) -> int:
    """As `byte_size`, from 1 MB on."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError('must look like "20GB"')
    result = int(dask.utils.parse_bytes(value))
    if not 10**6 <= result <= 1 << 50:
        raise ValueError("must lie between 1 MB and 1 PiB")
    return result


@kind(
    "mapping of operations to `auto` `cpu` `gpu` `cgpu`",
    type="object", additionalProperties={"enum": ["auto", "cpu", "gpu", "cgpu"]},
)  # fmt: skip
def placements(value: Any) -> dict[str, str]:
    """Operation names and where each is to run."""
    if not isinstance(value, Mapping):
        raise ValueError("must map operations to targets")
    return {text(k): one_of("auto", "cpu", "gpu", "cgpu")(v) for k, v in value.items()}


@kind("numbers of workers: `4` or `0:8`, up to 1000", type=["integer", "string"])
def workers_range(value: Any) -> str:
    """Numbers of workers: "4", "0:8"."""
    found = re.fullmatch(r"\s*(\d{1,4})(?:\s*:\s*(\d{1,4}))?\s*", str(value))
    if not found:
        raise ValueError("must look like 4 or 0:8")
    low, high = int(found[1]), int(found[2] or found[1])
    if not low <= high <= 1000:
        raise ValueError("must be a range within 0:1000, the smaller number first")
    return f"{low}:{high}"


@kind("name of a Kubernetes object: lower case letters, digits, dashes")
def name_of_object(value: Any) -> str:
    """Names of Kubernetes objects."""
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", str(value)):
        raise ValueError("must be lower case letters, digits and dashes")
    return str(value)


@kind("auto, none, or the name of a Kubernetes object")
def name_of_claim(value: Any) -> str:
    """A claim: its name, auto, or none."""
    return name_of_object("none" if value is None else value)


@kind("absolute path")
def absolute_folder(value: Any) -> str:
    """Absolute paths."""
    if not text(value).startswith("/") or text(value) == "/":
        raise ValueError("must be an absolute path")
    return os.path.normpath(text(value))


@kind("mapping of names to values", type="object")
def variables(value: Any) -> dict[str, str]:
    """Names and values of environment variables."""
    if not isinstance(value, Mapping):
        raise ValueError("must map names to values")
    return {text(k): str(v) for k, v in value.items()}


@kind("list of texts", type="array", items={"type": "string", "minLength": 1})
def texts(value: Any) -> tuple[str, ...]:
    """A list of texts."""
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list")
    return tuple(text(v) for v in value)


def some_of(*names: str) -> Kind[tuple[str, ...]]:
    """A list of some of several words; a text holds them between commas."""

    def read(value: Any) -> tuple[str, ...]:
        given = value if isinstance(value, list | tuple) else str(value).split(",")
        words = [w.strip() for v in given for w in str(v).split(",") if w.strip()]
        for word in words:
            if word not in names:
                raise ValueError(f"{word!r}: must be some of " + ", ".join(names))
        return tuple(dict.fromkeys(words))

    several = {"type": "array", "items": {"enum": list(names)}}
    schema = {"anyOf": [several, {"type": "string", "pattern": "^[a-z, ]*$"}]}
    return Kind(read, "some of " + " ".join(f"`{n}`" for n in names), schema)


def optional(of: Kind[T]) -> Kind[T | None]:
    """Null, or what the other kind reads."""
    schema = {"anyOf": [{"type": "null"}, dict(of.schema)]}
    return Kind(lambda value: None if value is None else of(value), f"{of.form}; or null", schema)
