"""Files of weights that `train` made, as the analysis and further training read them."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montage_dask.errors import UsageError, printable

DAMAGED = (
    # RuntimeError, NotImplementedError: what zipfile says of ways to pack that NumPy never takes.
    *(ValueError, TypeError, KeyError, EOFError, RuntimeError, MemoryError),
    *(zipfile.BadZipFile, zlib.error),
)
"""What NumPy and zipfile raise for empty, cut and altered files, and for files of other kinds."""


def read_weights(path: str | Path) -> dict[str, NDArray[Any]]:
    """All arrays of a weights file by name, whole and checked by their checksums.

    Raises:
        UsageError: it cannot be read, or is no such file.
    """
    name = printable(str(path))
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except OSError as error:
        reason = error.strerror or "it is no file of `train`"
        raise UsageError(f"{name}: cannot be read as weights: {reason}") from error
    except DAMAGED as error:
        raise UsageError(
            f"{name}: cannot be read as weights: it is damaged, or was not made by `train`"
        ) from error
