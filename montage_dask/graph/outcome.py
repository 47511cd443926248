"""What goes into the driver and what comes out of it: requests that may grow while they run, and what became of each."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from montage_dask.errors import MontageError
from montage_dask.graph.operation import Request


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request: a record, or the error that the operation raised."""

    request: Request
    record: dict[str, Any] | None
    error: MontageError | None = None


class Feed:
    """Requests that may grow while they run: what was pushed comes first, then the rest.

    Args:
        rest: drawn lazily.
    """

    def __init__(self, rest: Iterable[Request]) -> None:
        self._pushed: deque[Request] = deque()
        self._rest = iter(rest)

    def push(self, request: Request) -> None:
        """Run this next."""
        self._pushed.append(request)

    def __iter__(self) -> Iterator[Request]:
        return self

    def __next__(self) -> Request:
        return self._pushed.popleft() if self._pushed else next(self._rest)
