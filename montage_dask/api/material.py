"""What verbs hand to each other: the clips that are known, their shots, and where their pictures stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from montage_dask.graph.survey import Survey
from montage_dask.media.windows import round_window_frames
from montage_dask.records import Shot, Source
from montage_dask.store import Place, Store

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Material:
    """Clips, shots, and the store with their strips."""

    sources: Mapping[str, Source] = field(default_factory=dict)
    """By identity."""
    shots: tuple[Shot, ...] = ()
    store: Place = Path(".montage")
    """Folder of the artefacts."""
    window_frames: int = 1000
    """Of the strips in the store."""
    faces: bool = True
    """Whether faces were looked for in them."""

    @classmethod
    def of(cls, survey: Survey, store: Place, window_frames: int, faces: bool = True) -> Material:
        """What a survey has found."""
        frames = round_window_frames(window_frames)
        return cls(survey.sources, tuple(survey.shots), store, frames, faces)

    def shots_of(self, identity: str) -> tuple[Shot, ...]:
        """The shots of a source, in order."""
        return tuple(s for s in self.shots if s.source == identity)

    def strip(self, identity: str) -> Place:
        """The folder of Zarr arrays that the analysis wrote for a source, one row per frame (see `Clip.strip`)."""
        from montage_dask.analysis.strip import strip_folder

        return strip_folder(
            Store(self.store), self.sources[identity], self.window_frames, self.faces
        )

    def thumbnails(self, identity: str, frames: Sequence[int]) -> list[Picture]:
        """Thumbnails of some frames of a source, uint8 [27, 48, 3] each, squeezed to this shape whatever the source's is.

        Nothing is decoded: they stand in the strip. Empty when the source has none here.
        """
        from montage_dask.analysis.strip import thumbnails_of

        return thumbnails_of(self.strip(identity), frames)
