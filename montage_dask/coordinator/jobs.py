"""A job in the queue, and what a store of jobs must be able to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from montage_dask.errors import MontageError

if TYPE_CHECKING:
    from montage_dask.coordinator.transaction import Transaction

State = Literal[
    "waiting", "running", "paused", "cancelling", "finished", "partly", "failed", "cancelled"
]
HELD: tuple[State, ...] = ("running", "cancelling")
"""Somebody has a process for it."""
UNENDED: tuple[State, ...] = ("waiting", "running", "paused", "cancelling")
ENDED: tuple[State, ...] = ("finished", "partly", "failed", "cancelled")
STATES: tuple[State, ...] = (*UNENDED, *ENDED)
PRIORITIES = {"low": -1, "normal": 0, "high": 1}
"""The bands, by their names."""

T = TypeVar("T")
LAST = "\xff"
"""Behind all that is in a name."""


class QueueError(MontageError):
    """The coordinator refuses; the message says why.

    Args:
        message: one line.
        status: the HTTP status that says the same.
    """

    def __init__(self, message: str, status: int = 409) -> None:
        super().__init__(message, status)
        self.status = status

    def __str__(self) -> str:
        return str(self.args[0])


class QueueUnavailable(MontageError):
    """The queue cannot be read or written at the moment; nothing was promised."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job, as it stands in the queue. Times are seconds since 1970 by the clock of the store."""

    id: str
    user: str
    request: Mapping[str, Any]
    """What its job file will hold."""
    title: str
    number: int = 0
    """Order of submission, over all users; the queue's."""
    state: State = "waiting"
    priority: int = 0
    parent: str | None = None
    """The job whose timeline it renders again."""
    after: str | None = None
    """The job that must have made its film before: its quick version."""
    key: str | None = None
    """Under which its client sent it: sent again, it is the same job."""
    webhook: Mapping[str, str] | None = None
    """`url` and `secret` of whom to tell when it has ended."""
    submitted_at: float = 0.0
    begun_at: float | None = None
    """When its present process was begun."""
    ended_at: float | None = None
    owner: str | None = None
    """Who has, or had last, its process."""
    fence: int = 0
    """How often it was claimed; what an earlier owner says of it no longer counts."""
    lease_until: float = 0.0
    pausing: bool = False
    """Its process is to stop, and the job to go on later."""
    not_before: float = 0.0
    tries: int = 0
    """How often it could not begin since it last could."""
    crashes: int = 0
    """How often its process, or its owner, was killed."""
    used_seconds: float = 0.0
    reason: str = ""
    """Why it waits or how it ended, for people."""
    progress: Mapping[str, Any] = field(default_factory=dict)
    event: int = 0
    """Number of its last event."""

    @classmethod
    def load(cls, content: Mapping[str, Any]) -> Job:
        """A job from its JSON; fields of a later version are left out."""
        return cls(**{k: v for k, v in content.items() if k in cls.__slots__})

    def running_seconds(self, now: float) -> float:
        """How long its present process works."""
        return 0.0 if self.begun_at is None else max(0.0, now - self.begun_at)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job; numbers are 1, 2, 3 … within it."""

    number: int
    at: float
    kind: Literal["state", "progress"]
    data: Mapping[str, Any]


class Rows(Protocol):
    """JSON values by name, within one change of a store: what it has written itself is seen by `values`, and not by `scan`."""

    now: float

    def values(self, names: Sequence[str]) -> list[Any]:
        """Those of these names; None where there is none."""

    def scan(
        self, prefix: str, low: str = "", high: str = LAST, most: int = -1, *, down: bool = False
    ) -> list[tuple[str, Any]]:
        """Names and values by the order of names: those with a prefix, and behind it what lies between two texts."""

    def write(self, name: str, value: Any) -> None:
        """Set a value; None removes it."""


class Store(Protocol):
    """Where the queue stands."""

    def transact(self, change: Callable[[Transaction], T]) -> T:
        """Run a change, wholly or not at all; what it wrote is on the disk when this returns. It may be run several times.

        Raises:
            QueueUnavailable: it is not known to be done.
        """

    def close(self) -> None:
        """Let go of it."""
