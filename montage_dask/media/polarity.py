"""Left and right that are opposite: each is heard, and their sum is silence. One of them is turned over before it is mixed."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[Any]

OPPOSITE = 0.02
"""Channels are opposite where their sum has less than this share of the power of their difference."""

AGAIN = 0.5
"""They are no longer where it has more than this."""

MEMORY = 0.9
"""Of what was heard, from frame to frame: about a quarter of a second."""

STEP = 8
"""Every so many samples are looked at."""

FORMATS = ("fltp", "flt", "s16p", "s16", "s32p", "s32", "dblp", "dbl")

PAIRS = (("FL", "FR"), ("BL", "BR"), ("SL", "SR"))
"""Channels that are mixed with each other, where there are more than two."""


class Polarity:
    """Goes through decoded frames in order; those of ordinary sound stay as they are, to the bit."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[int, int], _Pair] = {}

    def righted(self, frame: Any) -> Any:
        """A frame that can be mixed to mono: itself, or a copy with the second channel of a pair turned over."""
        if frame.format.name not in FORMATS:
            return frame
        pairs = _pairs_of(frame.layout)
        if not pairs:
            return frame
        planes = frame.to_ndarray()
        channels = _channels(frame, planes)
        turned = [
            right
            for left, right in pairs
            if self._pairs.setdefault((left, right), _Pair()).opposite(
                channels[left], channels[right]
            )
        ]
        if not turned:
            return frame
        copy = planes.copy()
        channels = _channels(frame, copy)
        for right in turned:
            other = channels[right]
            whole = copy.dtype.kind != "f"
            other[:] = -(np.maximum(other, -np.iinfo(copy.dtype).max) if whole else other)
        result = av.AudioFrame.from_ndarray(copy, frame.format.name, frame.layout.name)
        result.sample_rate = frame.sample_rate
        return result


class _Pair:
    """What was heard of two channels."""

    def __init__(self) -> None:
        self._sum = self._difference = 0.0
        self._opposite = False

    def opposite(self, left: Samples, right: Samples) -> bool:
        """Whether they are opposite, as far as is known behind these samples."""
        full = 1.0 if left.dtype.kind == "f" else float(np.iinfo(left.dtype).max)
        some = [np.nan_to_num(c[::STEP].astype(np.float64) / full) for c in (left, right)]
        self._sum = MEMORY * self._sum + float(np.square(some[0] + some[1]).sum())
        self._difference = MEMORY * self._difference + float(np.square(some[0] - some[1]).sum())
        limit = AGAIN if self._opposite else OPPOSITE
        # What is nearly silent says nothing.
        if self._difference > 1e-6:
            self._opposite = self._sum < limit * self._difference
        return self._opposite


def _channels(frame: Any, planes: Samples) -> Samples:
    """[channels, n] the samples of a frame, as it gives them, by channel; not a copy."""
    return planes if frame.format.is_planar else planes.reshape(-1, frame.layout.nb_channels).T


def _pairs_of(layout: Any) -> list[tuple[int, int]]:
    """Numbers of the channels of a layout that make pairs."""
    if layout.nb_channels == 2:
        return [(0, 1)]
    names = {channel.name: number for number, channel in enumerate(layout.channels)}
    return [(names[a], names[b]) for a, b in PAIRS if a in names and b in names]
