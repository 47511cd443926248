"""Settings: packaged defaults in `montage.yaml`, the Dask configuration on top, every value checked once.

Order: command line > job file > environment > file > default. `values` says what a value may look like, `definitions` which
settings there are, `resolution` which value counts.
"""

from montage_dask.config.definitions import (
    ENVIRONMENT,
    KINDS,
    REPLACED,
    defaults,
    descriptions,
    sections,
)
from montage_dask.config.resolution import Setting, checked, cluster_of, resolve
from montage_dask.config.values import rate, seconds, size

__all__ = [
    "ENVIRONMENT",
    "KINDS",
    "REPLACED",
    "Setting",
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
