"""Parts of training music on disk: mel spectra in bytes, beats and downbeats in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Track:
    """One piece of music with known beats."""

    style: str
    mel: npt.NDArray[np.uint8]
    """Of `analysis.onset`, shape (frames, bands)."""
    beats: npt.NDArray[np.float64]
    """Seconds."""
    downbeats: npt.NDArray[np.bool_]
    """Which beats begin a bar."""
    weight: float = 1.0
    """How often it is heard in training, for its length."""


def save_tracks(tracks: Sequence[Track], output: Path) -> None:
    """Write a part."""
    arrays: dict[str, Any] = {}
    for number, track in enumerate(tracks):
        arrays[f"style{number}"] = np.array(track.style)
        arrays[f"mel{number}"] = track.mel
        arrays[f"beats{number}"] = track.beats
        arrays[f"down{number}"] = track.downbeats
        arrays[f"weight{number}"] = np.array(track.weight)
    with output.open("wb") as file:
        np.savez(file, **arrays)


def load_tracks(parts: Sequence[Path]) -> list[Track]:
    """All tracks of some parts, in order."""
    found = []
    for part in parts:
        with np.load(part, allow_pickle=False) as file:
            for number in range(sum(name.startswith("mel") for name in file.files)):
                weight = float(file[f"weight{number}"]) if f"weight{number}" in file.files else 1.0
                found.append(
                    Track(str(file[f"style{number}"]), file[f"mel{number}"], file[f"beats{number}"], file[f"down{number}"], weight)
                )
    return found
