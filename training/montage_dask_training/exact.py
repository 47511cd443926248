"""What makes learning repeatable: the same sums in the same order, and files that depend on what they hold alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch


@contextmanager
def exactly(threads: int) -> Iterator[None]:
    """So many threads, and the same sums in the same order each time.

    What a GPU can't add in a fixed order is computed nevertheless: the result is good there, only not the same to the byte.
    """
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])


def save_state(state: Mapping[str, Any], output: Path) -> None:
    """Write the state of a leg; the same state gives the same bytes under any name."""
    with output.open("wb") as file:  # a path would put its name into the file
        torch.save(dict(state), file)
