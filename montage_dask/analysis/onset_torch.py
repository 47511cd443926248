"""Onset envelopes on a GPU: what `onset.extract_block` does, in torch, with the filters of torchaudio.

Results differ from those of a CPU by rounding.
"""

from __future__ import annotations

from typing import Any

from montage_dask.analysis.onset import (
    BANDS,
    BINS,
    FLOOR,
    HOP,
    LAG,
    LOW_BINS,
    MEL_HZ,
    MEL_STEPS,
    TIMBRES,
    WINDOW,
    Bytes,
    Extract,
    Floats,
    extract_block,
    pitch_classes,
)
from montage_dask.devices import hold_to_limit
from montage_dask.media.audio import ANALYSIS_RATE


def extractor(device: str) -> Extract:
    """What makes blocks into their values on a device ("cpu", "cuda").

    Raises:
        TargetFailed: torch finds no such device.
    """
    return extract_block if device == "cpu" else Extractor(device)


class Extractor:
    """One block of samples to its values and its mel spectrum, as `onset.extract_block`.

    Args:
        device: where torch works.

    Raises:
        TargetFailed: torch finds no such device.
    """

    def __init__(self, device: str) -> None:
        import torch
        import torchaudio.functional

        hold_to_limit(device)
        self._device = device
        self._window = torch.hann_window(WINDOW, device=device)
        self._mel: Any = torchaudio.functional.melscale_fbanks(
            BINS, *MEL_HZ, BANDS, ANALYSIS_RATE, norm=None, mel_scale="htk"
        ).to(device)
        self._cosines: Any = torchaudio.functional.create_dct(TIMBRES + 1, BANDS, norm="ortho").to(
            device
        )
        self._chroma = torch.from_numpy(pitch_classes()).to(device)

    def __call__(self, samples: Floats) -> tuple[Floats, Bytes]:
        import torch

        with torch.inference_mode():
            frames = torch.from_numpy(samples).to(self._device).unfold(0, WINDOW, HOP)
            spectrum = torch.fft.rfft(frames * self._window).abs()  # (BLOCK + LAG, BINS)
            mel = torch.log1p(spectrum @ self._mel / (WINDOW * FLOOR))
            low = torch.log1p(spectrum[:, 1:LOW_BINS] / (WINDOW * FLOOR))
            spread = torch.nn.functional.max_pool1d(mel[None, :-LAG], 3, stride=1, padding=1)[0]
            flux = (mel[LAG:] - spread).clamp_min(0).mean(1)
            low_flux = (low[LAG:] - low[:-LAG]).clamp_min(0).mean(1)
            squares = spectrum[LAG:].square() * (2.0 / (WINDOW * self._window.square().sum()))
            columns = [flux, low_flux, squares.sum(1), squares[:, :LOW_BINS].sum(1)]
            timbre = (mel[LAG:] @ self._cosines)[:, 1:]
            chroma = spectrum[LAG:] @ self._chroma
            found: Floats = torch.cat([torch.stack(columns, 1), timbre, chroma], 1).cpu().numpy()
            steps = (mel[LAG:] * MEL_STEPS).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
        return found, steps
