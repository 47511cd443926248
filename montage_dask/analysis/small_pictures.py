"""Decoded frames as the small pictures that the analysis works on: thumbnails, stills, and how sharp they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from montage_dask.analysis import features, looks
from montage_dask.analysis.features import HEIGHT, WIDTH, Bytes, Floats
from montage_dask.media.orientation import is_transposed, turn_picture
from montage_dask.media.tone import is_wide
from montage_dask.records import Source, Window

if TYPE_CHECKING:
    import av

    from montage_dask.media.index import FrameIndex

SHARPNESS_STEP = 5
"""Sharpness is measured on frames whose number is a multiple of this, a divisor of 50."""


_SHARPNESS_WIDTH = 480
"""Pixels across on which sharpness is measured: finer detail says more about the codec."""


def decode_window(
    source: Source, index: FrameIndex, window: Window, threads: int, device: str, faces: bool
) -> tuple[Bytes, Floats, Bytes]:
    """Thumbnails, sharpness and looks of a window; windows start on multiples of SHARPNESS_STEP and of `looks.step`."""
    from montage_dask.media.decode import decode_frames

    scale = SmallPictures(source)
    start, stop = window.start_frame, window.stop_frame
    thumbnails = np.empty((window.frames, HEIGHT, WIDTH, 3), np.uint8)
    sharpness = np.empty(window.frames, np.float32)
    step, seen = looks.step(source.frame_rate), []
    look = looks.Looks(source, faces=faces)
    for number, frame in decode_frames(
        source, index, start, stop, threads=threads, skip_loop_filter=True, device=device,
        one_field=True,
    ):  # fmt: skip
        position = number - start
        thumbnails[position] = scale.thumbnail(frame)
        if number % SHARPNESS_STEP == 0:
            sharpness[position : position + SHARPNESS_STEP] = scale.sharpness(frame)
        if number % step == 0:
            seen.append(look(number, scale.still(frame), thumbnails[position]))
    return thumbnails, sharpness, np.stack(seen)


def decode_thumbnails(
    source: Source, index: FrameIndex, start: int, stop: int, *, skip_loop_filter: bool
) -> Bytes:
    """Thumbnails of frames [start, stop) from the file itself: uint8 [n, 27, 48, 3].

    Args:
        source: the source.
        index: its frame index.
        start: first frame.
        stop: behind the last one.
        skip_loop_filter: as the strip has them; else as they are shown.

    Raises:
        MediaError: the file is gone, or nothing of it decodes.
    """
    from montage_dask.media.decode import decode_frames

    scale = SmallPictures(source)
    frames = decode_frames(
        source, index, start, stop, skip_loop_filter=skip_loop_filter, one_field=True
    )
    return np.stack([scale.thumbnail(frame) for _, frame in frames])


class SmallPictures:
    """Makes small pictures from decoded frames of any format and size, reusing its scalers.

    Args:
        source: whose frames they are.
    """

    def __init__(self, source: Source) -> None:
        from av.video.reformatter import Interpolation, VideoReformatter

        from montage_dask.media.decode import wide_rgb

        self._wide_rgb = wide_rgb
        self._source = source
        self._small, self._grey, self._still = (VideoReformatter() for _ in range(3))
        # Bit-exact: the same picture on processors with other instruction sets.
        self._method = Interpolation.AREA | Interpolation.BITEXACT | Interpolation.ACCURATE_RND

    def thumbnail(self, frame: av.VideoFrame) -> Bytes:
        """The whole picture, as shown (upright, in Rec.709), squeezed to 48×27 RGB."""
        return self._shown(self._small, frame, WIDTH, HEIGHT)

    def still(self, frame: av.VideoFrame) -> Bytes:
        """The whole picture, as shown, in its shape between black bars: uint8 [144, 256, 3]."""
        left, top, wide, high = looks.inside(self._source)
        still = np.zeros((looks.HEIGHT, looks.WIDTH, 3), np.uint8)
        shown = self._shown(self._still, frame, wide, high)
        still[top : top + high, left : left + wide] = shown
        return still

    def _shown(self, scaler: Any, frame: av.VideoFrame, width: int, height: int) -> Bytes:
        size = (height, width) if is_transposed(self._source) else (width, height)
        if is_wide(self._source):
            wide = self._wide_rgb(frame, self._source, *size, self._method)
            return turn_picture(wide, self._source)
        small: Bytes = scaler.reformat(
            frame,
            width=size[0],
            height=size[1],
            format="rgb24",
            interpolation=self._method,
            threads=1,
        ).to_ndarray()
        return turn_picture(small, self._source)

    def sharpness(self, frame: av.VideoFrame) -> float:
        """0 (blurred) … 1 (sharp), whatever the size of the picture."""
        # Of a single field, too, in the shape of the whole picture.
        high = frame.height * 2 if self._source.field_order else frame.height
        scale = _SHARPNESS_WIDTH / max(frame.width, high)
        grey: Bytes = self._grey.reformat(
            frame,
            width=max(8, round(frame.width * scale)),
            height=max(8, round(high * scale)),
            format="gray",
            interpolation=self._method,
            threads=1,
        ).to_ndarray()  # type: ignore[assignment]
        return features.sharpness(grey)
