"""What is known of footage: files, windows, shots, and what is seen in them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

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
