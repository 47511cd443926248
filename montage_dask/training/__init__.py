"""What is made and learnt for networks of our own: recipes for data, training, evaluation and model cards. No Dask in here."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from montage_dask.errors import UsageError

if TYPE_CHECKING:
    from montage_dask.training.recipe import Recipe

RECIPES: Mapping[str, str] = {
    "scenes": "montage_dask.training.scenes",
    "beats": "montage_dask.training.beats",
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
