"""What a worker asks of the system when it frees large arrays and takes others."""

from __future__ import annotations

import resource
from collections.abc import Callable

import numpy as np

PAGES = 2048
"""Of an array of 8 MiB."""


def looking() -> Callable[[], int]:
    """A function for a worker: pages that the system gave for fifty arrays, one after the other."""

    def look() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(50):
            np.ones(PAGES * 512)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    return look
