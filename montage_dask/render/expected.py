"""What a frame of a montage must look like, worked out from the strip's thumbnails of its sources.

All is done on the strip's own grid: the cells of a thumbnail are found again in the rendered picture, wherever the fit and the
steadying have put them, and averaged there. So nothing is known here that the renderer made, and nothing of it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from montage_dask.analysis.features import HEIGHT, WIDTH, Bytes
from montage_dask.analysis.steady import Steady
from montage_dask.media.tone import is_wide
from montage_dask.records import CUT, Match, Source, Transition
from montage_dask.render.filters import matrix_of
from montage_dask.render.grade import PRESETS, Curves, check_grade
from montage_dask.render.lut import look_up, matched, read_cube
from montage_dask.render.stabilise import source_of_output

if TYPE_CHECKING:
    from montage_dask.render.segments import Segment

Matrix = NDArray[np.float64]
Floats = NDArray[np.float32]
Cells = NDArray[np.float32]
"""[27, 48, 3] R'G'B', 0 … 1."""

SAMPLES = 4
"""A cell is the mean of so many samples each way."""

LUMA_WEIGHTS = {
    "bt709": (0.2126, 0.0722), "bt470bg": (0.299, 0.114), "smpte170m": (0.299, 0.114),
    "smpte240m": (0.212, 0.087), "fcc": (0.3, 0.11), "bt2020": (0.2627, 0.0593),
    "bt2020nc": (0.2627, 0.0593), "bt2020c": (0.2627, 0.0593),
}  # fmt: skip
"""Red's and blue's part of luma."""

UNTAGGED = "smpte170m"
"""How the strip reads pictures that do not tell their matrix, whatever their size."""

TURNS = {
    0: ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    90: ((0, 1, 0), (-1, 0, 1), (0, 0, 1)),
    180: ((-1, 0, 1), (0, -1, 1), (0, 0, 1)),
    270: ((0, -1, 1), (1, 0, 0), (0, 0, 1)),
}
"""From the unit square as shown to the unit square as coded."""

MIRROR = ((1, 0, 0), (0, -1, 1), (0, 0, 1))
"""The same of a source that is mirrored, behind turning back."""


@dataclass(frozen=True, slots=True)
class Steadied:
    """How the frames [start_frame, stop_frame) of a source were moved before they were laid on."""

    start_frame: int
    stop_frame: int
    steady: Steady


def shown_area(
    source: Source,
    size: tuple[int, int],
    fit: str,
    centre: tuple[float, float] | None = None,
) -> Matrix:
    """Where the whole picture of a source lies in the output: float64 [3, 3], from the unit square to pixels.

    Args:
        source: width and height as shown.
        size: of the output.
        fit: contain, cover or blur.
        centre: the middle of what cover keeps, in shares of the picture; None: its own.
    """
    width, height = size
    own = source.width / source.height
    wide, high = float(width), float(height)
    if abs(own / (width / height) - 1) >= 0.01:
        wider = own > width / height
        if (fit == "cover") == wider:
            wide = max(2, 2 * round(height * own / 2))
        else:
            high = max(2, 2 * round(width / own / 2))
        if fit == "cover":
            wide, high = max(wide, width), max(high, height)
    # Pictures of 4:2:0 begin on every other pixel.
    left, top = (
        abs(a - b) // 2 // 2 * 2 * (1 if a > b else -1) for a, b in ((width, wide), (height, high))
    )
    if fit == "cover" and centre is not None:
        left, top = (
            -min(max(0, int(share * whole - part / 2)), int(whole) - part) // 2 * 2
            for share, whole, part in zip(centre, (wide, high), size, strict=True)
        )
    return np.array([[wide, 0, left], [0, high, top], [0, 0, 1]], np.float64)


def steadied_area(source: Source, frame: int, moves: Sequence[Steadied]) -> Matrix:
    """Where a steadied picture has what the source has: float64 [3, 3], on the unit square as shown."""
    move = next((m for m in moves if m.start_frame <= frame < m.stop_frame), None)
    if move is None:
        return np.eye(3)
    size = (source.coded_width, source.coded_height)
    row = move.steady.corrections[frame - move.start_frame]
    pixels = np.vstack([source_of_output(row, move.steady.zoom, size), [0, 0, 1]])
    centre = np.array([[size[0], 0, -0.5], [0, size[1], -0.5], [0, 0, 1]], np.float64)
    coded = np.linalg.inv(centre) @ np.linalg.inv(pixels) @ centre
    turn = np.array(TURNS[source.rotation_degrees], np.float64)
    if source.mirrored:
        turn = np.array(MIRROR, np.float64) @ turn
    moved: Matrix = np.linalg.inv(turn) @ coded @ turn
    return moved


