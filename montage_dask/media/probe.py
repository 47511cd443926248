"""What a video file is, found by demuxing all of it and decoding one frame."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from montage_dask.errors import MediaError
from montage_dask.media.container import open_media
from montage_dask.media.index import FrameIndex, Ticks
from montage_dask.records import AudioStream, Source

VERSION = 1

MAXIMUM_PIXELS = 100_000_000
"""A larger picture is refused: it would not fit into a worker's memory a few times over."""

SPACES = {
    1: "bt709",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    9: "bt2020nc",
    10: "bt2020c",
}
PRIMARIES = {1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020", 11: "smpte431", 12: "smpte432"}  # fmt: skip
TRANSFERS = {1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear", 13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084", 18: "arib-std-b67"}  # fmt: skip
RANGES = {1: "tv", 2: "pc"}
UNSPECIFIED = "unspecified"


def stat_key(path: str | Path) -> dict[str, Any]:
    """What tells a file from another before its content is known: path, size and time of change.

    Raises:
        OSError: it cannot be looked at.
    """
    status = os.stat(path)
    return {
        "path": os.path.abspath(path),
        "size_bytes": status.st_size,
        "mtime_ns": status.st_mtime_ns,
    }


def fingerprint(path: str | Path) -> str:
    """32 hex digits of the SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


@dataclass(slots=True)
class _Packets:
    pts: list[int] = field(default_factory=list)
    key_pts: list[int] = field(default_factory=list)
    without_pts: int = 0
    last_duration: int = 0
    error: str = ""


def probe(path: str | Path) -> tuple[Source, FrameIndex]:
    """Probe a video.

    Returns:
        What it is, and the times of its frames.

    Raises:
        MediaError: it is no video that can be used; says why.
    """
    text = os.path.abspath(path)
    container = open_media(text)
    try:
        stream = _video_stream(container, text)
        audio = _audio_stream(container)
        packets = _demux(container, stream)
        index = _index(packets, stream, text)
        format_name = container.format.name.split(",")[0]
        promised = _promised_seconds(container, stream)
        first = _first_frame(text, format_name, stream.index, index)
        _refuse_stills(text, container.format.name, index)
        rate, constant = _frame_rate(index, stream)
        warnings = _warnings(packets, index, promised)
        return _source(
            text, format_name, stream, audio, first, index, rate, constant, warnings
        ), index
    except (av.FFmpegError, UnicodeError) as error:
        raise MediaError(
            text, f"is damaged: {getattr(error, 'strerror', None) or error}"
        ) from error
    finally:
        container.close()


def _video_stream(container: Any, path: str) -> Any:
    """The largest picture; then the default stream; then the first. Cover art is no video."""
    streams = [
        s
        for s in container.streams.video
        if not (s.disposition & s.disposition.attached_pic) and s.codec_context is not None
    ]
    if not streams:
        sound = "has sound but no video" if container.streams.audio else "has no video"
        raise MediaError(path, sound)
    best = max(
        streams,
        key=lambda s: (s.width * s.height, bool(s.disposition & s.disposition.default), -s.index),
    )
    if best.width < 1 or best.height < 1:
        raise MediaError(path, "is damaged: its picture has no size")
    if best.width * best.height > MAXIMUM_PIXELS:
        raise MediaError(path, f"has pictures of {best.width}×{best.height}, which is too large")
    return best


def _audio_stream(container: Any) -> AudioStream | None:
    usable = [s for s in container.streams.audio if s.codec_context and s.codec_context.sample_rate]
    if not usable:
        return None
    best = max(
        usable, key=lambda s: (bool(s.disposition & s.disposition.default), s.channels, -s.index)
    )
    context = best.codec_context
    return AudioStream(best.index, context.name, context.sample_rate, context.channels)


def _demux(container: Any, stream: Any) -> _Packets:
    """PTS of all packets that are shown, in decoding order up to the end or the first damage."""
    found = _Packets()
    vp8 = stream.codec_context.name == "vp8"
    started = False
    try:
        for packet in container.demux(stream):
            if not packet.size:
                continue
            if vp8 and not bytes(packet)[0] & 0x10:
                continue  # an alternate reference frame: decoded, never shown
            pts = packet.pts
            if pts is None:
                found.without_pts += 1
                continue
            if packet.is_keyframe:
                started = True
                found.key_pts.append(pts)
            # What comes before the first keyframe refers to pictures that are not there.
            if not started or pts < found.key_pts[0] or packet.is_discard:
                continue
            found.pts.append(pts)
            if packet.duration:
                found.last_duration = packet.duration
    except av.FFmpegError as error:
        found.error = error.strerror or str(error)
    return found


def _index(packets: _Packets, stream: Any, path: str) -> FrameIndex:
    if packets.without_pts > len(packets.pts):
        raise MediaError(
            path,
            "has no time stamps (a raw stream); put it into a container first: "
            "ffmpeg -i IN -c:v libx264 OUT.mp4",
        )
    if not packets.pts:
        damage = f": {packets.error}" if packets.error else ""
        raise MediaError(path, f"holds no video frame that can be decoded{damage}")
    pts: Ticks = np.unique(np.array(packets.pts, np.int64))
    duration = packets.last_duration
    if duration < 1:
        duration = (
            int(np.median(np.diff(pts))) if len(pts) > 1 else round(1 / (25 * stream.time_base))
        )
    return FrameIndex(
        pts,
        np.unique(np.array(packets.key_pts, np.int64)),
        Fraction(stream.time_base),
        max(1, duration),
    )


def _first_frame(path: str, format_name: str, stream_index: int, index: FrameIndex) -> Any:
    """The first frame, decoded: a stream whose decoder gives nothing is found out now, not in mid-job."""
    with open_media(path, format_name) as container:
        stream = container.streams[stream_index]
        stream.codec_context.thread_count = 1
        for number, packet in enumerate(container.demux(stream)):
            try:
                for frame in packet.decode():
                    if frame.pts is not None and frame.pts >= index.pts[0]:
                        return frame
            except av.FFmpegError as error:
                if number > 300:
                    raise MediaError(
                        path, f"cannot be decoded ({stream.codec_context.name}): {error.strerror}"
                    ) from error
    raise MediaError(
        path, f"cannot be decoded: its {stream.codec_context.name} stream gives no frame"
    )


def _refuse_stills(path: str, format_names: str, index: FrameIndex) -> None:
    if len(index) == 1 and (
        "gif" in format_names or "image" in format_names or "png" in format_names
    ):
        raise MediaError(path, "is a still image, not a video")


def _frame_rate(index: FrameIndex, stream: Any) -> tuple[Fraction, bool]:
    """The average rate, and whether every frame lies on its grid (within the rounding of the ticks)."""
    frames = len(index)
    average = Fraction(frames) / index.duration_seconds
    if frames < 3:
        named = stream.guessed_rate or stream.average_rate
        return (Fraction(named) if named else average.limit_denominator(1001)), True
    steps = np.arange(frames, dtype=np.float64)
    offsets = (index.pts - index.pts[0]).astype(np.float64)
    for named in (stream.guessed_rate, stream.average_rate, stream.base_rate):
        if not named or not 1 <= named <= 1000:
            continue
        ticks = float(1 / (Fraction(named) * index.time_base))
        if np.abs(offsets - steps * ticks).max() <= 1.0:
            return Fraction(named), True
    return average.limit_denominator(100_000), False


def _promised_seconds(container: Any, stream: Any) -> tuple[Fraction, Fraction]:
    """The length that the header promises, and how much less is no wonder: a file is as long as its longest stream."""
    if stream.duration:
        return stream.duration * Fraction(stream.time_base), Fraction(1, 2)
    return Fraction(container.duration or 0, av.time_base), Fraction(2)


def _warnings(
    packets: _Packets, index: FrameIndex, promised: tuple[Fraction, Fraction]
) -> tuple[str, ...]:
    """Truncation: the header promises more than the packets hold."""
    whole, usual = promised
    lacking = whole - index.duration_seconds
    if whole and (packets.error or lacking > max(usual, whole / 10)):
        return (
            f"truncated or damaged: {float(index.duration_seconds):.1f} s "
            f"of {float(whole):.1f} s can be used",
        )
    return (f"damaged: {packets.error}",) if packets.error else ()


def _source(
    path: str,
    format_name: str,
    stream: Any,
    audio: AudioStream | None,
    first: Any,
    index: FrameIndex,
    rate: Fraction,
    constant: bool,
    warnings: tuple[str, ...],
) -> Source:
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    if not Fraction(1, 10) <= aspect <= 10:
        aspect = Fraction(1)
    rotation = -round(first.rotation / 90) * 90 % 360
    shown_width = max(2, round(first.width * aspect)) if aspect >= 1 else first.width
    shown_height = first.height if aspect >= 1 else max(2, round(first.height / aspect))
    if rotation in (90, 270):
        shown_width, shown_height = shown_height, shown_width
    return Source(
        path=path,
        identity=fingerprint(path),
        size_bytes=os.path.getsize(path),
        format_name=format_name,
        stream_index=stream.index,
        codec=stream.codec_context.codec.canonical_name,
        coded_width=first.width,
        coded_height=first.height,
        width=shown_width,
        height=shown_height,
        rotation_degrees=rotation,
        sample_aspect=aspect,
        pixel_format=first.format.name,
        bit_depth=first.format.components[0].bits,
        color_space=SPACES.get(int(first.colorspace), UNSPECIFIED),
        color_primaries=PRIMARIES.get(int(first.color_primaries), UNSPECIFIED),
        color_transfer=TRANSFERS.get(int(first.color_trc), UNSPECIFIED),
        color_range=RANGES.get(int(first.color_range), UNSPECIFIED),
        time_base=index.time_base,
        frame_rate=rate,
        constant_frame_rate=constant,
        frames=len(index),
        start_pts=int(index.pts[0]),
        duration_seconds=index.duration_seconds,
        audio=audio,
        warnings=warnings,
    )
