"""Pieces: what ffmpeg is given instead of a source that its filters cannot read.

ffmpeg makes its filters anew when pictures change their size or colours on the way, and what they had counted is lost; it
cannot tell frames apart where a clock starts again; and a decoder that it lets begin in the middle may meet errors. In all these
cases the frames that are shown are decoded by number (`media.decode`) into a near-lossless file of their own, all alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from montage_dask.errors import InputChanged, VerificationError
from montage_dask.media.decode import decode_frames
from montage_dask.media.groups import IN_VAIN
from montage_dask.media.index import FrameIndex
from montage_dask.media.opening import HARMLESS
from montage_dask.records import Source
from montage_dask.render.filters import UNINDEXED
from montage_dask.render.mapping import event_map
from montage_dask.render.mezzanine import mezzanine_source
from montage_dask.render.pictures import even_size, write_pictures

if TYPE_CHECKING:
    from montage_dask.render.segments import Segment

AHEAD_FRAMES = 100
"""ffmpeg reads no further ahead."""

DECODERS = {"av1": ("libdav1d", "av1", "libaom-av1"), "vp9": ("vp9", "libvpx-vp9")}
"""Decoders by codec, where their names differ."""


def make_piece(
    source: Source, index: FrameIndex, start_frame: int, stop_frame: int, path: Path
) -> tuple[Source, FrameIndex]:
    """Decode frames [start_frame, stop_frame) into a file.

    Args:
        source: the source.
        index: its frame index.
        start_frame: first frame; the first one of the piece.
        stop_frame: end.
        path: a .mp4 to write.

    Returns:
        The record and the index of the piece; its time 0 is that of the first frame.

    Raises:
        MediaError: the source cannot be read.
    """
    write_pictures(
        source,
        index,
        start_frame,
        stop_frame,
        path,
        transform=lambda pictures: pictures,
        size=even_size(source),
    )
    record, own = mezzanine_source(
        source, index, path, start_frame, identity=f"{source.identity}-{path.stem}"
    )
    return replace(record, uniform=True, spoilt=False, x264_build=None, later_builds=()), own


def all_there(source: Source, index: FrameIndex, start_frame: int, stop_frame: int) -> bool:
    """Whether every frame of [start_frame, stop_frame) has a picture of its own: none is repeated because one is damaged."""
    before = None
    for _, frame in decode_frames(source, index, start_frame, stop_frame):
        if frame is before:
            return False
        before = frame
    return True


def is_elsewhere(source: Source, index: FrameIndex, start_frame: int, stop_frame: int) -> bool:
    """Whether errors that ffmpeg said are of other pictures than [start_frame, stop_frame): before or behind what is shown.

    How far it reads ahead is chance: what comes of it must not be.
    """
    met: list[int] = []
    for _ in decode_frames(source, index, start_frame, stop_frame, met=met):
        pass
    end = min(len(index), stop_frame + AHEAD_FRAMES)
    if set(met) == {IN_VAIN}:  # they precede a keyframe on screen: ffmpeg decodes them in vain, too
        return True
    if source.excerpt:  # what is behind it is not here, and may well refer to what is not
        return not met
    if met or end == stop_frame:
        return False
    for _ in decode_frames(source, index, stop_frame, end, met=met):
        pass
    return bool(met)


def troubled(
    lines: Sequence[str], sources: Mapping[str, Source], noisy: frozenset[str]
) -> set[str]:
    """Identities of the sources whose decoders may have said these errors.

    Args:
        lines: what ffmpeg printed.
        sources: by identity.
        noisy: demuxers behind which errors tell nothing: a seek lands in the middle of a group that is not shown.
    """
    found = set()
    for identity, source in sources.items():
        if source.format_name in noisy:
            continue
        names = "|".join(map(re.escape, DECODERS.get(source.codec, (source.codec,))))
        said = re.compile(rf"^\[[^\]]*\b({names}) @ 0x[0-9a-f]+\].*\[(error|fatal|panic)\]")
        if any(said.match(line) and not HARMLESS.search(line) for line in lines):
            found.add(identity)
    return found


def encode_any_way(
    encode: Callable[..., list[str]],
    segment: Segment,
    *,
    sources: Mapping[str, Source],
    indexes: Mapping[str, FrameIndex],
    **options: Any,
) -> None:
    """Encode a segment; by pieces where ffmpeg alone does not get it right.

    Args:
        encode: encodes a segment from `sources` and `indexes`, with pieces of the sources `by_pieces`; gives what ffmpeg printed.
        segment: what to show.
        sources: by identity.
        indexes: of the sources.
        options: more for `encode`.

    Raises:
        MediaError, VerificationError: as `encode` does.
    """
    checked = partial(_encode_checked, encode, segment, sources=sources, indexes=indexes, **options)
    try:
        checked()
    except (InputChanged, VerificationError) as error:
        decoded = isinstance(error, InputChanged) or _every(all_there, segment, sources, indexes)
        if not decoded:
            raise
        # Nobody knew of it when they were probed: no file is read by ffmpeg's filters then. What reads frames by number gets all.
        checked(by_pieces=frozenset(sources))


def _every(
    check: Callable[[Source, FrameIndex, int, int], bool],
    segment: Segment,
    sources: Mapping[str, Source],
    indexes: Mapping[str, FrameIndex],
    only: str | None = None,
) -> bool:
    """Whether something is true of what all events, or those of one source, show: source, index, first frame, end."""
    for number, event in enumerate(segment.events):
        source, index = sources[event.source], indexes[event.source]
        if only in (None, event.source):
            shown, _, _ = event_map(segment, number, index, source.path)
            if not check(source, index, shown.first, shown.last + 1):
                return False
    return True


def _is_plain(source: Source, index: FrameIndex, start_frame: int, stop_frame: int) -> bool:
    return source.is_plain(start_frame, stop_frame)


def _encode_checked(
    encode: Callable[..., list[str]],
    segment: Segment,
    *,
    sources: Mapping[str, Source],
    indexes: Mapping[str, FrameIndex],
    by_pieces: frozenset[str] = frozenset(),
    **options: Any,
) -> None:
    """Encode a segment; again by pieces of those sources whose decoders met errors on the way."""
    by_pieces |= {k for k in sources if not _every(_is_plain, segment, sources, indexes, k)}
    encode = partial(encode, segment, sources=sources, indexes=indexes, **options)
    lines = encode(by_pieces=by_pieces)
    direct = {k: s for k, s in sources.items() if k not in by_pieces}
    wrong = {
        k
        for k in troubled(lines, direct, UNINDEXED)
        if not _every(is_elsewhere, segment, sources, indexes, k)
    }
    if wrong:
        encode(by_pieces=by_pieces | wrong)


def in_pieces(
    segment: Segment,
    sources: Mapping[str, Source],
    indexes: Mapping[str, FrameIndex],
    wanted: frozenset[str],
    folder: Path,
) -> tuple[Segment, Mapping[str, Source], Mapping[str, FrameIndex]]:
    """The segment with a piece of its own for every event of the wanted sources, and all records and indexes.

    Args:
        segment: what to show.
        sources: by identity.
        indexes: of the sources.
        wanted: identities.
        folder: for the pieces.

    Raises:
        MediaError: a source cannot be read.
    """
    events, records, own = list(segment.events), dict(sources), dict(indexes)
    for number, event in enumerate(segment.events):
        if event.source not in wanted:
            continue
        source, index = sources[event.source], indexes[event.source]
        shown, _, _ = event_map(segment, number, index, source.path)
        piece, pictures = make_piece(
            source, index, shown.first, shown.last + 1, folder / f"piece{number}.mp4"
        )
        records[piece.identity], own[piece.identity] = piece, pictures
        begins = event.in_seconds - index.time_seconds(shown.first)
        events[number] = replace(event, source=piece.identity, in_seconds=begins)
    return replace(segment, events=tuple(events)), records, own
