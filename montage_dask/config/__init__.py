"""Settings: each is declared once, in `settings`; the Dask configuration goes on top, every value is checked once.

Order: command line > job file > environment > file > default. `values` says what a value may look like, `settings` which settings
there are, `views` gives them by name, `resolution` says which value counts, `schema` is the table for editors.
"""

from montage_dask.config.declaration import Definition, Option, Trust
from montage_dask.config.resolution import Setting, checked, cluster_of, resolve
from montage_dask.config.values import rate, seconds, size
from montage_dask.config.views import (
    DEFINITIONS,
    ENVIRONMENT,
    KINDS,
    REPLACED,
    defaults,
    descriptions,
    sections,
)

__all__ = [
    "DEFINITIONS",
    "ENVIRONMENT",
    "KINDS",
    "REPLACED",
    "Definition",
    "Option",
    "Setting",
    "Trust",
    "checked",
    "cluster_of",
    "defaults",
    "descriptions",
    "rate",
    "resolve",
    "seconds",
    "sections",
    "size",
]
