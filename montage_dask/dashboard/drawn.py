"""A timeline as the page draws it: small, however many events there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from montage_dask.dashboard.state import NAME, short
from montage_dask.errors import printable
from montage_dask.records import Timeline

EVENTS = 1000
"""More are told as fewer, longer ones: on a screen they are less than a pixel wide."""
SEGMENTS = 1000
"""More are told in groups."""


def grouped(segments: int) -> int:
    """How many neighbouring segments are drawn as one."""
    return max(1, -(-segments // SEGMENTS))


def drawn(
    timeline: Timeline, names: Mapping[str, str], segments: Sequence[tuple[int, int]]
) -> dict[str, Any]:
    """Events, segments and first beats of bars in frames of the output.

    Args:
        timeline: the montage.
        names: of the sources, by identity.
        segments: [start, stop) of each.

    Returns:
        `fps`, `frames`; `names` of the clips; `events` as [start, stop, number of the name], `segments` as [start, stop],
        `grouped` in each of them.
    """
    step = -(-len(timeline.events) // EVENTS) or 1
    group = grouped(len(segments))
    shown = timeline.events[::step]
    stops = [*(e.start_frame for e in shown[1:]), timeline.frames]
    used = list(dict.fromkeys(e.source for e in shown))
    order = {source: number for number, source in enumerate(used)}
    return {
        "fps": float(timeline.fps),
        "frames": timeline.frames,
        "size": f"{timeline.width}x{timeline.height}",
        "style": short(printable(timeline.style), NAME),
        "cuts": max(0, len(timeline.events) - 1),
        "names": [short(printable(names.get(source, "")), NAME) for source in used],
        "events": [
            [e.start_frame, stop, order[e.source]] for e, stop in zip(shown, stops, strict=True)
        ],
        "segments": [
            [segments[n][0], segments[n : n + group][-1][1]] for n in range(0, len(segments), group)
        ],
        "grouped": group,
    }
