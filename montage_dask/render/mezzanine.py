"""Mezzanines: pictures that an effect made, near-lossless, in a small file that stands in for a range of a source.

Every frame of the range is there, with the times of the source: the renderer shows a mezzanine as it shows the source.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from montage_dask.errors import MediaError, VerificationError
from montage_dask.media.container import open_media
from montage_dask.media.index import FrameIndex
from montage_dask.media.orientation import is_transposed
from montage_dask.records import Source, from_json
from montage_dask.render.filters import matrix_of
from montage_dask.render.pictures import UNSPECIFIED, colour_tags
from montage_dask.store.locks import work_folder


def join_mezzanines(parts: Sequence[Path], output: Path) -> dict[str, Any]:
    """Join neighbouring mezzanines into one, packet by packet; times go on where the part before ends.

    Args:
        parts: of one source, in order, each beginning where the one before it ends.
        output: a .mp4 to write; not atomic, that is the caller's.

    Returns:
        A small record: frames, size_bytes.

    Raises:
        MediaError: a part is no mezzanine.
    """
    frames, offset, stream = 0, 0, None
    with av.open(
        f"file:{output}",
        "w",
        format="mp4",
        options={"video_track_timescale": str(_timescale(parts[0])), "fflags": "+bitexact"},
    ) as joined:
        for part in parts:
            end = 0
            with open_media(part, "mov") as container:
                if stream is None:
                    stream = joined.add_stream_from_template(container.streams.video[0])
                    stream.time_base = container.streams.video[0].time_base
                for packet in container.demux(container.streams.video[0]):
                    if not packet.size:
                        continue
                    end = max(end, packet.pts + packet.duration)
                    packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                    packet.stream = stream
                    joined.mux(packet)
                    frames += 1
            offset += end
    return {"frames": frames, "size_bytes": output.stat().st_size}


def _timescale(path: Path) -> int:
    with open_media(path, "mov") as container:
        return int(container.streams.video[0].time_base.denominator)


def mezzanine_source(
    source: Source, index: FrameIndex, path: Path, start_frame: int, *, identity: str
) -> tuple[Source, FrameIndex]:
    """The record and index under which the renderer uses a mezzanine instead of its source.

    Frame k of it is frame start_frame + k of the source; its time 0 is `index.time_seconds(start_frame)` of the source.

    Args:
        source: what it was made of.
        index: its frame index.
        path: the mezzanine.
        start_frame: first frame of the source in it.
        identity: of the pictures in it: the key of the artefact.

    Raises:
        MediaError: it cannot be read.
        VerificationError: its times are not those of the source.
    """
    with open_media(path, "mov") as container:
        stream = container.streams.video[0]
        packets = [(p.pts, p.is_keyframe) for p in container.demux(stream) if p.size]
        width, height, base = stream.width, stream.height, stream.time_base
        pixel_format = stream.codec_context.pix_fmt
    pts = np.array(sorted(p for p, _ in packets), np.int64)
    keys = np.array(sorted(p for p, key in packets if key), np.int64)
    stop = start_frame + len(pts)
    end = index.time_seconds(stop)
    begin = index.time_seconds(start_frame)
    last = int((end - begin) / base) - int(pts[-1])
    own = FrameIndex(pts, keys, Fraction(base), last)
    for k in (0, len(own) // 2, len(own)):
        if own.time_seconds(k) != index.time_seconds(start_frame + k) - begin:
            raise VerificationError(f"{path}: a mezzanine of {source.path} has other times")
    turned = is_transposed(source)
    aspect = source.sample_aspect
    wide, high = (
        (width * aspect, Fraction(height)) if aspect >= 1 else (Fraction(width), height / aspect)
    )
    shown = (round(wide), round(high))
    tags = colour_tags(source)
    record = replace(
        source,
        path=str(path),
        identity=identity,
        size_bytes=path.stat().st_size,
        format_name="mov",
        holes=(),
        spoilt=False,
        stream_index=0,
        codec="h264",
        coded_width=width,
        coded_height=height,
        width=shown[1] if turned else shown[0],
        height=shown[0] if turned else shown[1],
        pixel_format=pixel_format,
        bit_depth=10 if "10" in pixel_format else 8,
        # Players guess an untold matrix by the size, which an effect may have changed.
        color_space=tags.get("colorspace") or matrix_of(source),
        color_range=tags.get("color_range", UNSPECIFIED),
        time_base=own.time_base,
        frame_rate=source.frame_rate,
        frames=len(own),
        start_pts=int(pts[0]),
        duration_seconds=own.duration_seconds,
        audio=None,
        # The pictures in it are whole; they still lie as they were coded.
        crop=(0, 0, 0, 0),
        field_order="",
    )
    return record, own


@contextmanager
def stand_ins(
    wanted: Mapping[str, Mapping[str, Any]], work: Path
) -> Iterator[dict[str, tuple[Source, FrameIndex]]]:
    """Records and indexes of what stands in for sources, as long as the context lasts.

    Args:
        wanted: by identity: source (JSON of its record), index (path), start_frame, and pieces (paths of neighbouring
            mezzanines, in order).
        work: folder in which pieces are joined.

    Raises:
        MediaError: a piece cannot be read, or is to blame for what failed in the context; names the source.
    """
    with work_folder("stand-ins", work) as folder:
        found: dict[str, tuple[Source, FrameIndex]] = {}
        blame: dict[str, str] = {}
        for identity, one in wanted.items():
            source = from_json(Source, one["source"])
            pieces = [Path(p) for p in one["pieces"]]
            path = pieces[0]
            if len(pieces) > 1:
                path = Path(folder) / f"{identity}.mp4"
                join_mezzanines(pieces, path)
            blame |= {str(p): source.path for p in (*pieces, path)}
            index = FrameIndex.load(Path(one["index"]))
            found[identity] = mezzanine_source(
                source, index, path, one["start_frame"], identity=identity
            )
        try:
            yield found
        except MediaError as error:
            # People know the source, not what was made of it.
            if error.path not in blame:
                raise
            raise MediaError(blame[error.path], error.reason) from error
