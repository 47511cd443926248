"""Stereo whose channels are opposite: each is heard, and their sum is silence. One of them is turned over before it is mixed."""

from __future__ import annotations

from typing import Any

import av
import numpy as np

OPPOSITE = 0.02
"""Channels are opposite where their sum has less than this share of the power of their difference."""

AGAIN = 0.5
"""They are no longer where it has more than this."""

MEMORY = 0.9
"""Of what was heard, from frame to frame: about a quarter of a second."""

STEP = 8
"""Every so many samples are looked at."""

FORMATS = ("fltp", "flt", "s16p", "s16", "s32p", "s32", "dblp", "dbl")


class Polarity:
    """Goes through decoded frames in order; those of ordinary stereo stay as they are, to the bit."""

    def __init__(self) -> None:
        self._sum = self._difference = 0.0
        self._opposite = False

    def righted(self, frame: Any) -> Any:
        """A frame that can be mixed to mono: itself, or a copy with its second channel turned over."""
        if frame.layout.nb_channels != 2 or frame.format.name not in FORMATS:
            return frame
        planes = frame.to_ndarray()
        packed = not frame.format.is_planar
        left, right = (planes[0, 0::2], planes[0, 1::2]) if packed else (planes[0], planes[1])
        full = 1.0 if planes.dtype.kind == "f" else float(np.iinfo(planes.dtype).max)
        some = [np.nan_to_num(c[::STEP].astype(np.float64) / full) for c in (left, right)]
        self._sum = MEMORY * self._sum + float(np.square(some[0] + some[1]).sum())
        self._difference = MEMORY * self._difference + float(np.square(some[0] - some[1]).sum())
        limit = AGAIN if self._opposite else OPPOSITE
        # What is nearly silent says nothing.
        if self._difference > 1e-6:
            self._opposite = self._sum < limit * self._difference
        if not self._opposite:
            return frame
        turned = planes.copy()
        other = turned[0, 1::2] if packed else turned[1]
        least = other if full == 1.0 else np.maximum(other, -np.iinfo(planes.dtype).max)
        other[:] = -least
        result = av.AudioFrame.from_ndarray(turned, frame.format.name, frame.layout.name)
        result.sample_rate = frame.sample_rate
        return result
