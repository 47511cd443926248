"""Ranges of a source in a small file of their own, copied packet by packet: for workers to which the whole is far.

A cut holds the packets from the keyframe before a range up to where all its pictures are there, with the time stamps of the
source. So a frame keeps its number: the cut is read with the source's frame index, and whoever decodes a frame of the range from
it decodes the same packets as from the source. Frames outside the ranges are not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np

from montage_dask.errors import MediaError, Uncuttable
from montage_dask.media.container import open_media
from montage_dask.media.index import FrameIndex
from montage_dask.media.probe import probe
from montage_dask.media.stamps import packets_from
from montage_dask.records import Source

MUXERS = ("mov", "mp4", "matroska")
"""Tried in this order; of a Matroska file, the last one first. MP4 may hold codecs that QuickTime may not."""

MATROSKA_TICK = Fraction(1, 1000)
"""Matroska's, as FFmpeg writes it: other time stamps would be rounded."""

SAME = (
    "codec", "coded_width", "coded_height", "width", "height", "rotation_degrees", "mirrored", "crop",
    "sample_aspect", "pixel_format", "bit_depth", "color_space", "color_primaries", "color_transfer",
    "color_range",
)  # fmt: skip
"""Fields of a `Source` that decoding and showing depend on: a container that loses one is not used."""

CHANGES = ("new_extradata", "palette", "param_change")
"""Side data of packets by which a stream changes how it is decoded; a container may not carry it."""


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A file with some ranges of a source."""

    path: Path
    ranges: tuple[tuple[int, int], ...]
    """[start, stop) of the frames that can be read from it, in numbers of the source; increasing, apart."""
    source: Source
    """The record to read it by instead of the source's: same identity and frame numbers, another file, no sound."""
    index: FrameIndex
    """The frame index to read it by: of all frames of the source. `reindexed` says whether it is the source's own."""
    reindexed: bool
    """Whether `index` differs from the source's, whose ticks or packet numbers are not those of this file."""
    size_bytes: int

    @property
    def first_frame(self) -> int:
        """The source frame number of the first frame in it."""
        return self.ranges[0][0]


@dataclass(frozen=True, slots=True)
class _Span:
    """A run of packets to copy."""

    key_frame: int
    """The first frame that it shows, in numbers of the source."""
    frame: int
    """The frame that it was begun for."""
    stop_frame: int
    """End of the frames that it shows: without a hole from key_frame on."""
    pts: tuple[int, ...]
    """Of its packets, in ticks of the cut, in decoding order."""


def cut_range(
    source: Source, index: FrameIndex, start_frame: int, stop_frame: int, output: Path
) -> Cut:
    """Copy the packets that frames [start_frame, stop_frame) need; see `cut_ranges`."""
    return cut_ranges(source, index, [(start_frame, stop_frame)], output)


def cut_ranges(
    source: Source, index: FrameIndex, ranges: Sequence[tuple[int, int]], output: Path
) -> Cut:
    """Copy the packets that some ranges of a source need into one file, and check what came of it.

    Nothing is encoded again; sound is left out. Ranges from one group of pictures are joined. The container is one that keeps
    the codec, the exact time stamps, rotation, aspect and colours. No more than the time stamps are held in memory.

    Args:
        source: the source.
        index: its frame index.
        ranges: [start, stop) in frame numbers; in any order.
        output: the file to write, whatever its suffix; not atomic, that is the caller's.

    Raises:
        Uncuttable: no container holds it, or the stream cannot be parted here: read the whole file.
        MediaError: the source cannot be read.
        ValueError: not ranges of this source.
    """
    for start, stop in ranges:
        if not 0 <= start < stop <= len(index):
            raise ValueError(f"frames {start}…{stop} of {len(index)}")
    if index.time_base.numerator != 1 and not source.constant_frame_rate:
        raise Uncuttable(source.path, f"has ticks of {index.time_base} s, which MP4 does not know")
    if not source.uniform:
        raise Uncuttable(source.path, "changes its pictures or its clock on the way")
    used, reindexed = _timed(index)
    spans = _spans(source, index, used, ranges)
    reasons = []
    muxers = MUXERS if source.format_name != "matroska" else MUXERS[::-1]
    for muxer in muxers:
        if muxer == "matroska" and used.time_base != MATROSKA_TICK:
            continue
        try:
            _write(source, index, used, spans, output, muxer)
            probed, own = probe(output, deinterlace=None)
        # ValueError: the container does not know the codec.
        except (av.FFmpegError, ValueError, MediaError) as error:
            reasons.append(f"{muxer}: {getattr(error, 'strerror', None) or error}")
            continue
        wrong = _difference(source, used, spans, probed, own)
        if not wrong:
            record = replace(
                source,
                path=str(output.absolute()),
                size_bytes=probed.size_bytes,
                format_name=probed.format_name,
                stream_index=probed.stream_index,
                time_base=used.time_base,
                start_pts=int(used.pts[0]),
                audio=None,
                excerpt=True,
            )
            held = tuple((span.key_frame, span.stop_frame) for span in spans)
            return Cut(output, held, record, used, reindexed, probed.size_bytes)
        reasons.append(f"{muxer}: {wrong}")
    output.unlink(missing_ok=True)
    raise Uncuttable(source.path, f"cannot be cut exactly ({'; '.join(reasons)})")


def _timed(index: FrameIndex) -> tuple[FrameIndex, bool]:
    """The index in ticks that MP4 can hold, by PTS; and whether it is another one."""
    numerator = index.time_base.numerator
    if numerator == 1 and index.packets is None:
        return index, False
    keys = index.key_pts if index.packets is None else index.pts[index.keyframes]
    base = Fraction(1, index.time_base.denominator)
    own = FrameIndex(index.pts * numerator, keys * numerator, base, index.last_duration * numerator)
    return own, True


