"""Pictures of a source as planes in memory: decoded, changed by an effect, and written with the times that they had."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from montage_dask.errors import FFmpegError, VerificationError
from montage_dask.media.decode import decode_frames
from montage_dask.media.encoders import Encoding
from montage_dask.media.index import FrameIndex
from montage_dask.media.orientation import is_transposed, turn_picture
from montage_dask.records import Source
from montage_dask.render.filters import matrix_of
from montage_dask.render.mapping import timescale

VERSION = 2
"""Raised when the same pictures give another file."""

UNSPECIFIED = "unspecified"

GOP_FRAMES = 12
"""Seeking into a mezzanine decodes at most so many frames."""

MEZZANINE = Encoding(
    "libx264",
    (
        ("preset", "ultrafast"),
        ("crf", "10"),
        (
            "x264-params",
            f"keyint={GOP_FRAMES}:min-keyint={GOP_FRAMES}:scenecut=0:bframes=0:open-gop=0",
        ),
        ("threads", "1"),
        ("flags", "+bitexact"),
    ),
    "yuv420p",
)
"""Near-lossless (about 50 dB) and fast: 10 CPU-ms a frame of 720p; 10 bits where the source has them."""

Plane = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One frame in planar YUV 4:2:0, coded orientation, matrix and range of the source. The planes are read-only."""

    frame: int
    """Number in the source."""
    pts: int
    """Its time in the source's time base."""
    y: Plane
    """[height, width]; uint8, or uint16 with 10 significant bits for a source of more than 8."""
    u: Plane
    """[ceil(height / 2), ceil(width / 2)], as v."""
    v: Plane

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the luma plane."""
        return self.y.shape[1], self.y.shape[0]

    @property
    def bits(self) -> int:
        """Significant bits of a value: 8 or 10."""
        return 8 if self.y.dtype == np.uint8 else 10


Transform = Callable[[Iterator[Picture]], Iterator[Picture]]
"""Takes all pictures of a range in order and gives as many, with the same numbers and times."""

CODEC_OPTIONS = frozenset(
    ["preset", "crf", "profile", "x264-params", "x265-params", "svtav1-params", "threads", "flags"]
)
"""What of an `Encoding` concerns the encoder; the rest is said to the muxer or per picture."""


def even_size(source: Source) -> tuple[int, int]:
    """The coded size of a source without an odd last column or row, which 4:2:0 cannot code."""
    return source.coded_width // 2 * 2, source.coded_height // 2 * 2


def read_pictures(
    source: Source, index: FrameIndex, start_frame: int, stop_frame: int, *, threads: int = 1
) -> Iterator[Picture]:
    """Frames [start_frame, stop_frame) as planes; of an odd size the last column or row is left out.

    Raises:
        MediaError: the file is gone, or nothing of it decodes.
    """
    width, height = even_size(source)
    for number, frame in decode_frames(source, index, start_frame, stop_frame, threads=threads):
        y, u, v = _planes(frame, source)
        yield Picture(
            number,
            int(index.pts[number]),
            y[:height, :width],
            u[: height // 2, : width // 2],
            v[: height // 2, : width // 2],
        )


def _planes(frame: Any, source: Source) -> tuple[Plane, Plane, Plane]:
    """Luma and chroma of a decoded frame in 4:2:0: 8 bit or, from deeper pictures, 10."""
    name, size = frame.format.name, (source.coded_width, source.coded_height)
    deep = source.bit_depth > 8
    plain = ("yuv420p10le",) if deep else ("yuv420p", "yuvj420p")
    if name not in plain or (frame.width, frame.height) != size:
        if name.startswith("gray") and not deep:
            y = _plane(frame.planes[0], *size, deep=False)
            grey = np.full(((size[1] + 1) // 2, (size[0] + 1) // 2), 128, np.uint8)
            return y, grey, grey
        rgb = name.startswith(("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal"))
        coded: dict[str, Any] = {}
        if rgb:
            matrix = 1 if matrix_of(source) == "bt709" else 5
            coded = {"dst_colorspace": matrix, "src_color_range": 2, "dst_color_range": 1}
        target = plain[-1] if name.startswith("yuvj") else plain[0]
        frame = frame.reformat(*size, format=target, interpolation="BICUBIC", **coded)
    chroma = ((size[0] + 1) // 2, (size[1] + 1) // 2)
    y, u, v = frame.planes[:3]
    return (
        _plane(y, *size, deep=deep),
        _plane(u, *chroma, deep=deep),
        _plane(v, *chroma, deep=deep),
    )


def _plane(plane: Any, width: int, height: int, *, deep: bool) -> Plane:
    """The memory of a decoder's plane as an array, not copied."""
    values: Any = np.frombuffer(plane, np.uint16 if deep else np.uint8)
    stride = plane.line_size // values.itemsize
    return values[: stride * height].reshape(height, stride)[:, :width]


