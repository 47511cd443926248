"""What is made and learnt for networks of our own: recipes for data, training, evaluation and model cards. No Dask in here."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from montage_dask.errors import UsageError, printable

if TYPE_CHECKING:
    from montage_dask.training.recipe import Recipe

RECIPES: Mapping[str, str] = {
    "scenes": "montage_dask.training.scenes",
    "beats": "montage_dask.training.beats",
    "graphics": "montage_dask.training.graphics",
}
"""Module of each recipe; the recipe itself is its `RECIPE`."""


def recipe_named(name: str) -> Recipe:
    """The recipe of a name.

    Raises:
        UsageError: there is none.
    """
    if name not in RECIPES:
        raise UsageError(f"nothing to train called {name!r}: {', '.join(RECIPES)}")
    return cast("Recipe", importlib.import_module(RECIPES[name]).RECIPE)


def recipe_of_weights(path: str | Path) -> str:
    """Which network a weights file is of.

    Raises:
        UsageError: it is no weights file.
    """
    from montage_dask.weights_file import read_weights

    name = str(read_weights(path).get("recipe", "without a name"))
    if name not in RECIPES:
        raise UsageError(f"--weights {printable(str(path))}: of an unknown network {name!r}")
    return name
