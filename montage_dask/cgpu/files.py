"""Files to and from a runtime, whole or not at all, going on where an earlier try ended.

Up: one upload per chunk, then one call that joins and verifies. Down: one call streams many chunks as base64, and they are
written to disk as they come. The memory needed is a piece of a chunk, whatever the size of the file.
"""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from montage_dask.cgpu.chunks import (
    ASK_FIRST_BYTES,
    PAUSE_SECONDS,
    TRIES,
    Presence,
    cut,
    passing,
    patiently,
    quoted,
    send_chunks,
)
from montage_dask.cgpu.download import Download, damaged, unfinished
from montage_dask.errors import (
    RemoteCommandFailed,
    RemoteError,
    TransferCorrupt,
    UsageError,
    printable,
)

if TYPE_CHECKING:
    from montage_dask.cgpu.runtime import Runtime

log = logging.getLogger(__name__)

CALL_BYTES = 512 << 20
"""Fetched in one call."""

BYTES_PER_SECOND = 100_000
"""Slower than any line to Colab that was seen: it bounds the time of a call, silence ends it earlier."""

DISK_BYTES_PER_SECOND = 10_000_000
"""A runtime joins and verifies faster than that."""


def put(runtime: Runtime, local: Path, remote: str) -> None:
    """See `Runtime.put`."""
    runtime.ensure()
    target = quoted(remote)
    transfer = cut(local, runtime.chunk_bytes)
    state = Presence()
    if transfer.size >= ASK_FIRST_BYTES:
        state = patiently(lambda: _ask(runtime, transfer.have(target), transfer.size))
        if state.there:
            return
    for _ in range(TRIES):
        send_chunks(runtime, local, transfer, state.parts)
        state = patiently(lambda: _ask(runtime, transfer.join(target), transfer.size))
        if state.there:
            return
        state.check(remote)
    raise TransferCorrupt(
        f"{printable(str(local))} arrived changed {TRIES} times: try again, or with smaller chunks (cgpu-chunk-megabytes)"
    )


def _ask(runtime: Runtime, script: str, size: int) -> Presence:
    state = Presence()
    runtime.stream(script, runtime.call_seconds + size / DISK_BYTES_PER_SECOND, state)
    return state


def get(runtime: Runtime, remote: str, local: Path, most_bytes: int) -> None:
    """See `Runtime.get`."""
    runtime.ensure()
    with unfinished(local, remote) as part:
        download = Download(part, most_bytes)
        try:
            fetch(runtime, remote, download)
        finally:
            download.close()


def fetch(runtime: Runtime, remote: str, download: Download) -> None:
    """Stream what a download still lacks.

    Raises:
        RemoteCommandFailed: there is no such file.
        RemoteError: it cannot be had.
    """
    failures = 0
    while not download.complete:
        before = download.done
        request = download.request(quoted(remote), runtime.chunk_bytes, CALL_BYTES)
        seconds = runtime.call_seconds + CALL_BYTES / BYTES_PER_SECOND
        try:
            runtime.stream(request, seconds, download, runtime.call_seconds)
        except RemoteError as error:
            download.rewind()
            if not passing(error):
                raise
            failures = 0 if download.done > before else failures + 1
            if failures >= TRIES:
                raise
            log.info("again from byte %d: %s", download.done, error)
            time.sleep(PAUSE_SECONDS)
            continue
        if download.missing:
            raise RemoteCommandFailed("get", 1, (f"no such file: {printable(remote)}",))
        if download.done == download.size and not download.complete:
            failures += 1
            if failures >= TRIES:
                raise damaged()
            download.restart()


def fetch_many(runtime: Runtime, remotes: Sequence[str], folder: Path) -> list[Path]:
    """Fetch many small files at once, packed on the runtime; they keep their last names.

    Raises:
        UsageError: two of them have the same last name.
        RemoteError: as `Runtime.get`; RemoteCommandFailed when one is missing.
    """
    names = [remote.rstrip("/").rsplit("/", 1)[-1] for remote in remotes]
    if len(set(names)) < len(names):
        raise UsageError("two of the files have the same name")
    copies = (
        f'cd "$D" && cp -- {quoted(remote)} "$OLDPWD"/{shlex.quote(name)} && cd "$OLDPWD" || exit'
        for remote, name in zip(remotes, names, strict=True)
    )
    made = runtime.exchange(None, "\n".join(copies), names, runtime.call_seconds, into=folder)
    if made.code != 0:
        raise RemoteCommandFailed("get", made.code, tuple(made.log_tail.splitlines()[-20:]))
    return [folder / name for name in names]
