"""A preload of nannies: workers keep the memory of large arrays for the next ones instead of giving it back each time.

Dask has the C library return whatever is freed (MALLOC_TRIM_THRESHOLD_ of 64 kB). Work on windows frees and takes arrays of some
megabytes all the time, and the system must clear each page again: half of the time of a training step, an eighth of the CPU time
of a whole montage (docs/benchmarks.md).
"""

from __future__ import annotations

from distributed import Nanny

MEBIBYTE = 1 << 20

KEEP = {
    # The most that the library takes: larger arrays go straight back.
    "MALLOC_MMAP_THRESHOLD_": str(32 * MEBIBYTE),
    "MALLOC_TRIM_THRESHOLD_": str(128 * MEBIBYTE),
}
"""What a worker process must find when it starts; a worker holds no more free memory than the second."""


def dask_setup(nanny: Nanny) -> None:
    """Called by the nanny before it starts its worker."""
    nanny.pre_spawn_env.update(KEEP)
    nanny.env.update(KEEP)
