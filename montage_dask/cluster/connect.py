"""A connected client: of an embedded cluster on this machine, or of a running one."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Security

from montage_dask.cluster.local import local
from montage_dask.cluster.openness import refuse_open
from montage_dask.cluster.preflight import (
    CONNECT_SECONDS,
    check_scheduler,
    scheduler_in,
    scheduler_of,
)
from montage_dask.config import Setting, cluster_of
from montage_dask.errors import ClusterError, UsageError, printable
from montage_dask.graph.workers import SCHEDULER_WAIT_SECONDS
from montage_dask.store import Place

TLS_ADVICE = (
    "for TLS, give --tls-ca-file, --tls-cert and --tls-key (or distributed.comm.tls in Dask's configuration) "
    "that the scheduler's authority signed, and an address tls://…"
)

CONFIGURATION = {
    # A worker that dies costs its tasks one attempt each; three are soon used up on spot machines.
    "distributed.scheduler.allowed-failures": 10,
    # A task that no worker can take must fail, not wait for ever.
    "distributed.scheduler.no-workers-timeout": "120s",
    # A worker that hangs gives no sign; its work goes to others after this.
    "distributed.scheduler.worker-ttl": "30s",
    # Looking at the stacks 100 times a second takes up to a fifth of a small job; this is enough for the dashboard.
    "distributed.worker.profile.interval": "200ms",
    "distributed.worker.profile.cycle": "2s",
    # Idle processes of a cluster took a seventh of a core for looking at themselves; so it is a twenty-fifth.
    "distributed.worker.memory.monitor-interval": "500ms",
    "distributed.admin.tick.interval": "200ms",
    "distributed.admin.system-monitor.interval": "1s",
    "distributed.comm.timeouts.connect": f"{CONNECT_SECONDS}s",
    "distributed.admin.log-format": "%(asctime)s %(name)s %(levelname)s %(message)s",
}


_configured: list[Any] = []
"""The one change of Dask's configuration that all connections share, and how many there are."""
_configuring = threading.Lock()


@contextmanager
def configured() -> Iterator[None]:
    """Dask's configuration for our clusters. It is global: the first of several connections sets it, the last takes it back.

    What the user set by Dask's own environment variables counts more.
    """
    ours = {k: v for k, v in CONFIGURATION.items() if _variable(k) not in os.environ}
    with _configuring:
        _configured.append(dask.config.set(ours) if not _configured else None)
    try:
        yield
    finally:
        with _configuring:
            change = _configured[0]
            _configured.pop()
            if not _configured:
                change.__exit__(None, None, None)


def _variable(key: str) -> str:
    return "DASK_" + key.replace(".", "__").replace("-", "_").upper()


@contextmanager
def attach(address: str, security: Any = None) -> Iterator[Client]:
    """A client of the scheduler at an address, with the security object of another client or cluster of it.

    Raises:
        ClusterError: as `connect`.
    """
    with configured(), _remote(address, security, insecure=True) as client:
        yield client


@contextmanager
def connect(
    settings: Mapping[str, Setting], places: Sequence[Place] | None = None
) -> Iterator[Client]:
    """A client of the cluster that the settings name; closes on exit what it started.

    Args:
        settings: all of them.
        places: what the job reads and writes, which decides what pods on Kubernetes get; None: not known yet.

    Raises:
        ClusterError: the cluster cannot be reached, or speaks another version.
        UsageError: distributed-mode without an address.
    """
    where = cluster_of(settings)
    with configured():
        if where == "local":
            with local(settings) as client:
                yield client
        elif where == "kubernetes":
            # Imported here: it brings dask-kubernetes and the API server's client.
            from montage_dask.cluster.kubernetes import kubernetes

            with kubernetes(settings, places) as client:
                yield client
        else:
            insecure = settings["insecure"].value
            with _remote(where, _security(settings), insecure=insecure) as client:
                yield client


def _security(settings: Mapping[str, Setting]) -> Security | None:
    """From the settings; None: what Dask's own configuration says (`distributed.comm.tls`)."""
    names = ("tls-ca-file", "tls-cert", "tls-key")
    given = {n: settings[n].value for n in names if settings[n].value is not None}
    if not given:
        return None
    # The key may stand in the file of the certificate.
    for name in ("tls-ca-file", "tls-cert"):
        if name not in given:
            raise UsageError(
                f"--{name} is missing: TLS needs --tls-ca-file and --tls-cert, and --tls-key where the key has its own file"
            )
    for name, path in given.items():
        if not os.access(path, os.R_OK):
            raise UsageError(f"--{name} {printable(path)}: no file that can be read")
    return Security(
        require_encryption=True,
        tls_ca_file=given["tls-ca-file"],
        tls_client_cert=given["tls-cert"],
        tls_client_key=given.get("tls-key"),
    )


@contextmanager
def _remote(where: str, security: Security | None, *, insecure: bool) -> Iterator[Client]:
    name = printable(where)
    # Its time-out is also that of its reconnecting; whether somebody answers is found out before.
    options: dict[str, Any] = {
        "timeout": SCHEDULER_WAIT_SECONDS, "security": security, "set_as_default": False,
    }  # fmt: skip
    if where.startswith(("http://", "https://")):
        address = options["address"] = scheduler_of(where)
    elif "://" in where:
        address = options["address"] = where
    elif os.path.isfile(where):
        # Not the file: it may name another one by now.
        address = options["address"] = scheduler_in(Path(where))
    else:
        raise ClusterError(
            f"--cluster {name}: not `local`, `kubernetes`, an address such as tcp://host:8786 (or tls://…), or a scheduler file"
        )
    refuse_open(address, insecure)
    try:
        check_scheduler(address, security)
        client = Client(**options)
    except ssl.SSLError as error:
        raise ClusterError(
            f"{name}: no certificate, key and authority that fit together: {error}; {TLS_ADVICE}"
        ) from error
    except (OSError, TimeoutError, ValueError, KeyError) as error:
        raise ClusterError(
            f"no Dask scheduler answers at {name}: is it running? ({error}{_tls_advice(error)})"
        ) from error
    except (TypeError, RuntimeError) as error:
        # What distributed raises for an address that does not fit its configuration.
        raise ClusterError(f"{name}: {' '.join(str(error).split())}; {TLS_ADVICE}") from error
    with client:
        try:
            client.get_versions(check=True)
        except ValueError as error:
            raise ClusterError(f"{name}: client and cluster differ in versions: {error}") from error
        yield client


def _tls_advice(error: BaseException) -> str:
    """Advice, if the cause of an error is the other side's refusal of a certificate, or ours of its."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError) or "SSL" in str(cause):
            return f"; {TLS_ADVICE}"
        cause = cause.__cause__
    return ""
