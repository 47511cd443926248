"""A montage: its timeline, the events in it, and what is done to their pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import ClassVar

from montage_dask.records.music import MusicFit


@dataclass(frozen=True, slots=True)
class Transition:
    """How an event begins. The cut frame is the middle of the transition."""

    kind: str
    """cut, crossfade, dip-to-black or dip-to-white."""
    frames: int
    """Output frames that it lasts, even; 0 for a cut."""


CUT = Transition("cut", 0)


@dataclass(frozen=True, slots=True)
class Match:
    """A change of colours that fits a shot to its neighbours: R'G'B' → matrix · R'G'B' + offset, and less of it near black.

    In whole ten-thousandths, so that it is the same text wherever it is written.
    """

    UNIT: ClassVar[int] = 10_000
    matrix: tuple[int, ...]
    """Nine numbers, row by row."""
    offset: tuple[int, ...]
    """Three numbers."""


@dataclass(frozen=True, slots=True)
class Focus:
    """Where the middle of the window lies that a crop leaves of a picture, on one output frame of an event.

    In whole ten-thousandths of the picture as shown, so that it is the same text wherever it is written.
    """

    UNIT: ClassVar[int] = 10_000
    frame: int
    """Output frame, from the first of the event; below 0 in a crossfade that leads to it."""
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Pace:
    """A point of a speed ramp: on this output frame of an event, so much of it has been shown."""

    frame: int
    """Output frame, from the first of the event."""
    shown: Fraction
    """Output frames that it would have taken to come so far without the ramp."""


@dataclass(frozen=True, slots=True)
class Accent:
    """What the picture of an event does on a beat: all at once, and then less from frame to frame.

    The strength is in whole ten-thousandths, so that it is the same text wherever it is written.
    """

    UNIT: ClassVar[int] = 10_000
    kind: str
    """punch (the picture jumps nearer), flash (it is brighter) or shake."""
    frame: int
    """Output frame on which it begins, from the first of the event; below 0 in the later part of an event that was split."""
    frames: int
    """Output frames until it is over."""
    strength: int
    """On its first frame: growth of the picture; share of white; way to each side, in shares of the picture."""


@dataclass(frozen=True, slots=True)
class Event:
    """One picture of the montage: output frames [start_frame, stop_frame) show a part of one source.

    The output frame start_frame + k shows the source frame on screen at `seconds_at(k, fps)`.
    """

    start_frame: int
    stop_frame: int
    source: str
    """Identity of the source."""
    shot: int
    """Index of the shot in its source."""
    in_seconds: Fraction
    """Source time shown on start_frame."""
    speed: Fraction = Fraction(1)
    """Source seconds per output second, on the whole."""
    transition: Transition = CUT
    """How the event begins."""
    beat_seconds: Fraction | None = None
    """Music time of the beat that start_frame sits on; None for a first event that starts off the beat."""
    reason: str = ""
    """Why this part was chosen, for people."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """The parts of the score that chose it."""
    match: Match | None = None
    """What fits its colours to those around it, before the grade."""
    focus: tuple[Focus, ...] = ()
    """The way of the window where the picture is cropped, in straight lines from point to point; empty: its middle."""
    ramp: tuple[Pace, ...] = ()
    """How its time runs, in straight lines from its first frame over these points to its end; empty: evenly. What it shows
    as a whole is the same."""
    accents: tuple[Accent, ...] = ()
    """What it does on beats, in the order of frames."""

    @property
    def frames(self) -> int:
        """Length in output frames."""
        return self.stop_frame - self.start_frame

    def shown_at(self, frame: Fraction | int) -> Fraction:
        """Output frames that it would take to come so far without the ramp; beyond its edges the event runs evenly."""
        if not self.ramp or not 0 < frame < self.frames:
            return Fraction(frame)
        return _along([(p.frame, p.shown) for p in self.ramp], self.frames, frame)

    def seconds_at(self, frame: Fraction | int, fps: Fraction) -> Fraction:
        """Source time on an output frame, counted from its first: below 0 and beyond its end in crossfades."""
        return self.in_seconds + self.shown_at(frame) / fps * self.speed

    def frame_at(self, seconds: Fraction, fps: Fraction) -> Fraction:
        """When a moment of the source is shown, in output frames from its first; the inverse of `seconds_at`."""
        shown = (seconds - self.in_seconds) * fps / self.speed
        if not self.ramp or not 0 < shown < self.frames:
            return shown
        return _along([(p.shown, p.frame) for p in self.ramp], self.frames, shown)

    def centre_at(self, frame: float) -> tuple[float, float]:
        """The middle of its window on an output frame, counted from its first, in shares of the picture."""
        if not self.focus:
            return 0.5, 0.5
        at, after = self.focus[0], self.focus[-1]
        for point in self.focus:
            if point.frame > frame:
                after = point
                break
            at = point
        span = after.frame - at.frame
        share = min(1.0, max(0.0, (frame - at.frame) / span)) if span > 0 else 0.0
        return (
            (at.x + (after.x - at.x) * share) / Focus.UNIT,
            (at.y + (after.y - at.y) * share) / Focus.UNIT,
        )


@dataclass(frozen=True, slots=True)
class Timeline:
    """A montage, ready to render. Events are contiguous from frame 0."""

    fps: Fraction
    width: int
    height: int
    events: tuple[Event, ...]
    music_path: str
    music_start_seconds: Fraction
    """Music time that is heard on output frame 0."""
    style: str
    seed: int
    beats_seconds: tuple[Fraction, ...] = ()
    """Beats of the music that fall into the montage, in music time."""
    grade: str = "none"
    """Name of a preset, or the path of a .cube file."""
    fade_out_frames: int = 0
    """Output frames at the end that fade to black (the music fades with them)."""
    notes: tuple[str, ...] = ()
    """What the edit had to do without ("footage is short: …")."""
    music_fit: MusicFit | None = None
    """Of which pieces of a track the music is made; None: it is the track itself."""

    @property
    def frames(self) -> int:
        """Length in output frames."""
        return self.events[-1].stop_frame if self.events else 0

    @property
    def duration_seconds(self) -> Fraction:
        """Length in seconds."""
        return self.frames / self.fps

    def error_ms(self, event: Event) -> float | None:
        """Distance of the event's first frame from its beat, in ms (positive: the cut is late)."""
        if event.beat_seconds is None:
            return None
        beat = event.beat_seconds - self.music_start_seconds
        return float((event.start_frame / self.fps - beat) * 1000)


def _along(
    points: Sequence[tuple[Fraction | int, Fraction | int]], end: int, at: Fraction | int
) -> Fraction:
    """The height at a place of the line from (0, 0) over some points to (end, end)."""
    before: tuple[Fraction | int, Fraction | int] = (0, 0)
    for point in (*points, (end, end)):
        if at < point[0]:
            slope = Fraction(point[1] - before[1]) / (point[0] - before[0])
            return before[1] + (at - before[0]) * slope
        before = point
    return Fraction(at)
