"""The Python API: what the commands call, and what notebooks and programs use.

The words of the domain are objects – `Footage`, `Music`, `Style`, `Job`, `Timeline`, `Run`, `Cluster` –, and every command is
a function as well. Both stand on the same few modules: `montages` (one job), `batch` (many files), `working` (cluster,
progress, log).
"""

from typing import Any

from montage_dask import plugins
from montage_dask.api.analysis import analyse
from montage_dask.api.batch import frames, grade, stabilise, transcode, upscale
from montage_dask.api.cluster import Cluster
from montage_dask.api.footage import Clip, Footage
from montage_dask.api.gallery import styles
from montage_dask.api.job import Job, plan, run, start_all
from montage_dask.api.judging import judge
from montage_dask.api.music import Music
from montage_dask.api.result import Batch, Montage, Plan
from montage_dask.api.running import Run, Runs
from montage_dask.api.style import Style
from montage_dask.api.timeline import Timeline

__all__ = [
    "Batch",
    "Clip",
    "Cluster",
    "Footage",
    "Job",
    "Montage",
    "Music",
    "Plan",
    "Run",
    "Runs",
    "Style",
    "Timeline",
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
    # What other distributions plug in, such as `train`.
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return plugins.function(name)
