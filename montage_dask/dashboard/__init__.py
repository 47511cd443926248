"""The page `/montage` and the metrics `montage_*` on the scheduler's own HTTP server.

A scheduler loads them by `dask scheduler --preload montage_dask.dashboard`; without that, the first job brings them.
"""

from __future__ import annotations

from typing import Any


async def dask_setup(scheduler: Any) -> None:
    """What `--preload` calls in a scheduler."""
    # Imported here: whoever only draws a board needs neither Dask nor a web server.
    from montage_dask.dashboard.plugin import MontagePlugin

    await scheduler.register_scheduler_plugin(MontagePlugin(), idempotent=True)
