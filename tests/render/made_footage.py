"""Small videos whose frames carry their number as black and white bars, so that every frame can be told in a result."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BITS = 10
WIDTH, HEIGHT = 160, 96

VFR_STEPS = (33, 34, 33, 7, 120, 16, 17, 250, 40, 41, 3, 90)
"""Milliseconds between the frames of a telephone under load."""


def bars(number: int) -> np.ndarray:
    """The picture of a number: uint8 [96, 160] luma, most significant bit on the left."""
    bits = [(number >> (BITS - 1 - b)) & 1 for b in range(BITS)]
    return np.repeat(np.array([235 if b else 16 for b in bits], np.uint8), WIDTH // BITS)[
        None
    ].repeat(HEIGHT, 0)


def number_of(luma: np.ndarray) -> int:
    """The number that a picture of any size shows."""
    _height, width = luma.shape
    step = width / BITS
    middle = luma[luma.shape[0] // 3 : luma.shape[0] * 2 // 3]
    number = 0
    for b in range(BITS):
        part = middle[:, round((b + 0.3) * step) : round((b + 0.7) * step)]
        number = number * 2 + int(part.mean() > 125)
    return number


def numbered(
    path: Path,
    frames: int,
    *,
    rate: Fraction = Fraction(25),
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    gop: int = 24,
    b_frames: int = 0,
) -> Path:
    """Write a numbered video; `pts` in `time_base` makes a variable frame rate."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.gop_size = gop
        stream.codec_context.max_b_frames = b_frames
        base = time_base or 1 / rate
        stream.codec_context.time_base = base
        if codec == "libx264":
            stream.options = {"crf": "16", "preset": "ultrafast", **(options or {})}
        else:
            stream.codec_context.bit_rate = 2_000_000
            stream.options = options or {}
        for n in range(frames):
            planes = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
            planes[:HEIGHT] = bars(n)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts = n if pts is None else pts[n]
            frame.time_base = base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def coloured(
    path: Path,
    planes: Sequence[np.ndarray],
    pixel_format: str,
    *,
    frames: int = 5,
    rate: int = 25,
    codec: str = "libx264",
    space: int = 2,
    primaries: int = 2,
    transfer: int = 2,
    range_: int = 0,
    aspect: Fraction | None = None,
) -> Path:
    """A still of given planes as a lossless video with given colour tags (numbers of H.273; range 1 tv, 2 pc)."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        height, width = planes[0].shape
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        context = stream.codec_context
        context.thread_count = 1
        context.colorspace, context.color_primaries = space, primaries
        context.color_trc, context.color_range = transfer, range_
        stream.options = {"qp": "0", "preset": "ultrafast"} if codec == "libx264" else {}
        for n in range(frames):
            frame = av.VideoFrame(width, height, pixel_format)
            for plane, values in zip(frame.planes, planes, strict=True):
                item = values.astype(np.uint16 if values.dtype != np.uint8 else np.uint8)
                rows = np.zeros((plane.height, plane.line_size), np.uint8)
                data = item.view(np.uint8).reshape(plane.height, -1)
                rows[:, : data.shape[1]] = data
                plane.update(rows.tobytes())
            frame.pts = n
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def luma_frames(path: Path) -> list[np.ndarray]:
    """The luma of all frames of a result."""
    with av.open(str(path)) as container:
        return [
            np.frombuffer(f.planes[0], np.uint8).reshape(f.height, f.planes[0].line_size)[
                :, : f.width
            ]
            for f in container.decode(video=0)
        ]


def planes_of(path: Path, at: int = 0) -> list[np.ndarray]:
    """Y, U, V of one frame of a result."""
    with av.open(str(path)) as container:
        for n, frame in enumerate(container.decode(video=0)):
            if n == at:
                return [
                    np.frombuffer(p, np.uint8).reshape(p.height, p.line_size)[:, : p.width]
                    for p in frame.planes
                ]
    raise AssertionError(f"no frame {at}")
