"""Onset envelopes: how much new sound begins in every 11.6 ms, from mel spectra; in NumPy, on a GPU in torch (`onset_torch`).

The samples are cut on one fixed grid of blocks; every block has the same tensor shape and sees only
its own samples, so that the result is the same bit for bit however the stream arrives. Memory does
not grow with the length but for the envelopes themselves (a few floats per frame).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from montage_dask.media.audio import ANALYSIS_RATE

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

HOP = 256
"""Samples from one frame to the next."""

FRAME_RATE = ANALYSIS_RATE / HOP
"""Frames per second (86.13)."""

WINDOW = 1024
"""Samples that one frame sees, centred on its time."""

LAG = 2
"""Frames between the spectra whose difference is the flux: 23 ms, the rise time of an attack."""

BLOCK = 1024
"""Frames per block of the fixed grid (11.9 s)."""

BANDS = 64
TOP_HZ = 10_000.0
LOW_HZ = 150.0
"""Below this lie kick drum and bass, which mark the bar."""

FLOOR = 1e-3
"""Added before the logarithm: amplitudes far below it are noise and make no onsets."""

MEL_STEPS = 32.0
"""A step is 0.27 dB where it is loud; full scale is about 7."""

TIMBRES = 12
"""Cosine coefficients of the log spectrum that describe the sound of a frame."""

CHORD_HZ = (180.0, 3000.0)
"""Where harmony is read: below, a bin of the spectrum is wider than a semitone."""


@dataclass(frozen=True, slots=True)
class Envelopes:
    """What the music does over time, one value per frame of HOP samples; frame k is at k × HOP."""

    flux: Floats
    """Summed rise of all bands, ≥ 0, shape (frames,)."""
    low_flux: Floats
    """Summed rise below LOW_HZ, ≥ 0, shape (frames,)."""
    power: Floats
    """Mean square of the samples that the frame sees (windowed), shape (frames,)."""
    low_power: Floats
    """The same below LOW_HZ."""
    timbre: Floats
    """Cosine coefficients 1 … TIMBRES of the log spectrum, shape (frames, TIMBRES)."""
    chroma: Floats
    """Amplitude of each of the 12 pitch classes from A, shape (frames, 12)."""
    mel: Bytes
    """Log mel spectrum in steps of 1 / MEL_STEPS, shape (frames, BANDS): 20 MB per hour."""
    samples: int
    """Length of the music in samples."""

    def __len__(self) -> int:
        return len(self.flux)


Extract = Callable[[Floats], tuple[Floats, Bytes]]
"""What makes one block of samples into its values and its mel spectrum."""


def onset_envelopes(blocks: Iterable[Floats], extract: Extract | None = None) -> Envelopes:
    """The envelopes of a stream of mono samples at ANALYSIS_RATE.

    Args:
        blocks: consecutive samples, pieces of any lengths.
        extract: `onset_torch.extractor(device)`; None: here, in NumPy. Results of different devices differ by rounding.
    """
    extract = extract or extract_block
    counter = _Counter(blocks)
    parts = []
    mels = []
    for block in _grid(counter):
        values, mel = extract(block)
        parts.append(values)
        mels.append(mel)
    frames = counter.samples // HOP + 1
    joined = np.concatenate(parts)[:frames]
    return Envelopes(
        flux=joined[:, 0].copy(),
        low_flux=joined[:, 1].copy(),
        power=joined[:, 2].copy(),
        low_power=joined[:, 3].copy(),
        timbre=joined[:, 4 : 4 + TIMBRES].copy(),
        chroma=joined[:, 4 + TIMBRES :].copy(),
        mel=np.concatenate(mels)[:frames],
        samples=counter.samples,
    )


class _Counter:
    """Passes blocks on and counts their samples."""

    def __init__(self, blocks: Iterable[Floats]) -> None:
        self.samples = 0
        self._blocks = blocks

    def __iter__(self) -> Iterator[Floats]:
        for block in self._blocks:
            self.samples += len(block)
            yield block


BEFORE = WINDOW // 2 + LAG * HOP
"""Samples before the time of its first frame that a block needs."""
NEEDED = (BLOCK + LAG - 1) * HOP + WINDOW
"""Samples that a block sees."""


def _grid(blocks: Iterable[Floats]) -> Iterator[Floats]:
    """Pieces of any length to overlapping blocks of NEEDED samples, zeros before and behind."""
    step = BLOCK * HOP
    held = np.zeros(BEFORE, np.float32)
    position, samples = 0, 0
    for block in blocks:
        samples += len(block)
        held = np.concatenate([held, block])
        while len(held) >= NEEDED:
            yield held[:NEEDED]
            held = held[step:]
            position += step
    # Frame samples // HOP is the last one.
    while position <= samples:
        padded = np.zeros(NEEDED, np.float32)
        padded[: len(held)] = held
        yield padded
        held = held[step:]
        position += step


MEL_HZ = (30.0, TOP_HZ)
"""From the lowest to the highest band."""
BINS = WINDOW // 2 + 1
LOW_BINS = round(LOW_HZ * WINDOW / ANALYSIS_RATE) + 1
"""Bins of the spectrum below LOW_HZ, the constant one among them."""


@cache
def hann() -> Floats:
    """The window, shape (WINDOW,)."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)


