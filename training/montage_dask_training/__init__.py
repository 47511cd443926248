"""Networks of montage-dask, trained: data that is made, recipes, cards, and the job that runs them on its graph.

A distribution of its own, which plugs into montage-dask by entry points: its operations, its command, `montage_dask.train` and
the report of a training. The weights and what reads them belong to montage-dask, which needs none of this.
"""

__version__ = "0.2.0"