def write_pictures(
    source: Source,
    index: FrameIndex,
    start_frame: int,
    stop_frame: int,
    output: Path,
    *,
    transform: Transform,
    size: tuple[int, int],
    encoding: Encoding = MEZZANINE,
    threads: int = 1,
    rate: Fraction | None = None,
    upright: bool = False,
) -> dict[str, Any]:
    """Decode a range of a source, change its pictures and encode them.

    Args:
        source: the source.
        index: its frame index.
        start_frame: first frame.
        stop_frame: end.
        output: a .mp4 to write; not atomic, that is the caller's.
        transform: what happens to the pictures.
        size: width and height, both even, of the pictures that `transform` gives.
        encoding: how to encode.
        threads: of the decoder.
        rate: where given, frames are exactly 1 / rate s apart instead of at the times of the source.
        upright: turn and mirror the pictures as they are to be shown.

    Returns:
        A small record: start_frame, frames, size_bytes, seconds_begin ("Fraction": source time of the first frame).

    Raises:
        MediaError: the source cannot be read.
        FFmpegError: the encoder refuses; names the source.
        VerificationError: `transform` gave other frames than it was handed.
    """
    frames = stop_frame - start_frame
    pictures = transform(read_pictures(source, index, start_frame, stop_frame, threads=threads))
    try:
        with _Writer(
            source, index, start_frame, stop_frame, output, size, encoding, rate, upright
        ) as writer:
            for number, picture in enumerate(pictures, start_frame):
                if picture.frame != number or picture.size != size or number >= stop_frame:
                    raise VerificationError(
                        f"{source.path}: an effect gave frame {picture.frame} of {picture.size} "
                        f"instead of {number} of {size}"
                    )
                writer.write(picture)
            written = writer.written
    except av.FFmpegError as error:
        raise FFmpegError(source.path, f"its mezzanine cannot be encoded: {error}") from error
    if written != frames:
        raise VerificationError(
            f"{source.path}: frames {start_frame}…{stop_frame} gave {written} frames"
        )
    return {
        "start_frame": start_frame,
        "frames": frames,
        "size_bytes": output.stat().st_size,
        "seconds_begin": str(index.time_seconds(start_frame)),
    }


class _Writer:
    """An encoder and its file."""

    def __init__(
        self,
        source: Source,
        index: FrameIndex,
        start_frame: int,
        stop_frame: int,
        output: Path,
        size: tuple[int, int],
        encoding: Encoding,
        rate: Fraction | None,
        upright: bool,
    ) -> None:
        self._index, self._start, self._rate = index, start_frame, rate
        self._turned = source if upright else None
        self.written = 0
        self._durations: dict[int, int] = {}
        # MP4 knows no other numerator than 1.
        scale = index.time_base.denominator if rate is None else timescale(rate)
        self._file = av.open(
            f"file:{output}",
            "w",
            format="mp4",
            options={"video_track_timescale": str(scale), "fflags": "+bitexact"},
        )
        deep = source.bit_depth > 8 and (
            encoding is MEZZANINE or encoding.pixel_format.endswith("10le")
        )
        options = {k.removesuffix(":v"): v for k, v in encoding.options}
        codec = {k: v for k, v in options.items() if k in CODEC_OPTIONS}
        if deep:
            codec.pop("profile", None)
        codec |= colour_tags(source)
        stream = self._file.add_stream(encoding.encoder, options=codec)
        transposed = upright and is_transposed(source)
        shown = (size[1], size[0]) if transposed else size
        stream.width, stream.height = shown
        stream.pix_fmt = self._format = "yuv420p10le" if deep else encoding.pixel_format
        stream.time_base = stream.codec_context.time_base = Fraction(1, scale)
        if rate is None and index.lingers(stop_frame - 1):
            # MP4 keeps the time of the picture that comes last in the file, which must be the one that is shown last.
            stream.codec_context.max_b_frames = 0
        stream.codec_context.framerate = rate or source.frame_rate
        aspect = source.sample_aspect
        stream.codec_context.sample_aspect_ratio = 1 / aspect if transposed else aspect
        self._stream, self._scale = stream, scale

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, kind: Any, *rest: Any) -> None:
        try:
            if kind is None:
                self._mux(self._stream.encode(None))
        finally:
            self._file.close()

    def _time(self, number: int) -> int:
        """When a frame appears, in ticks of the file; 0 for the first."""
        if self._rate is not None:
            return int((number - self._start) * self._scale / self._rate)
        first = int(self._index.pts[self._start])
        end = int(self._index.pts[-1]) + self._index.last_duration
        pts = int(self._index.pts[number]) if number < len(self._index) else end
        return (pts - first) * self._index.time_base.numerator

    def write(self, picture: Picture) -> None:
        planes = (picture.y, picture.u, picture.v)
        if self._turned is not None:
            planes = tuple(turn_picture(p, self._turned) for p in planes)  # type: ignore[assignment]
        height, width = planes[0].shape
        frame = av.VideoFrame(width, height, "yuv420p" if picture.bits == 8 else "yuv420p10le")
        for target, plane in zip(frame.planes, planes, strict=True):
            _plane(target, plane.shape[1], plane.shape[0], deep=picture.bits > 8)[:] = plane
        if frame.format.name != self._format:
            frame = frame.reformat(format=self._format)
        frame.pts = self._time(picture.frame)
        frame.time_base = Fraction(1, self._scale)
        self._durations[frame.pts] = self._time(picture.frame + 1) - frame.pts
        self._mux(self._stream.encode(frame))
        self.written += 1

    def _mux(self, packets: Sequence[Any]) -> None:
        for packet in packets:
            # Encoders make durations up from the rate; the last one of a piece says where the next begins.
            packet.duration = self._durations.pop(packet.pts)
            self._file.mux(packet)


def colour_tags(source: Source) -> dict[str, str]:
    """The colour tags of pictures of a source, as encoder options; what it does not say is not said."""
    rgb = any(order in source.pixel_format for order in ("rgb", "bgr", "gbr", "pal8"))
    space = matrix_of(source) if rgb else source.color_space
    limits = "tv" if rgb else source.color_range
    if source.pixel_format.startswith("yuvj"):
        limits = "pc"
    tags = {
        "colorspace": space,
        "color_primaries": source.color_primaries,
        "color_trc": source.color_transfer,
        "color_range": limits,
    }
    return {k: v for k, v in tags.items() if v != UNSPECIFIED}
