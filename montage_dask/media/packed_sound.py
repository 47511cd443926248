"""The samples that music analysis hears, as a small FLAC file: what goes to another machine instead of the track.

`media.audio` gives samples on a grid of 2^-19 within ±16, which are just the values of 24-bit FLAC: nothing is lost.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from montage_dask.errors import MediaError
from montage_dask.media.audio import ANALYSIS_RATE, BLOCK_SAMPLES, STEPS, Samples, mono_blocks

SHIFT = 8
"""A 24-bit value stands in the upper bits of 32, as libsndfile hands it over."""


def pack_sound(path: str | Path, output: Path) -> int:
    """Write the mono samples of a track at `ANALYSIS_RATE`; not atomic, that is the caller's.

    Returns:
        How many samples.

    Raises:
        MediaError: as `mono_blocks`.
    """
    import soundfile

    samples = 0
    with soundfile.SoundFile(
        output, "w", samplerate=ANALYSIS_RATE, channels=1, format="FLAC", subtype="PCM_24"
    ) as flac:
        for block in mono_blocks(path):
            flac.write(np.round(block * STEPS).astype(np.int32) << SHIFT)
            samples += len(block)
    return samples


def packed_blocks(path: str | Path) -> Iterator[Samples]:
    """The samples of a packed track, bit for bit as `mono_blocks` gave them.

    Raises:
        MediaError: it is no such file.
    """
    import soundfile

    full = os.path.abspath(path)
    try:
        with soundfile.SoundFile(full) as flac:
            if (flac.samplerate, flac.channels, flac.subtype) != (ANALYSIS_RATE, 1, "PCM_24"):
                raise MediaError(full, "is not a packed track")
            for block in flac.blocks(BLOCK_SAMPLES, dtype="int32"):
                yield ((block >> SHIFT) / np.float32(STEPS)).astype(np.float32)
    except (OSError, RuntimeError) as error:
        raise MediaError(full, f"is not a packed track: {error}") from error
