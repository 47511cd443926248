"""Whose fault it is that a segment cannot be rendered. A source is to blame only on proof."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from montage_dask.errors import FFmpegError, MediaError, VerificationError
from montage_dask.media.container import open_media
from montage_dask.media.ffmpeg import output_argument, run_ffmpeg
from montage_dask.media.index import FrameIndex
from montage_dask.media.probe import probe
from montage_dask.records import CUT, Event, Source
from montage_dask.store.locks import work_folder

if TYPE_CHECKING:
    from montage_dask.render.segments import Segment

Encode = Callable[..., Any]
"""Encodes a segment from `sources` and `indexes`."""


def blame(
    segment: Segment,
    sources: Mapping[str, Source],
    indexes: Mapping[str, FrameIndex],
    encode: Encode,
    work: Path,
) -> None:
    """Raise an error that names the source whose fault it is that a segment cannot be encoded; return when it is nobody's.

    The proof: an event of it fails by itself, and goes well with generated pictures of the same kind in its place.

    Args:
        segment: what failed.
        sources: by identity.
        indexes: of the sources.
        encode: the same as failed.
        work: folder for the generated pictures.

    Raises:
        FFmpegError, MediaError: with the source.
    """
    for event in segment.events:
        source = sources[event.source]
        open_media(source.path, source.format_name).close()
        alone = _alone(segment, event)
        try:
            encode(alone, sources=sources, indexes=indexes)
        except (FFmpegError, VerificationError) as error:
            if not _goes_well_without(alone, source, indexes[event.source], encode, work):
                return
            if isinstance(error, FFmpegError):
                raise FFmpegError(
                    source.path, error.reason, error.last_lines, error.command
                ) from error
            raise MediaError(source.path, f"is damaged: {error}") from error


def _alone(segment: Segment, event: Event) -> Segment:
    moved = replace(event, start_frame=0, stop_frame=event.frames, transition=CUT)
    return replace(segment, events=(moved,), fade_out_frames=0)


def _goes_well_without(
    alone: Segment, source: Source, index: FrameIndex, encode: Encode, work: Path
) -> bool:
    """Whether the same can be encoded from generated pictures instead of those of the source."""
    event = alone.events[0]
    last = index.frame_at(event.in_seconds + event.frames / alone.fps * event.speed)
    frames = last - index.frame_at(event.in_seconds) + 2
    with work_folder("encode", work) as folder:
        path = Path(folder) / "generated.mkv"
        try:
            made, own = _generated(path, source, frames)
            event = replace(event, in_seconds=Fraction(0))
            encode(
                replace(alone, events=(event,)),
                sources={event.source: made},
                indexes={event.source: own},
            )
        except (FFmpegError, VerificationError, MediaError):
            return False
    return True


def _generated(path: Path, source: Source, frames: int) -> tuple[Source, FrameIndex]:
    """A file whose pictures have size, format and colours of a source, so that all filters do the same."""
    size, rate = f"{source.coded_width}x{source.coded_height}", source.frame_rate
    picture = f"testsrc2=size={size}:rate={rate.numerator}/{rate.denominator}"
    for pixel_format in (source.pixel_format, "yuv420p"):
        try:
            run_ffmpeg(
                [
                    "-f", "lavfi", "-i", picture, "-frames:v", str(max(2, frames)),
                    "-pix_fmt", pixel_format, "-c:v", "ffv1", "-f", "matroska", output_argument(path),
                ],
                about=path,
            )  # fmt: skip
            break
        except FFmpegError:
            if pixel_format == "yuv420p":
                raise
    made, index = probe(path)
    return replace(
        made,
        width=source.width,
        height=source.height,
        rotation_degrees=source.rotation_degrees,
        sample_aspect=source.sample_aspect,
        color_space=source.color_space,
        color_primaries=source.color_primaries,
        color_transfer=source.color_transfer,
        color_range=source.color_range,
    ), index
