"""How much a received file may make of itself: pixels of a picture, hours of sound.

Settings of the machine that decodes, like the size of its cache: a worker of little memory may have its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import wraps
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt

from montage_dask.config import resolve
from montage_dask.errors import MediaError

Samples: TypeAlias = npt.NDArray[np.float32]
F = TypeVar("F", bound=Callable[..., Iterator[Samples]])


def picture_limit_pixels() -> int:
    """The most pixels that a picture may have."""
    return int(resolve()["picture-limit-megapixels"].value * 1_000_000)


def too_large(width: int, height: int) -> str | None:
    """Why a picture of this size is not decoded; None when it may be."""
    limit = picture_limit_pixels()
    if width * height <= limit:
        return None
    return (
        f"has pictures of {width}×{height}, more than {limit / 1e6:g} megapixels; if they fit into memory some times over, "
        "raise DASK_MONTAGE__PICTURE_LIMIT_MEGAPIXELS"
    )


def decoder_limit() -> dict[str, str]:
    """Options of every decoder: it refuses larger pictures itself, as a stream may change its size behind the header.

    And it cuts off exactly what a stream says, as the ffmpeg executable does; else the left edge is rounded down.
    """
    return {"max_pixels": str(picture_limit_pixels()), "flags": "+unaligned"}


def too_long(seconds: Fraction) -> str | None:
    """Why sound of this length is not decoded; None when it may be."""
    hours = resolve()["music-limit-hours"].value
    if seconds <= hours * 3600:
        return None
    return (
        f"has more than {hours:g} hours of sound; cut it, or raise DASK_MONTAGE__MUSIC_LIMIT_HOURS"
    )


def within_length(pieces: F) -> F:
    """Bounds a decoder of sound, a generator that gets a file and a sample rate: what a file says of its length need not be true.

    The decoder raises `MediaError` then.
    """

    @wraps(pieces)
    def bounded(path: str, sample_rate: int, *args: Any, **more: Any) -> Iterator[Samples]:
        samples = 0
        most = resolve()["music-limit-hours"].value * 3600 * sample_rate
        for piece in pieces(path, sample_rate, *args, **more):
            samples += len(piece)
            if samples > most:
                raise MediaError(path, too_long(Fraction(samples, sample_rate)) or "")
            yield piece

    return cast(F, bounded)
