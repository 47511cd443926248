"""Whether pictures are two fields of different times, woven together: by what they say, and by what they show.

Cameras say it, but editors and screen recorders weave fields and call the result progressive, and AVCHD carries 25 whole pictures
a second as if they were interlaced. So pictures are looked at where something moves. A line sticks out where it differs from both
its neighbours in the same direction. Fields of one time show few such lines, and as many more in one foreign field as in the
other. Fields that follow each other show as many within a picture as in the field of the next one, and more in the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montage_dask.errors import MediaError
from montage_dask.media.decode import decode_frames
from montage_dask.media.index import FrameIndex
from montage_dask.records import Source

RUNS, RUN_FRAMES, LOOKED_AT_FRAMES = 5, 5, 30
"""Runs spread over the source, each from a keyframe on; longer ones where there are fewer keyframes."""

LEAST_LINES, HIGHEST_LINES, HIGHEST_RATE = 180, 1152, 31
"""No video of fewer or more lines, or of more frames per second, is interlaced; there only what pictures say counts."""

COLUMNS = 160
"""So many columns are looked at: combs run along lines."""

STICKS_OUT = 10
"""Code values of 8 bits."""

LEAST_SHARE, LEAST_COMBED = 0.00025, 0.0008
"""Of all pixels, that must tell of whole pictures, and of fields: what is drawn can look like those in a few places."""

SAME, OTHER, WHOLE = 0.7, 1.8, 0.6
"""Fields that follow each other: at least SAME, and OTHER times as much in the other field. Whole pictures: at most WHOLE."""

LEAST_VOTES = 3

LEAST_SILENT = 0.3
"""Share of the pictures that must be woven where they do not say so: of film on video two of five are."""

Luma = NDArray[np.int16]


@dataclass(slots=True)
class Votes:
    """What pairs of neighbouring pictures say."""

    tff: int = 0
    """The field of the upper lines comes first."""
    bff: int = 0
    whole: int = 0
    flagged: int = 0
    """Pictures that say that they are interlaced."""
    pictures: int = 0

    @property
    def measured(self) -> str:
        """tff or bff where the pictures leave no doubt; whole where they are progressive; else empty."""
        most, least = max(self.tff, self.bff), min(self.tff, self.bff)
        # Of film on video only some pictures are woven.
        needed = LEAST_VOTES if self.flagged else max(LEAST_VOTES, LEAST_SILENT * self.pictures)
        if most >= needed and most > self.whole / 2 and most >= 4 * least:
            return "tff" if self.tff > self.bff else "bff"
        if self.whole >= LEAST_VOTES and self.whole > 10 * most:
            return "whole"
        return ""

    def field_order(self) -> str:
        """`Source.field_order` that fits."""
        measured = self.measured
        if not self.flagged:
            return measured.replace("whole", "")
        if measured == "whole":
            return ""
        # Where only some pictures say so, only these are touched.
        return "flagged" if not measured or self.flagged < self.pictures else measured


def find_fields(source: Source, index: FrameIndex) -> tuple[str, str]:
    """How the pictures of a source are deinterlaced.

    Args:
        source: the source, with no field order and no crop yet.
        index: its frame index.

    Returns:
        `Source.field_order`, and a sentence for people; both empty for what is progressive and says so.

    Raises:
        MediaError: nothing of it decodes.
    """
    width, height = source.decoded_size
    coded = replace(
        source, field_order="", crop=(0, 0, 0, 0), coded_width=width, coded_height=height
    )
    votes = look(coded, index)
    order = votes.field_order()
    names = {"tff": ", upper field first", "bff": ", lower field first"}
    if order:
        said = "" if votes.flagged else " though it says progressive"
        return order, f"interlaced{names.get(order, '')}{said}: deinterlaced"
    if votes.flagged:
        return "", "says interlaced, but its pictures are whole: not deinterlaced"
    return "", ""


def look(source: Source, index: FrameIndex) -> Votes:
    """Count what runs of pictures say; stops early where there is nothing to look for."""
    votes = Votes()
    worth = (
        LEAST_LINES <= source.coded_height <= HIGHEST_LINES and source.frame_rate <= HIGHEST_RATE
    )
    for start, stop in _runs(index):
        before: Luma | None = None
        for _, frame in _decoded(source, index, start, stop):
            votes.pictures += 1
            votes.flagged += bool(frame.interlaced_frame)
            if not worth and not votes.flagged:
                return votes
            luma = _luma(frame)
            if before is not None and before.shape == luma.shape:
                _vote(votes, before, luma)
            before = luma
    return votes


def _decoded(source: Source, index: FrameIndex, start: int, stop: int) -> Iterator[tuple[int, Any]]:
    try:
        yield from decode_frames(source, index, start, stop)
    except MediaError:
        return  # a damaged part tells nothing; whether the whole is usable is found out elsewhere


def _runs(index: FrameIndex) -> list[tuple[int, int]]:
    keys = index.keyframes
    if not len(keys):
        keys = np.zeros(1, np.int64)
    chosen = np.unique(
        keys[np.linspace(0, len(keys) - 1, min(RUNS, len(keys))).round().astype(int)]
    )
    length = max(RUN_FRAMES, LOOKED_AT_FRAMES // len(chosen))
    runs: list[tuple[int, int]] = []
    for key in chosen.tolist():
        start = max(key, runs[-1][1]) if runs else key
        stop = min(len(index), key + length)
        if start < stop:
            runs.append((start, stop))
    return runs


def _luma(frame: Any) -> Luma:
    """Some columns of a picture in code values of 8 bits."""
    step = max(1, frame.width // COLUMNS)
    planar = frame.format.name.startswith(("yuv4", "yuvj4", "yuva4", "gray", "nv"))
    if planar and frame.format.components[0].bits == 8:
        plane = frame.planes[0]
        luma = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        return luma[: frame.height, : frame.width : step].astype(np.int16)
    grey = frame.reformat(format="gray").to_ndarray()
    return grey[:, ::step].astype(np.int16)


def _combs(upper: Luma, lower: Luma) -> float:
    """Share of pixels that stick out where two fields are woven together."""
    lines = min(len(upper), len(lower))
    upper, lower = upper[:lines], lower[:lines]
    above, below, next_above = (
        lower[:-1] - upper[:-1],
        lower[:-1] - upper[1:],
        lower[1:] - upper[1:],
    )
    inner = (np.minimum(above, below) > STICKS_OUT) | (np.maximum(above, below) < -STICKS_OUT)
    outer = (np.minimum(below, next_above) > STICKS_OUT) | (
        np.maximum(below, next_above) < -STICKS_OUT
    )
    return float(inner.mean() + outer.mean()) / 2


def _vote(votes: Votes, before: Luma, after: Luma) -> None:
    if len(before) < 8:
        return
    within = (_combs(before[0::2], before[1::2]) + _combs(after[0::2], after[1::2])) / 2
    upper_next = _combs(after[0::2], before[1::2])
    lower_next = _combs(before[0::2], after[1::2])
    least, most = min(upper_next, lower_next), max(upper_next, lower_next)
    if most - least > LEAST_COMBED and within > SAME * least and most > OTHER * least:
        if upper_next < lower_next:
            votes.tff += 1
        else:
            votes.bff += 1
    elif least > LEAST_SHARE and within < WHOLE * least:
        votes.whole += 1
