"""Automatic, beat-synced video montage on one Dask graph.

The public API: every function takes the options of the command of the same name as keywords (dashes as underscores), runs on
the cluster that `cluster=` names (an embedded one by default) and returns plain records.

    import montage_dask
    summary = montage_dask.run("footage/", music="track.mp3", output="montage.mp4")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from montage_dask.errors import (
    ClusterError,
    FFmpegError,
    MediaError,
    MontageError,
    NothingToDoError,
    StoreError,
    TargetFailed,
    UsageError,
    VerificationError,
)

if TYPE_CHECKING:
    from montage_dask.api import (
        analyse,
        frames,
        grade,
        plan,
        run,
        stabilise,
        train,
        transcode,
        upscale,
    )

__version__ = "0.1.0"

__all__ = [
    "ClusterError",
    "FFmpegError",
    "MediaError",
    "MontageError",
    "NothingToDoError",
    "StoreError",
    "TargetFailed",
    "UsageError",
    "VerificationError",
    "analyse",
    "frames",
    "grade",
    "plan",
    "run",
    "stabilise",
    "train",
    "transcode",
    "upscale",
]


def __getattr__(name: str) -> Any:
    # The API pulls in Dask; workers and `op` import this package and must start fast.
    if name in __all__:
        from montage_dask import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
