"""Stabilising: each picture of a shot is moved as its steadier path says, and grown so that no border is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from montage_dask.render.pictures import Picture, Plane, Transform

VERSION = 2

Matrix = NDArray[np.float64]


class Path(Protocol):
    """A steadier path of a shot: `analysis.steady.Steady`."""

    @property
    def corrections(self) -> NDArray[np.float64]:
        """float64 [n, 4]: dx, dy (frame widths), angle (radians), zoom (log) of each frame of the shot."""

    @property
    def zoom(self) -> float:
        """Growth of all pictures."""


def stabilise(shots: Sequence[tuple[int, int, Path]], *, device: str = "cpu") -> Transform:
    """What steadies the pictures of shots, for `mezzanine.write_pictures`.

    Args:
        shots: first frame, end and steadier path of each; pictures of no shot stay as they are.
        device: cpu (OpenCV) or a device of torch, whose pictures differ by one code value at most.
    """
    cv2.setNumThreads(1)  # workers, not OpenCV, share the cores out
    warp: Callable[[Plane, Matrix], Plane] = warp_opencv
    if device != "cpu":
        warp = partial(warp_torch, device=device)

    def moved(pictures: Iterator[Picture]) -> Iterator[Picture]:
        for picture in pictures:
            path = next((s for s in shots if s[0] <= picture.frame < s[1]), None)
            if path is None:
                yield picture
                continue
            start, _, steady = path
            correction = steady.corrections[picture.frame - start]
            luma = source_of_output(correction, steady.zoom, picture.size)
            chroma = chroma_matrix(luma)
            yield replace(
                picture,
                y=warp(picture.y, luma),
                u=warp(picture.u, chroma),
                v=warp(picture.v, chroma),
            )

    return moved


def source_of_output(correction: NDArray[np.float64], zoom: float, size: tuple[int, int]) -> Matrix:
    """Where the pixels of a steadied picture come from: float64 [2, 3], from output to source, in luma pixels.

    Args:
        correction: float64 [4], a row of `Steady.corrections`.
        zoom: of the shot.
        size: width and height in pixels.
    """
    width, height = size
    dx, dy, angle, log_zoom = correction
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    shrink = np.exp(-log_zoom)
    turn = shrink * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    linear = turn / zoom
    shift = centre - linear @ centre - turn @ (np.array([dx, dy]) * width)
    return np.concatenate([linear, shift[:, None]], 1)


def chroma_matrix(luma: Matrix) -> Matrix:
    """The same movement in the pixels of 4:2:0 chroma, which lie on every other column and between two rows."""
    offset = np.array([0.0, 0.5])
    linear, shift = luma[:, :2], luma[:, 2]
    return np.concatenate([linear, ((linear @ offset + shift - offset) / 2)[:, None]], 1)


def warp_opencv(plane: Plane, matrix: Matrix) -> Plane:
    """A plane resampled bilinearly, on the CPU.

    Args:
        plane: [height, width].
        matrix: float64 [2, 3], from output to source pixels.
    """
    warped = cv2.warpAffine(
        plane,
        matrix,
        (plane.shape[1], plane.shape[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return cast(Plane, warped)


def warp_torch(plane: Plane, matrix: Matrix, device: str) -> Plane:
    """The same on a device of torch, in float32."""
    import torch

    height, width = plane.shape
    # To and from the coordinates of grid_sample, -1 … 1 from the first pixel's centre to the last one's.
    scale = np.array([2 / (width - 1), 2 / (height - 1)])
    linear = matrix[:, :2] * scale[:, None] / scale[None]
    shift = matrix[:, 2] * scale + linear @ np.ones(2) - 1
    theta = torch.tensor(np.concatenate([linear, shift[:, None]], 1), dtype=torch.float32)
    deep = plane.dtype == np.uint16
    values: Any = torch.from_numpy(np.ascontiguousarray(plane.astype(np.int32) if deep else plane))
    values = values.to(device).float()[None, None]
    grid = torch.nn.functional.affine_grid(
        theta[None].to(device), [1, 1, height, width], align_corners=True
    )
    warped = torch.nn.functional.grid_sample(
        values, grid, mode="bilinear", padding_mode="border", align_corners=True
    )
    warped = warped[0, 0].round()
    if deep:
        return cast(Plane, warped.int().cpu().numpy().astype(np.uint16))
    return cast(Plane, warped.byte().cpu().numpy())
