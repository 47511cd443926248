"""CMX 3600 edit decision list: what every editing program reads, and nothing more than it can hold."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from montage_dask.errors import printable
from montage_dask.records import Event, Source, Timeline
from montage_dask.report.effects import effects_of
from montage_dask.store import writing
from montage_dask.timecode import clock_of, drops, number_of, on_screen, timecode

MAXIMUM_EVENTS = 999


def write_edl(timeline: Timeline, sources: Mapping[str, Source], path: Path) -> None:
    """Write the pictures of a timeline; source times are the sources' own timecode, in frames of the output rate.

    Dips are written as cuts with a comment: the format knows no other transition than the dissolve. A speed is an M2 line, a
    speed ramp the comment on one, as are other effects on beats.

    Raises:
        StoreError: it cannot be written.
    """
    with writing(path) as part:
        part.write_text("\n".join(_lines(timeline, sources)) + "\n", encoding="ascii")


@dataclass(frozen=True, slots=True)
class _Used:
    """What an event shows of its source: output frames, and frames of the source's timecode at the output rate."""

    source: Source
    speed: Fraction
    start: int
    stop: int
    first: int
    drop: bool
    fps: Fraction

    @property
    def reel(self) -> str:
        """Eight letters and digits that tell sources apart."""
        return self.source.identity[:8].upper()

    @property
    def name(self) -> str:
        return _ascii(Path(self.source.path).name)

    @property
    def last(self) -> int:
        """As many frames as are shown; at another speed as many as are passed over, one at least."""
        shown = self.stop - self.start
        return self.first + (shown if self.speed == 1 else max(1, round(shown * self.speed)))

    def line(self, head: str, first: int, last: int, start: int, stop: int) -> str:
        """An event's line with these source frames and output frames."""
        used = (timecode(frame, self.fps, self.drop) for frame in (first, last))
        record = (timecode(frame, self.fps) for frame in (start, stop))
        return " ".join((head, *used, *record))

    def motion(self) -> Iterator[str]:
        """The line of a speed: frames of the source in a second."""
        if self.speed != 1:
            first = timecode(self.first, self.fps, self.drop)
            yield f"M2   {self.reel:<8} {float(self.fps * self.speed):05.1f}                {first}"


def _lines(timeline: Timeline, sources: Mapping[str, Source]) -> Iterator[str]:
    fps = timeline.fps
    yield f"TITLE: {_ascii(timeline.style)[:60]}"
    yield f"FCM: {'DROP FRAME' if drops(fps) else 'NON-DROP FRAME'}"
    before: _Used | None = None
    for number, event in enumerate(timeline.events):
        used = _used(timeline, number, sources[event.source])
        head = f"{number % MAXIMUM_EVENTS + 1:03d}  {{:<8}} V     {{:<8}}"
        # Comments stand behind the line that they belong to: readers take none before the first event.
        if before is not None and _lead(event, number):
            held = before.last
            yield before.line(head.format(before.reel, "C"), held, held, used.start, used.start)
            dissolve = head.format(used.reel, f"D    {event.transition.frames:03d}")
            yield used.line(dissolve, used.first, used.last, used.start, used.stop)
            yield from before.motion()
            yield from used.motion()
            yield f"* FROM CLIP NAME: {before.name}"
            yield f"* TO CLIP NAME: {used.name}"
        else:
            yield used.line(
                head.format(used.reel, "C"), used.first, used.last, used.start, used.stop
            )
            yield from used.motion()
            yield f"* FROM CLIP NAME: {used.name}"
            if event.transition.frames:
                yield f"* TRANSITION: {event.transition.kind} {event.transition.frames} FRAMES"
        yield f"* SOURCE FILE: {_ascii(used.source.path)}"
        yield from (f"* EFFECT: {_ascii(line)}" for line in effects_of(event))
        if before is None:
            yield f"* RATE: {fps} FPS"
        before = used


def _used(timeline: Timeline, number: int, source: Source) -> _Used:
    fps, events = timeline.fps, timeline.events
    event = events[number]
    lead = _lead(event, number)
    stop = event.stop_frame
    if number + 1 < len(events):
        stop -= _lead(events[number + 1], number + 1)
    at = event.in_seconds - lead / fps * event.speed
    first, drop = _first(source, at, fps)
    return _Used(source, event.speed, event.start_frame - lead, stop, first, drop, fps)


def _lead(event: Event, number: int) -> int:
    """Frames before the cut at which the event starts to show: a dissolve is recorded from its first frame on."""
    return event.transition.frames // 2 if event.transition.kind == "crossfade" and number else 0


def _first(source: Source, seconds: Fraction, fps: Fraction) -> tuple[int, bool]:
    """The timecode of the source's frame on screen, as a number of frames at the output rate, and whether that drops numbers.

    The hours, minutes and seconds are the source's own, as its program shows them; only the frames are those of another rate.
    """
    number, rate, drop = clock_of(source)
    frame = number + int(on_screen(source, seconds) / source.frame_rate * rate)
    theirs, ours = round(rate), round(fps)
    if drop is None:
        drop = drops(fps if theirs == ours else rate)
    if theirs == ours:
        return frame, drop
    label = timecode(frame, rate, drop)
    there = int(label[-2:])
    # Rounded so that the way back gives the same frame, where there are enough numbers.
    here = -(-there * ours // theirs) if ours >= theirs else there * ours // theirs
    drop = drop and ours % 30 == 0
    return number_of(f"{label[:8]}{';' if drop else ':'}{here:02d}", fps), drop


def _ascii(text: str) -> str:
    """One line of plain ASCII."""
    plain = unicodedata.normalize("NFKD", printable(text)).encode("ascii", "replace").decode()
    return re.sub(r"[^\x20-\x7e]", "?", plain)
