"""A source that need not exist, for tests that only read its record."""

from __future__ import annotations

from fractions import Fraction

from montage_dask.records import Source


def made_source(
    path: str,
    identity: str,
    *,
    rate: Fraction,
    seconds: Fraction,
    size: tuple[int, int],
    time_base: Fraction,
) -> Source:
    """H.264 at a constant rate, Rec.709, upright, without sound."""
    width, height = size
    return Source(
        path=path,
        identity=identity,
        size_bytes=1,
        format_name="mov",
        stream_index=0,
        codec="h264",
        coded_width=width,
        coded_height=height,
        width=width,
        height=height,
        rotation_degrees=0,
        sample_aspect=Fraction(1),
        pixel_format="yuv420p",
        bit_depth=8,
        color_space="bt709",
        color_primaries="bt709",
        color_transfer="bt709",
        color_range="tv",
        time_base=time_base,
        frame_rate=rate,
        constant_frame_rate=True,
        frames=int(seconds * rate),
        start_pts=0,
        duration_seconds=seconds,
    )
