"""The timecode that a file carries: tmcd tracks, tags of containers, the first group of pictures of MPEG-2."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from montage_dask.media.container import open_media
from montage_dask.timecode import LABEL, number_of

TAG = "timecode"
PICTURE_GROUPS = ("mpeg", "mpegts", "mpegvideo")
"""Demuxers of containers that have no timecode of their own: there that of the pictures counts."""
COUNTED = (24, 25, 30, 48, 50, 60)
"""Frames per second that tmcd tracks count; of fast footage often every second one."""


def find_timecode(
    path: str, format_name: str, stream: Any, first: Any, frame_rate: Fraction
) -> tuple[str | None, Fraction | None]:
    """The timecode of a video's first frame.

    Args:
        path: of the file.
        format_name: its demuxer.
        stream: the video stream, in an open container.
        first: its first frame, decoded.
        frame_rate: of the video.

    Returns:
        HH:MM:SS:FF (";" before the frames: drop-frame), and the rate that it counts in; (None, None) when the file tells none
        that can be used.
    """
    told = [*_tags(stream)]
    if not told and format_name in PICTURE_GROUPS:
        told = [*_picture_group(first)]
    for label in told:
        rate = _rate_of(label, path, stream, frame_rate)
        if ";" in label and round(rate) % 30:
            label = label.replace(";", ":")
        try:
            number_of(label, rate)
        except ValueError:
            continue
        return label, rate
    return None, None


def _tags(stream: Any) -> Iterator[str]:
    """Of the stream itself first: a file may have several tmcd tracks."""
    others = (s for s in stream.container.streams if s.type == "data")
    for owner in (stream, *others, stream.container):
        for name, value in owner.metadata.items():
            found = LABEL.fullmatch(value.strip()) if name.lower() == TAG else None
            if found:
                mark = ":" if found[4] == ":" else ";"
                yield f"{found[1]}:{found[2]}:{found[3]}{mark}{found[5]}"


def _picture_group(first: Any) -> Iterator[str]:
    """The 25 bits of ISO 13818-2, 6.3.8; encoders without a clock write zeros."""
    for data in first.side_data:
        if data.type.name == "GOP_TIMECODE":
            bits = int.from_bytes(bytes(data)[:4], "little")
            hours, minutes, seconds, frames = (
                bits >> 19 & 31,
                bits >> 13 & 63,
                bits >> 6 & 63,
                bits & 63,
            )
            mark = ";" if bits >> 24 & 1 else ":"
            if bits & 0xFFFFFF & ~(1 << 12):
                yield f"{hours:02d}:{minutes:02d}:{seconds:02d}{mark}{frames:02d}"


def _rate_of(label: str, path: str, stream: Any, frame_rate: Fraction) -> Fraction:
    """The frame rate, unless a tmcd track counts otherwise."""
    counter = _counter(path, stream) if frame_rate > 31 else None
    if counter is None:
        return frame_rate
    ntsc = abs(frame_rate / round(frame_rate) - Fraction(1000, 1001)) < Fraction(1, 10_000)
    for nominal in (round(frame_rate), *COUNTED):
        try:
            if number_of(label, Fraction(nominal)) != counter:
                continue
        except ValueError:
            continue
        if nominal == round(frame_rate):
            return frame_rate
        return Fraction(nominal * 1000, 1001) if ntsc else Fraction(nominal)
    return frame_rate


def _counter(path: str, stream: Any) -> int | None:
    """What a tmcd track holds: one number of a frame."""
    tracks = [s.index for s in stream.container.streams if s.type == "data" and TAG in s.metadata]
    if not tracks:
        return None
    with open_media(path) as container:  # the other one is where its pictures were read to
        for packet in container.demux(container.streams[tracks[0]]):
            if packet.size == 4:
                return int.from_bytes(bytes(packet), "big")
            break
    return None
