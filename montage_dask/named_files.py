"""Files that settings name and workers read: weights of networks, and beats.

Workers have a folder of their own, so these are made absolute where a job is described.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from montage_dask.config import DEFINITIONS, Setting
from montage_dask.errors import UsageError, printable
from montage_dask.store.places import local_only, place_of
from montage_dask.weights_file import read_weights

NETWORKS = ("scenes", "beats", "graphics")
"""What weights may be of: the networks that the analysis runs."""

FILES = tuple(d.name for d in DEFINITIONS.values() if d.file == "always")


def anchored(settings: Mapping[str, Setting], base: Path | None = None) -> dict[str, Setting]:
    """The settings with absolute paths in FILES.

    Args:
        settings: all of them.
        base: the folder that relative paths start from; the current one by default.

    Raises:
        UsageError: one of the files is a URL.
    """
    named = {n: settings[n] for n in FILES if settings[n].value}
    found = {
        n: replace(s, value=str(place_of(local_only(s.value, f"--{n}"), base)))
        for n, s in named.items()
    }
    return {**settings, **found}


def for_footage(settings: Mapping[str, Setting]) -> list[Path]:
    """Those of them that the analysis of footage reads."""
    return _paths(settings, ["scenes-weights"] if settings["detector"].value == "auto" else [])


def for_music(settings: Mapping[str, Setting]) -> list[Path]:
    """Those of them that the analysis of music reads."""
    if settings["beats-file"].value:
        return _paths(settings, ["beats-file"])
    if settings["bpm"].value is not None:
        return []
    if settings["tracker"].value == "beat-this":
        return _paths(settings, ["beat-this-checkpoint"])
    network = settings["tracker"].value in ("auto", "network")
    return _paths(settings, ["beats-weights"] if network else [])


def _paths(settings: Mapping[str, Setting], names: list[str]) -> list[Path]:
    return [Path(settings[n].value) for n in names if settings[n].value]


def recipe_of_weights(path: str | Path) -> str:
    """Which network a weights file is of: one of NETWORKS.

    Raises:
        UsageError: it is no weights file.
    """
    name = str(read_weights(path).get("recipe", "without a name"))
    if name not in NETWORKS:
        raise UsageError(f"--weights {printable(str(path))}: of an unknown network {name!r}")
    return name
