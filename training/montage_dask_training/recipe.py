"""What a recipe must offer so that `python -m montage_dask train NAME` can make its network.

A recipe is an object at module level, named in `training.RECIPES`. `graph/training.py` turns it into requests:

    inputs ─ parts ─► synthesise (one per part) ─► train: leg 0 ─► leg 1 ─► … ─► evaluate: weights, figures ─► card

Each of these is content-addressed. That is the whole mechanism of going on after a crash: a killed training continues behind
the last part and the last leg that were finished. So everything must be deterministic in its arguments: random numbers come
from seeds in the parameters only, and a leg continues bit-exactly from the state that the leg before it wrote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

VERSION = 2
"""Raised when the training operations give other results for the same recipe."""

SPLITS = ("training", "validation", "test")

SIZES = ("default", "tiny")
"""Every recipe knows these: the one that ships, and one of seconds that shows that all of it works."""


@dataclass(frozen=True, slots=True)
class Input:
    """One file of the user's data."""

    identity: str
    """Of its content."""
    name: str
    kind: str
    """video, picture or sound."""
    path: str
    """Of the file; of a video, the folder of its strip."""
    segments: tuple[tuple[int, int], ...] = ()
    """Of a video: ranges of frames [start, stop) without a cut."""


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of data to synthesise, some seconds of work."""

    split: str
    """One of SPLITS."""
    parameters: Mapping[str, Any]
    """JSON values that decide everything in it: a seed, kinds, and what is taken from which input."""
    inputs: tuple[str, ...] = ()
    """Identities of the inputs that it reads."""


class Recipe(Protocol):
    """How one network is made. All methods run in workers, except `parts`, `check` and `card`."""

    name: str
    version: int
    """Raised when the same parameters give other data or other weights."""
    reads: tuple[str, ...]
    """Kinds of input that it can use."""
    legs: Mapping[str, int]
    """Legs of training, by size. A leg is a fixed number of steps: about one to two minutes on one core."""

    def parts(self, seed: int, size: str, inputs: Sequence[Input]) -> tuple[Part, ...]:
        """What is to be synthesised: all splits. Whole styles or sources are held out for the test.

        Args:
            seed: of the training.
            size: one of `legs`.
            inputs: the user's data, sorted; may be empty.
        """

    def synthesise(
        self, parameters: Mapping[str, Any], inputs: Mapping[str, str], output: Path
    ) -> dict[str, Any]:
        """Make one part.

        Args:
            parameters: of the part.
            inputs: path by identity.
            output: an .npz file to write, without pickles, in small types.

        Returns:
            A small JSON record.
        """

    def check(self, weights: Path) -> None:
        """Make sure that training can begin with a weights file.

        Raises:
            UsageError: it is of another network or version, or damaged.
        """

    def train(
        self,
        parameters: Mapping[str, Any],
        parts: Sequence[Path],
        state: Path | None,
        output: Path,
        *,
        start: Path | None,
        device: str,
        threads: int,
    ) -> dict[str, Any]:
        """One leg.

        Args:
            parameters: seed, size, leg (from 0), legs.
            parts: of the training split, in order.
            state: that the leg before wrote; None for the first.
            output: file for the new state: weights, optimiser, averages and whatever else is needed to go on.
            start: weights to begin with, instead of random ones; for the first leg.
            device: "cpu" or "cuda".
            threads: of the CPU.

        Returns:
            {"losses": [mean losses of equal runs of steps, in order], "steps": so many in this leg, …}.
        """

    def export(self, state: Path, validation: Sequence[Path], output: Path) -> dict[str, Any]:
        """Write the weights file that the analysis loads (.npz, no pickles); thresholds are chosen on the validation split.

        Returns:
            What was chosen, as JSON.
        """

    def evaluate(self, weights: Path, parts: Sequence[Path]) -> dict[str, Any]:
        """Figures on the test split, as JSON."""

    def card(self, training: Mapping[str, Any]) -> str:
        """The model card in Markdown, from the object of `training.json`."""
