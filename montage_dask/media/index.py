"""The frame index: exact times of all showable frames of a source, and where decoding can start.

Most containers time every packet, and a frame is known by its PTS. Some do not (raw streams), or time them wrongly (B-frames
in AVI): there `packets` tells a frame by the place of its packet in the file, and `pts` holds the times that the ffmpeg
executable makes up when it reads the file from its start.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Ticks = NDArray[np.int64]


def usual_step(pts: Ticks) -> float:
    """Ticks that a frame usually stays: the median; 0 of one frame."""
    return float(np.median(np.diff(pts))) if len(pts) > 1 else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class FrameIndex:
    """Frame i is shown from pts[i] to pts[i + 1]; frame numbers are in order of showing."""

    pts: Ticks
    """int64 [n], strictly increasing, in time_base."""
    key_pts: Ticks
    """int64 [k], strictly increasing: PTS that can be sought, of the keyframes that an edit list hides too; only the first
    frame's where `packets` is given: seeking cannot be trusted there."""
    time_base: Fraction
    """Seconds per tick."""
    last_duration: int
    """Ticks that the last frame is shown."""
    packets: Ticks | None = None
    """int64 [n], or None where PTS can be trusted: which packet of the stream, from 0, brings each frame."""
    key_packets: Ticks | None = None
    """int64 [k], strictly increasing: the keyframes among `packets`; given with it."""

    def __post_init__(self) -> None:
        if self.pts.ndim != 1 or not len(self.pts) or not len(self.key_pts):
            raise ValueError(f"an index needs frames and keyframes, got {self.pts.shape = }")
        if (np.diff(self.pts) <= 0).any() or (np.diff(self.key_pts) <= 0).any():
            raise ValueError("PTS must increase")
        if self.last_duration < 1 or self.time_base <= 0:
            raise ValueError("the last frame needs a duration, and the ticks a length")
        if (self.packets is None) != (self.key_packets is None):
            raise ValueError("packets and key_packets belong together")
        if self.packets is not None and self.key_packets is not None:
            if self.packets.shape != self.pts.shape or len(np.unique(self.packets)) != len(self):
                raise ValueError(f"a frame needs a packet of its own, got {self.packets.shape = }")
            if not len(self.key_packets) or not np.isin(self.key_packets, self.packets).all():
                raise ValueError("key packets must bring frames")

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def keyframes(self) -> NDArray[np.int64]:
        """Numbers of the showable frames from which decoding can start."""
        if self.packets is not None and self.key_packets is not None:
            return np.flatnonzero(np.isin(self.packets, self.key_packets)).astype(np.int64)
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

    def lingers(self, frame: int) -> bool:
        """Whether a frame is shown for longer than half as long again as the one before it."""
        before = max(0, frame - 1)
        begin, end = self.time_seconds(before), self.time_seconds(frame)
        usual = end - begin or Fraction(1, 25)
        return self.time_seconds(frame + 1) - end > usual * Fraction(3, 2)

    def key_before(self, frame: int) -> int:
        """Position in `key_pts` of the keyframe from which a frame is decoded."""
        return max(0, int(np.searchsorted(self.key_pts, self.pts[frame], side="right")) - 1)

    def keyframe_before(self, frame: int) -> int:
        """Number of the first showable frame that decoding for `frame` brings (a keyframe, unless that one is hidden)."""
        if self.packets is not None:
            keys = self.keyframes
            return int(keys[max(0, int(np.searchsorted(keys, frame, side="right")) - 1)])
        return int(np.searchsorted(self.pts, self.key_pts[self.key_before(frame)]))

    def save(self, path: Path) -> None:
        """Write the index as .npz."""
        scale = np.array(
            [self.time_base.numerator, self.time_base.denominator, self.last_duration], np.int64
        )
        arrays = {"pts": self.pts, "key_pts": self.key_pts, "scale": scale}
        if self.packets is not None and self.key_packets is not None:
            arrays |= {"packets": self.packets, "key_packets": self.key_packets}
        with path.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> FrameIndex:
        """Read an index.

        Raises:
            OSError, ValueError, KeyError: it is missing or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as data:
                arrays = {name: data[name] for name in data.files}
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise ValueError(f"{path} is no frame index: {error}") from error
        for name, array in arrays.items():
            if array.dtype != np.int64 or array.ndim != 1:
                raise ValueError(f"{path} is no frame index: {name} is {array.dtype}{array.shape}")
        numerator, denominator, last = (int(v) for v in arrays["scale"])
        return cls(
            arrays["pts"],
            arrays["key_pts"],
            Fraction(numerator, denominator),
            last,
            arrays.get("packets"),
            arrays.get("key_packets"),
        )