@dataclass(slots=True)
class Colouring:
    """What a montage does to the colours of one source: its matrix, the match, the grade.

    Args:
        source: whose colours they are.
        grade: name of a preset or a .cube file.
        match: done before the grade.
    """

    source: Source
    grade: str
    match: Match | None = None
    _look: Callable[[Any], Any] = field(init=False)

    def __post_init__(self) -> None:
        check_grade(self.grade)
        if self.grade.lower().endswith(".cube"):
            table, first, last = read_cube(Path(self.grade))
            self._look = lambda c: look_up(table, (c - first) / (last - first))
        else:
            self._look = PRESETS[self.grade]

    @property
    def plain(self) -> bool:
        """Whether colours stay as they are."""
        return self.grade == "none" and self.match is None

    @property
    def known(self) -> bool:
        """Whether colours can be told: tone mapping and wide gamuts are not worked out here."""
        return not is_wide(self.source)

    def __call__(self, thumbnails: Bytes) -> Cells:
        """Thumbnails [..., 27, 48, 3] as the montage has them: R'G'B' in Rec.709, 0 … 1."""
        return self._graded(self.ungraded(thumbnails))

    def ungraded(self, thumbnails: Bytes) -> Cells:
        """Likewise, without match and grade."""
        colours = thumbnails.astype(np.float32) / np.float32(255)
        read, meant = _strip_matrix(self.source), matrix_of(self.source)
        if LUMA_WEIGHTS[read] != LUMA_WEIGHTS[meant]:
            change = from_ycc(LUMA_WEIGHTS[meant]) @ np.linalg.inv(from_ycc(LUMA_WEIGHTS[read]))
            colours = np.clip(colours @ change.T.astype(np.float32), 0, 1)
        return colours

    def bend(self, thumbnail: Bytes) -> Cells:
        """How far the grade of cells that are finely mixed of pure colours is from the grade of their mean."""
        colours = self.ungraded(thumbnail)
        if self.plain:
            return np.zeros_like(colours)
        mixed = np.zeros_like(colours)
        for corner in np.ndindex(2, 2, 2):
            pure = np.array(corner, np.float64)
            share = np.prod(np.where(pure > 0, colours, 1 - colours), axis=-1, keepdims=True)
            mixed += share * self._graded(pure)
        return mixed - self._graded(colours)

    def _graded(self, colours: Any) -> Cells:
        if isinstance(self._look, Curves) and self.match is None:
            # Done plane by plane: colours may leave the range of R'G'B', chroma ends at its own limits.
            planes = self._look(colours) @ _TO_YCC.T
            planes[..., 1:] = np.clip(planes[..., 1:], -0.5, 0.5)
            return np.asarray(planes @ _FROM_YCC.T, np.float32)
        return np.asarray(np.clip(self._look(matched(colours, self.match)), 0, 1), np.float32)


def _strip_matrix(source: Source) -> str:
    """The matrix by which the strip was brought to R'G'B'; pictures that are R'G'B' keep what `matrix_of` says."""
    if any(order in source.pixel_format for order in ("rgb", "bgr", "gbr", "pal8")):
        return matrix_of(source)
    return source.color_space if source.color_space in LUMA_WEIGHTS else UNTAGGED


def from_ycc(weights: tuple[float, float]) -> Matrix:
    """From luma (0 … 1) and chroma (−½ … ½) to R'G'B': float64 [3, 3]."""
    red, blue = weights
    green = 1 - red - blue
    to = np.array([
        [red, green, blue],
        [-red / (2 - 2 * blue), -green / (2 - 2 * blue), 0.5],
        [0.5, -green / (2 - 2 * red), -blue / (2 - 2 * red)],
    ])  # fmt: skip
    return np.linalg.inv(to)


_FROM_YCC = from_ycc(LUMA_WEIGHTS["bt709"])
_TO_YCC = np.linalg.inv(_FROM_YCC)


def to_ycc(colours: Cells) -> Cells:
    """R'G'B' [..., 27, 48, 3] as luma and chroma × 255; chroma as coarse as in the strip: one value for two cells."""
    planes = np.asarray(colours @ _TO_YCC.T * 255, np.float32)
    chroma = planes[..., 1:]
    for axis in (-3, -2):
        last = chroma.shape[axis] - 1
        before, after = (np.clip(np.arange(last + 1) + d, 0, last) for d in (-1, 1))
        chroma = 0.5 * chroma + 0.25 * (chroma.take(before, axis) + chroma.take(after, axis))
    planes[..., 1:] = chroma
    return planes


def to_rgb(planes: Cells) -> Cells:
    """Luma and chroma × 255 as R'G'B', 0 … 1."""
    return np.asarray(planes / 255 @ _FROM_YCC.T, np.float32)


