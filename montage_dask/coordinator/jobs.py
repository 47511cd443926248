"""A job in the queue, and what a store of jobs must be able to do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from montage_dask.errors import MontageError

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


class QueueError(MontageError):
    """The queue refuses; the message says why.

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
    number: int
    """Order of submission, over all users."""
    title: str
    state: State = "waiting"
    priority: int = 0
    parent: str | None = None
    """The job whose timeline it renders again."""
    key: str | None = None
    """Under which its client sent it: sent again, it is the same job."""
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

    def dump(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job."""

    number: int
    """1, 2, 3 … within the job."""
    at: float
    kind: str
    """state or progress."""
    data: Mapping[str, Any]


class Transaction(Protocol):
    """What a change sees and does. Jobs are read before they are written; what is written is seen by nobody until the end."""

    now: float

    def job(self, job_id: str) -> Job | None:
        """One job."""

    def jobs(self, states: Collection[State]) -> list[Job]:
        """Those in these states, by number."""

    def put(self, job: Job) -> None:
        """Add a job, or write what it became."""

    def remove(self, job: Job) -> None:
        """Forget a job with its events."""

    def tell(self, job_id: str, event: Event) -> None:
        """Add an event."""

    def note(self, name: str) -> Any:
        """A small JSON value beside the jobs; None when there is none."""

    def write(self, name: str, value: Any) -> None:
        """Set such a value; None removes it."""


class Store(Protocol):
    """Where the queue stands."""

    def transact(self, change: Callable[[Transaction], T]) -> T:
        """Run a change, wholly or not at all; what it wrote is on the disk when this returns. It may be run several times.

        Raises:
            QueueUnavailable: it is not known to be done.
        """

    def of_user(self, user: str, before: int | None, most: int) -> list[Job]:
        """Jobs of a user, the youngest first, with numbers below `before`."""

    def events(self, job_id: str, after: int, most: int) -> Sequence[Event]:
        """Events of a job behind the one with number `after`."""

    def close(self) -> None:
        """Let go of it."""
