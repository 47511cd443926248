"""The page `/montage` and the metrics `montage_*` on the scheduler's own HTTP server.

A scheduler loads them by `dask scheduler --preload montage_dask.dashboard`; without that, the first job brings them.
"""

from __future__ import annotations

import logging
from typing import Any


async def dask_setup(scheduler: Any) -> None:
    """What `--preload` calls in a scheduler."""
    # Imported here: whoever only draws a board needs neither Dask nor a web server.
    from montage_dask.dashboard import hosts
    from montage_dask.dashboard.plugin import MontagePlugin

    hosts.dask_setup(scheduler)

    await scheduler.register_scheduler_plugin(MontagePlugin(), idempotent=True)
    logging.getLogger("distributed.worker").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Not what the scaler of a cluster asks every second: a log of nothing else would be left."""
    return record.args != ("observe",)