def planes_of(frame: Any) -> tuple[Bytes, Bytes, Bytes]:
    """The planes of an `av.VideoFrame` as 4:2:0."""
    if frame.format.name != "yuv420p":
        frame = frame.reformat(format="yuv420p")
    size = frame.width, frame.height
    half = (size[0] + 1) // 2, (size[1] + 1) // 2
    y, u, v = (
        np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:high, :wide]
        for plane, (wide, high) in zip(frame.planes, (size, half, half), strict=True)
    )
    return y, u, v


def cells_of(
    planes: Sequence[Bytes], size: tuple[int, int], area: Matrix
) -> tuple[Cells, NDArray[np.bool_]]:
    """The cells of a thumbnail as a rendered picture has them.

    Args:
        planes: Y, Cb and Cr of a picture, 4:2:0, Rec.709, limited range.
        size: width and height.
        area: where the unit square of the source lies in the picture, in pixels.

    Returns:
        R'G'B' [27, 48, 3], about 0 … 1, and which cells lie in the picture as a whole: [27, 48].
    """
    # Four samples a cell are enough: what is finer is averaged first.
    span = np.hypot(*area[:2, :2]) / (WIDTH * SAMPLES, HEIGHT * SAMPLES)
    small = [max(1, round(n / max(1.0, s))) for n, s in zip(size, span, strict=True)]
    scale = np.diag([small[0] / size[0], small[1] / size[1], 1])
    grid = np.diag([1 / (WIDTH * SAMPLES), 1 / (HEIGHT * SAMPLES), 1])
    there = scale @ area @ grid
    reduced = (cv2.resize(p, small, interpolation=cv2.INTER_AREA) for p in planes)
    cells = np.stack([_sampled(p.astype(np.float32), there) for p in reduced], axis=-1)
    ycc = (cells - (16, 128, 128)) / (219, 224, 224)
    return np.asarray(ycc @ _FROM_YCC.T, np.float32), _inside(there, small)


def _sampled(picture: NDArray[np.float32], there: Matrix) -> NDArray[np.float32]:
    """The mean of the samples of each cell: [27, 48] or [27, 48, 3]."""
    # Pixels have their centre at a half here, at a whole number in OpenCV.
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    inverse = np.linalg.inv(half) @ there @ half
    wide = (WIDTH * SAMPLES, HEIGHT * SAMPLES)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    fine = cv2.warpAffine(picture, inverse[:2], wide, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    shape = (HEIGHT, SAMPLES, WIDTH, SAMPLES, *picture.shape[2:])
    mean: NDArray[np.float32] = fine.reshape(shape).mean(axis=(1, 3))
    return mean


def _inside(there: Matrix, size: Sequence[int]) -> NDArray[np.bool_]:
    """Which cells lie in a picture of a size with all their corners."""
    y, x = np.mgrid[0 : HEIGHT + 1, 0 : WIDTH + 1] * float(SAMPLES)
    at = there @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    slack = 0.26
    inside = (
        (at[0] >= -slack) & (at[0] <= size[0] + slack)
        & (at[1] >= -slack) & (at[1] <= size[1] + slack)
    ).reshape(x.shape)  # fmt: skip
    corners: NDArray[np.bool_] = (
        inside[1:, 1:] & inside[1:, :-1] & inside[:-1, 1:] & inside[:-1, :-1]
    )
    return corners


@dataclass(frozen=True, slots=True)
class Part:
    """One of the pictures that an output frame is mixed of; what is missing of the weight is a flat colour."""

    number: int
    """Of the event."""
    k: int
    """Output frames since its first one, its part of a crossfade included."""
    weight: float


def parts_at(segment: Segment, frame: int) -> tuple[list[Part], float]:
    """What an output frame of a segment is made of.

    Returns:
        Its parts, and how much white there is.
    """
    parts: list[Part] = []
    white = 0.0
    for number, event in enumerate(segment.events):
        before = event.transition if number else CUT
        last = number + 1 == len(segment.events)
        after = CUT if last else segment.events[number + 1].transition
        lead, tail = crossed_frames(before), crossed_frames(after)
        begin, end = event.start_frame - lead, event.stop_frame + tail
        if not begin <= frame < end:
            continue
        first, left = frame - begin, end - frame
        weight = 1.0
        if lead:
            weight = min(weight, first / (2 * lead))
        if tail:
            weight = min(weight, left / (2 * tail))
        for transition, share in ((event.transition, first), (after, left)):
            half = transition.frames // 2
            if transition.kind.startswith("dip") and half and share < half:
                white += weight * (1 - share / half) * (transition.kind == "dip-to-white")
                weight *= share / half
        parts.append(Part(number, first, weight))
    fade = segment.fade_out_frames
    light = min(1.0, (segment.frames - frame) / fade) if fade else 1.0
    return [Part(p.number, p.k, p.weight * light) for p in parts], white * light


def crossed_frames(transition: Transition) -> int:
    """Output frames that a crossfade takes of each of its events beyond their common edge."""
    return transition.frames // 2 if transition.kind == "crossfade" else 0
