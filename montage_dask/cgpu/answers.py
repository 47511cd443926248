"""How large the answers of the other machine may be."""

from __future__ import annotations

from collections.abc import Sequence

LARGEST_ANSWER = 1_000_000_000
"""Bytes of the answer to a bundle, at most; see `most_answer_bytes`."""

ANSWER_RATIO = 10
"""An answer may be so many times as large as what was sent,"""

SMALL_ANSWER = 1_000_000
"""or so large: the value of a question,"""

FILE_ANSWER = 256_000_000
"""or, where files come back, so large: pictures may be much larger than what they were made of."""


def most_answer_bytes(sizes: Sequence[int | None]) -> int:
    """How large the answer to a bundle may be.

    Args:
        sizes: of its parcels, or of the whole; None for a question.
    """
    wanted = (
        SMALL_ANSWER if size is None else max(FILE_ANSWER, ANSWER_RATIO * size) for size in sizes
    )
    return min(LARGEST_ANSWER, SMALL_ANSWER + sum(wanted))
