"""Camera motion: how the picture moved between neighbouring frames, as shift, turn and zoom.

Corners spread evenly over the frame (Shi & Tomasi 1994) are followed into the next frame (pyramidal Lucas & Kanade 1981,
Bouguet 2000), and the similarity that most of them agree on (RANSAC, Fischler & Bolles 1981) is the camera's: what moves
on its own is outvoted. A motion depends on two neighbouring frames only, never on how the source was divided.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from montage_dask.media.decode import decode_frames
from montage_dask.media.index import FrameIndex
from montage_dask.records import Source

VERSION = 2

MAXIMUM_SIZE = (480, 270)
"""Pixels on which motion is measured: all corners together tell it to a fiftieth of one even so."""

CELLS = (20, 12)
"""One corner of each cell of this grid: a richly textured person gets no more votes than the wall behind."""

LEAST_CORNER = 2e-5
"""Least eigenvalue of a corner worth following, of luma 0 … 1: less is noise."""

LEAST_VOTES, LEAST_SHARE = 10, 0.3
"""Corners, and the share of those followed, that must agree; else nothing is known and the motion is none."""

OUTLIER_PIXELS = 0.8

COLUMNS = ("dx", "dy", "angle", "zoom", "agreement")
"""dx, dy: shift of the picture's content right and down, in frame widths; angle: clockwise, radians; zoom: natural
logarithm of the growth; all about the centre of the frame. agreement: share of corners that moved so, 0 when not known."""

Motions = NDArray[np.float64]


def measure_motion(
    source: Source, index: FrameIndex, start_frame: int, stop_frame: int, *, threads: int = 1
) -> Motions:
    """How the picture moved from the frame before to each frame of [start_frame, stop_frame).

    Args:
        source: the source.
        index: its frame index.
        start_frame: first frame; the one before it is decoded too.
        stop_frame: end.
        threads: of the decoder and of OpenCV.

    Returns:
        float64 [n, 5], by COLUMNS; frame 0 of the source has not moved.

    Raises:
        MediaError: the file is gone, or nothing of it decodes.
    """
    cv2.setNumThreads(threads)
    first = max(0, start_frame - 1)
    motions = np.zeros((stop_frame - start_frame, len(COLUMNS)))
    before = None
    for number, luma in _small_luma(source, index, first, stop_frame, threads):
        if before is not None:
            motions[number - start_frame] = motion_between(before, luma)
        before = luma
    return motions


def save_motion(path: Path, motions: Motions) -> None:
    """Write motions as .npz."""
    with path.open("wb") as file:
        np.savez_compressed(file, motion=motions)


def load_motion(path: Path) -> Motions:
    """Read motions.

    Raises:
        OSError, ValueError, KeyError: the file is missing or damaged.
    """
    with np.load(path, allow_pickle=False) as data:
        return np.asarray(data["motion"], np.float64)


def _small_luma(
    source: Source, index: FrameIndex, start: int, stop: int, threads: int
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    width, height = source.coded_width, source.coded_height
    scale = min(1.0, MAXIMUM_SIZE[0] / width, MAXIMUM_SIZE[1] / height)
    size = (max(16, round(width * scale)), max(16, round(height * scale)))
    for number, frame in decode_frames(source, index, start, stop, threads=threads):
        planar = frame.format.name.startswith(("yuv4", "yuvj4", "gray", "nv"))
        if planar and frame.format.components[0].bits == 8:
            plane = frame.planes[0]
            luma: Any = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            luma = luma[: frame.height, : frame.width]
        else:
            luma = frame.reformat(format="gray").to_ndarray(format="gray")
        yield number, np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA))


def corners(luma: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The best corner of each cell of the grid, where there is one: float32 [n, 2], x and y in pixels."""
    strength = cv2.cornerMinEigenVal(luma, 3)
    height, width = luma.shape
    rows, columns = max(1, height // CELLS[1]), max(1, width // CELLS[0])
    down, across = height // rows, width // columns
    cells = strength[: down * rows, : across * columns]
    cells = cells.reshape(down, rows, across, columns).transpose(0, 2, 1, 3)
    flat = cells.reshape(down * across, rows * columns)
    best = flat.argmax(1)
    cell = np.flatnonzero(flat[np.arange(len(best)), best] > LEAST_CORNER)
    best = best[cell]
    x = cell % across * columns + best % columns
    y = cell // across * rows + best // columns
    return np.stack([x, y], 1).astype(np.float32)


def motion_between(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> Motions:
    """The motion of the camera between two frames of equal size.

    Args:
        before: uint8 [height, width] luma.
        after: the same, one frame later.

    Returns:
        float64 [5], by COLUMNS; all zero where there is nothing to follow, and across a cut.
    """
    unknown = np.zeros(len(COLUMNS))
    old = corners(before)
    if len(old) < LEAST_VOTES:
        return unknown
    new, found, _ = cv2.calcOpticalFlowPyrLK(
        before, after, old, None, winSize=(11, 11), maxLevel=3,
        criteria=(cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.01),
    )  # fmt: skip
    height, width = before.shape
    there = found.ravel() == 1
    there &= ((new >= 0) & (new < (width, height))).all(1)
    if there.sum() < LEAST_VOTES:
        return unknown
    # About the centre, so that a turn is not also a shift.
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    a, b = old[there] - centre, new[there] - centre
    matrix, agree = cv2.estimateAffinePartial2D(
        a, b, method=cv2.RANSAC, ransacReprojThreshold=OUTLIER_PIXELS, maxIters=500
    )
    votes = 0 if agree is None else int(agree.sum())
    # Of all corners: across a cut most are lost, and the rest agree by chance.
    share = votes / len(old)
    if matrix is None or votes < LEAST_VOTES or share < LEAST_SHARE:
        return unknown
    cosine, sine = matrix[0, 0], matrix[1, 0]
    return np.array(
        [
            matrix[0, 2] / width,
            matrix[1, 2] / width,
            np.arctan2(sine, cosine),
            np.log(np.hypot(cosine, sine)),
            share,
        ]
    )
