"""The queue in one file of this machine: no server, no configuration."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from montage_dask.coordinator.jobs import LAST, QueueUnavailable, T, Transaction
from montage_dask.errors import StoreError, UsageError, printable
from montage_dask.store.locks import NO_LOCKS, Lock

NAME = "queue.sqlite"
LOCK = "coordinator.lock"

TABLE = "CREATE TABLE IF NOT EXISTS rows (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
VERSION = 2
"""Of the table; a file of another one is refused."""
MOST_NAMES = 900
"""In one query."""


class SqliteStore:
    """See `jobs.Store`. One process at a time: who is killed lets go.

    Args:
        folder: holds the file; made when needed. On a disk of this machine: SQLite's log does not work on network folders.
        clock: seconds since 1970.

    Raises:
        UsageError: another coordinator has the folder, or it is of another version.
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
        if found not in (0, VERSION):
            self._lock.close()
            raise UsageError(
                f"the queue in {name} was written by another version of this program: install that one, or name another --folder"
            )
        self._connection.execute(TABLE)
        run(f"PRAGMA user_version = {VERSION}")

    def transact(self, change: Callable[[Transaction], T]) -> T:
        """See `jobs.Store`."""
        with self._mutex:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    result = change(Transaction(_Rows(self._connection, self._clock())))
                    self._connection.execute("COMMIT")
                except BaseException:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise QueueUnavailable(f"the queue cannot be written: {error}") from error
        return result

    def close(self) -> None:
        """See `jobs.Store`."""
        with self._mutex:
            self._connection.close()
            self._lock.close()


class _Rows:
    """See `jobs.Rows`."""

    def __init__(self, connection: sqlite3.Connection, now: float) -> None:
        self._run = connection.execute
        self.now = now

    def values(self, names: Sequence[str]) -> list[Any]:
        found: dict[str, str] = {}
        for first in range(0, len(names), MOST_NAMES):
            some = names[first : first + MOST_NAMES]
            marks = ", ".join("?" * len(some))
            found |= self._run(f"SELECT * FROM rows WHERE name IN ({marks})", some).fetchall()
        return [json.loads(found[n]) if n in found else None for n in names]

    def scan(
        self, prefix: str, low: str = "", high: str = LAST, most: int = -1, *, down: bool = False
    ) -> list[tuple[str, Any]]:
        found = self._run(
            f"SELECT * FROM rows WHERE name > ? AND name < ? ORDER BY name {'DESC' if down else ''} LIMIT ?",
            (prefix + low, prefix + high, most),
        )
        return [(name, json.loads(value)) for name, value in found]

    def write(self, name: str, value: Any) -> None:
        if value is None:
            self._run("DELETE FROM rows WHERE name = ?", (name,))
        else:
            self._run("INSERT OR REPLACE INTO rows VALUES (?, ?)", (name, json.dumps(value)))
