"""A grade's lookup table on the pictures of a source, by torch: what a GPU does in the place of ffmpeg's `lut3d`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from montage_dask.devices import hold_to_limit
from montage_dask.errors import TargetFailed
from montage_dask.media.tone import is_wide
from montage_dask.records import Source
from montage_dask.render.colour import Colour, from_rgb, to_rgb
from montage_dask.render.grade import SIZE, graded, lattice
from montage_dask.render.lut import Table, apply_lut, read_cube
from montage_dask.render.pictures import Picture, Transform


def table_of(grade: str) -> Table:
    """A grade as a table over R'G'B' from 0 to 1.

    Args:
        grade: name of a preset, or a .cube file that `check_grade` has passed.
    """
    if grade.lower().endswith(".cube"):
        table, first, last = read_cube(Path(grade))
        if not first.any() and (last == 1).all():
            return table
    return graded(grade, lattice()).reshape(SIZE, SIZE, SIZE, 3)


def in_rec709(source: Source) -> Source:
    """A source as its graded pictures are tagged."""
    return replace(
        source,
        color_space="bt709",
        color_primaries="bt709",
        color_transfer="bt709",
        color_range="tv",
        # `yuvj` says full range, whatever else is said.
        pixel_format=source.pixel_format.replace("yuvj", "yuv"),
    )


def graded_pictures(source: Source, grade: str, *, device: str) -> Transform:
    """What grades the pictures of a source, for `mezzanine.write_pictures`.

    As ffmpeg's within 2 code values for 95 % of the values: the interpolation is trilinear instead of tetrahedral, and chroma is
    brought to the size of luma by another filter, which shows at saturated edges.

    Args:
        source: whose pictures they are.
        grade: name of a preset, or a .cube file.
        device: cpu, or a device of torch.

    Raises:
        TargetFailed: the source is no standard 4:2:0 video in standard range, whose conversion is ffmpeg's matter; or there is
            no such device.
    """
    if is_wide(source) or not source.pixel_format.startswith("yuv"):
        raise TargetFailed("HDR, wide-gamut and RGB footage is graded by ffmpeg")
    hold_to_limit(device)
    table = table_of(grade)

    def transform(pictures: Iterator[Picture]) -> Iterator[Picture]:
        for picture in pictures:
            y, u, v = _graded(picture, Colour.of(source, picture.bits), table, device)
            kind = picture.y.dtype
            yield replace(picture, y=y.astype(kind), u=u.astype(kind), v=v.astype(kind))

    return transform


def _graded(picture: Picture, colour: Colour, table: Table, device: str) -> tuple[Any, Any, Any]:
    import numpy as np
    import torch

    planes = tuple(
        torch.from_numpy(np.ascontiguousarray(p, np.int16 if colour.bit_depth > 8 else np.uint8))
        for p in (picture.y, picture.u, picture.v)
    )
    with torch.inference_mode():
        y, u, v = (p.to(device) for p in planes)
        rgb = to_rgb((y, u, v), colour).clamp(0, 1)
        after = apply_lut(rgb.permute(0, 2, 3, 1), table, device=device).permute(0, 3, 1, 2)
        made = from_rgb(after, Colour("bt709", False, colour.bit_depth))
    y, u, v = (p.cpu().numpy() for p in made)
    return y, u, v
