"""The recipes by name: data, training, evaluation and model card of a network each. No Dask in them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from montage_dask.errors import UsageError

if TYPE_CHECKING:
    from montage_dask_training.recipe import Recipe

RECIPES: Mapping[str, str] = {
    "scenes": "montage_dask_training.scenes",
    "beats": "montage_dask_training.beats",
    "graphics": "montage_dask_training.graphics",
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
