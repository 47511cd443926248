"""How much a received file may make of itself: pixels of a picture, hours of sound.

Settings of the machine that decodes, like the size of its cache: a worker of little memory may have its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from montage_dask.config import resolve
from montage_dask.errors import MediaError


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


def check_length(path: str, seconds: float) -> None:
    """Make sure that so much sound may be decoded.

    Raises:
        MediaError: it is too long.
    """
    hours = resolve()["music-limit-hours"].value
    if seconds > hours * 3600:
        raise MediaError(
            path,
            f"has more than {hours:g} hours of sound; cut it, or raise DASK_MONTAGE__MUSIC_LIMIT_HOURS",
        )


def within_length(
    blocks: Iterator[npt.NDArray[np.float32]], path: str, sample_rate: int
) -> Iterator[npt.NDArray[np.float32]]:
    """Blocks of samples as they come, until there are too many: what a file says of its length need not be true.

    Raises:
        MediaError: there are too many.
    """
    limit = resolve()["music-limit-hours"].value * 3600 * sample_rate
    samples = 0
    for block in blocks:
        samples += len(block)
        if samples > limit:
            check_length(path, samples / sample_rate)
        yield block
