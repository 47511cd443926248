"""Pictures that are not what the source says: brought to its size, shape, pixel format and colours.

A stream may change these on the way. Whatever reads frames by number gets all of them alike: the picture of another shape whole,
with black beside it.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av

from montage_dask.records import Source

MATRICES = {"bt709": 1, "fcc": 4, "bt470bg": 5, "smpte170m": 5, "smpte240m": 7, "bt2020nc": 9, "bt2020c": 9}  # fmt: skip
"""The scaler's numbers of what `Source.color_space` says."""

KNOWN_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
"""The same of what a frame says."""

ALIKE = Fraction(1, 100)
"""Shapes that differ by less are taken for equal: what is lost by rounding to whole pixels."""


class Fitter:
    """Makes all pictures of a source alike.

    Args:
        source: what they are to be.
        aspect: the sample aspect that its decoder says of the first pictures; None: it says none.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._size = source.decoded_size
        matrix = MATRICES.get(source.color_space)
        self._matrix = matrix or (1 if source.coded_height >= 720 else 5)
        full = source.color_range == "pc" or source.pixel_format.startswith("yuvj")
        self._range = 2 if full else 1
        self._pads: dict[tuple[int, int], Any] = {}

    def fit(self, frame: Any, aspect: Fraction | None) -> Any:
        """A frame as the source says; the frame itself where it is so.

        Args:
            frame: decoded.
            aspect: its sample aspect where the decoder says one.
        """
        source = self._source
        matrix = KNOWN_MATRICES.get(int(frame.colorspace)) or (1 if frame.height >= 720 else 5)
        full = int(frame.color_range) == 2 or frame.format.name.startswith("yuvj")
        own = self._shown(frame.width, frame.height, aspect)
        nominal = self._shown(*self._size, source.sample_aspect)
        alike = abs(own / nominal - 1) < ALIKE
        same = (matrix, 2 if full else 1) == (self._matrix, self._range)
        if (
            alike
            and same
            and (frame.width, frame.height) == self._size
            and frame.format.name == source.pixel_format
        ):
            return frame
        width, height = self._size
        if not alike:
            width = min(width, 2 * max(1, round(width * own / nominal / 2)))
            height = min(height, 2 * max(1, round(height * nominal / own / 2)))
        fitted = frame.reformat(
            width=width,
            height=height,
            format=source.pixel_format,
            src_colorspace=matrix,
            dst_colorspace=self._matrix,
            src_color_range=2 if full else 1,
            dst_color_range=self._range,
            interpolation="BICUBIC",
            threads=1,
        )
        if (width, height) != self._size:
            fitted = self._padded(fitted)
        fitted.pts = frame.pts
        return fitted

    def _shown(self, width: int, height: int, aspect: Fraction | None) -> Fraction:
        """Width by height as shown."""
        return Fraction(width, height) * (aspect or 1)

    def _padded(self, frame: Any) -> Any:
        """In the middle of a black picture."""
        size = (frame.width, frame.height)
        if size not in self._pads:
            graph: Any = av.filter.Graph()
            graph.link_nodes(
                graph.add_buffer(
                    width=size[0],
                    height=size[1],
                    format=frame.format,
                    time_base=Fraction(1, 1000),
                ),
                graph.add("pad", f"{self._size[0]}:{self._size[1]}:(ow-iw)/2:(oh-ih)/2"),
                graph.add("buffersink"),
            ).configure()
            self._pads[size] = graph
        graph = self._pads[size]
        graph.push(frame)
        return graph.pull()
