"""The frame index: exact times of all showable frames of a source, and where decoding can start."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Ticks = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class FrameIndex:
    """Frame i is shown from pts[i] to pts[i + 1]; frame numbers are in order of showing."""

    pts: Ticks
    """int64 [n], strictly increasing, in time_base."""
    key_pts: Ticks
    """int64 [k], strictly increasing: PTS of the keyframes, of those too that an edit list hides."""
    time_base: Fraction
    """Seconds per tick."""
    last_duration: int
    """Ticks that the last frame is shown."""

    def __post_init__(self) -> None:
        if self.pts.ndim != 1 or not len(self.pts) or not len(self.key_pts):
            raise ValueError(f"an index needs frames and keyframes, got {self.pts.shape = }")
        if (np.diff(self.pts) <= 0).any() or (np.diff(self.key_pts) <= 0).any():
            raise ValueError("PTS must increase")
        if self.last_duration < 1 or self.time_base <= 0:
            raise ValueError("the last frame needs a duration, and the ticks a length")

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def keyframes(self) -> NDArray[np.int64]:
        """Numbers of the showable frames from which decoding can start."""
        return np.flatnonzero(np.isin(self.pts, self.key_pts)).astype(np.int64)

    @property
    def duration_seconds(self) -> Fraction:
        """From frame 0 to the end of the last frame."""
        return int(self.pts[-1] - self.pts[0] + self.last_duration) * self.time_base

    def time_seconds(self, frame: int) -> Fraction:
        """When a frame appears, counted from frame 0; for `len(self)` the end of the last frame.

        Raises:
            IndexError: there is no such frame.
        """
        if not 0 <= frame <= len(self.pts):
            raise IndexError(f"frame {frame} of {len(self.pts)}")
        if frame == len(self.pts):
            return self.duration_seconds
        return int(self.pts[frame] - self.pts[0]) * self.time_base

    def frame_at(self, seconds: Fraction) -> int:
        """The frame on screen at a time from frame 0: the last that has appeared; clamped to the first and last."""
        # Exact: ticks are whole numbers, so only the floor of the wanted tick matters.
        tick = int(self.pts[0]) + seconds // self.time_base
        return int(np.clip(np.searchsorted(self.pts, tick, side="right") - 1, 0, len(self.pts) - 1))

    def key_before(self, frame: int) -> int:
        """Position in `key_pts` of the keyframe from which a frame is decoded."""
        return max(0, int(np.searchsorted(self.key_pts, self.pts[frame], side="right")) - 1)

    def keyframe_before(self, frame: int) -> int:
        """Number of the first showable frame that decoding for `frame` brings (a keyframe, unless that one is hidden)."""
        pts = self.key_pts[self.key_before(frame)]
        return int(np.searchsorted(self.pts, pts))

    def save(self, path: Path) -> None:
        """Write the index as .npz."""
        scale = np.array(
            [self.time_base.numerator, self.time_base.denominator, self.last_duration], np.int64
        )
        with path.open("wb") as file:
            np.savez_compressed(file, pts=self.pts, key_pts=self.key_pts, scale=scale)

    @classmethod
    def load(cls, path: Path) -> FrameIndex:
        """Read an index.

        Raises:
            OSError, ValueError, KeyError: it is missing or damaged.
        """
        with np.load(path, allow_pickle=False) as data:
            numerator, denominator, last = (int(v) for v in data["scale"])
            return cls(data["pts"], data["key_pts"], Fraction(numerator, denominator), last)
