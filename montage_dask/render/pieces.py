"""Pieces: what ffmpeg is given instead of a source that its filters cannot read.

ffmpeg makes its filters anew when pictures change their size or colours on the way, and what they had counted is lost; it
cannot tell frames apart where a clock starts again; and a decoder that it lets begin in the middle may meet errors. In all these
cases the frames that are shown are decoded by number (`media.decode`) into a near-lossless file of their own, all alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from montage_dask.media.decode import decode_frames
from montage_dask.media.index import FrameIndex
from montage_dask.records import Source
from montage_dask.render.mezzanine import mezzanine_source
from montage_dask.render.pictures import even_size, write_pictures

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
    return replace(record, uniform=True, x264_build=None, later_builds=()), own


def all_there(source: Source, index: FrameIndex, start_frame: int, stop_frame: int) -> bool:
    """Whether every frame of [start_frame, stop_frame) has a picture of its own: none is repeated because one is damaged."""
    before = None
    for _, frame in decode_frames(source, index, start_frame, stop_frame):
        if frame is before:
            return False
        before = frame
    return True


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
        if any(said.match(line) for line in lines):
            found.add(identity)
    return found
