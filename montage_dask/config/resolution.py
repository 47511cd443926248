"""Which value of a setting counts: every source read in order, every value checked, its origin kept."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import dask.config
import yaml

from montage_dask.config.views import DEFINITIONS, ENVIRONMENT, KINDS, defaults
from montage_dask.errors import UsageError


@dataclass(frozen=True, slots=True)
class Setting:
    """One resolved setting."""

    name: str
    value: Any
    """Checked and converted."""
    origin: str
    """command line, job file, environment NAME, file, or default."""


@cache
def _announce() -> None:
    """Tell Dask the defaults, once: it keeps every announcement."""
    dask.config.update_defaults({"montage": defaults()})


def checked(name: str, value: Any, origin: str) -> Any:
    """The value of a setting, converted.

    Raises:
        UsageError: there is no such setting, or the value is wrong; names both and the origin.
    """
    if name not in KINDS:
        raise UsageError(f"no setting {name!r} ({origin}); `config show` lists them")
    try:
        return KINDS[name](value)
    except (ValueError, TypeError, OverflowError, ZeroDivisionError) as error:
        detail = str(error) if type(error) is ValueError else "has the wrong form"
        if detail.startswith(("invalid literal", "could not convert", "Invalid literal")):
            detail = "has the wrong form"
        raise UsageError(f"{name} = {_shown(value)} ({origin}): {detail}") from error


def _shown(value: Any) -> str:
    """A value as it was given, cut short: a message is one line."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 60
    return short.repr(value)


def resolve(
    command_line: Mapping[str, Any] | None = None, job_file: Mapping[str, Any] | None = None
) -> dict[str, Setting]:
    """Every setting, with where its value came from.

    Args:
        command_line: the options given (without the ones left out).
        job_file: the keys of a job file.

    Raises:
        UsageError: an unknown setting or a wrong value.
    """
    _announce()
    # First announced inside `dask.config.set(…)`, they went with its end.
    packaged = defaults()
    dask.config.update(dask.config.config, {"montage": packaged}, priority="old")
    configured = {k.replace("_", "-"): v for k, v in dask.config.get("montage").items()}
    unknown = configured.keys() - KINDS.keys()
    if unknown:
        raise UsageError(f"no setting {sorted(unknown)[0]!r} (Dask configuration, below montage:)")
    found = {k: (v, _dask_origin(k, same=v == packaged[k])) for k, v in configured.items()}
    # As YAML: Dask reads Python, and drops without a word what is no mapping then.
    variable = DEFINITIONS["placement"].variable
    placement = os.environ.get(variable)
    if placement:
        found["placement"] = (_yaml(placement), f"environment {variable}")
    for variable, name in ENVIRONMENT.items():
        value = os.environ.get(variable)
        if value:
            found[name] = (value, f"environment {variable}")
    for origin, values in (("job file", job_file), ("command line", command_line)):
        for name, value in (values or {}).items():
            found[name] = (value, origin)
    return {
        name: Setting(name, checked(name, value, origin), origin)
        for name, (value, origin) in sorted(found.items())
    }


def _yaml(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


def _dask_origin(name: str, *, same: bool) -> str:
    variable = DEFINITIONS[name].variable
    if variable in os.environ:
        return f"environment {variable}"
    return "default" if same else "file"


STRENGTH = ("default", "file", "environment", "job file", "command line")
"""Where values come from; what comes later counts more."""


def _strength(setting: Setting) -> int:
    return next(n for n, origin in enumerate(STRENGTH) if setting.origin.startswith(origin))


def cluster_of(settings: Mapping[str, Setting]) -> str:
    """Where the workers come from: the setting `cluster`, or in distributed-mode the address of coordinator-url, whichever was
    set in the stronger place.

    Raises:
        UsageError: distributed-mode without an address.
    """
    cluster, mode = settings["cluster"], settings["distributed-mode"]
    if not mode.value or _strength(cluster) >= _strength(mode):
        return str(cluster.value)
    address = settings["coordinator-url"].value
    if not address:
        raise UsageError(
            f"distributed-mode is on ({mode.origin}), but no address says where: set coordinator-url (COORDINATOR_URL), "
            "or give --cluster"
        )
    return str(address)
