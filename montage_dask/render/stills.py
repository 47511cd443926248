"""Stills: chosen frames of a source as pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

from montage_dask.media.container import open_media
from montage_dask.media.decode import decode_frames, show_rgb
from montage_dask.media.index import FrameIndex
from montage_dask.records import Shot, Source
from montage_dask.store import writing

VERSION = 2

JPEG_QUALITY = 92


def frames_every(index: FrameIndex, seconds: Fraction) -> tuple[int, ...]:
    """The frames on screen every so many seconds, from frame 0; each once."""
    numbers, time = [], Fraction(0)
    while time < index.duration_seconds:
        numbers.append(index.frame_at(time))
        time += seconds
    return tuple(dict.fromkeys(numbers))


def frames_per_shot(shots: Sequence[Shot], count: int) -> tuple[int, ...]:
    """`count` frames of each shot, evenly spread and away from its ends; each once."""
    numbers: list[int] = []
    for shot in shots:
        length = shot.stop_frame - shot.start_frame
        numbers += [
            shot.start_frame + min(length - 1, length * (2 * k + 1) // (2 * count))
            for k in range(count)
        ]
    return tuple(dict.fromkeys(numbers))


def pictures(
    source: Source,
    index: FrameIndex,
    numbers: Iterable[int],
    *,
    max_width: int | None = None,
    max_height: int | None = None,
    own: bool = False,
) -> Iterable[tuple[int, Any]]:
    """Frames as they are meant to be seen: (number, uint8 RGB [height, width, 3]), ascending.

    Frames behind one keyframe share one decode.

    Args:
        source: the source.
        index: its frame index.
        numbers: of the frames.
        max_width: scale down to this many pixels.
        max_height: the same.
        own: the file was made and verified by us: it is opened only once, as no damage can spread.
    """
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        # Decode on where that is shorter than starting again at the keyframe before.
        if runs and index.keyframe_before(number) <= runs[-1][-1]:
            runs[-1].append(number)
        else:
            runs.append([number])
    opened = open_media(source.path, source.format_name) if own else nullcontext(None)
    with opened as container:
        for run in runs:
            wanted = set(run)
            for number, frame in decode_frames(
                source, index, run[0], run[-1] + 1, container=container
            ):
                if number in wanted:
                    yield number, show_rgb(frame, source, max_width, max_height)


def extract_stills(
    source: Source,
    index: FrameIndex,
    outputs: Mapping[int, Path],
    *,
    max_width: int | None = None,
) -> list[Path]:
    """Write frames as pictures, each appearing whole.

    Args:
        source: the source.
        index: its frame index.
        outputs: a .jpg or .png for each frame number.
        max_width: scale down to this many pixels.

    Returns:
        The paths, in order of frames.

    Raises:
        MediaError: the source cannot be decoded.
        StoreError: a picture cannot be written.
    """
    from PIL import Image

    for number, rgb in pictures(source, index, list(outputs), max_width=max_width):
        with writing(outputs[number]) as part:
            Image.fromarray(rgb).save(part, quality=JPEG_QUALITY)
    return [outputs[n] for n in sorted(outputs)]
