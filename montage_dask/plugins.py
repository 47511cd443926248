"""What other distributions plug in: operations, commands, functions of the API, writers of reports.

An installed distribution names them as entry points, in the groups below. Nothing of it is imported before it is asked for by its
name. What this package has itself counts more, so nobody can put another `encode` or `run` in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import metadata
from typing import Any

from montage_dask.errors import UsageError

OWN = "montage-dask"
"""The distribution that this package is of."""

OPERATIONS = "montage_dask.operations"
"""Name of an operation → its `graph.operation.Operation`."""
COMMANDS = "montage_dask.commands"
"""Name of a command → its `click.Command`."""
API = "montage_dask.api"
"""Name below `montage_dask` → a function."""
REPORTS = "montage_dask.reports"
"""Name of a summary file → a function (summary, folder, later) that writes `report.html` from it."""

TRAINING = "montage-dask-training"
LEFT: Mapping[str, Mapping[str, str]] = {
    OPERATIONS: dict.fromkeys(("synthesise", "train", "evaluate"), TRAINING),
    COMMANDS: {"train": TRAINING},
    API: {"train": TRAINING},
    REPORTS: {"training.json": TRAINING},
}
"""What other distributions of this project plug in, so that it can be said where one is not installed."""

SOURCES: Mapping[str, str] = {TRAINING: "training"}
"""Of each of them, its folder beside this package's. By that it is installed: an index may hold something else under its name."""


@cache
def _plugged(group: str) -> metadata.EntryPoints:
    return metadata.entry_points(group=group)


@cache
def version_of(distribution: str) -> str | None:
    """The version of an installed distribution; None where there is none."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def entry(group: str, name: str) -> metadata.EntryPoint | None:
    """What an installed distribution plugs in under a name; None where none does."""
    return next(iter(_plugged(group).select(name=name)), None)


def names(group: str) -> list[str]:
    """All that is plugged in, sorted."""
    return sorted({e.name for e in _plugged(group)})


def distributions(group: str) -> list[metadata.Distribution]:
    """The distributions that plug something in, sorted by name."""
    found = {e.dist.name: e.dist for e in _plugged(group) if e.dist}
    return [found[name] for name in sorted(found)]


def load(group: str, name: str) -> Any:
    """What is plugged in under a name.

    Raises:
        UsageError: its distribution is not installed, of another version than this package, or broken; says what to do.
        KeyError: no distribution is known to have it.
    """
    from montage_dask._version import __version__

    found = entry(group, name)
    if found is None:
        if name not in LEFT[group]:
            raise KeyError(name)
        raise UsageError(f"{name} {missing(LEFT[group][name])}")
    distribution, version = (found.dist.name, found.dist.version) if found.dist else ("", "")
    if distribution in SOURCES and version != __version__:
        raise UsageError(
            f"{name}: {distribution} {version} does not fit {OWN} {__version__}: {how(distribution)}"
        )
    try:
        return found.load()
    except Exception as error:  # whatever another's code does when it is loaded
        raise UsageError(f"{name}: {distribution} cannot be loaded: {error}") from error


def how(distribution: str) -> str:
    """How a distribution is installed."""
    if distribution in SOURCES:
        return f"`pip install ./{SOURCES[distribution]}` in the folder of {OWN}'s sources"
    return f"install {distribution}"


def missing(distribution: str) -> str:
    """Behind the name of what needs it: that a distribution is not installed, and how it is."""
    return f"needs {distribution}, which is not installed here: {how(distribution)}"


def function(name: str) -> Callable[..., Any]:
    """A function of the API that is plugged in; where its distribution is missing, one that says so when it is called.

    Raises:
        AttributeError: there is none of this name.
    """
    try:
        return load(API, name)
    except KeyError:
        raise AttributeError(f"montage_dask has no attribute {name!r}") from None
    except UsageError as error:
        return _refusing(name, str(error))


@cache
def _refusing(name: str, said: str) -> Callable[..., Any]:
    def unavailable(*_: Any, **__: Any) -> Any:
        raise UsageError(said)

    unavailable.__name__, unavailable.__doc__ = name, said
    return unavailable
