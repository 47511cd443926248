"""The queue in one file of this machine: no server, no configuration."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from montage_dask.coordinator.jobs import LAST, QueueUnavailable, T
from montage_dask.coordinator.transaction import Transaction
from montage_dask.errors import StoreError, UsageError, printable
from montage_dask.store.locks import NO_LOCKS, Lock

TABLE = "CREATE TABLE IF NOT EXISTS rows (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
VERSION = 2
"""Of the table; a file of another one is refused."""


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
        self._clock, self._mutex = clock, threading.Lock()
        name = printable(str(folder))
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = Lock(folder / "coordinator.lock", exclusive=True, wait=False)
        except BlockingIOError:
            raise UsageError(
                f"another coordinator works in {name}: stop it, or name another --folder; several share one queue by REDIS_URL"
            ) from None
        except OSError as error:
            no_locks = "its file system has no locks" if error.errno in NO_LOCKS else error.strerror
            raise StoreError(f"cannot keep a queue in {name}: {no_locks}") from error
        try:
            file = folder / "queue.sqlite"
            self._connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
            run = self._connection.execute
            run("PRAGMA journal_mode = WAL")
            run("PRAGMA synchronous = FULL")
            if run("PRAGMA user_version").fetchone()[0] not in (0, VERSION):
                raise UsageError(
                    f"the queue in {name} was written by another version of this program: install that one, or name another "
                    "--folder"
                )
            run(TABLE)
            run(f"PRAGMA user_version = {VERSION}")
        except (sqlite3.Error, UsageError) as error:
            self._lock.close()
            if isinstance(error, UsageError):
                raise
            raise StoreError(f"cannot keep a queue in {name}: {error}") from error

    def transact(self, change: Callable[[Transaction], T]) -> T:
        """See `jobs.Store`."""
        with self._mutex:
            try:
                with self._connection:  # commits, or rolls back
                    self._connection.execute("BEGIN IMMEDIATE")
                    return change(Transaction(_Rows(self._connection, self._clock())))
            except sqlite3.Error as error:
                raise QueueUnavailable(f"the queue cannot be written: {error}") from error

    def close(self) -> None:
        """See `jobs.Store`."""
        with self._mutex:
            self._connection.close()
            self._lock.close()


class _Rows:
    """See `jobs.Rows`."""

    def __init__(self, connection: sqlite3.Connection, now: float) -> None:
        self._run, self.now = connection.execute, now

    def values(self, names: Sequence[str]) -> list[Any]:
        query = "SELECT name, value FROM rows WHERE name IN (SELECT value FROM json_each(?))"
        found = dict(self._run(query, (json.dumps(names),)).fetchall())
        return [json.loads(found[n]) if n in found else None for n in names]

    def scan(
        self, prefix: str, low: str = "", high: str = LAST, most: int = -1, *, down: bool = False
    ) -> list[tuple[str, Any]]:
        found = self._run(
            f"SELECT name, value FROM rows WHERE name > ? AND name < ? ORDER BY name {'DESC' if down else ''} LIMIT ?",
            (prefix + low, prefix + high, most),
        )
        return [(name, json.loads(value)) for name, value in found]

    def write(self, name: str, value: Any) -> None:
        if value is None:
            self._run("DELETE FROM rows WHERE name = ?", (name,))
        else:
            self._run("INSERT OR REPLACE INTO rows VALUES (?, ?)", (name, json.dumps(value)))
