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
LAST = "\xff"
"""Behind all that is in a name."""


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
    after: str | None = None
    """The job that must have made its film before: its quick version."""
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


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job."""

    number: int
    """1, 2, 3 … within the job."""
    at: float
    kind: str
    """state or progress."""
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


class Transaction:
    """What a change sees and does: jobs, their events, and notes. What is written is seen by nobody else until the end."""

    def __init__(self, rows: Rows) -> None:
        self._rows, self.now = rows, rows.now

    def job(self, job_id: str) -> Job | None:
        """One job."""
        return next(iter(self._load([job_id])), None)

    def _load(self, ids: Sequence[str]) -> list[Job]:
        found = self._rows.values([f"job/{i}" for i in ids])
        return [Job.load(content) for content in found if content is not None]

    def jobs(self, states: Collection[State]) -> list[Job]:
        """Those in these states, by number."""
        ids = [i for state in states for _, i in self._rows.scan(f"state/{state}/")]
        return sorted(self._load(ids), key=lambda j: j.number)

    def of_user(self, user: str, before: int | None, most: int) -> list[Job]:
        """Jobs of a user, the youngest first, with numbers below `before`."""
        high = LAST if before is None else _place(before)
        return self._load(
            [i for _, i in self._rows.scan(f"user/{user}/", high=high, most=most, down=True)]
        )

    def events(self, job_id: str, after: int = 0, most: int = -1) -> list[Event]:
        """Events of a job behind the one with number `after`."""
        found = self._rows.scan(f"event/{job_id}/", low=_place(after), most=most)
        return [Event(*content) for _, content in found]

    def put(self, job: Job) -> None:
        """Add a job, or write what it became."""
        self._index(job, None)
        self._rows.write(f"job/{job.id}", asdict(job))
        self._index(job, job.id)

    def _index(self, job: Job, value: str | None) -> None:
        known = job if value else self.job(job.id)
        if known is not None:
            for name in (f"state/{known.state}", f"user/{known.user}"):
                self._rows.write(f"{name}/{_place(known.number)}", value)

    def remove(self, job: Job) -> None:
        """Forget a job with its events."""
        self._index(job, None)
        self._rows.write(f"job/{job.id}", None)
        for name, _ in self._rows.scan(f"event/{job.id}/"):
            self._rows.write(name, None)

    def tell(self, job_id: str, event: Event) -> None:
        """Add an event."""
        content = [event.number, event.at, event.kind, event.data]
        self._rows.write(f"event/{job_id}/{_place(event.number)}", content)

    def note(self, name: str) -> Any:
        """A small JSON value beside the jobs; None when there is none."""
        return self._rows.values([f"note/{name}"])[0]

    def write(self, name: str, value: Any) -> None:
        """Set such a value; None removes it."""
        self._rows.write(f"note/{name}", value)


def _place(number: int) -> str:
    return f"{number:015}"
