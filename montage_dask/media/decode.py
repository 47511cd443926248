"""Frames by number: any frame is decoded the same, whoever decodes it and from whichever window.

A decoder is emptied and starts afresh at every keyframe, wherever it began. So a frame depends on nothing but the packets
from the keyframe before it on, and damage in one group of pictures cannot show in another. Where a decoder that starts at a
keyframe meets errors, the group is decoded again in one go with what is before it: not every keyframe forgets what was before.

All frames have the size, shape, format and colours that the record of the source says, also where the stream changes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montage_dask.errors import MediaError
from montage_dask.media.groups import Opening, frames_from
from montage_dask.media.index import FrameIndex
from montage_dask.media.stamps import Stamps
from montage_dask.records import Source

Picture = NDArray[np.uint8]


def decode_frames(
    source: Source,
    index: FrameIndex,
    start_frame: int,
    stop_frame: int,
    *,
    threads: int = 1,
    skip_loop_filter: bool = False,
    container: Any = None,
    device: str = "cpu",
    met: list[int] | None = None,
) -> Iterator[tuple[int, Any]]:
    """Every frame of [start_frame, stop_frame), once, in order.

    Decoding starts at the keyframe before. Where the stream is damaged and a number gives no frame, the frame before it is
    repeated; before the first frame of all, the one after it.

    Args:
        source: the source.
        index: its frame index.
        start_frame: first number.
        stop_frame: end of the range, at most `len(index)`.
        threads: of the decoder; the frames do not depend on it.
        skip_loop_filter: decode about 20 % faster, for analysis only: blocks show a little.
        container: the source, opened by the caller for several calls one after the other. For files of our own only: undamaged,
            one packet per picture; then nothing behind the last picture is decoded either.
        met: takes the keyframes (counted from 0) of groups whose decoder met errors, or did not give all pictures;
            `groups.IN_VAIN` for errors of pictures that are not shown.
        device: "cuda": decoded by a GPU's decoder, into system memory; never without the loop filter.

    Yields:
        (frame number, `av.VideoFrame`).

    Raises:
        TargetFailed: the GPU does not decode it.
        MediaError: the file is gone, or nothing of it decodes.
        ValueError: not a range of this source.
    """
    if not 0 <= start_frame < stop_frame <= len(index):
        raise ValueError(f"frames {start_frame}…{stop_frame} of {len(index)}")
    stamps = Stamps(index)
    key, back = stamps.key_before(start_frame), 1
    while True:
        opening = Opening(
            source, threads, skip_loop_filter, container, device, [] if met is None else met
        )
        frames = frames_from(opening, stamps, key, stop_frame)
        held = next(frames, None)
        # Where this group is damaged at its start, the picture to hold comes from an earlier one.
        if key == 0 or (held is not None and held[0] <= start_frame):
            break
        frames.close()
        key, back = max(0, key - back), back * 2
    if held is None:
        raise MediaError(source.path, "is damaged: nothing of it can be decoded")
    wanted = start_frame
    for number, frame in frames:
        # held is on screen until the next one appears
        while wanted < min(number, stop_frame):
            yield wanted, held[1]
            wanted += 1
        held = (number, frame)
        if wanted >= stop_frame:
            break
    frames.close()
    while wanted < stop_frame:
        yield wanted, held[1]
        wanted += 1


def show_rgb(
    frame: Any, source: Source, max_width: int | None = None, max_height: int | None = None
) -> Picture:
    """A frame as it is meant to be seen: square pixels, upright, right colours.

    Returns:
        uint8 [height, width, 3] RGB, scaled down to fit into the maximum.
    """
    width, height = source.width, source.height
    scale = min(1.0, (max_width or width) / width, (max_height or height) / height)
    shown = (max(1, round(width * scale)), max(1, round(height * scale)))
    turned = source.rotation_degrees in (90, 270)
    size = (shown[1], shown[0]) if turned else shown
    rgb = frame_rgb(frame, *size)
    return np.ascontiguousarray(np.rot90(rgb, -source.rotation_degrees // 90))


def frame_rgb(frame: Any, width: int, height: int) -> Picture:
    """A decoded frame in full-range RGB: uint8 [height, width, 3]; not turned. An untagged matrix is told by the size."""
    tagged = int(frame.colorspace)
    matrix = tagged if tagged in (1, 4, 5, 6, 7, 9) else (1 if frame.height >= 720 else 5)
    converted = frame.reformat(
        width=width,
        height=height,
        format="rgb24",
        src_colorspace=5 if matrix == 6 else matrix,
        interpolation="AREA" if width * 2 <= frame.width else "BICUBIC",
    )
    return np.asarray(converted.to_ndarray(format="rgb24"))
