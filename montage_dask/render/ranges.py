"""What requests read of their sources, and how they read it from cuts instead: for targets to which the files are far.

A cut (`media.cutting`) keeps frame numbers and times, so only where things stand changes: parameters, and with them the key of
the result, stay. The result has the same pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from montage_dask.media.cutting import Cut
from montage_dask.media.index import FrameIndex
from montage_dask.records import Source, from_json, to_json
from montage_dask.render.mapping import event_map
from montage_dask.render.segments import Segment

WINDOWED = ("transcode", "grade", "stabilise", "upscale", "motion")
"""Operations that read frames [start_frame, stop_frame) of one source."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a request reads of one source."""

    source: Source
    index: Path
    """The file of its frame index."""
    ranges: tuple[tuple[int, int], ...]
    """[start, stop) in frame numbers; in any order, they may overlap."""


def readings(
    operation: str, parameters: Mapping[str, Any], paths: Mapping[str, Any]
) -> tuple[Reading, ...] | None:
    """Which frames of which sources a request reads; for `media.cutting.cut_ranges`.

    Args:
        operation: its name.
        parameters: its parameters.
        paths: where its inputs stand.

    Returns:
        One reading for each source, none for an upscale that reads a mezzanine (what stands in for a source is as long as what is
        read of it); None when the operation is none of those whose
        sources can be cut.

    Raises:
        MediaError: a segment cannot show its frames exactly.
        OSError, ValueError, KeyError: the request or a frame index is damaged.
    """
    if operation in WINDOWED:
        if parameters.get("input") is not None:
            return ()
        span = (parameters["start_frame"], parameters["stop_frame"])
        return (Reading(from_json(Source, paths["source"]), Path(paths["index"]), (span,)),)
    if operation != "encode":
        return None
    segment = from_json(Segment, parameters["segment"])
    found = []
    for identity, data in paths["sources"].items():
        source, path = from_json(Source, data), Path(paths["indexes"][identity])
        index = FrameIndex.load(path)
        maps = [
            event_map(segment, number, index, source.path)[0]
            for number, event in enumerate(segment.events)
            if event.source == identity
        ]
        found.append(Reading(source, path, tuple((m.first, m.last + 1) for m in maps)))
    return tuple(found)


def reading_cuts(
    operation: str, paths: Mapping[str, Any], cuts: Mapping[str, Cut], folder: Path
) -> dict[str, Any]:
    """The paths of a request that reads cuts; its operation and parameters stay as they are.

    Args:
        operation: its name, one of those that `readings` knows.
        paths: where its inputs stand.
        cuts: by identity of the source, with what `readings` says; sources without one are read from their files.
        folder: an existing one, for the indexes of cuts that need another than their source.
    """

    def record(data: Mapping[str, Any]) -> Any:
        cut = cuts.get(data["identity"])
        return data if cut is None else to_json(cut.source)

    def index(identity: str, path: str) -> str:
        cut = cuts.get(identity)
        if cut is None or not cut.reindexed:
            return path
        own = folder / f"{identity}.npz"
        cut.index.save(own)
        return str(own)

    if operation == "encode":
        return {
            **paths,
            "sources": {k: record(v) for k, v in paths["sources"].items()},
            "indexes": {k: index(k, v) for k, v in paths["indexes"].items()},
        }
    return {
        **paths,
        "source": record(paths["source"]),
        "index": index(paths["source"]["identity"], paths["index"]),
    }
