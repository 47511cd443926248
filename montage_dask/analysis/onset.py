"""Onset envelopes: how much new sound begins in every 11.6 ms, from mel spectra by torchaudio.

The samples are cut on one fixed grid of blocks; every block has the same tensor shape and sees only
its own samples, so that the result is the same bit for bit however the stream arrives. Memory does
not grow with the length but for the envelopes themselves (a few floats per frame).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from montage_dask.devices import hold_to_limit
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


def onset_envelopes(blocks: Iterable[Floats], device: str = "cpu") -> Envelopes:
    """The envelopes of a stream of mono samples at ANALYSIS_RATE.

    Args:
        blocks: consecutive samples, pieces of any lengths.
        device: where torch works ("cpu", "cuda"); results of different devices differ by rounding.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        extract = _Extractor(device)
        counter = _Counter(blocks)
        parts = []
        mels = []
        for block in _grid(counter):
            values, mel = extract(block)
            parts.append(values)
            mels.append(mel)
    finally:
        torch.set_num_threads(threads)
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


class _Extractor:
    """One block of samples to one array of (BLOCK, 4 + TIMBRES + 12) values, and its mel spectrum of (BLOCK, BANDS) steps."""

    def __init__(self, device: str) -> None:
        import torch
        import torchaudio.functional

        hold_to_limit(device)
        self._device = device
        bins = WINDOW // 2 + 1
        self._window = torch.hann_window(WINDOW, device=device)
        self._mel: Any = torchaudio.functional.melscale_fbanks(
            bins, 30.0, TOP_HZ, BANDS, ANALYSIS_RATE, norm=None, mel_scale="htk"
        ).to(device)
        self._cosines: Any = torchaudio.functional.create_dct(TIMBRES + 1, BANDS, norm="ortho").to(
            device
        )
        hertz = torch.arange(bins) * (ANALYSIS_RATE / WINDOW)
        pitch = 12 * torch.log2(hertz.clamp_min(1.0) / 440.0)
        apart = (pitch[:, None] - torch.arange(12) + 6) % 12 - 6
        heard = (hertz > CHORD_HZ[0]) & (hertz < CHORD_HZ[1])
        self._chroma = ((1 - apart.abs()).clamp_min(0) * heard[:, None]).to(device)
        self._low = round(LOW_HZ * WINDOW / ANALYSIS_RATE) + 1

    def __call__(self, samples: Floats) -> tuple[Floats, Bytes]:
        import torch

        with torch.inference_mode():
            frames = torch.from_numpy(samples).to(self._device).unfold(0, WINDOW, HOP)
            spectrum = torch.fft.rfft(frames * self._window).abs()  # (BLOCK + LAG, bins)
            mel = torch.log1p(spectrum @ self._mel / (WINDOW * FLOOR))
            low = torch.log1p(spectrum[:, 1 : self._low] / (WINDOW * FLOOR))
            flux = (mel[LAG:] - _spread(mel[:-LAG])).clamp_min(0).mean(1)
            low_flux = (low[LAG:] - low[:-LAG]).clamp_min(0).mean(1)
            squares = spectrum[LAG:].square() * (2.0 / (WINDOW * self._window.square().sum()))
            columns = [flux, low_flux, squares.sum(1), squares[:, : self._low].sum(1)]
            timbre = (mel[LAG:] @ self._cosines)[:, 1:]
            chroma = spectrum[LAG:] @ self._chroma
            found: Floats = torch.cat([torch.stack(columns, 1), timbre, chroma], 1).cpu().numpy()
            steps = (mel[LAG:] * MEL_STEPS).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
        return found, steps


def _spread(mel: Any) -> Any:
    """The maximum over neighbouring bands: a gliding tone (vibrato) is no onset."""
    import torch

    return torch.nn.functional.max_pool1d(mel.unsqueeze(0), 3, stride=1, padding=1).squeeze(0)
