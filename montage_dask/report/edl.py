"""CMX 3600 edit decision list: what every editing program reads, and nothing more than it can hold."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path

from montage_dask.errors import printable
from montage_dask.records import Event, Source, Timeline
from montage_dask.report.timecode import drops, timecode
from montage_dask.store import writing

MAXIMUM_EVENTS = 999


def write_edl(timeline: Timeline, sources: Mapping[str, Source], path: Path) -> None:
    """Write the pictures of a timeline; source times count from 00:00:00:00 at the output rate.

    Dips are written as cuts with a comment: the format knows no other transition than the dissolve. A speed is an M2 line.

    Raises:
        StoreError: it cannot be written.
    """
    with writing(path) as part:
        part.write_text("\n".join(_lines(timeline, sources)) + "\n", encoding="ascii")


def _lines(timeline: Timeline, sources: Mapping[str, Source]) -> Iterator[str]:
    fps = timeline.fps
    yield f"TITLE: {_ascii(timeline.style)[:60]}"
    yield f"FCM: {'DROP FRAME' if drops(fps) else 'NON-DROP FRAME'}"
    yield f"* RATE: {fps} FPS"
    before: Event | None = None
    for number, event in enumerate(timeline.events, 1):
        source = sources[event.source]
        record = (timecode(event.start_frame, fps), timecode(event.stop_frame, fps))
        first = max(0, round(event.in_seconds * fps))
        span = max(1, round(event.frames * event.speed))
        used = (timecode(first, fps), timecode(first + span, fps))
        label = f"{(number - 1) % MAXIMUM_EVENTS + 1:03d}  {_reel(source):<8} V     "
        if event.transition.kind == "crossfade" and before is not None:
            last = sources[before.source]
            end = max(0, round(before.in_seconds * fps) + round(before.frames * before.speed))
            held = timecode(end, fps)
            yield (
                f"{(number - 1) % MAXIMUM_EVENTS + 1:03d}  {_reel(last):<8} V     C        "
                f"{held} {held} {record[0]} {record[0]}"
            )
            yield f"{label}D    {event.transition.frames:03d} {used[0]} {used[1]} {record[0]} {record[1]}"
            yield f"* FROM CLIP NAME: {_ascii(Path(last.path).name)}"
            yield f"* TO CLIP NAME: {_ascii(Path(source.path).name)}"
        else:
            yield f"{label}C        {used[0]} {used[1]} {record[0]} {record[1]}"
            yield f"* FROM CLIP NAME: {_ascii(Path(source.path).name)}"
            if event.transition.frames:
                yield f"* TRANSITION: {event.transition.kind} {event.transition.frames} FRAMES"
        if event.speed != 1:
            yield f"M2   {_reel(source):<8} {float(fps * event.speed):05.1f}                {used[0]}"
        yield f"* SOURCE FILE: {_ascii(source.path)}"
        before = event


def _reel(source: Source) -> str:
    """Eight letters and digits that tell sources apart."""
    return source.identity[:8].upper()


def _ascii(text: str) -> str:
    """One line of plain ASCII."""
    plain = unicodedata.normalize("NFKD", printable(text)).encode("ascii", "replace").decode()
    return re.sub(r"[^\x20-\x7e]", "?", plain)
