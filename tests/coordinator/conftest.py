"""Stores of the queue: SQLite, and a Redis server of our own that confirms what is on its disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from redis_server import RedisServer


@pytest.fixture(scope="session")
def redis_of_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def redis(redis_of_session: RedisServer) -> RedisServer:
    """An empty one."""
    redis_of_session.empty()
    return redis_of_session


@pytest.fixture
def redis_or_none(request: pytest.FixtureRequest) -> RedisServer | None:
    """Where there is one."""
    return request.getfixturevalue("redis") if shutil.which("redis-server") else None
