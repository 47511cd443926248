"""Where pictures are missing in the middle of a stream, and which ones behind them are spoilt, since they refer to what is lost.

Bytes that a recording lacks are told by the demuxer (packets marked corrupt, errors), by a clock that goes on without pictures,
or by the decoder alone. What is spoilt is no frame of the index, so that nobody shows it; nothing that is shown spans a hole.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from montage_dask.media.index import FrameIndex, usual_step
from montage_dask.media.opening import decoded
from montage_dask.media.stamps import packets_from

GAP = 1.5
"""Behind a picture that stays for more than so many times as long as usual others are missing, if bytes are."""

REORDERED = 8
"""So many pictures may lie between the first packet behind damage and the first picture."""

STANDS_SECONDS, STANDS_TIMES = 2.0, 8
"""A picture that stays for so long, and so many times as long as usual, stands still, whatever the reason."""

FEW_GAPS = 10
"""So many may be lost pictures; streams with more of them, and more than 1 %, are recorded so."""

MOST_GROUPS = 16
"""Groups of pictures that are decoded to see which are spoilt; in a worse recording all are, up to the next keyframe."""

MOST_SPOILT = 0.5
"""Where more of a stream would be left out, it is its decoder that complains of everything."""

APART_SECONDS = 0.5
"""Holes with less between them are told as one."""

TOLD = 3
"""Holes that a warning names; the rest is counted."""

TELLING = frozenset(["hevc", "vvc"])
"""Codecs whose decoders notice when pictures are missing."""

BLIND = frozenset(["mpeg", "asf", "mpegvideo", "nsv", "rm"])
"""Demuxers that go on behind lost bytes without a word."""

Opened = Callable[[], AbstractContextManager[tuple[Any, Any]]]
"""Opens the container, and its stream to be decoded by one thread."""


@dataclass(frozen=True, slots=True)
class Holes:
    """Where pictures are missing."""

    frames: tuple[int, ...] = ()
    """The frames that are shown last before each hole."""
    warning: str = ""
    spoilt: bool = False
    """Whether the stream holds pictures that are not in the index."""


NO_HOLES = Holes()


def find_spoilt(
    index: FrameIndex, torn: Mapping[int, int], codec: str, format_name: str, opened: Opened
) -> set[int]:
    """PTS of the pictures that are spoilt, in a stream with times of its own.

    Args:
        index: of all frames.
        torn: PTS of the packets at which the demuxer met damage, and of the keyframe before each of them in the file.
        codec: canonical name.
        format_name: the demuxer.
        opened: see `Opened`.
    """
    steps, usual = np.diff(index.pts), usual_step(index.pts)
    gaps, near = np.flatnonzero(steps > GAP * usual), REORDERED * usual
    before = [int(p) for p in index.pts[gaps]]
    behind = [int(p) for p in index.pts[gaps + 1]]
    # Where time is missing, too, pictures are, whether a decoder notices it or not.
    sure = format_name in BLIND and codec not in TELLING
    missing = [
        (a - near, b + near)
        for a, b in zip(before, behind, strict=True)
        if sure or any(a - near <= p <= b + near for p in torn)
    ]
    # Files with a table of their packets know of every one of them; and in many streams the gaps are what was recorded.
    few = format_name != "mov" and len(behind) <= max(FEW_GAPS, len(index) // 100)
    told = behind if few else [int(b - near) for _, b in missing]
    groups: dict[int, list[int]] = {}
    for pts in {*torn, *told}:
        # What follows a keyframe in the file may precede it on screen: it is of both groups.
        for key in {max(0, bisect_right(index.key_pts, p) - 1) for p in (pts, torn.get(pts, pts))}:
            groups.setdefault(key, []).append(pts)
    spoilt: set[int] = set()
    look = len(groups) <= MOST_GROUPS
    for key, suspects in groups.items():
        lost = {p for p in suspects if not look or any(a <= p <= b for a, b in missing)}
        with opened() as (container, stream):
            spoilt |= _spoilt(index, container, stream, key, lost, look)
    return spoilt


def _spoilt(
    index: FrameIndex, container: Any, stream: Any, key: int, lost: set[int], look: bool
) -> set[int]:
    """PTS of the pictures of a group, from the first error or the first of `lost` on, in decoding order.

    Args:
        index: of all frames.
        container: opened.
        stream: of it.
        key: the keyframe of the group.
        lost: PTS of packets that are spoilt in any case.
        look: whether to decode it.
    """
    begin = int(index.key_pts[key])
    end = int(index.key_pts[key + 1]) if key + 1 < len(index.key_pts) else None
    wrong, behind, found = False, False, set()
    last: int | None = None
    for packet in packets_from(container, stream, index, key):
        pts = packet.pts
        if not packet.size or pts is None:
            continue
        if pts < begin:
            wrong = wrong or pts in lost
            continue
        if end is not None and pts >= end:
            if behind and pts > end:
                break
            behind = True
            if look and pts == end:
                decoded(stream.codec_context, packet)
            continue
        if pts in lost and not wrong and last is not None:
            found.add(last)  # it may end in the midst of what is lost
        wrong, last = wrong or pts in lost, int(pts)
        if look and not wrong:
            wrong = decoded(stream.codec_context, packet)[1] or packet.is_corrupt
        if wrong:
            found.add(int(pts))
    return found


def left_out(
    index: FrameIndex, spoilt: Any, torn: Collection[int] = ()
) -> tuple[FrameIndex, Holes]:
    """The index without what is spoilt, and where pictures are missing in it.

    Args:
        index: of all frames.
        spoilt: bool [n], of each frame.
        torn: PTS of the packets at which the demuxer met damage.
    """
    gone = np.asarray(spoilt, np.bool_)
    if gone.mean() > MOST_SPOILT:
        gone = np.zeros(len(index), np.bool_)
    kept = np.flatnonzero(~gone)
    stays = index.last_duration
    if gone[-1]:
        stays = int(index.pts[kept[-1] + 1] - index.pts[kept[-1]])
    packets, key_packets, key_pts = index.packets, index.key_packets, index.key_pts
    if packets is not None and key_packets is not None:
        packets = packets[kept]
        key_packets, key_pts = key_packets[np.isin(key_packets, packets)], index.pts[kept[:1]]
        if not len(key_packets):
            return index, Holes()
    shown = FrameIndex(index.pts[kept], key_pts, index.time_base, stays, packets, key_packets)
    return shown, holes_of(shown, np.diff(kept) > 1, torn, gone)


def holes_of(index: FrameIndex, behind: Any, torn: Collection[int], gone: Any) -> Holes:
    """Where pictures are missing.

    Args:
        index: of the frames that are left.
        behind: bool [n - 1], whether some were left out behind each frame.
        torn: PTS of the packets at which the demuxer met damage.
        gone: bool, of all that there were: which were left out.
    """
    steps, usual = np.diff(index.pts), usual_step(index.pts)
    places, near = np.sort(np.fromiter(torn, np.int64, len(torn))), REORDERED * usual
    last = np.searchsorted(places, index.pts[1:] + near, "right")
    hurt = last > np.searchsorted(places, index.pts[:-1] - near)
    lost = behind | (hurt & (steps > GAP * usual))
    stands = (steps * float(index.time_base) >= STANDS_SECONDS) & (steps > STANDS_TIMES * usual)
    told = []
    if lost.any():
        told.append(f"damaged: pictures are missing at {_places(index, lost)}")
    elif gone[-1]:
        told.append("damaged: its last pictures are spoilt, and left out")
    if (stands & ~lost).any():
        long = _places(index, stands & ~lost)
        told.append(f"one picture stands at {long}: the rest is lost, or was never recorded")
    frames = tuple(int(f) for f in np.flatnonzero(np.append(lost | stands, gone[-1])))
    return Holes(frames, "; ".join(told), bool(gone.any()))


def _places(index: FrameIndex, flags: Any) -> str:
    """The times between the frames that are marked and the next ones."""
    spans: list[tuple[float, float]] = []
    for frame in np.flatnonzero(flags):
        start, stop = (float(index.time_seconds(int(f))) for f in (frame, frame + 1))
        if spans and start - spans[-1][1] < APART_SECONDS:
            start, _ = spans.pop()
        spans.append((start, stop))
    named = [f"{start:.1f}–{stop:.1f} s" for start, stop in spans[:TOLD]]
    more = f" and {len(spans) - TOLD} times more" if len(spans) > TOLD else ""
    return f"{', '.join(named)}{more}"
