"""What each picture of the contact sheet shows of its source: which part the crop leaves, and where the subjects are.

The report draws it: around the picture of a crop lies the rest of its source, from the strip's thumbnail, as nothing is decoded
for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montage_dask.edit.reframe import COVER, seconds_of, window_of
from montage_dask.records import Event, Shot, Source, Subject, Timeline
from montage_dask.report.pictures import moment_of
from montage_dask.store import writing

NEAR_SECONDS = 0.5
"""From a picture to a look whose subject is still there: looks are so far apart."""

Picture = NDArray[np.uint8]
Area = tuple[float, float, float, float]
"""Left, top, width, height."""


def seen_of(
    timeline: Timeline,
    cells: Sequence[Sequence[float]],
    shots: Sequence[Shot],
    sources: Mapping[str, Source],
    fit: str,
) -> list[dict[str, Any]]:
    """What the cells of a contact sheet show, for JSON.

    Args:
        timeline: the montage.
        cells: of the sheet: number of the event; left, top, width, height in shares of the sheet.
        shots: with their subjects.
        sources: by identity.
        fit: how pictures of other shapes are fitted.

    Returns:
        For each cell {"event", "cell", "picture" (where the cell lies on the source's picture, in shares of that: what a crop
        leaves is smaller, what has bars is larger), "shape" (width / height of the source), "cropped", "boxes"}.
    """
    table = {(s.source, s.index): s for s in shots}
    found = []
    for number, *cell in cells:
        event = timeline.events[int(number)]
        source = sources[event.source]
        shot = table.get((event.source, event.shot))
        cropped, picture = _area(event, source, timeline, fit)
        found.append(
            {
                "event": int(number),
                "cell": [round(v, 5) for v in cell],
                "picture": [round(v, 5) for v in picture],
                "shape": round(source.width / source.height, 4),
                "cropped": cropped,
                "boxes": [] if shot is None else _boxes(shot, _source_seconds(event, timeline)),
            }
        )
    return found


def write_frames(
    timeline: Timeline,
    seen: Sequence[Mapping[str, Any]],
    sources: Mapping[str, Source],
    thumbnails: Callable[[str, Sequence[int]], Sequence[Picture]],
    path: Path,
) -> bool:
    """One picture of the whole sources of cropped cells, side by side in their order; whether there is any.

    Args:
        timeline: the montage.
        seen: of `seen_of`.
        sources: by identity.
        thumbnails: pictures of a source's frames, uint8 [27, 48, 3]; none where the store has none.
        path: a .jpg.

    Raises:
        StoreError: it cannot be written.
    """
    from PIL import Image

    row: list[Picture] = []
    for event in (timeline.events[one["event"]] for one in seen if one["cropped"]):
        rate = sources[event.source].frame_rate
        row += thumbnails(event.source, [int(_source_seconds(event, timeline) * rate)])
    if not row or len(row) < sum(bool(one["cropped"]) for one in seen):
        return False
    with writing(path) as part:
        Image.fromarray(np.concatenate(row, axis=1)).save(part, "JPEG", quality=90)
    return True


def drawn(seen: Sequence[Mapping[str, Any]], whole: bool) -> list[dict[str, Any]]:
    """The pictures as a page draws them, in per cent.

    Args:
        seen: of `seen_of`.
        whole: whether there are pictures of the whole sources (`write_frames`).

    Returns:
        For each {"event", "aspect", "cell" and "whole" (styles, "whole" empty where there is none), "window" (style, empty
        where nothing is cropped), "boxes" (kind and style)}.
    """
    cropped = [one["event"] for one in seen if one["cropped"]]
    return [_drawn(one, cropped, whole) for one in seen]


def _drawn(one: Mapping[str, Any], cropped: Sequence[int], whole: bool) -> dict[str, Any]:
    x, y, wide, high = one["picture"]
    left, top = min(0.0, x), min(0.0, y)
    width, height = max(1.0, x + wide) - left, max(1.0, y + high) - top

    def placed(area: Sequence[float]) -> str:
        a, b, c, d = area
        return (
            f"left:{100 * (a - left) / width:.2f}%;top:{100 * (b - top) / height:.2f}%;"
            f"width:{100 * c / width:.2f}%;height:{100 * d / height:.2f}%"
        )

    behind = ""
    if whole and one["cropped"]:
        at, count = cropped.index(one["event"]), len(cropped)
        behind = f"{placed((0, 0, 1, 1))};{_cut((at / count, 0, 1 / count, 1))}"
    return {
        "event": one["event"],
        "aspect": round(one["shape"] * width / height, 4),
        "cell": f"{placed(one['picture'])};{_cut(one['cell'])}",
        "whole": behind,
        "window": placed(one["picture"]) if one["cropped"] else "",
        "boxes": [{"kind": kind, "style": placed(area)} for kind, *area in one["boxes"]],
    }


def _cut(area: Sequence[float]) -> str:
    """The background of an element that shows only a part of a picture (shares of it)."""
    x, y, wide, high = area
    return (
        f"background-size:{100 / wide:.3f}% {100 / high:.3f}%;"
        f"background-position:{_offset(x, wide):.3f}% {_offset(y, high):.3f}%"
    )


def _offset(start: float, size: float) -> float:
    return 100 * start / (1 - size) if size < 1 else 0.0


def _source_seconds(event: Event, timeline: Timeline) -> float:
    """The source time of the picture that stands for an event."""
    gone = (moment_of(event) - event.start_frame) / timeline.fps
    return float(event.in_seconds + gone * event.speed)


def _area(event: Event, source: Source, timeline: Timeline, fit: str) -> tuple[bool, Area]:
    """Whether a part of the source is cut away, and where the output's picture lies on the source's."""
    window = window_of(source, Fraction(timeline.width, timeline.height))
    if window is None:
        return False, (0.0, 0.0, 1.0, 1.0)
    wide, high = window
    if fit not in (COVER, "centre"):
        # The whole source lies in the middle of a larger picture.
        wide, high = 1 / high, 1 / wide
        return False, ((1 - wide) / 2, (1 - high) / 2, wide, high)
    frame = moment_of(event) - event.start_frame
    x, y = event.centre_at(frame) if fit == COVER else (0.5, 0.5)
    left, top = (
        min(max(c - size / 2, 0.0), 1 - size) for c, size in zip((x, y), window, strict=True)
    )
    return True, (left, top, wide, high)


def _boxes(shot: Shot, at_seconds: float) -> list[list[Any]]:
    """The boxes of the look that is nearest to a source time: kind, left, top, width, height."""

    def distance(subject: Subject) -> float:
        return abs(seconds_of(shot, subject.frame) - at_seconds)

    nearest = min(shot.subjects, key=distance, default=None)
    if nearest is None or distance(nearest) > NEAR_SECONDS:
        return []
    area = (nearest.x, nearest.y, nearest.width, nearest.height)
    return [[nearest.kind, *(round(v, 4) for v in area)]]
