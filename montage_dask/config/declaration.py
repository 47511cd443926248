"""What a setting is declared by: one entry says all of it, and everything else is a view of the entry."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from montage_dask.config.values import Kind

PREFIX = "DASK_MONTAGE__"


class Trust(Enum):
    """Who may set a setting by a job file, which is a thing that one receives."""

    MONTAGE = "montage"
    """It says what a montage is: whoever sent the file may."""
    OWNER = "owner"
    """It says where a job runs, what that may take or whom it asks: only the user may, and a job file that is the user's own
    (`--trust-job`)."""


@dataclass(frozen=True, slots=True)
class Option:
    """The option of `run` that sets it. Other commands have it too, by `commands.options`."""

    help: str
    metavar: str | None = None
    """What is given to it; None: nothing, it is a flag."""
    flag: str | None = None
    """Its name without the dashes; None: that of the setting."""
    group: Literal["montage", "analysis", "shared"] = "montage"
    """Which commands have it: `run` and `plan`, those that analyse, or all that run on a cluster."""
    multiple: bool = False
    """Whether it may be given more than once."""
    many: bool = False
    """Whether it sets several settings, so that it is written by hand."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A setting."""

    name: str
    default: Any
    kind: Kind[Any]
    """What it may be."""
    trust: Trust
    help: str
    """What it does, for docs/configuration.md."""
    option: Option | None = None
    """None: the environment, a file, or a command of its own sets it."""
    alias: str | None = None
    """An environment variable that works without `PREFIX`."""
    file: Literal["always", "or a name"] | None = None
    """Whether it names a file that is read: always, or where it does not look like a name."""

    @property
    def variable(self) -> str:
        """The environment variable that Dask's configuration reads."""
        return PREFIX + self.name.replace("-", "_").upper()

    @property
    def variables(self) -> tuple[str, ...]:
        """All environment variables that set it; the first one counts more."""
        return (self.variable,) if self.alias is None else (self.alias, self.variable)

    @property
    def flag(self) -> str | None:
        """The option of `run`, with its dashes."""
        return None if self.option is None else f"--{self.option.flag or self.name}"


@dataclass(frozen=True, slots=True)
class Section:
    """Settings under one heading."""

    heading: str
    settings: tuple[Definition, ...]
