"""Files of weights that `train` made, as the analysis and further training read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montage_dask.errors import UsageError, printable


def read_weights(path: str | Path) -> dict[str, NDArray[Any]]:
    """All arrays of a weights file by name, whole and checked by their checksums.

    Raises:
        UsageError: it cannot be read, or is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except Exception as error:  # zip, zlib and NumPy's headers fail in many ways on other files
        reason = getattr(error, "strerror", None) or "damaged, or not made by `train`"
        raise UsageError(f"{printable(str(path))}: cannot be read as weights: {reason}") from error
