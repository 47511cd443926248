"""Automatic, beat-synced video montage on one Dask graph.

The public API (`docs/api.md`). The words of the domain are objects:

    from montage_dask import Cluster, Footage, Job, Music
    with Cluster() as cluster:
        footage = Footage("footage/").analyse()
        timeline = Job(footage, "track.mp3", style="travel").edit()
        montage = timeline.exclude("shaky*").render("montage.mp4")

and every command is a function, which takes its options as keywords (dashes as underscores) and returns plain records:

    import montage_dask
    summary = montage_dask.run("footage/", music="track.mp3", output="montage.mp4")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from montage_dask.errors import (
    Cancelled,
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
        Batch,
        Clip,
        Cluster,
        Footage,
        Job,
        Montage,
        Music,
        Plan,
        Run,
        Runs,
        Style,
        Timeline,
        analyse,
        frames,
        grade,
        plan,
        run,
        stabilise,
        start_all,
        styles,
        train,
        transcode,
        upscale,
    )

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "Cancelled",
    "Clip",
    "Cluster",
    "ClusterError",
    "FFmpegError",
    "Footage",
    "Job",
    "MediaError",
    "Montage",
    "MontageError",
    "Music",
    "NothingToDoError",
    "Plan",
    "Run",
    "Runs",
    "StoreError",
    "Style",
    "TargetFailed",
    "Timeline",
    "UsageError",
    "VerificationError",
    "analyse",
    "frames",
    "grade",
    "plan",
    "run",
    "stabilise",
    "start_all",
    "styles",
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
