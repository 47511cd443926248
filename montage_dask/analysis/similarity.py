"""Which shots look alike: groups of near-duplicates by the embeddings of their key frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from montage_dask.analysis.embedding import chosen
from montage_dask.records import Shot

Labels: TypeAlias = NDArray[np.intp]

VERSION = 2
"""Raised when the same shots get other groups."""

ALIKE: Mapping[str, tuple[float, float]] = {
    "strip": (0.75, 0.62),
    "clip": (0.92, 0.85),
    "dino": (0.85, 0.75),
}
"""Per embedding: near-duplicates agree at least as well as the first number, or as the second when their hashes agree, too.

Measured for "strip": of 67,000 pairs of different pictures 0.1 % agree better than 0.70, and pictures brought to each other's
colours never; other moments, grades and encodings of one shot lie around 0.75. Not measured for the networks."""

HASH_BITS = 12
"""Bits of 64 in which the hashes of near-duplicates may differ."""

_BLOCK = 256
"""Shots compared with all others at once: 20 MB for 20,000 shots."""


def similarity(a: Shot, b: Shot) -> float:
    """How much two shots look alike: 1 the same, around 0 unrelated."""
    return float(np.dot(a.embedding, b.embedding))


def group_duplicates(shots: Sequence[Shot], embedding: str = "auto") -> tuple[Shot, ...]:
    """The same shots with `duplicate_group` set: shots that look alike share a number.

    Groups are connected components, numbered by their first shot; a shot like no other gets −1.

    Args:
        shots: all shots of a job.
        embedding: which one they carry; one of `embedding.KINDS`.

    Raises:
        UsageError: no such embedding.
    """
    if not shots:
        return ()
    labels = np.arange(len(shots))
    vectors = np.array([shot.embedding for shot in shots], np.float32)
    hashes = np.array([int(shot.perceptual_hash, 16) for shot in shots], np.uint64)
    surely, perhaps = ALIKE[chosen(embedding)]
    for start in range(0, len(shots), _BLOCK):
        # Each pair once: the block with itself and all that follows.
        agree = vectors[start : start + _BLOCK] @ vectors[start:].T
        rows, columns = np.nonzero(agree >= perhaps)
        bits = np.bitwise_count(hashes[start + rows] ^ hashes[start + columns])
        alike = (agree[rows, columns] >= surely) | (bits <= HASH_BITS)
        labels = _merged(labels, start + rows[alike], start + columns[alike])
    _, firsts, sizes = np.unique(labels, return_index=True, return_counts=True)
    numbers = np.full(len(shots), -1)
    shared = np.sort(firsts[sizes > 1])
    numbers[labels[shared]] = np.arange(len(shared))
    return tuple(
        replace(shot, duplicate_group=int(number))
        for shot, number in zip(shots, numbers[labels], strict=True)
    )


def _merged(labels: Labels, left: Labels, right: Labels) -> Labels:
    """The labels after joining the groups of each pair (left, right)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(labels)
    pairs = coo_array((np.ones(len(left), np.int8), (labels[left], labels[right])), shape=(n, n))
    _, components = connected_components(pairs, directed=False)
    merged: Labels = components[labels].astype(np.intp)
    return merged