def _spans(
    source: Source, index: FrameIndex, used: FrameIndex, ranges: Sequence[tuple[int, int]]
) -> list[_Span]:
    """What to copy, in order, nothing twice."""
    spans: list[_Span] = []
    for start, stop in sorted(ranges):
        if spans and index.keyframe_before(start) <= spans[-1].stop_frame:
            joined = spans.pop()
            start, stop = joined.frame, max(stop, joined.stop_frame)
        spans.append(_span(source, index, used, start, stop))
    return spans


def _span(source: Source, index: FrameIndex, used: FrameIndex, start: int, stop: int) -> _Span:
    """The packets of frames [start, stop) and of those needed for them, up to where no frame between them is missing."""
    first = index.keyframe_before(start)
    stamps: list[int] = []
    seen: set[int] = set()
    highest = -1
    try:
        for packet, pts in _packets(source, index, used, start):
            if packet.is_corrupt or any(packet.has_sidedata(kind) for kind in CHANGES):
                raise Uncuttable(source.path, "is damaged, or changes its coding on the way")
            stamps.append(pts)
            at = int(np.searchsorted(used.pts, pts))
            if first <= at < len(used) and used.pts[at] == pts:
                seen.add(at)
                highest = max(highest, at)
            # What precedes the keyframe on screen is decoded with the group before, but copied: decoders are fed it, too.
            if stop - 1 <= highest == first + len(seen) - 1:
                break
    except av.FFmpegError as error:
        raise Uncuttable(source.path, f"cannot be read: {error.strerror}") from error
    held = next((n for n in range(first, highest + 2) if n not in seen), first)
    if held < stop:
        raise Uncuttable(source.path, f"does not bring frame {held} by a packet of its own")
    return _Span(first, start, held, tuple(stamps))


def _packets(
    source: Source, index: FrameIndex, used: FrameIndex, frame: int
) -> Iterator[tuple[Any, int]]:
    """Packets from the keyframe before a frame on, in decoding order, and their PTS in ticks of the cut."""
    with open_media(source.path, source.format_name) as container:
        stream = container.streams[source.stream_index]
        if index.packets is None:
            for packet in packets_from(container, stream, index, index.key_before(frame)):
                if not packet.size:
                    continue
                if packet.pts is None:
                    raise Uncuttable(source.path, "has packets without time stamps")
                yield packet, packet.pts * index.time_base.numerator
            return
        frames = {int(packet): number for number, packet in enumerate(index.packets)}
        begin = int(index.packets[index.keyframe_before(frame)])
        for count, packet in enumerate(p for p in container.demux(stream) if p.size):
            if count < begin:
                continue
            if count not in frames:
                raise Uncuttable(source.path, "has packets that bring no frame")
            yield packet, int(used.pts[frames[count]])


def _write(
    source: Source,
    index: FrameIndex,
    used: FrameIndex,
    spans: Sequence[_Span],
    output: Path,
    muxer: str,
) -> None:
    options = {"fflags": "+bitexact"}
    if muxer != "matroska":
        # Both: the offset of the first frame is counted in ticks of the movie, everything else in those of the track.
        ticks = str(used.time_base.denominator)
        options |= {"video_track_timescale": ticks, "movie_timescale": ticks}
    decoding = _decoding_times([span.pts for span in spans])
    ends = dict(zip(used.pts.tolist(), used.pts[1:].tolist(), strict=False))
    with (
        open_media(source.path, source.format_name) as container,
        av.open(f"file:{output}", "w", format=muxer, options=options) as file,
    ):
        stream = file.add_stream_from_template(container.streams[source.stream_index], opaque=True)
        stream.time_base = used.time_base
        for span, times in zip(spans, decoding, strict=True):
            packets = _packets(source, index, used, span.frame)
            for dts, (packet, pts) in zip(times, packets, strict=False):
                packet.time_base = used.time_base
                packet.pts, packet.dts = pts, dts
                packet.duration = max(0, ends.get(pts, pts + used.last_duration) - pts)
                packet.stream = stream
                file.mux(packet)


def _decoding_times(spans: Sequence[Sequence[int]]) -> list[list[int]]:
    """DTS for packets in decoding order: increasing, none later than its PTS."""
    ordered = [sorted(pts) for pts in spans]
    late = max(o - p for o, p in zip(chain(*ordered), chain(*spans), strict=True))
    return [[o - late for o in pts] for pts in ordered]


def _difference(
    source: Source, used: FrameIndex, spans: Sequence[_Span], probed: Source, own: FrameIndex
) -> str:
    """What a cut does not say as the source does; empty when nothing."""
    for name in SAME:
        if getattr(probed, name) != getattr(source, name):
            return f"{name} is {getattr(probed, name)} instead of {getattr(source, name)}"
    if own.packets is not None or own.time_base != used.time_base:
        return f"its time stamps are in {own.time_base} s"
    for span in spans:
        wanted = used.pts[span.key_frame : span.stop_frame]
        there = own.pts[(own.pts >= wanted[0]) & (own.pts <= wanted[-1])]
        if not np.array_equal(there, wanted):
            return f"frames {span.key_frame}…{span.stop_frame} have other times"
        keys = used.key_pts[(used.key_pts >= wanted[0]) & (used.key_pts <= wanted[-1])]
        first = used.key_pts[used.key_before(span.frame)]
        if not np.isin(keys, own.key_pts).all() or first not in own.key_pts:
            return f"keyframes of {span.key_frame}…{span.stop_frame} are missing"
    return ""
