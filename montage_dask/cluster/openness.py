"""Which schedulers may be spoken to: Dask's protocol carries code, so whoever is on an open line runs it at both ends."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

from montage_dask.errors import ClusterError, printable

ENCRYPTED = ("tls", "wss")
WITHIN = ("inproc",)
"""Inside one process."""


def refuse_open(address: str, insecure: bool) -> None:
    """Make sure that the line to a scheduler is encrypted and both sides show a certificate, or that it stays on this machine.

    Args:
        address: of a scheduler, as Dask writes it.
        insecure: the user says that nobody else is in the network.

    Raises:
        ClusterError: the line is open.
    """
    protocol, mark, rest = address.partition("://")
    if not mark:
        protocol, rest = "tcp", address
    if insecure or protocol in (*ENCRYPTED, *WITHIN) or stays_here(_host(rest)):
        return
    raise ClusterError(
        f"{printable(address)} lies beyond this machine and has neither encryption nor certificates: whoever reaches it, or "
        "stands on the way, runs code here and there; use TLS (tls://…, docs/DISTRIBUTED_PROCESSING.md), or say --insecure "
        "if nobody else is in that network"
    )


def _host(rest: str) -> str:
    """The host of host:port, [host]:port or host."""
    place = rest.partition("/")[0]
    if place.startswith("["):
        return place[1:].partition("]")[0]
    return place.rpartition(":")[0] or place if place.count(":") == 1 else place


def stays_here(host: str) -> bool:
    """Whether a host is this machine's loopback, by all its addresses. A name that nobody knows is left to who dials it."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return host.rstrip(".").lower() == "localhost"
    return bool(found) and all(
        ipaddress.ip_address(str(one[4][0]).partition("%")[0]).is_loopback for one in found
    )


def listening_here(address: str | None, more: Sequence[str]) -> list[str]:
    """Options that keep a worker's own ports from the network: Dask's are open to all.

    Args:
        address: of the scheduler; None: not known.
        more: the user's own options, which count more.
    """
    given = {word.partition("=")[0] for word in more}
    options: list[str] = []
    if "--dashboard-address" not in given:  # its HTTP server listens without a dashboard, too
        options += ["--dashboard-address", "127.0.0.1:0"]
    plain = address is not None and not address.startswith(tuple(f"{p}://" for p in ENCRYPTED))
    chosen = given & {"--host", "--interface", "--listen-address", "--contact-address"}
    if plain and not chosen and stays_here(_host(str(address).rpartition("://")[2])):
        options += ["--host", "127.0.0.1"]
    return options
