"""The small records that travel between the rooms: what is known of footage, music and a montage.

All are frozen, JSON-serialisable (`to_json`, `from_json`) and free of I/O. Times are `Fraction` seconds or
integer frames; a `Fraction` is written as "24000/1001". Source times count from the first frame of the source (frame 0 is at
0 s); music times from the first sample of the track.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar

T = TypeVar("T")


HDR_TRANSFERS = frozenset(["smpte2084", "arib-std-b67"])
"""PQ and HLG."""


@dataclass(frozen=True, slots=True)
class AudioStream:
    """The audio stream of a file that would be used."""

    stream_index: int
    """Index of the stream in the file."""
    codec: str
    sample_rate: int
    """Samples per second."""
    channels: int


@dataclass(frozen=True, slots=True)
class Source:
    """One video file, probed without decoding all of it."""

    path: str
    """Absolute path."""
    identity: str
    """Fingerprint of the content (hex); equal for equal bytes whatever the file is called."""
    size_bytes: int
    format_name: str
    """The demuxer, one name ("mov", "matroska"); forced when the file is opened again."""
    stream_index: int
    """The video stream that is used (the largest one; index in the file)."""
    codec: str
    coded_width: int
    """Pixels as decoded and cropped, before they are turned and before sample aspect."""
    coded_height: int
    width: int
    """Square pixels as shown: cropped, after sample aspect and turning."""
    height: int
    rotation_degrees: int
    """Clockwise rotation to apply for showing: 0, 90, 180 or 270; behind mirroring. See `media.orientation`."""
    sample_aspect: Fraction
    pixel_format: str
    bit_depth: int
    color_space: str
    """Matrix, FFmpeg's name ("bt709", "smpte170m", "unspecified")."""
    color_primaries: str
    color_transfer: str
    color_range: str
    """"tv", "pc" or "unspecified"."""
    time_base: Fraction
    """Seconds per PTS tick."""
    frame_rate: Fraction
    """Average rate, frames per second."""
    constant_frame_rate: bool
    frames: int
    """Frames that can be shown: the length of the frame index."""
    start_pts: int
    """PTS of frame 0, in time_base."""
    duration_seconds: Fraction
    """From frame 0 to the end of the last frame."""
    audio: AudioStream | None = None
    warnings: tuple[str, ...] = ()
    """What is odd about the file but does not prevent its use ("truncated: …")."""
    mirrored: bool = False
    """Whether pictures are mirrored top to bottom before they are turned."""
    crop: tuple[int, ...] = (0, 0, 0, 0)
    """Pixels at the left, top, right and bottom of what the decoder gives that the container hides."""
    field_order: str = ""
    """How pictures are deinterlaced: tff or bff (the field of the upper or lower lines comes first) or flagged (those that say
    so); empty where they are shown as they are."""
    mtime_ns: int | None = None
    """When it was changed last, as a job saw it first: it must not change while the job runs. None: not a file of people."""
    x264_build: int | None = None
    """The build of x264 that made it, where its first packet says so: decoders that start behind it must be told."""
    later_builds: tuple[tuple[int, int], ...] = ()
    """Where files were joined: (first frame, the build of x264 from there on)."""
    uniform: bool = True
    """Whether all pictures have the same size, shape, format and colours, and the clock runs on. Only then can ffmpeg's filters
    read it; what reads frames by number (`media.decode`) gets them as this record says in any case."""
    restarted: bool = False
    """Whether the file's clock starts again or leaps: the times of its frames are made up, its sound cannot be placed by them."""
    holes: tuple[int, ...] = ()
    """Frames behind which pictures are missing, or that stand for long: nothing that is shown spans the time behind them."""
    spoilt: bool = False
    """Whether the stream holds pictures at its holes that are no frames: what ffmpeg's filters choose may not reach there."""
    timecode: str | None = None
    """Of frame 0, HH:MM:SS:FF (";" before the frames: drop-frame); None when the file carries none."""
    timecode_rate: Fraction | None = None
    """Frames per second that it counts; of fast footage often half of the frame rate."""
    excerpt: bool = False
    """Whether the file holds ranges of the source only: then nothing can be decoded again with what is before it."""

    @property
    def decoded_size(self) -> tuple[int, int]:
        """Width and height of what the decoder gives, before the container's crop."""
        left, top, right, bottom = self.crop
        return self.coded_width + left + right, self.coded_height + top + bottom

    def is_plain(self, start_frame: int, stop_frame: int) -> bool:
        """Whether ffmpeg's filters alone can choose and show frames [start_frame, stop_frame), and what is around them."""
        near = range(start_frame - 2, stop_frame + 2)
        return self.uniform and not (self.spoilt and any(h in near for h in self.holes))

    @property
    def hdr(self) -> bool:
        """Whether the transfer curve is PQ or HLG, so that tone mapping is needed."""
        return self.color_transfer in HDR_TRANSFERS


