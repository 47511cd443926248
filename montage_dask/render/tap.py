"""The tap: a small picture of every frame that an event shows, taken before effects and transitions are laid on.

ffmpeg writes it beside a segment, from the same filters: what is shown is decoded once. It is what an event looks like by itself:
exact frames, in their fit and their grade. Whatever comes behind it – effects, transitions, fades – needs no model in the guard,
which compares it with the strip.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from montage_dask.analysis.features import HEIGHT, WIDTH
from montage_dask.errors import VerificationError
from montage_dask.records import Source
from montage_dask.render.expected import crossed_frames, shown_area

if TYPE_CHECKING:
    from montage_dask.render.segments import Segment

FINE = 2
"""Pixels of a tap for a cell of the strip, each way: its chroma then has one."""

Size = tuple[int, int]
"""Width and height, both even."""


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """Small pictures of one event, one for each output frame that shows it, its parts of crossfades included."""

    y: NDArray[np.uint8]
    """[n, height, width], limited range."""
    u: NDArray[np.uint8]
    """[n, height / 2, width / 2], as v."""
    v: NDArray[np.uint8]


def tap_size(segment: Segment, sources: Mapping[str, Source], fit: str) -> Size:
    """The size of the pictures of a tap: a cell of the strip has `FINE` pixels each way in the event that needs most."""
    whole = (segment.width, segment.height)
    areas = [shown_area(sources[e.source], whole, fit) for e in segment.events]
    width, height = (
        max(min(size, FINE * cells * size / area[axis, axis]) for area in areas)
        for axis, (size, cells) in enumerate(zip(whole, (WIDTH, HEIGHT), strict=True))
    )
    return 2 * math.ceil(width / 2), 2 * math.ceil(height / 2)


def tapped(picture: Any, size: Size) -> tuple[Any, Any]:
    """The pictures of an event, and small ones of them."""
    both = picture.filter_multi_output("split", 2)
    small = both[1].filter("scale", *size, flags="area").filter("format", "yuv420p")
    return both[0], small.filter("setsar", 1)


def tap_output(smalls: Sequence[Any], fps: Fraction, path: Path) -> Any:
    """The output of ffmpeg that takes the small pictures of all events, one event after the other, as raw planes."""
    run = smalls[0] if len(smalls) == 1 else ffmpeg.concat(*smalls, v=1, a=0)
    run = run.filter("settb", expr=f"{fps.denominator}/{fps.numerator}").filter("setpts", expr="N")
    raw = {"c:v": "rawvideo", "fps_mode": "passthrough", "an": None, "f": "rawvideo"}
    return ffmpeg.output(run, path.name, **raw)


def write_tap(raw: Path, size: Size, segment: Segment, path: Path) -> None:
    """Keep what ffmpeg has written to `tap_output`: uint8 [n, height × 3 / 2, width], as .npy.

    Raises:
        VerificationError: there is not a picture for every frame.
        OSError: it cannot be written.
    """
    width, height = size
    pictures = np.fromfile(raw, np.uint8)
    frames = sum(_lengths(segment))
    if pictures.size != frames * height * width * 3 // 2:
        raise VerificationError(f"no small picture for each of {frames} frames")
    with path.open("wb") as file:
        np.save(file, pictures.reshape(frames, height * 3 // 2, width))


def read_tap(path: Path, segment: Segment) -> list[Pictures]:
    """The small pictures of every event of a segment.

    Raises:
        VerificationError: the file is none of this segment.
    """
    try:
        whole = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise VerificationError(f"the tap of a segment cannot be read: {error}") from error
    lengths = list(_lengths(segment))
    if whole.dtype != np.uint8 or whole.ndim != 3 or len(whole) != sum(lengths):
        raise VerificationError("the tap of a segment is that of another one")
    width, height = whole.shape[2], whole.shape[1] * 2 // 3
    flat = whole.reshape(len(whole), -1)
    full = width * height
    found, at = [], 0
    for length in lengths:
        own = flat[at : at + length]
        chroma = own[:, full:].reshape(length, 2, height // 2, width // 2)
        luma = own[:, :full].reshape(length, height, width)
        found.append(Pictures(luma, chroma[:, 0], chroma[:, 1]))
        at += length
    return found


def _lengths(segment: Segment) -> Iterable[int]:
    """Output frames of each event, its parts of crossfades included."""
    events = segment.events
    for number, event in enumerate(events):
        lead = crossed_frames(event.transition) if number else 0
        tail = crossed_frames(events[number + 1].transition) if number + 1 < len(events) else 0
        yield event.frames + lead + tail
