"""A montage as one strip: its pictures side by side, each as wide as it lasts, with its transitions as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from montage_dask.records import Timeline
from montage_dask.store import writing

SLICE = 4
"""Pixels of a transition that show one frame."""
GAP = 2
"""Pixels between shots."""
BACKGROUND = 20
JPEG_QUALITY = 80

Picture = NDArray[np.uint8]


def strip_layout(timeline: Timeline, width: int, tile: int) -> list[tuple[int, int, int]]:
    """Which frame each column shows, and which of the columns of that frame.

    Args:
        timeline: of the montage.
        width: of the strip, in pixels.
        tile: width of a whole picture at the height of the strip, in pixels.

    Returns:
        For every column (frame, left edge of the picture that it is part of, width of that picture); frame -1 between shots.
    """
    columns: list[tuple[int, int, int]] = []
    edges = [round(e.start_frame * width / timeline.frames) for e in timeline.events] + [width]
    for number, event in enumerate(timeline.events):
        left, right = edges[number], edges[number + 1]
        count = max(1, round((right - left) / tile))
        for k in range(count):
            start = left + (right - left) * k // count
            stop = left + (right - left) * (k + 1) // count
            frame = event.start_frame + event.frames * (2 * k + 1) // (2 * count)
            columns += [(frame, start, stop - start)] * (stop - start)
    for start, stop in _changing(timeline):
        first, last = (round(f * width / timeline.frames) for f in (start, stop))
        for x in range(first, last):
            at = min((x // SLICE * SLICE + SLICE / 2) / width, 1)
            frame = min(max(start, int(at * timeline.frames)), stop - 1)
            columns[x] = (frame, *columns[x][1:])
    for number, event in enumerate(timeline.events):
        if number and not event.transition.frames:
            columns[edges[number] : edges[number] + GAP] = [(-1, 0, 1)] * GAP
    return columns[:width]


def _changing(timeline: Timeline) -> list[tuple[int, int]]:
    """Frames [start, stop) in which one picture becomes another, or black."""
    found = []
    for event in timeline.events:
        half = event.transition.frames // 2
        if half:
            found.append((max(0, event.start_frame - half), event.start_frame + half))
    if timeline.fade_out_frames:
        found.append((timeline.frames - timeline.fade_out_frames, timeline.frames))
    return found


def draw_strip(
    timeline: Timeline, output: Path, path: Path, *, width: int = 1200, height: int = 90
) -> None:
    """Draw the strip of a finished montage.

    Args:
        timeline: of the montage.
        output: the finished file, which the pictures are taken from.
        path: a .jpg or .png to write.
        width: of the strip, in pixels.
        height: of the strip, in pixels.

    Raises:
        MediaError: the output cannot be read.
        StoreError: the picture cannot be written.
    """
    from PIL import Image

    from montage_dask.media.probe import probe
    from montage_dask.render.stills import pictures

    source, index = probe(output, deinterlace=None)
    tile = max(1, round(height * timeline.width / timeline.height))
    columns = strip_layout(timeline, width, tile)
    wanted = {f for f, _, _ in columns if f >= 0}
    strip = np.full((height, width, 3), BACKGROUND, np.uint8)
    for number, shown in pictures(source, index, wanted, own=True):
        picture = np.asarray(
            Image.fromarray(shown).resize((tile, height), Image.Resampling.LANCZOS)
        )
        scaled: dict[int, Picture] = {}
        for x, (frame, left, part) in enumerate(columns):
            if frame != number:
                continue
            if part not in scaled:
                scaled[part] = _fitted(picture, part)
            strip[:, x] = scaled[part][:, x - left]
    with writing(path) as part_path:
        Image.fromarray(strip).save(part_path, quality=JPEG_QUALITY, optimize=True)


def _fitted(picture: Picture, width: int) -> Picture:
    """The middle of a picture, or the picture made wider and cut to its height."""
    from PIL import Image

    height, whole = picture.shape[:2]
    if width > whole:
        scale = width / whole
        grown = Image.fromarray(picture).resize((width, round(height * scale)))
        top = (grown.height - height) // 2
        return np.asarray(grown)[top : top + height]
    left = (whole - width) // 2
    return picture[:, left : left + width]
