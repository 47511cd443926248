"""Whether a scheduler is there at all, asked before Dask's client connects: it waits for minutes for whatever else listens."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from distributed import Security
from distributed.comm.core import connect
from tornado.httpclient import AsyncHTTPClient, HTTPClientError

from montage_dask.cluster.background import Background
from montage_dask.errors import ClusterError, UsageError, printable

CONNECT_SECONDS = 15
"""So soon a scheduler accepts a connection and says who it is."""

HTTP_SECONDS = 5.0
"""So soon a web server answers."""

log = logging.getLogger(__name__)

MOST_BYTES = 1 << 20
"""More does not belong into a scheduler file, nor into the answer of a dashboard."""


def refuse_others(address: str) -> None:
    """Make sure that nothing else than a scheduler listens at an address; it may not listen yet.

    Raises:
        ClusterError: something else does; says what.
    """
    try:
        check_scheduler(address, None, connect_seconds=0.5)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        log.info("%s does not answer yet: %r", printable(address), error)


def check_scheduler(
    address: str, security: Security | None, connect_seconds: float | None = None
) -> None:
    """Make sure that a Dask scheduler answers at a tcp:// or tls:// address, within `CONNECT_SECONDS` + `HTTP_SECONDS`.

    Raises:
        ClusterError: something else does, or nothing; says what.
        OSError, ValueError, TypeError, RuntimeError: as Dask says that it cannot connect.
    """
    if not address.startswith(("tcp://", "tls://")):
        return
    name = printable(address)
    arguments = (security or Security()).get_connection_args("client")
    with Background("montage-preflight") as background:
        try:
            asked = asyncio.wait_for(
                _identity(address, arguments, connect_seconds or CONNECT_SECONDS), CONNECT_SECONDS
            )
            identity = background.run(asked)
        except Exception as error:  # what another program says may break the reader in any way
            wrong = isinstance(error, TypeError | RuntimeError) or type(error) is ValueError
            found = "" if wrong else background.run(_web_server(address))
            if found:
                raise ClusterError(f"{name} {found}") from error
            if isinstance(error, TimeoutError):
                raise ClusterError(
                    f"{name} takes connections, but does not answer as a Dask scheduler does within {CONNECT_SECONDS} s: "
                    "is that its port, and is it alive?"
                ) from error
            if isinstance(error, OSError | TypeError | RuntimeError):
                raise
            raise ClusterError(f"{name} is no Dask scheduler: it says something else") from error
    kind = str(identity.get("type", "")) if isinstance(identity, dict) else ""
    if kind in ("Worker", "Nanny"):
        raise ClusterError(f"{name} is a {kind.lower()} of a Dask cluster, not its scheduler")


async def _identity(address: str, arguments: dict[str, Any], connect_seconds: float) -> Any:
    # Nothing of the answer is unpickled.
    comm = await connect(address, timeout=connect_seconds, deserialize=False, **arguments)
    try:
        await comm.write({"op": "identity", "reply": True})
        return await comm.read()
    finally:
        comm.abort()


async def _web_server(address: str) -> str:
    """What a web server at the address of a scheduler is; empty when there is none."""
    url = "http://" + address.partition("://")[2]
    try:
        scheduler = await _named(url, follow=False)
    except HTTPClientError as error:
        # 599: no answer that is HTTP.
        return "" if error.code == 599 else "is a web server, not a Dask scheduler"
    except (OSError, TimeoutError):
        return ""
    except ValueError:
        return "is a web server, not a Dask scheduler"
    return (
        f"is the dashboard of a Dask cluster, not its scheduler: that is at {printable(scheduler)}"
    )


def scheduler_of(url: str) -> str:
    """The scheduler's address behind the http address of its dashboard, or of the coordinator that works on it.

    Raises:
        ClusterError: nothing there tells one.
    """
    from montage_dask.coordinator.client import Coordinator, CoordinatorError

    try:
        if not urlsplit(url).hostname:
            raise ValueError("no host in it")
        with Background("montage-preflight") as background:
            return background.run(_named(url, follow=True))
    except HTTPClientError as error:
        if error.code != 401:
            raise ClusterError(
                f"{printable(url)} is not the dashboard of a Dask scheduler: {error}"
            ) from error
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(
            f"{printable(url)} is not the dashboard of a Dask scheduler: {error}"
        ) from error
    # Only one that asks for it is told a token, and only at this address: it follows nowhere.
    try:
        answer = Coordinator(url).call("GET", "/json/identity.json")
        return address_in(json.dumps(answer).encode())
    except CoordinatorError as error:
        if error.status == 401:
            raise ClusterError(
                f"{printable(url)} asks for a token: set COORDINATOR_TOKEN"
            ) from error
        raise ClusterError(f"{printable(url)} names no scheduler: {error}") from error
    except (UsageError, ValueError) as error:
        raise ClusterError(f"{printable(url)} names no scheduler: {error}") from error


async def _named(url: str, *, follow: bool) -> str:
    """The scheduler that the dashboard at a URL names.

    Raises:
        ValueError: it names none.
    """
    client = AsyncHTTPClient(force_instance=True, max_body_size=MOST_BYTES)
    try:
        fetched = client.fetch(
            url.rstrip("/") + "/json/identity.json",
            connect_timeout=HTTP_SECONDS,
            request_timeout=HTTP_SECONDS,
            follow_redirects=follow,
        )
        # Its own limits do not hold for a server that says nothing at all.
        answer = await asyncio.wait_for(fetched, HTTP_SECONDS + 1)
    finally:
        client.close()
    return address_in(answer.body)


def address_in(text: bytes) -> str:
    """The address in a scheduler file, or in what a dashboard tells of its scheduler.

    Raises:
        ValueError: there is none; says what is there.
    """
    if not text.strip():
        raise ValueError("it is empty")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("it is not JSON") from error
    address = found.get("address") if isinstance(found, dict) else None
    if not isinstance(address, str) or "://" not in address:
        raise ValueError("it names no address such as tcp://host:8786")
    return address


def scheduler_in(path: Path) -> str:
    """The address in a scheduler file.

    Raises:
        ClusterError: it cannot be read, or names none.
    """
    name = printable(str(path))
    try:
        with path.open("rb") as file:
            return address_in(file.read(MOST_BYTES))
    except OSError as error:
        raise ClusterError(
            f"{name}: the scheduler file cannot be read: {error.strerror or error}"
        ) from error
    except ValueError as error:
        raise ClusterError(
            f"{name} is no scheduler file: {error}; `dask scheduler --scheduler-file {name}` writes one"
        ) from error
