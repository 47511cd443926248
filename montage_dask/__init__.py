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

import sys

# `python -m montage_dask` puts the current folder before all others. That may be a received one, with a click.py or a typing.py
# in it: nothing is imported before it is gone. (While Python looks for the module, argv begins with "-m".)
if sys.argv[:1] == ["-m"] and sys.orig_argv[-len(sys.argv)].endswith("montage_dask"):
    _here = "" if sys.flags.safe_path else sys.path.pop(0)
    if _here and __file__.startswith(f"{_here}/montage_dask/"):
        sys.path.append(
            _here
        )  # a copy of the sources that is not installed stands there itself: others come first

from typing import TYPE_CHECKING, Any

from montage_dask._version import __version__ as __version__
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
        judge,
        plan,
        run,
        stabilise,
        start_all,
        styles,
        transcode,
        upscale,
    )

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
    "judge",
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
