"""Opening a store of either kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from montage_dask.coordinator.jobs import Store

STORES = ("sqlite", pytest.param("redis", marks=pytest.mark.redis))


@contextmanager
def open_store(
    request: pytest.FixtureRequest, folder: Path, clock: Callable[[], float] | None,
    kind: str | None = None, *, keep: bool = False,
) -> Iterator[Store]:  # fmt: skip
    """A store, empty unless it is to be kept."""
    kind = kind or request.param
    if kind == "sqlite":
        from montage_dask.coordinator.sqlite_store import SqliteStore

        store: Store = SqliteStore(folder) if clock is None else SqliteStore(folder, clock)
    else:
        from montage_dask.coordinator.redis_store import RedisStore

        server = request.getfixturevalue("redis_of_session")
        if not keep:
            server.empty()
        store = RedisStore(server.url, clock)
    try:
        yield store
    finally:
        store.close()
