"""Where the recipes of training were; they belong to montage-dask-training now. This forwards for one release."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

from montage_dask import plugins
from montage_dask.errors import UsageError
from montage_dask.named_files import recipe_of_weights as _recipe_of_weights


def __getattr__(name: str) -> Any:
    if name not in ("RECIPES", "recipe_named", "recipe_of_weights"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "recipe_of_weights":
        where, found = "montage_dask.named_files", _recipe_of_weights
    else:
        entry = plugins.entry(plugins.API, "train")
        if entry is None:
            raise UsageError(f"montage_dask.training {plugins.missing(plugins.TRAINING)}")
        where = entry.module.partition(".")[0] + ".recipes"
        found = getattr(importlib.import_module(where), name)
    warnings.warn(
        f"{__name__}.{name} has moved to {where}.{name}", DeprecationWarning, stacklevel=2
    )
    return found
