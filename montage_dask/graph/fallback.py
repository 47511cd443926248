"""Where each request runs when targets fail: cgpu, then gpu, then cpu, with the reason; a dead target is soon left alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from montage_dask.graph.operation import Request
from montage_dask.graph.placement import Placement

BREAK_AFTER = 3
"""Failures of an operation on a target, one after the other, behind which it is not tried there any more in this job."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """A request that went on with another target."""

    operation: str
    label: str
    from_target: str
    to_target: str
    reason: str


@dataclass(slots=True)
class Breaker:
    """What a job has learnt about its targets. It outlives the stages."""

    fallbacks: list[Fallback] = field(default_factory=list)
    """In the order in which they happened."""
    _in_a_row: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    _why: dict[tuple[str, str], str] = field(default_factory=dict)

    def worked(self, placement: Placement) -> None:
        """A request was done on a target."""
        self._in_a_row[placement.operation, placement.target] = 0

    def failed(self, request: Request, placement: Placement, why: str) -> Placement:
        """The next placement of a request whose target failed; `placement` must have one."""
        behind = placement.fallback(why)
        pair = placement.operation, placement.target
        self._in_a_row[pair] += 1
        self._why[pair] = why
        self.fallbacks.append(
            Fallback(
                request.operation,
                request.label,
                placement.target,
                behind.target,
                why.splitlines()[0],
            )
        )
        return behind

    def gone(self, placement: Placement, why: str) -> None:
        """A target has no worker left: nothing is sent there any more."""
        self._in_a_row[placement.operation, placement.target] = BREAK_AFTER
        self._why[placement.operation, placement.target] = why

    def allowed(self, placement: Placement) -> Placement:
        """A placement, or what comes behind it as long as its target is left alone."""
        pair = placement.operation, placement.target
        while placement.fallbacks and self._in_a_row[pair] >= BREAK_AFTER:
            placement = placement.fallback(self._why[pair])
            pair = placement.operation, placement.target
        return placement


class Routes:
    """The placements of the requests of one stage.

    Args:
        placements: by operation.
        breaker: of the job.
    """

    def __init__(self, placements: Mapping[str, Placement], breaker: Breaker) -> None:
        self._placements, self._breaker = placements, breaker
        self._moved: dict[str, Placement] = {}

    def of(self, request: Request) -> Placement:
        """Where a request runs now."""
        placement = self._moved.get(request.key, self._placements[request.operation])
        return self._breaker.allowed(placement)

    def move(self, request: Request, placement: Placement, why: str) -> Placement | None:
        """The placement to try next, or None when there is no other target."""
        if not placement.fallbacks:
            return None
        self._moved[request.key] = behind = self._breaker.failed(request, placement, why)
        return behind

    def gone(self, placement: Placement, why: str) -> None:
        """See `Breaker.gone`."""
        self._breaker.gone(placement, why)

    def worked(self, placement: Placement) -> None:
        """See `Breaker.worked`."""
        self._breaker.worked(placement)
