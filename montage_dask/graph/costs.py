"""What operations cost on one CPU thread, for plans and for choosing targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from montage_dask.records import Source


@dataclass(frozen=True, slots=True)
class Work:
    """What all requests of an operation take together."""

    cpu_seconds: float = 0.0
    bytes_moved: int = 0
    """To a machine that does not see the files, and back."""
    media_seconds: float | None = None
    """Of video; None: nobody counted."""


GUARD_SECONDS_PER_SECOND = 0.02
"""Of the montage: some 30 ms for each event whatever its size, and two events in three seconds."""

CPU_SECONDS_PER_FRAME: Mapping[str, float] = {
    "strip": 0.0068, "scores": 0.021, "shots": 0.0002, "encode": 0.06, "motion": 0.016,
    "stabilise": 0.04,
}  # fmt: skip
"""Measured on 1080p with one thread of a 2.5-GHz server core; `docs/benchmarks.md`. Scaled by the number of pixels."""

PIXELS_1080P = 1920 * 1080

BEATS_SECONDS = 2.0
"""Of a track of usual length."""

FIT_SECONDS = 2.5
"""To fit a track of usual length to another one."""

START_SECONDS = 5.0
"""Of a job with workers of its own, before the first of them works."""

STRIP_BYTES_PER_FRAME = 2_000
"""Of thumbnails and features, compressed."""

PACKED_SOUND_BYTES = 8_000_000
"""Of a track of usual length, as it travels."""

QUALITY_WORK: Mapping[str, float] = {"preview": 0.35, "standard": 1.0, "high": 2.2, "master": 4.5}
CODEC_WORK: Mapping[str, float] = {"h264": 1.0, "hevc": 3.0, "av1": 2.5}
"""Encoding time relative to H.264 in `standard` quality."""


OUTPUT_BYTES_PER_PIXEL = 0.012
"""Of `standard` quality; others by their ratio below."""
QUALITY_BYTES: Mapping[str, float] = {"preview": 0.5, "standard": 1.0, "high": 1.7, "master": 4.0}

GOP_SHARE = 1.5
"""How much of a file travels for what is used of it: ranges begin on keyframes and end behind the pictures they need."""


def output_bytes(pixels: float, quality: str) -> int:
    """Expected size of so many encoded pixels."""
    return round(pixels * OUTPUT_BYTES_PER_PIXEL * QUALITY_BYTES[quality])


def range_bytes(source: Source, seconds: Fraction | float) -> int:
    """Expected size of a range of a source, copied without encoding."""
    share = min(1.0, GOP_SHARE * float(seconds) / float(source.duration_seconds))
    return round(source.size_bytes * share)


def strip_seconds(source: Source, frames: int) -> float:
    """CPU time of the strip of so many frames of a source: decoding goes by pixels, what is kept by frames."""
    scale = source.coded_width * source.coded_height / PIXELS_1080P
    return frames * max(0.001, CPU_SECONDS_PER_FRAME["strip"] * scale)


def encode_work(
    frames: int, pixels: int, fps: Fraction, codec: str, quality: str, used_bytes: int
) -> Work:
    """What it takes to encode a montage in software, or elsewhere.

    Args:
        frames: of the montage.
        pixels: of one frame.
        fps: its rate.
        codec: see CODEC_WORK.
        quality: see QUALITY_WORK.
        used_bytes: of the sources, for what is shown of them.
    """
    return Work(
        frames * pixels * encode_seconds_per_pixel(codec, quality),
        used_bytes + output_bytes(frames * pixels, quality),
        float(frames / fps),
    )


def encode_seconds_per_pixel(codec: str, quality: str) -> float:
    """CPU time of a pixel of the result in software."""
    return (
        CPU_SECONDS_PER_FRAME["encode"] / PIXELS_1080P * QUALITY_WORK[quality] * CODEC_WORK[codec]
    )


def audio_seconds(length_seconds: float) -> float:
    """CPU seconds of the sound of a montage."""
    return 3.0 + length_seconds / 30


def assemble_seconds(length_seconds: float) -> float:
    """CPU seconds of putting a montage together."""
    return 0.5 + length_seconds / 100


def expected_seconds(
    clips: Sequence[tuple[float, int]],
    length_seconds: float,
    pixels: int,
    fps: Fraction,
    codec: str,
    quality: str,
    threads: int,
) -> float:
    """How long a montage takes by what little is known of files that nobody has probed; a plan knows more.

    Args:
        clips: seconds and pixels of a frame of each.
        length_seconds: of the montage.
        pixels: of one frame of it.
        fps: its rate.
        codec, quality: see `encode_work`.
        threads: that share the work.
    """
    each, usual_fps = CPU_SECONDS_PER_FRAME, 30
    looked = sum(
        s * usual_fps * (max(0.001, each["strip"] * p / PIXELS_1080P) + each["shots"])
        for s, p in clips
    )
    frames = round(length_seconds * fps)
    made = encode_work(frames, pixels, fps, codec, quality, 0).cpu_seconds
    made += length_seconds * GUARD_SECONDS_PER_SECOND
    alone = (
        START_SECONDS
        + BEATS_SECONDS
        + audio_seconds(length_seconds)
        + assemble_seconds(length_seconds)
    )
    return (looked + made) / threads + alone
