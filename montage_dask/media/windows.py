"""Time windows: runs of decoded frame numbers, on a grid that makes windowed analysis equal to whole-file analysis."""

from __future__ import annotations

from montage_dask.errors import UsageError
from montage_dask.records import Window

GRID_FRAMES = 50
"""Windows start on multiples of this: the stride of the shot-boundary network, whose scores depend on the grid."""


def round_window_frames(frames: int) -> int:
    """The nearest window length on the grid, at least one step of it.

    Raises:
        UsageError: not a positive number.
    """
    if isinstance(frames, bool) or frames < 1:
        raise UsageError(f"window-frames = {frames!r}: must be a positive number of frames")
    return max(1, (frames + GRID_FRAMES // 2) // GRID_FRAMES) * GRID_FRAMES


def split_windows(frames: int, window_frames: int) -> tuple[Window, ...]:
    """Windows that cover [0, frames) without gap or overlap; the last one may be shorter.

    Raises:
        ValueError: window_frames is not positive.
    """
    if window_frames < 1:
        raise ValueError(f"window_frames must be positive, got {window_frames}")
    return tuple(
        Window(number, start, min(start + window_frames, frames))
        for number, start in enumerate(range(0, frames, window_frames))
    )
