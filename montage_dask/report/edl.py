"""CMX 3600 edit decision list: what every editing program reads, and nothing more than it can hold."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from fractions import Fraction
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
    fps, events = timeline.fps, timeline.events
    yield f"TITLE: {_ascii(timeline.style)[:60]}"
    yield f"FCM: {'DROP FRAME' if drops(fps) else 'NON-DROP FRAME'}"
    yield f"* RATE: {fps} FPS"
    for number, event in enumerate(events):
        source = sources[event.source]
        start = event.start_frame - _lead(event, number)
        stop = event.stop_frame
        if number + 1 < len(events):
            stop -= _lead(events[number + 1], number + 1)
        first = _source_frame(event, start, fps)
        used = (timecode(first, fps), timecode(_source_frame(event, stop, fps), fps))
        record = (timecode(start, fps), timecode(stop, fps))
        head = f"{number % MAXIMUM_EVENTS + 1:03d}  {{:<8}} V     {{:<8}} {{}} {{}} {{}} {{}}"
        if _lead(event, number):
            before = events[number - 1]
            held = timecode(_source_frame(before, start, fps), fps)
            last = sources[before.source]
            yield head.format(_reel(last), "C", held, held, record[0], record[0])
            length = f"D    {event.transition.frames:03d}"
            yield head.format(_reel(source), length, *used, *record)
            yield f"* FROM CLIP NAME: {_ascii(Path(last.path).name)}"
            yield f"* TO CLIP NAME: {_ascii(Path(source.path).name)}"
        else:
            yield head.format(_reel(source), "C", *used, *record)
            yield f"* FROM CLIP NAME: {_ascii(Path(source.path).name)}"
            if event.transition.frames:
                yield f"* TRANSITION: {event.transition.kind} {event.transition.frames} FRAMES"
        if event.speed != 1:
            yield f"M2   {_reel(source):<8} {float(fps * event.speed):05.1f}                {used[0]}"
        yield f"* SOURCE FILE: {_ascii(source.path)}"


def _lead(event: Event, number: int) -> int:
    """Frames before the cut at which the event starts to show: a dissolve is recorded from its first frame on."""
    return event.transition.frames // 2 if event.transition.kind == "crossfade" and number else 0


def _source_frame(event: Event, frame: int, fps: Fraction) -> int:
    """The source's time at an output frame, in frames of the output rate; before its first frame there is none."""
    return max(0, round(event.in_seconds * fps + (frame - event.start_frame) * event.speed))


def _reel(source: Source) -> str:
    """Eight letters and digits that tell sources apart."""
    return source.identity[:8].upper()


def _ascii(text: str) -> str:
    """One line of plain ASCII."""
    plain = unicodedata.normalize("NFKD", printable(text)).encode("ascii", "replace").decode()
    return re.sub(r"[^\x20-\x7e]", "?", plain)
