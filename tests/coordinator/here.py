"""A coordinator's API on a real socket in this process, without a runner: what has no job to run needs none."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from montage_dask.coordinator.accounts import Accounts
from montage_dask.coordinator.app import Service, make_app
from montage_dask.coordinator.client import Coordinator
from montage_dask.coordinator.jobs import Store
from montage_dask.coordinator.keep import Keeper
from montage_dask.coordinator.queue import Queue
from montage_dask.coordinator.runner import Runner
from montage_dask.coordinator.serve import _listening
from montage_dask.coordinator.sqlite_store import SqliteStore


@dataclass
class Here:
    """What serves, and how to speak to it."""

    folder: Path
    port: int
    queue: Queue
    accounts: Accounts
    keeper: Keeper
    runner: Runner
    token: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def client(self) -> Coordinator:
        return Coordinator(self.url, self.token)

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any, Mapping[str, str]]:
        """One request as it stands, without a token."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        kind = {} if body is None else {"Content-Type": "application/json"}
        line.request(method, path, None if body is None else json.dumps(body), {**kind, **(headers or {})})  # fmt: skip
        answer = line.getresponse()
        text = answer.read()
        line.close()
        try:
            return answer.status, json.loads(text), answer.headers
        except ValueError:
            return answer.status, text, answer.headers


@contextmanager
def serving(
    folder: Path, *, open_to_all: bool = False, cluster: str = "local", store: Store | None = None, **keep: Any
) -> Iterator[Here]:  # fmt: skip
    """An API around an empty folder."""
    accounts, store = Accounts(folder), store or SqliteStore(folder)
    token = accounts.local_token([folder.parent])
    queue = Queue(store)
    keeper = Keeper(queue, accounts, **keep)
    runner = Runner(queue, accounts, cluster, options=["--n-workers", "1"])
    service = Service(queue, accounts, runner, keeper, open_to_all)
    listening = _listening("127.0.0.1", 0)
    server = uvicorn.Server(
        uvicorn.Config(make_app(service), log_level="warning", lifespan="off", ws="none", timeout_graceful_shutdown=1)
    )  # fmt: skip
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield Here(folder, listening.getsockname()[1], queue, accounts, keeper, runner, token)
    finally:
        server.should_exit = True
        thread.join(10)
        store.close()
