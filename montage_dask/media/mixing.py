"""Decoded sound of changing rates and layouts as samples of one rate and layout, on the clock of the samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from montage_dask.media.polarity import Polarity

Samples = npt.NDArray[np.float32]

BLOCK_SAMPLES = 1 << 16
"""A block is about so long: NumPy works on whole blocks, not on the small frames of codecs."""


class Mixer:
    """Decoded frames to pieces of samples of one rate and layout, on the clock of the samples."""

    def __init__(self, sample_rate: int, layout: str) -> None:
        self._rate = sample_rate
        self._layout = layout
        self._channels = av.AudioLayout(layout).nb_channels
        self._polarity = Polarity()
        self._resampler: Any = None
        self._source: tuple[int, str, str] | None = None
        self._due = Fraction(0)
        """Seconds before the frames that the resampler of now has seen."""
        self._seen = 0
        """Samples of those frames."""
        self._written = 0

    def mixed(self, frames: Iterable[Any]) -> Iterator[Samples]:
        """The pieces that frames, and silences between them, become."""
        for frame in frames:
            yield from self._push(frame)
        yield from self._flush()

    def _push(self, frame: Any) -> Iterator[Samples]:
        """Take a frame; a Fraction is seconds of silence."""
        if isinstance(frame, Fraction):
            yield from self._flush()
            self._due += frame
            yield from self._up_to_due(())
            return
        source = (int(frame.sample_rate), frame.layout.name, frame.format.name)
        if source != self._source:
            yield from self._flush()
            self._resampler = av.AudioResampler(format="flt", layout=self._layout, rate=self._rate)
            self._source = source
        self._seen += frame.samples
        if self._layout == "mono":
            frame = self._polarity.righted(frame)
        frame.pts = None
        for piece in self._taken(self._resampler.resample(frame)):
            self._written += len(piece)
            yield piece

    def _flush(self) -> Iterator[Samples]:
        """What the resampler holds back, to the sample: its rounding does not add up."""
        if self._source is None:
            return
        self._due += Fraction(self._seen, self._source[0])
        rest = self._taken(self._resampler.resample(None))
        self._resampler, self._source, self._seen = None, None, 0
        yield from self._up_to_due(rest)

    def _up_to_due(self, rest: Iterable[Samples]) -> Iterator[Samples]:
        lacking = round(self._due * self._rate) - self._written
        for piece in rest:
            yield piece[: max(0, lacking)]
            lacking -= len(piece)
        while lacking > 0:
            piece = np.zeros((min(lacking, BLOCK_SAMPLES), self._channels), np.float32)
            yield piece
            lacking -= len(piece)
        self._written = round(self._due * self._rate)

    def _taken(self, frames: list[Any]) -> Iterator[Samples]:
        for frame in frames:
            if frame is not None:  # a resampler that has nothing to do passes on what it gets
                yield frame.to_ndarray().reshape(-1, self._channels)[: frame.samples]
