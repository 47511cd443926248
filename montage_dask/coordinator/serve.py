"""The coordinator as a program: the queue, the runner and the web server of one process."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from montage_dask.coordinator.accounts import LOCAL, Accounts
from montage_dask.coordinator.app import Service, make_app
from montage_dask.coordinator.client import default_folder, is_loopback
from montage_dask.coordinator.hooks import Hooks
from montage_dask.coordinator.jobs import Store
from montage_dask.coordinator.keep import Keeper
from montage_dask.coordinator.queue import Queue
from montage_dask.coordinator.runner import Runner
from montage_dask.errors import StoreError, UsageError, printable

REDIS_VARIABLE = "REDIS_URL"


@dataclass(frozen=True, slots=True)
class Serving:
    """How a coordinator is started; see the options of the command."""

    folder: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    cluster: str = "local"
    at_once: int = 1
    options: Sequence[str] = ()
    reads: Sequence[Path] = ()
    no_auth: bool = False
    insecure: bool = False
    tls: tuple[Path, Path | None] | None = None
    prefix: str = ""
    keep_days: float | None = None
    quota_bytes: int | None = None
    webhook_private: bool = False


def serve(how: Serving, tell: Callable[[str], None]) -> None:
    """Run a coordinator until it is interrupted.

    Args:
        how: it is started.
        tell: gets the lines for people, once it listens.

    Raises:
        UsageError, StoreError: it cannot start so; says why.
    """
    here = is_loopback(how.host)
    if how.no_auth and not here:
        raise UsageError("--no-auth: only with a --host of this machine, such as 127.0.0.1")
    if not here and how.tls is None and not how.insecure:
        raise UsageError(
            f"--host {printable(how.host)}: tokens would go through the network in the clear: add --tls-cert FILE, or "
            "--insecure if a proxy in front has TLS"
        )
    folder = how.folder or default_folder()
    accounts = Accounts(folder)
    redis_url = os.environ.get(REDIS_VARIABLE)
    with ExitStack() as stack:
        listening = stack.enter_context(_listening(how.host, how.port))
        store = stack.enter_context(closing(_store(folder, redis_url)))
        token = accounts.local_token(how.reads)
        queue = Queue(store)
        keeper = Keeper(queue, accounts, how.keep_days, how.quota_bytes)
        runner = Runner(
            queue, accounts, how.cluster, options=how.options, at_once=how.at_once, alone=redis_url is None, chore=keeper.chore,
        )  # fmt: skip
        service = Service(queue, accounts, runner, keeper, how.no_auth, how.prefix.rstrip("/"))
        server = uvicorn.Server(_configuration(how, service))
        for worker in (runner, Hooks(queue, how.webhook_private)):
            worker.start()
            stack.callback(worker.stop)
        scheme = "http" if how.tls is None else "https"
        host = f"[{how.host}]" if ":" in how.host else how.host
        url = f"{scheme}://{host}:{listening.getsockname()[1]}{service.prefix}/"
        tell(f"coordinator at {url}, its folder is {printable(str(folder))}")
        if here and not how.no_auth:
            tell(f"in the browser as {LOCAL}: {url}#token={token}")
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listening])


def _store(folder: Path, redis_url: str | None) -> Store:
    if redis_url is None:
        from montage_dask.coordinator.sqlite_store import SqliteStore

        return SqliteStore(folder)
    from montage_dask.coordinator.redis_store import RedisStore

    return RedisStore(redis_url)


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise StoreError(
            f"cannot listen at {printable(host)}:{port}: {error.strerror}; --port names another"
        ) from error
    return listening


def _configuration(how: Serving, service: Service) -> uvicorn.Config:
    certificate, key = how.tls or (None, None)
    return uvicorn.Config(
        make_app(service), log_level="warning", access_log=False, server_header=False, proxy_headers=False,
        timeout_graceful_shutdown=2, h11_max_incomplete_event_size=64 << 10, ws="none", lifespan="off",
        ssl_certfile=certificate and str(certificate), ssl_keyfile=key and str(key),
    )  # fmt: skip