@dataclass(frozen=True, slots=True)
class Window:
    """Decoded frames [start_frame, stop_frame) of one source."""

    index: int
    start_frame: int
    stop_frame: int

    @property
    def frames(self) -> int:
        """Length in frames."""
        return self.stop_frame - self.start_frame


@dataclass(frozen=True, slots=True)
class Boundary:
    """Where one shot of a source gives way to the next."""

    kind: str
    """cut, dissolve, fade or wipe."""
    start_frame: int
    """First frame that no longer shows the old shot alone; of a cut, the first frame of the new one."""
    stop_frame: int
    """First frame that shows the new shot alone; equal to start_frame for a cut."""
    score: float
    """How sure the detector is, 0 … 1."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """Frames [start_frame, stop_frame) of a shot that are no footage to show."""

    kind: str
    """text, card, black, white, empty, frozen, fade or blur; see `analysis.usability`."""
    start_frame: int
    stop_frame: int
    start_seconds: Fraction
    """Time of start_frame, from the first frame of the source."""
    stop_seconds: Fraction
    """End of the last frame."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Where the eye goes in one frame: a box, in shares of the picture as it is shown."""

    frame: int
    """Of the source."""
    kind: str
    """face, or moving: what moves apart from the camera. Faces are found, never recognised."""
    x: float
    """Left edge."""
    y: float
    """Upper edge."""
    width: float
    height: float
    confidence: float
    """0 … 1."""


@dataclass(frozen=True, slots=True)
class Camera:
    """How the camera moves in a shot."""

    kind: str
    """static, pan (sideways), tilt (up and down), zoom, or handheld."""
    strength: float
    """Picture widths a second; of a zoom the growth a second (natural logarithm); handheld: shake, in picture widths."""


