"""timeline.otio: the source of truth for an edit, for other programs and for `run --from-timeline`.

Every number of OTIO's `RationalTime` is a double, so the exact fractions stand in the metadata under "montage", per clip: a clip
that another program moved or trimmed no longer agrees with its metadata, and then OTIO's own numbers count.
"""

from montage_dask.report._otio_load import media_of
from montage_dask.report._otio_read import read_otio
from montage_dask.report._otio_write import write_otio

__all__ = ["media_of", "read_otio", "write_otio"]
