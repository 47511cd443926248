"""The exports of a timeline for other programs: which files a run folder gets, and what writes each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from montage_dask.records import Music, Source, Timeline
from montage_dask.report.edl import write_edl
from montage_dask.report.fcpxml import write_fcpxml
from montage_dask.report.otio import write_otio
from montage_dask.report.xmeml import write_xmeml

Writer = Callable[[Timeline, Mapping[str, Source], Music, Path], None]

EXPORTS: Mapping[str, Writer] = {
    "timeline.otio": write_otio,
    "timeline.edl": lambda timeline, sources, _, path: write_edl(timeline, sources, path),
    "timeline.fcpxml": write_fcpxml,
    "timeline.xml": write_xmeml,
}
"""By the name of the file. The report links to all of them."""


def write_exports(
    timeline: Timeline, sources: Mapping[str, Source], music: Music, folder: Path
) -> None:
    """Write a timeline in all formats.

    Raises:
        StoreError: one cannot be written.
    """
    for name, write in EXPORTS.items():
        write(timeline, sources, music, folder / name)
