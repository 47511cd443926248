"""What a video file is, found by demuxing all of it and decoding some of its frames."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from montage_dask.errors import MediaError
from montage_dask.media.container import is_image, open_media
from montage_dask.media.cropping import container_crop
from montage_dask.media.fields import find_fields
from montage_dask.media.index import FrameIndex
from montage_dask.media.joined import REASON, unread_file
from montage_dask.media.limits import too_large
from montage_dask.media.orientation import Orientation, orientation_of
from montage_dask.media.rates import frame_rate, told_rates
from montage_dask.media.source_timecode import find_timecode
from montage_dask.media.timing import Timing, find_timing
from montage_dask.records import HDR_TRANSFERS, AudioStream, Source
from montage_dask.store import Place, objects, place_of

VERSION = 7

SPACES = {
    1: "bt709",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    9: "bt2020nc",
    10: "bt2020c",
}
PRIMARIES = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    9: "bt2020",
    11: "smpte431",
    12: "smpte432",
}
TRANSFERS = {
    1: "bt709",
    4: "gamma22",
    5: "gamma28",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    18: "arib-std-b67",
}
RANGES = {1: "tv", 2: "pc"}
UNSPECIFIED = "unspecified"


def stat_key(path: str | Place) -> dict[str, Any]:
    """What tells a file from another before its content is known: path, size and time of change; of an object, its etag.

    Raises:
        OSError, StoreError: it cannot be looked at.
    """
    place = place_of(path)
    return {"path": str(place), **objects.state_of(place)}


def fingerprint(path: str | Path) -> str:
    """32 hex digits of the SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def probe(path: str | Path, *, deinterlace: str | None = "auto") -> tuple[Source, FrameIndex]:
    """Probe a video.

    Args:
        path: the file.
        deinterlace: auto (what is interlaced), on (everything) or off (nothing: pictures are taken as they are); None: the file
            is one of our own, and not looked at.

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
        format_name = container.format.name.split(",")[0]
        promised = _promised_seconds(container, stream)
        timing = find_timing(container, stream, text, format_name)
        _refuse_stills(text, container.format.name, timing.index)
        _refuse_mixed_light(text, timing)
        extradata = bytes(stream.codec_context.extradata or b"")
        if unread_file(text, format_name, extradata, timing.end_bytes):
            raise MediaError(text, REASON)
        source = _source(text, format_name, stream, audio, timing, promised)
        lost = _warnings(timing, promised, stream, source)
    except (av.FFmpegError, UnicodeError) as error:
        raise MediaError(
            text, f"is damaged: {getattr(error, 'strerror', None) or error}"
        ) from error
    finally:
        container.close()
    source = replace(source, warnings=(*lost, *source.warnings))
    if source.holes:
        # Its frames are other ones than those of all packets, which versions before took for them.
        source = replace(source, identity=_identity(source, f"holes={source.holes}"))
    if deinterlace is not None:
        source = _interlacing(source, timing.index, deinterlace)
    return source, timing.index


def _interlacing(source: Source, index: FrameIndex, setting: str) -> Source:
    """The source with what is done to its fields.

    Its identity is that of its pictures as they are used: where the setting overrules what was found, it is another one, and
    nothing that was made of them is taken for something made of these.
    """
    order, said = find_fields(source, index)
    identity = source.identity
    if (setting == "on" and not order) or (setting == "off" and order):
        order = "tff" if setting == "on" else ""
        done = "deinterlaced" if setting == "on" else "not deinterlaced"
        found = said.split(":")[0] or "is progressive"
        said = f"{found}: {done}, as `deinterlace` is {setting}"
        identity = _identity(source, f"deinterlace={setting}")
    warnings = (*source.warnings, said) if said else source.warnings
    return replace(source, identity=identity, field_order=order, warnings=warnings)


def _identity(source: Source, what: str) -> str:
    """Of the pictures of a source as they are used."""
    return hashlib.sha256(f"{source.identity} {what}".encode()).hexdigest()[:32]


def _video_stream(container: Any, path: str) -> Any:
    """The largest picture; then the default stream; then the first. Cover art is no video, nor is a still beside one."""
    streams = [
        s
        for s in container.streams.video
        if not (s.disposition & s.disposition.attached_pic) and s.codec_context is not None
    ]
    if not streams:
        sound = "has sound but no video" if container.streams.audio else "has no video"
        raise MediaError(path, sound)
    moving = [s for s in streams if s.frames != 1]
    best = max(
        moving or streams,
        key=lambda s: (s.width * s.height, bool(s.disposition & s.disposition.default), -s.index),
    )
    if best.width < 1 or best.height < 1:
        raise MediaError(path, "is damaged: its picture has no size")
    unfit = too_large(best.width, best.height)
    if unfit:
        raise MediaError(path, unfit)
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


def _refuse_stills(path: str, format_names: str, index: FrameIndex) -> None:
    """A single frame is a picture, unless it is in a container for video."""
    if len(index) > 1:
        return
    with open(path, "rb") as file:
        head = file.read(64)
    if is_image(head) or any(n in format_names for n in ("gif", "image", "png")):
        raise MediaError(path, "is a still image, not a video")


def _later_builds(timing: Timing) -> tuple[tuple[int, int], ...]:
    index = timing.index
    if index.packets is None:
        return tuple((int(np.searchsorted(index.pts, p)), b) for _, p, b in timing.later_builds)
    return tuple(
        (int((index.packets < packet).sum()), build) for packet, _, build in timing.later_builds
    )


def _refuse_mixed_light(path: str, timing: Timing) -> None:
    """Matrices and ranges are brought together where pictures are decoded; HDR and SDR are not."""
    curves = {TRANSFERS.get(shape[6]) in HDR_TRANSFERS for shape in timing.shapes.different}
    if len(curves) > 1:
        raise MediaError(
            path, "changes between HDR and SDR on the way; cut it there into two files"
        )


def _promised_seconds(container: Any, stream: Any) -> Fraction | None:
    """How long the file says that its pictures last; None when it does not, or sound may be what lasts."""
    if stream.duration:
        return Fraction(stream.duration) * stream.time_base
    tag = re.fullmatch(
        r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", "").strip()
    )
    if tag:
        return int(tag[1]) * 3600 + int(tag[2]) * 60 + Fraction(tag[3])
    if container.duration and len(container.streams) == 1:
        return Fraction(container.duration, av.time_base)
    return None


def _warnings(
    timing: Timing, promised: Fraction | None, stream: Any, source: Source
) -> tuple[str, ...]:
    """Truncation: the header promises more than the packets hold."""
    holes = (timing.holes.warning,) if timing.holes.warning else ()
    if timing.restarted:
        said = "joined: its clock starts again on the way, so --keep-audio leaves its sound out"
        return (said, *holes)
    there = timing.index.duration_seconds
    lost_frames = stream.frames - timing.packets
    if lost_frames > max(1, stream.frames // 100) and not _trimmed(stream, source):
        return (f"truncated: {timing.packets} of {stream.frames} frames can be used", *holes)
    # Only in files without a count of frames: an edit list makes the shown part shorter than the whole.
    lost = promised - there if promised and not stream.frames else Fraction(0)
    if promised and lost > max(Fraction(1, 2), promised / 50):
        return (f"incomplete: {float(there):.1f} s of {float(promised):.1f} s can be used", *holes)
    return (f"damaged: {timing.error}", *holes) if timing.error else holes


def _trimmed(stream: Any, source: Source) -> bool:
    """Whether frames are missing because an edit list hides them: all that is shown lies in the file."""
    if source.format_name != "mov":
        return False
    return all(e.pos + e.size <= source.size_bytes for e in stream.index_entries)


def _source(
    path: str,
    format_name: str,
    stream: Any,
    audio: AudioStream | None,
    timing: Timing,
    promised: Fraction | None,
) -> Source:
    first, index = timing.first, timing.index
    rate, constant = frame_rate(index, told_rates(stream))
    timecode, timecode_rate = find_timecode(path, format_name, stream, first, rate)
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    if not Fraction(1, 10) <= aspect <= 10:
        aspect = Fraction(1)
    turned = orientation_of(first)
    crop = container_crop(path, format_name, stream.index, (first.width, first.height))
    width, height = first.width - crop[0] - crop[2], first.height - crop[1] - crop[3]
    shown_width = max(2, round(width * aspect)) if aspect >= 1 else width
    shown_height = height if aspect >= 1 else max(2, round(height / aspect))
    if turned.degrees in (90, 270):
        shown_width, shown_height = shown_height, shown_width
    return Source(
        path=path,
        identity=fingerprint(path),
        size_bytes=os.path.getsize(path),
        format_name=format_name,
        stream_index=stream.index,
        codec=stream.codec_context.codec.canonical_name,
        coded_width=width,
        coded_height=height,
        width=shown_width,
        height=shown_height,
        rotation_degrees=turned.degrees,
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
        warnings=_skewed(turned),
        mirrored=turned.mirrored,
        crop=crop,
        x264_build=timing.x264_build,
        later_builds=_later_builds(timing),
        restarted=timing.restarted,
        holes=timing.holes.frames,
        spoilt=timing.holes.spoilt,
        uniform=timing.shapes.constant
        and not (timing.restarted or timing.later_builds or timing.evened),
        timecode=timecode,
        timecode_rate=timecode_rate,
    )


def _skewed(turned: Orientation) -> tuple[str, ...]:
    if not turned.skew_degrees:
        return ()
    angle = (turned.degrees + turned.skew_degrees) % 360
    return (f"is to be turned by {angle:.0f}°: turned by {turned.degrees}°, without corners",)
