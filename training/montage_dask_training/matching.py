"""Boundaries that were found against those that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from montage_dask.records import Boundary
from montage_dask_training.scene_transitions import KINDS

TOLERANCE = 2
"""Frames that a boundary may be off."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many were found; adds up."""

    hits: int = 0
    missed: int = 0
    false: int = 0
    named: int = 0
    """Hits of the right kind."""
    overlap: float = 0.0
    """Sum over gradual hits: frames in both extents as a share of those in either."""
    gradual: int = 0
    frames: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, n) + getattr(other, n) for n in self.__slots__))

    @property
    def f1(self) -> float:
        """1 when there is nothing and nothing was found."""
        whole = 2 * self.hits + self.missed + self.false
        return 2 * self.hits / whole if whole else 1.0

    def told(self) -> dict[str, Any]:
        """As JSON."""
        found, there = self.hits + self.false, self.hits + self.missed
        return {
            "transitions": there,
            "frames": self.frames,
            "precision": round(self.hits / found, 4) if found else None,
            "recall": round(self.hits / there, 4) if there else None,
            "f1": round(self.f1, 4) if there else None,
            "false_per_1000_frames": round(1000 * self.false / max(1, self.frames), 3),
            "right_kind": round(self.named / self.hits, 4) if self.hits else None,
            "extent_overlap": round(self.overlap / self.gradual, 4) if self.gradual else None,
        }


def matched(
    found: Sequence[Boundary], truth: Sequence[tuple[int, int, int]], frames: int
) -> Counts:
    """Match in order; each counts once. Gradual transitions match where their extents come within TOLERANCE frames.

    Args:
        found: in order.
        truth: (place in KINDS, start, stop), in order.
        frames: of the source.
    """
    left = list(found)
    hits = named = gradual = 0
    overlap = 0.0
    for kind, start, stop in truth:
        near = [
            b
            for b in left
            if b.start_frame <= stop + TOLERANCE and b.stop_frame >= start - TOLERANCE
        ]
        if not near:
            continue
        best = min(near, key=lambda b: abs(b.start_frame + b.stop_frame - start - stop))
        left.remove(best)
        hits += 1
        named += best.kind == KINDS[kind]
        if stop > start:
            gradual += 1
            both = min(stop, best.stop_frame) - max(start, best.start_frame)
            either = max(stop, best.stop_frame) - min(start, best.start_frame)
            overlap += max(0, both) / either
    return Counts(hits, len(truth) - hits, len(left), named, overlap, gradual, frames)


FIGURES = (
    "transitions",
    "precision",
    "recall",
    "f1",
    "right_kind",
    "extent_overlap",
    "false_per_1000_frames",
)
"""Of `Counts.told`, in the order in which tables show them."""


def cells(told: Mapping[str, Any]) -> list[str]:
    """A row of a table: what `Counts.told` says; a dash for what is not to be had."""
    return ["–" if told[name] is None else f"{told[name]:g}" for name in FIGURES]
