"""The queue in one file of this machine: no server, no configuration."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from montage_dask.coordinator.jobs import (
    Event,
    Job,
    QueueUnavailable,
    State,
    T,
    Transaction,
)
from montage_dask.errors import StoreError, UsageError, printable
from montage_dask.store.locks import NO_LOCKS, Lock

NAME = "queue.sqlite"
LOCK = "coordinator.lock"

TABLES = """
CREATE TABLE IF NOT EXISTS jobs (id TEXT PRIMARY KEY, number INTEGER NOT NULL, user TEXT NOT NULL, state TEXT NOT NULL,
    content TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS jobs_of_state ON jobs (state, number);
CREATE INDEX IF NOT EXISTS jobs_of_user ON jobs (user, number);
CREATE TABLE IF NOT EXISTS events (job TEXT, number INTEGER, at REAL, kind TEXT, data TEXT, PRIMARY KEY (job, number));
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
VERSION = 1
"""Of the tables; a file of a later one is refused."""


class SqliteStore:
    """See `jobs.Store`. One process at a time: who is killed lets go.

    Args:
        folder: holds the file; made when needed. On a disk of this machine: SQLite's log does not work on network folders.
        clock: seconds since 1970.

    Raises:
        UsageError: another coordinator has the folder, or it is of a later version.
        StoreError: it cannot be written.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._mutex = threading.Lock()
        name = printable(str(folder))
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = Lock(folder / LOCK, exclusive=True, wait=False)
        except BlockingIOError:
            raise UsageError(
                f"another coordinator works in {name}: stop it, or name another --folder; several share one queue by REDIS_URL"
            ) from None
        except OSError as error:
            no_locks = "its file system has no locks" if error.errno in NO_LOCKS else error.strerror
            raise StoreError(f"cannot keep a queue in {name}: {no_locks}") from error
        try:
            self._connection = sqlite3.connect(
                folder / NAME, isolation_level=None, check_same_thread=False, timeout=10
            )
            self._prepare(name)
        except sqlite3.Error as error:
            self._lock.close()
            raise StoreError(f"cannot keep a queue in {name}: {error}") from error

    def _prepare(self, name: str) -> None:
        run = self._connection.execute
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        found = run("PRAGMA user_version").fetchone()[0]
        if found > VERSION:
            self._lock.close()
            raise UsageError(
                f"the queue in {name} was written by a later version of this program: install that one, or name another --folder"
            )
        self._connection.executescript(TABLES)
        run(f"PRAGMA user_version = {VERSION}")

    def transact(self, change: Callable[[Transaction], T]) -> T:
        """See `jobs.Store`."""
        with self._mutex:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    result = change(_Transaction(self._connection, self._clock()))
                    self._connection.execute("COMMIT")
                except BaseException:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise QueueUnavailable(f"the queue cannot be written: {error}") from error
        return result

    def _read(self, query: str, *values: Any) -> list[Any]:
        with self._mutex:
            try:
                return self._connection.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise QueueUnavailable(f"the queue cannot be read: {error}") from error

    def of_user(self, user: str, before: int | None, most: int) -> list[Job]:
        """See `jobs.Store`."""
        found = self._read(
            "SELECT content FROM jobs WHERE user = ? AND number < ? ORDER BY number DESC LIMIT ?",
            user, 1 << 62 if before is None else before, most,
        )  # fmt: skip
        return [Job.load(json.loads(row[0])) for row in found]

    def events(self, job_id: str, after: int, most: int) -> Sequence[Event]:
        """See `jobs.Store`."""
        found = self._read(
            "SELECT number, at, kind, data FROM events WHERE job = ? AND number > ? ORDER BY number LIMIT ?",
            job_id, after, most,
        )  # fmt: skip
        return [Event(n, at, kind, json.loads(data)) for n, at, kind, data in found]

    def close(self) -> None:
        """See `jobs.Store`."""
        with self._mutex:
            self._connection.close()
            self._lock.close()


class _Transaction:
    """See `jobs.Transaction`."""

    def __init__(self, connection: sqlite3.Connection, now: float) -> None:
        self._run = connection.execute
        self.now = now

    def job(self, job_id: str) -> Job | None:
        row = self._run("SELECT content FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return None if row is None else Job.load(json.loads(row[0]))

    def jobs(self, states: Collection[State]) -> list[Job]:
        marks = ", ".join("?" * len(states))
        found = self._run(
            f"SELECT content FROM jobs WHERE state IN ({marks}) ORDER BY number", tuple(states)
        )
        return [Job.load(json.loads(row[0])) for row in found]

    def put(self, job: Job) -> None:
        self._run(
            "INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?)",
            (job.id, job.number, job.user, job.state, json.dumps(job.dump())),
        )

    def remove(self, job: Job) -> None:
        self._run("DELETE FROM jobs WHERE id = ?", (job.id,))
        self._run("DELETE FROM events WHERE job = ?", (job.id,))

    def tell(self, job_id: str, event: Event) -> None:
        values = (job_id, event.number, event.at, event.kind, json.dumps(event.data))
        self._run("INSERT INTO events VALUES (?, ?, ?, ?, ?)", values)

    def note(self, name: str) -> Any:
        row = self._run("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def write(self, name: str, value: Any) -> None:
        if value is None:
            self._run("DELETE FROM notes WHERE name = ?", (name,))
        else:
            self._run("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, json.dumps(value)))
