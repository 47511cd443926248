"""Webhooks: whoever sent a job is told when it has ended.

What is to be told stands in the queue, written in the change that ends the job, until it was told or given up: it outlives us.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ipaddress
import json
import logging
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from montage_dask.coordinator.jobs import Job, QueueUnavailable
from montage_dask.coordinator.queue import Queue
from montage_dask.errors import printable

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
ANSWER_SECONDS = 10.0
FIRST_WAIT_SECONDS = 10.0
MOST_TRIES = 8
"""The waits between them double: the last try comes after about 20 minutes."""
TRANSLATED = tuple(
    map(ipaddress.ip_network, ("64:ff9b::/32", "::/96", "::ffff:0:0:0/96", "192.88.99.0/24"))
)
"""Addresses that stand for others."""


class Refused(Exception):
    """It was not told, and why."""


def is_public(address: str) -> bool:
    """Whether an address is one of the whole internet, and does not stand for another one."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip
    hidden = any(ip in network for network in TRANSLATED)
    if isinstance(ip, ipaddress.IPv6Address):
        hidden = hidden or bool(ip.sixtofour or ip.teredo or ip.is_site_local)
    return ip.is_global and not ip.is_multicast and not hidden


@dataclass
class Hooks:
    """A thread that tells.

    Args:
        queue: of jobs.
        private: addresses of this machine and its networks may be told, too: users could reach by them what only we can.
    """

    queue: Queue
    private: bool = False

    def __post_init__(self) -> None:
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="montage-hooks", daemon=True)

    def start(self) -> None:
        """Begin to tell."""
        self._thread.start()

    def stop(self) -> None:
        """Tell no more; the rest is told after the next start."""
        self._ending.set()

    def _run(self) -> None:
        while not self._ending.wait(LOOK_SECONDS):
            try:
                while (found := self.queue.next_hook(ANSWER_SECONDS * 3)) is not None:
                    self.tell(*found)
            except QueueUnavailable:
                continue
            except Exception:
                log.exception("the webhooks stumbled")

    def tell(self, job: Job, tries: int) -> None:
        """Try it once, and write down what came of it."""
        wait: float | None = None
        try:
            self._post(job)
        except Exception as error:  # whatever a receiver does, its tries are counted
            wait = FIRST_WAIT_SECONDS * 2**tries if tries + 1 < MOST_TRIES else None
            later = "given up" if wait is None else f"again in {wait:.0f} s"
            log.warning("webhook of job %s: %s; %s", job.id, printable(str(error))[:200], later)
        self.queue.told_hook(job.id, tries, wait)

    def _post(self, job: Job) -> None:
        assert job.webhook is not None
        where = urlsplit(job.webhook["url"])
        host, secure = where.hostname or "", where.scheme == "https"
        port = where.port or (443 if secure else 80)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        address = str(found[0][4][0])
        if not self.private and not all(is_public(str(f[4][0])) for f in found):
            raise Refused(f"{host} is of a private network: `coordinator --webhook-private`")
        body = json.dumps(shown_to_hook(job)).encode()
        signed = hmac.new(job.webhook["secret"].encode(), body, hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", "X-Montage-Signature": f"sha256={signed}"}
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        line = kind(host, port, timeout=ANSWER_SECONDS)
        # The very address that was looked at: a name may mean another one a moment later.
        line.sock = socket.create_connection((address, port), ANSWER_SECONDS)
        # Who answers a byte at a time must not hold up the others.
        limit = threading.Timer(ANSWER_SECONDS, _cut, [line])
        limit.start()
        try:
            if secure:
                context = ssl.create_default_context()
                line.sock = context.wrap_socket(
                    line.sock, server_hostname=host, do_handshake_on_connect=False
                )
                line.sock.do_handshake()
            path = where.path or "/"
            line.request("POST", f"{path}?{where.query}" if where.query else path, body, headers)
            status = line.getresponse().status
        finally:
            limit.cancel()
            line.close()
        if not 200 <= status < 300:  # a redirect may lead anywhere
            raise Refused(f"{host} answers {status}")


def _cut(line: http.client.HTTPConnection) -> None:
    with suppress(OSError):
        line.sock.shutdown(socket.SHUT_RDWR)


def shown_to_hook(job: Job) -> dict[str, Any]:
    """What is told of a job."""
    names = ("id", "title", "state", "reason", "ended_at", "used_seconds", "parent", "event")
    return {name: getattr(job, name) for name in names}
