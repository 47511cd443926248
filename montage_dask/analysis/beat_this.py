"""Activations of Beat This (Foscarin, Schlüter, Widmer 2024) with a checkpoint of the user's own.

The package `beat-this` (extra `beat-this`) brings the code, not the weights. A name instead of a file would make it
download them; only files are taken here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from montage_dask import models
from montage_dask.analysis.beat_network import ACTIVATION_RATE
from montage_dask.analysis.onset import Floats
from montage_dask.devices import hold_to_limit
from montage_dask.errors import UsageError, printable
from montage_dask.media.audio import ANALYSIS_RATE, Samples

RATE = 50.0
"""Its frames per second."""


def beat_this_logits(samples: Samples, checkpoint: Path | None, device: str = "cpu") -> Floats:
    """Logits of beat and downbeat in the frames of `beat_network`; shape (frames, 2).

    Args:
        samples: mono at ANALYSIS_RATE.
        checkpoint: file of the weights.
        device: where torch works.

    Raises:
        UsageError: no checkpoint, no package, or a file that holds no weights of Beat This.
    """
    if checkpoint is None:
        raise UsageError("tracker beat-this needs its weights: --beat-this-checkpoint FILE")
    if not checkpoint.is_file():
        raise UsageError(f"{printable(str(checkpoint))}: no such checkpoint of Beat This")
    hold_to_limit(device)
    model = models.of_file(("beat-this", device), checkpoint, lambda: _model(checkpoint, device))
    found = model(samples, ANALYSIS_RATE)
    logits = np.stack([head.cpu().numpy() for head in found], 1)
    # Its peaks are a frame wide, so that reading between frames would lose them.
    frames = int(len(samples) / ANALYSIS_RATE * ACTIVATION_RATE) + 1
    centre = np.arange(frames) * (RATE / ACTIVATION_RATE)
    near = np.round(centre[:, None] + np.array([-0.5, 0.0, 0.5])).astype(int)
    return np.asarray(logits[np.clip(near, 0, len(logits) - 1)].max(1), np.float32)


def _model(checkpoint: Path, device: str) -> Any:
    try:
        from beat_this.inference import Audio2Frames
    except ImportError as error:
        raise UsageError(
            "tracker beat-this needs its package: pip install 'montage-dask[beat-this]'"
        ) from error
    try:
        return Audio2Frames(str(checkpoint), device=device)
    except Exception as error:  # torch, pickle and its own code fail in many ways on other files
        raise UsageError(
            f"{printable(str(checkpoint))}: no checkpoint of Beat This: {error}"
        ) from error