@dataclass(frozen=True, slots=True)
class Shot:
    """Frames [start_frame, stop_frame) of one source between two cuts, and what is in them.

    The profiles sample the shot every `profile_step_frames` source frames, so that an edit can choose a part.
    """

    source: str
    """Identity of the source."""
    index: int
    """Number of the shot in its source, from 0."""
    start_frame: int
    stop_frame: int
    start_seconds: Fraction
    """Time of start_frame, from the first frame of the source."""
    stop_seconds: Fraction
    """End of the last frame of the shot."""
    sharpness: float
    """0 (blurred) … 1 (sharp), relative to a fixed scale, not to the other shots."""
    exposure: float
    """Mean luma, 0 (black) … 1 (white)."""
    contrast: float
    """Standard deviation of luma, 0 … 1."""
    colourfulness: float
    """0 (grey) … 1 (very colourful)."""
    motion: float
    """Mean change between neighbouring frames scaled to 1/25 s, 0 (still) … 1."""
    quality: float
    """0 … 1: sharp, well exposed, not empty; what selection maximises."""
    embedding: tuple[float, ...]
    """Unit vector; the dot product of two shots is their similarity."""
    perceptual_hash: str
    """64-bit DCT hash of the middle frame, hex."""
    profile_step_frames: int
    motion_profile: tuple[float, ...]
    """Motion, 0 … 1, per step; ceil(frames / step) values."""
    quality_profile: tuple[float, ...]
    """Quality, 0 … 1, per step; as long as motion_profile."""
    colour: tuple[float, ...] = ()
    """Mean of R', G', B' (0 … 1) and their covariances (rr, rg, rb, gg, gb, bb), of the key frames; empty when not known."""
    boundary: Boundary | None = None
    """What begins the shot; None for the first of a source. Frames within a boundary belong to no shot."""
    boundary_seconds: Fraction | None = None
    """Time of the boundary's first frame."""
    duplicate_group: int = -1
    """Shots of one group (over all sources) look alike; -1 when nothing looks like it."""
    unusable: tuple[Unusable, ...] = ()
    """Where nothing is to be seen that is worth showing, by kind and time; they may overlap."""
    subjects: tuple[Subject, ...] = ()
    """At most one each look, about half a second apart (`analysis.looks`), in the order of frames; none where nobody is seen."""
    camera: Camera | None = None
    """How the camera moves; None when not known."""

    @property
    def duration_seconds(self) -> Fraction:
        """Length of the shot."""
        return self.stop_seconds - self.start_seconds


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the music: intro, verse, build, drop, …"""

    start_seconds: Fraction
    stop_seconds: Fraction
    label: str
    """One of intro, low, build, high, drop, outro."""
    energy: float
    """Mean energy of the section, 0 … 1."""


@dataclass(frozen=True, slots=True)
class TempoAlternative:
    """Another reading of the same beat: usually half or double."""

    tempo_bpm: float
    score: float
    """Salience relative to the chosen tempo, which has 1.0."""


@dataclass(frozen=True, slots=True)
class MusicPiece:
    """Samples [start_sample, stop_sample) of a track."""

    start_sample: int
    stop_sample: int


@dataclass(frozen=True, slots=True)
class MusicFit:
    """A track made longer or shorter at bar lines: pieces of it, one behind the other, in a file of their own."""

    track: str
    """Absolute path of the track that it is made of."""
    track_identity: str
    identity: str
    """Fingerprint of the file that holds the result."""
    sample_rate: int
    """That pieces count in."""
    pieces: tuple[MusicPiece, ...]
    samples: int
    """Length of the result: that of the pieces, and silence where an exact length wants it."""

    @property
    def joins_seconds(self) -> tuple[Fraction, ...]:
        """Where in the result one piece follows another."""
        found, at = [], 0
        for piece in self.pieces[:-1]:
            at += piece.stop_sample - piece.start_sample
            found.append(Fraction(at, self.sample_rate))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Music:
    """One track: its beats, bars, sections, energy and loudness."""

    path: str
    """Absolute path."""
    identity: str
    duration_seconds: Fraction
    tempo_bpm: float
    """Median tempo; 0.0 when there is no beat."""
    confidence: float
    """0 (no beat found: the grid below is a fallback) … 1."""
    alternatives: tuple[TempoAlternative, ...]
    beats_seconds: tuple[Fraction, ...]
    beats_per_bar: int
    """3 or 4; 0 when unknown."""
    downbeats: tuple[int, ...]
    """Indices into beats_seconds of the first beats of bars."""
    beat_energy: tuple[float, ...]
    """0 … 1 per beat: loudness and density from this beat to the next."""
    beat_strength: tuple[float, ...]
    """0 … 1 per beat: how strong the onset on the beat is."""
    sections: tuple[Section, ...]
    energy_curve: tuple[float, ...]
    """0 … 1, ten values a second."""
    loudness_lufs: float
    """Integrated loudness (EBU R128); -70 for silence."""
    true_peak_db: float
    """dBTP."""
    tracker: str
    """Which tracker made the beats: "network", "flux", "librosa", "beat-this", "file", "bpm"."""
    warnings: tuple[str, ...] = ()
    fit: MusicFit | None = None
    """Of which pieces of another track it is made; None: it is a track as it was given."""


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


def to_json(value: Any) -> Any:
    """A record (or a container of records) as plain JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(v) for v in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"not a record: {value!r}")


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def from_json(cls: type[T], data: Any) -> T:
    """The record of class `cls` that `to_json` wrote.

    Raises:
        ValueError, TypeError, KeyError: data is not such a record.
    """
    return typing.cast(T, _decode(cls, data))


def _decode(hint: Any, data: Any) -> Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        inner = [a for a in typing.get_args(hint) if a is not type(None)]
        return None if data is None else _decode(inner[0], data)
    if origin is tuple:
        item = typing.get_args(hint)[0]
        return tuple(_decode(item, v) for v in data)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        item = typing.get_args(hint)[1]
        return {str(k): _decode(item, v) for k, v in data.items()}
    if hint is Fraction:
        return Fraction(data)
    if dataclasses.is_dataclass(hint):
        if not isinstance(data, Mapping):
            raise TypeError(f"expected the keys of {hint}, got {data!r}")
        hints = _hints(typing.cast(type, hint))
        names = {f.name for f in dataclasses.fields(hint)}
        unknown = set(data) - names
        if unknown:
            raise ValueError(f"unknown keys {sorted(unknown)} for {hint}")
        return typing.cast(Any, hint)(**{k: _decode(hints[k], v) for k, v in data.items()})
    if hint is float:
        return float(data)
    if hint in (int, str, bool) and not isinstance(data, hint):
        raise TypeError(f"expected {hint.__name__}, got {data!r}")
    return data