@cache
def mel_filters() -> Floats:
    """Triangles on the mel scale of the Hidden Markov Model Toolkit, not normalised; shape (BINS, BANDS)."""
    lowest, highest = (2595.0 * np.log10(1.0 + hertz / 700.0) for hertz in MEL_HZ)
    corners = 700.0 * (10.0 ** (np.linspace(lowest, highest, BANDS + 2) / 2595.0) - 1.0)
    hertz = np.linspace(0.0, ANALYSIS_RATE // 2, BINS)
    slopes = corners[None, :] - hertz[:, None]
    widths = np.diff(corners)
    falling, rising = -slopes[:, :-2] / widths[:-1], slopes[:, 2:] / widths[1:]
    return np.maximum(0.0, np.minimum(falling, rising)).astype(np.float32)


@cache
def cosines() -> Floats:
    """Of the discrete cosine transform (type 2, orthonormal) of a log spectrum; shape (BANDS, TIMBRES + 1)."""
    found = np.cos(np.pi / BANDS * np.outer(np.arange(BANDS) + 0.5, np.arange(TIMBRES + 1)))
    found[:, 0] /= np.sqrt(2.0)
    return (found * np.sqrt(2.0 / BANDS)).astype(np.float32)


@cache
def pitch_classes() -> Floats:
    """How much of a bin belongs to each of the 12 pitch classes from A; shape (BINS, 12)."""
    hertz = np.arange(BINS) * (ANALYSIS_RATE / WINDOW)
    pitch = 12 * np.log2(np.maximum(hertz, 1.0) / 440.0)
    apart = (pitch[:, None] - np.arange(12) + 6) % 12 - 6
    heard = (hertz > CHORD_HZ[0]) & (hertz < CHORD_HZ[1])
    return (np.maximum(1 - np.abs(apart), 0) * heard[:, None]).astype(np.float32)


def extract_block(samples: Floats) -> tuple[Floats, Bytes]:
    """One block of NEEDED samples to (BLOCK, 4 + TIMBRES + 12) values, and its mel spectrum of (BLOCK, BANDS) steps."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    spectrum = np.abs(np.fft.rfft(frames * hann()))  # (BLOCK + LAG, BINS), float32
    mel = np.log1p(spectrum @ mel_filters() / np.float32(WINDOW * FLOOR))
    low = np.log1p(spectrum[:, 1:LOW_BINS] / np.float32(WINDOW * FLOOR))
    flux = np.maximum(mel[LAG:] - _spread(mel[:-LAG]), 0).mean(1)
    low_flux = np.maximum(low[LAG:] - low[:-LAG], 0).mean(1)
    squares = np.square(spectrum[LAG:]) * np.float32(2.0 / (WINDOW * np.square(hann()).sum()))
    columns = [flux, low_flux, squares.sum(1), squares[:, :LOW_BINS].sum(1)]
    timbre = (mel[LAG:] @ cosines())[:, 1:]
    chroma = spectrum[LAG:] @ pitch_classes()
    found: Floats = np.concatenate([np.stack(columns, 1), timbre, chroma], 1)
    steps = np.clip(np.rint(mel[LAG:] * np.float32(MEL_STEPS)), 0, 255).astype(np.uint8)
    return found, steps


def _spread(mel: Floats) -> Floats:
    """The maximum over neighbouring bands: a gliding tone (vibrato) is no onset."""
    wide = mel.copy()
    np.maximum(wide[:, 1:], mel[:, :-1], out=wide[:, 1:])
    np.maximum(wide[:, :-1], mel[:, 1:], out=wide[:, :-1])
    return wide
