"""Frames that are told apart by the numbers of their packets, where time stamps do not tell: by one full decode."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from montage_dask.errors import FFmpegError, MediaError
from montage_dask.media.container import open_media
from montage_dask.media.ffmpeg import input_arguments, run_ffmpeg
from montage_dask.media.headers import is_whole, unit_length
from montage_dask.media.index import FrameIndex, Ticks, usual_step
from montage_dask.media.limits import decoder_limit
from montage_dask.media.opening import decoded, told_build

UNTELLABLE = (
    "has no time stamps that tell its frames apart; convert it first, for example: "
    "ffmpeg -i IN -c:v libx264 -crf 16 OUT.mp4"
)


@dataclass(frozen=True, slots=True)
class Told:
    """Which stream to decode, and what its decoder is told."""

    path: str
    format_name: str
    stream_index: int
    x264_build: int | None

    @contextmanager
    def open(self) -> Iterator[tuple[Any, Any]]:
        """The container and the stream, to be decoded by one thread."""
        with open_media(self.path, self.format_name) as container:
            stream = container.streams[self.stream_index]
            stream.codec_context.thread_count = 1
            stream.codec_context.options = {**decoder_limit(), **told_build(self.x264_build)}
            yield container, stream


def decoded_pictures(told: Told) -> Iterator[tuple[int, Any, bool]]:
    """Every frame in the order of showing, the number of its packet, and whether it is spoilt; PTS are the packets' own.

    Spoilt is what is decoded behind an error, up to the next keyframe.
    """
    with told.open() as (container, stream):
        own: list[int | None] = []
        spoilt: list[bool] = []
        wrong, awaited = False, -1
        length = unit_length(stream.codec_context)
        try:
            for packet in container.demux(stream):
                if packet.size:
                    own.append(packet.pts)
                    packet.pts = len(own) - 1
                    if packet.is_keyframe and is_whole(packet, stream.codec_context, length):
                        # What follows it in the file and precedes it on screen refers to what is spoilt.
                        wrong, awaited = False, len(spoilt) if wrong or awaited >= 0 else -1
                frames, met = decoded(stream.codec_context, packet)
                wrong = wrong or met
                if packet.size:
                    spoilt.append(wrong)
                for frame in frames:
                    number = frame.pts
                    if number is not None:
                        frame.pts = own[number]
                        yield number, frame, spoilt[number] or 0 <= awaited < number
                        awaited = -1 if number == awaited else awaited
        except (av.FFmpegError, IndexError):
            return


def by_packets(told: Told, stream: Any, rate: Any) -> tuple[FrameIndex, Any, list[bool]]:
    """The index of a stream without trustworthy time stamps, its first frame, and which ones are spoilt.

    The executable makes up its own when it reads the file from the start; taking those keeps it and PyAV in step.
    """
    numbers: list[int] = []
    spoilt: list[bool] = []
    first = None
    for number, frame, wrong in decoded_pictures(told):
        numbers.append(number)
        spoilt.append(wrong)
        first = first or frame
    if first is None:
        raise MediaError(
            told.path, f"cannot be decoded: its {stream.codec_context.name} stream gives no frame"
        )
    pts = _executable_pts(told, Fraction(stream.time_base))
    steady = len(pts) == len(numbers) == len(set(numbers)) and bool((np.diff(pts) > 0).all())
    if not steady:
        raise MediaError(told.path, UNTELLABLE)
    usual = usual_step(pts) or float(1 / (Fraction(rate) * stream.time_base))
    index = numbered(told, pts, numbers, Fraction(stream.time_base), max(1, round(usual)))
    return index, first, spoilt


def _key_packets(told: Told) -> list[int]:
    found: list[int] = []
    number = 0
    with told.open() as (container, stream):
        length = unit_length(stream.codec_context)
        try:
            for packet in container.demux(stream):
                if packet.size:
                    if packet.is_keyframe and (
                        not found or is_whole(packet, stream.codec_context, length)
                    ):
                        found.append(number)
                    number += 1
        except (av.FFmpegError, IndexError):
            pass  # the damaged tail brought no frames either
    return found


def _restarts(keys: list[int], numbers: list[int]) -> list[int]:
    """The key packets that bring a frame shown behind those of all key packets before them."""
    frames = {packet: frame for frame, packet in enumerate(numbers)}
    found: list[int] = []
    for packet in keys:
        # In a packed stream the packet behind a keyframe can be marked as one, too.
        if packet in frames and (not found or frames[packet] > frames[found[-1]]):
            found.append(packet)
    return found


def _executable_pts(told: Told, time_base: Fraction) -> Ticks:
    """The PTS of all frames that ffmpeg shows when it reads the file from its start."""
    with tempfile.TemporaryDirectory() as folder:
        listing = Path(folder) / "frames"
        try:
            run_ffmpeg(
                [
                    "-copyts", "-threads", "1",
                    *(v for k, o in told_build(told.x264_build).items() for v in (f"-{k}", o)),
                    *input_arguments(told.path, told.format_name),
                    "-map", f"0:{told.stream_index}", "-fps_mode", "passthrough",
                    "-enc_time_base", f"{time_base.numerator}/{time_base.denominator}",
                    "-c:v", "wrapped_avframe", "-f", "framecrc", str(listing),
                ],
                about=told.path,
            )  # fmt: skip
        except FFmpegError as error:
            raise MediaError(told.path, f"cannot be decoded: {error.reason}") from error
        lines = listing.read_text().splitlines()
    return np.array([int(n.split(",")[2]) for n in lines if not n.startswith("#")], np.int64)


def numbered(
    told: Told, pts: Ticks, numbers: list[int], time_base: Fraction, usual: int
) -> FrameIndex:
    """The index of frames that are told apart by the numbers of their packets."""
    keys = _restarts(_key_packets(told), numbers)
    if not keys:
        raise MediaError(told.path, UNTELLABLE)
    return FrameIndex(
        pts, pts[:1], time_base, usual, np.array(numbers, np.int64), np.array(keys, np.int64)
    )
