"""Closed forms: what a JSON value may be, as a check and as a JSON schema from one description.

For answers that come from outside: nothing passes that the form does not name.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from montage_dask.errors import printable


class RefusedError(ValueError):
    """A value is not of its form; the message says where and why, in one line."""


class Form(Protocol):
    """What a value may be."""

    def schema(self) -> dict[str, Any]:
        """As a JSON schema."""

    def read(self, value: Any, where: str) -> Any:
        """The value, checked.

        Raises:
            RefusedError: it is something else.
        """


def shown(value: Any) -> str:
    """A refused value, cut short and on one line."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 60
    short.maxlist = short.maxdict = 4
    short.maxlevel = 2
    return printable(short.repr(value))


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some names, or null."""

    names: Sequence[str]
    optional: bool = True

    def schema(self) -> dict[str, Any]:
        names = [*self.names, *([None] if self.optional else [])]
        return {"type": ["string", "null"] if self.optional else "string", "enum": names}

    def read(self, value: Any, where: str) -> str | None:
        if value is None and self.optional:
            return None
        if not isinstance(value, str) or value not in self.names:
            listed = ", ".join(self.names) or "nothing"
            raise RefusedError(f"{where}: {shown(value)} is not one of {listed}")
        return value


@dataclass(frozen=True, slots=True)
class Number:
    """A number in [low, high], or null."""

    low: float
    high: float
    whole: bool = False
    optional: bool = True

    def schema(self) -> dict[str, Any]:
        kind = "integer" if self.whole else "number"
        return {
            "type": [kind, "null"] if self.optional else kind,
            "minimum": self.low,
            "maximum": self.high,
        }

    def read(self, value: Any, where: str) -> float | int | None:
        if value is None and self.optional:
            return None
        kind = "a whole number" if self.whole else "a number"
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RefusedError(f"{where}: expected {kind}, got {shown(value)}")
        if not self.low <= value <= self.high or not math.isfinite(value):
            raise RefusedError(
                f"{where}: {shown(value)} is not between {self.low:g} and {self.high:g}"
            )
        if not self.whole:
            return float(value)
        if value != int(value):
            raise RefusedError(f"{where}: expected {kind}, got {shown(value)}")
        return int(value)


@dataclass(frozen=True, slots=True)
class Line:
    """A text; what is kept of it is one printable line of at most `longest` characters."""

    longest: int

    def schema(self) -> dict[str, Any]:
        return {"type": "string"}

    def read(self, value: Any, where: str) -> str:
        if not isinstance(value, str):
            raise RefusedError(f"{where}: expected text, got {shown(value)}")
        line = printable(" ".join(value[: 4 * self.longest].split()))
        return line if len(line) <= self.longest else line[: self.longest - 1] + "…"


@dataclass(frozen=True, slots=True)
class Many:
    """A list of values of one form."""

    item: Form
    longest: int

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": self.item.schema(), "maxItems": self.longest}

    def read(self, value: Any, where: str) -> list[Any]:
        if not isinstance(value, list):
            raise RefusedError(f"{where}: expected a list, got {shown(value)}")
        if len(value) > self.longest:
            raise RefusedError(f"{where}: {len(value)} values, at most {self.longest} are allowed")
        return [self.item.read(v, f"{where}[{k}]") for k, v in enumerate(value)]


@dataclass(frozen=True, slots=True)
class Record:
    """An object with exactly these keys; one that is left out counts as null where null is allowed."""

    fields: Mapping[str, Form]

    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {name: form.schema() for name, form in self.fields.items()},
            "required": list(self.fields),
            "additionalProperties": False,
        }

    def read(self, value: Any, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise RefusedError(f"{where}: expected an object, got {shown(value)}")
        unknown = [k for k in value if k not in self.fields]
        if unknown:
            raise RefusedError(f"{where}: unknown key {shown(unknown[0])}")
        found: dict[str, Any] = {}
        for name, form in self.fields.items():
            inside = f"{where}.{name}" if where != "answer" else name
            if name not in value and isinstance(form, Many):
                found[name] = []
            else:
                found[name] = form.read(value.get(name), inside)
        return found
