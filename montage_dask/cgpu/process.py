"""A child process that is watched closely: own group, hard limit, read as it prints, gone when its parent is."""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from montage_dask.children import dying_with_parent

PIPE_BYTES = 1 << 20
"""Larger pipes, larger reads: a download is hundreds of megabytes of text."""
F_SETPIPE_SZ = 1031
STDERR_BYTES = 64 << 10
"""cgpu's own messages are short; more of it is a runaway."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended."""

    code: int | None
    """Exit code (negative: signal); None when it was killed here."""
    errors: str
    """The first 64 KiB of its stderr."""
    killed_for: str | None
    """`time`, `stall`, or what `on_output` said; None when it ended by itself."""


def start(
    command: Sequence[str], environment: Mapping[str, str], **pipes: Any
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own that dies with the *thread* that starts it (so says the kernel)."""
    return subprocess.Popen(
        dying_with_parent(command, environment),
        env=dict(environment),
        start_new_session=True,
        **pipes,
    )


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a child and what it started, and reap it."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()
    process.wait()


def watch(
    command: Sequence[str],
    environment: Mapping[str, str],
    timeout_seconds: float,
    on_output: Callable[[bytes], str | None],
    stall_seconds: float | None = None,
) -> Ended:
    """Run a child to its end, or kill its group.

    Args:
        command: the argument list.
        environment: all of its environment.
        timeout_seconds: killed after this long.
        on_output: gets stdout as it comes; a text returned (or an exception) kills the child.
        stall_seconds: killed when it printed nothing for this long.

    Raises:
        OSError: it cannot be started.
    """
    process = start(
        command,
        environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    errors = bytearray()
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            selector.register(process.stderr, selectors.EVENT_READ)
            _widen(process.stdout.fileno())
            reason = _pump(selector, process, timeout_seconds, on_output, stall_seconds, errors)
    finally:
        # Also when it ended: what it left in its group must not keep anything open.
        kill_group(process)
        process.stdout.close()
        process.stderr.close()
    code = None if reason else process.returncode
    return Ended(code, errors.decode("utf-8", "replace"), reason)


def _pump(
    selector: selectors.BaseSelector,
    process: subprocess.Popen[bytes],
    timeout_seconds: float,
    on_output: Callable[[bytes], str | None],
    stall_seconds: float | None,
    errors: bytearray,
) -> str | None:
    deadline = time.monotonic() + timeout_seconds
    heard = time.monotonic()
    while selector.get_map():
        now = time.monotonic()
        if now >= deadline:
            return "time"
        if stall_seconds is not None and now - heard >= stall_seconds:
            return "stall"
        # Short, to see that the child is gone although something that it left holds its pipes.
        patience = min(deadline - now, 0.5)
        if stall_seconds is not None:
            patience = min(patience, heard + stall_seconds - now)
        ready = selector.select(patience)
        if not ready and process.poll() is not None:
            break
        for key, _ in ready:
            block = os.read(key.fd, PIPE_BYTES)
            heard = time.monotonic()
            if not block:
                selector.unregister(key.fileobj)
            elif key.fileobj is process.stdout:
                reason = on_output(block)
                if reason:
                    return reason
            else:
                errors += block[: STDERR_BYTES - len(errors)]
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return "time"
    return None


def _widen(descriptor: int) -> None:
    # Where the system's limit is lower it is slower, not wrong.
    with contextlib.suppress(OSError):
        fcntl.fcntl(descriptor, F_SETPIPE_SZ, PIPE_BYTES)
