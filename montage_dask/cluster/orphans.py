"""Whose a cluster is, and whether its client was killed before it could remove it."""

from __future__ import annotations

import getpass
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime

import psutil

LAUNCHED_BY = "montage-dask/launched-by"
PROCESS = "montage-dask/process"
"""Machine, process and when it started: a process there can be looked for."""

SEEN = "montage-dask/seen"
KEPT = "montage-dask/kept"

SIGN_SECONDS = 20.0
"""How often a client says that it lives."""

SILENT_SECONDS = 300.0
"""A client that says nothing for so long is dead. An API server that is away for less must not cost a cluster."""


def launcher(*, kept: bool) -> dict[str, str]:
    """The annotations of a cluster that this process starts.

    Args:
        kept: whether the cluster is meant to outlive its client.
    """
    return {LAUNCHED_BY: _who(), PROCESS: _process(), KEPT: str(kept).lower(), **alive()}


def alive(now: datetime | None = None) -> dict[str, str]:
    """The annotation that says that the client lives."""
    return {SEEN: (now or datetime.now(UTC)).isoformat(timespec="seconds")}


def orphaned(annotations: Mapping[str, str], now: datetime | None = None) -> bool:
    """Whether nobody will remove a cluster: its client is known to be dead, or silent for long."""
    if annotations.get(KEPT) != "false" or SEEN not in annotations:
        return False
    machine, _, rest = annotations.get(PROCESS, "").rpartition("/")
    pid, _, started = rest.partition("@")
    if machine == platform.node() and pid.isdigit():
        try:
            return str(int(psutil.Process(int(pid)).create_time())) != started
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:  # pragma: no cover - a process of somebody else: it lives
            return False
    try:
        seen = datetime.fromisoformat(annotations[SEEN])
    except ValueError:
        return False
    return ((now or datetime.now(UTC)) - seen).total_seconds() > SILENT_SECONDS


def _process() -> str:
    return f"{platform.node()}/{os.getpid()}@{int(psutil.Process().create_time())}"


def _who() -> str:
    try:
        return f"{getpass.getuser()}@{platform.node()}"
    except (KeyError, OSError):  # a user without a name, as in many images
        return platform.node()
