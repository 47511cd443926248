"""Parts of training music on disk: mel spectra in bytes, onset strength, beats and downbeats in seconds."""

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
    strength: npt.NDArray[np.float16]
    """Of `tempo.pulse`, shape (frames,)."""
    beats: npt.NDArray[np.float64]
    """Seconds."""
    downbeats: npt.NDArray[np.bool_]
    """Which beats begin a bar; empty when that is not known."""
    weight: float = 1.0
    """How often it is heard in training, for its length."""


FIELDS = ("style", "mel", "strength", "beats", "downbeats", "weight")


def save_tracks(tracks: Sequence[Track], output: Path, font: str) -> None:
    """Write a part.

    Args:
        tracks: of the part.
        output: an .npz file.
        font: name of the soundfont that played, empty without.
    """
    arrays: dict[str, Any] = {"font": np.array(font)}
    for number, track in enumerate(tracks):
        for field in FIELDS:
            arrays[f"{field}-{number}"] = np.asarray(getattr(track, field))
    with output.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_tracks(parts: Sequence[Path]) -> list[Track]:
    """All tracks of some parts, in order."""
    found = []
    for part in parts:
        with np.load(part, allow_pickle=False) as file:
            for number in range(len(file.files) // len(FIELDS)):
                values = {field: file[f"{field}-{number}"] for field in FIELDS}
                values |= {"style": str(values["style"]), "weight": float(values["weight"])}
                found.append(Track(**values))
    return found


def fonts(parts: Sequence[Path]) -> list[str]:
    """The soundfonts that played in some parts."""
    names = set()
    for part in parts:
        with np.load(part, allow_pickle=False) as file:
            names.add(str(file["font"]))
    return sorted(names - {""})
