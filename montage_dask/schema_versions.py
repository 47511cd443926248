"""The versions of what is written for others to read, now or years later; this is the only place that says them.

Whoever reads one checks it by `read_version`. One without a version is the first: 0.1 wrote none. A version is raised when a
reader of the one before would go wrong, or when what was missing is sure to be there from now on; a key that is added and need
not be there raises nothing. The version before is read for at least a release.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from montage_dask.errors import UsageError, printable

KEY = "schema_version"

Contract = Literal["summary", "output", "timeline", "job file", "style", "store"]

VERSIONS: Mapping[Contract, int] = {
    "summary": 2,  # summary.json of a run folder; 2: judged, guarded, and what was left out
    "output": 2,  # what --json prints; 2: what was left out
    "timeline": 2,  # our metadata in an OpenTimelineIO file; 2: windows and effects of every event
    "job file": 1,
    "style": 2,  # 2: all keys are there
    "store": 2,  # 2: records have checksums; those of the first have none, and are made again
}
"""What each is at now."""

MOST = 10**9
"""No version is so high; such a number may be too long to be printed."""


def with_version(contract: Contract, data: Mapping[str, Any]) -> dict[str, Any]:
    """What is written, with its version before all else."""
    return {KEY: VERSIONS[contract], **data}


def read_version(contract: Contract, data: Mapping[str, Any], where: str) -> int:
    """The version of what was read.

    Args:
        contract: what it is.
        data: its mapping.
        where: the file, for messages.

    Raises:
        UsageError: it is newer than this program knows, or no version.
    """
    found = data.get(KEY, 1)
    if isinstance(found, bool) or not isinstance(found, int) or not 0 < found < MOST:
        shown = "" if isinstance(found, int) else printable(repr(found))[:60]
        raise UsageError(f"{printable(where)}: {KEY} {shown} is no version: it is a whole number")
    if found > VERSIONS[contract]:
        raise UsageError(
            f"{printable(where)}: this {contract} has {KEY} {found}, and this program reads up to {VERSIONS[contract]}: "
            "it was written by a newer montage-dask; use that one"
        )
    return found
