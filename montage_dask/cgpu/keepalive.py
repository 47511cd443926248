"""Keeps a runtime from counting as idle: `cgpu connect` beside the work, the only verb that sends keep-alives.

It reads a pipe that never brings anything. One runs per account, whoever wants it: the others wait for its place. It is started
by a thread that lives as long as it is wanted, since the kernel kills a child with the thread that started it.
"""

from __future__ import annotations

import fcntl
import logging
import os
import subprocess
import threading
import time
from collections.abc import Mapping
from types import TracebackType

from montage_dask.cgpu.accounts import Account
from montage_dask.cgpu.failures import LOGIN_PROMPTS, REVOKED
from montage_dask.cgpu.process import kill_group, start
from montage_dask.cgpu.session import Session, allocation_lock, call_session, lock_file, try_lock
from montage_dask.errors import RemoteError

log = logging.getLogger(__name__)

DELAY_SECONDS = 20.0
"""Before the first start: no runtime is idle so soon, and what is short needs no side-car."""

START_SECONDS = 90.0
"""How long a connection may take to stand."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
"""Between two starts after it died; doubled each time."""

PLACE_SECONDS = 1.0
"""How often a waiting one looks whether the place is free."""

CONNECTED = b"Connected!"


class KeepAlive:
    """A context manager that keeps the side-car running.

    Args:
        account: whose runtime.
        environment: of the child.
        flags: `--cpu` or `--tpu`, if it is no GPU.
        delay_seconds: before the first start.
    """

    def __init__(
        self,
        account: Account,
        environment: Mapping[str, str],
        flags: tuple[str, ...] = (),
        delay_seconds: float = DELAY_SECONDS,
    ) -> None:
        self._delay_seconds = delay_seconds
        self._account = account
        self._environment = environment
        self._command = [str(account.binary), "connect", *flags]
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self.starts = 0
        """Side-cars started so far."""
        self.connected = threading.Event()
        """A side-car of ours is connected."""
        self.pid: int | None = None
        """Of the running side-car."""

    def __enter__(self) -> KeepAlive:
        self._thread = threading.Thread(target=self._keep, name="cgpu keep-alive", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def _keep(self) -> None:
        if self._done.wait(self._delay_seconds):
            return
        try:
            place = lock_file(self._account, "connect")
        except OSError as error:
            log.warning("no keep-alive: %s", error.strerror)
            return
        try:
            while not try_lock(place, fcntl.LOCK_EX):
                if self._done.wait(PLACE_SECONDS):
                    return
            self._restart()
        finally:
            os.close(place)

    def _restart(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._done.is_set():
            began = time.monotonic()
            try:
                if not self._once():
                    log.warning("no keep-alive: cgpu asks for a login")
                    return
            except RemoteError as error:
                log.warning("no keep-alive: %s", error)
                if not error.retryable:
                    return
            if time.monotonic() - began > LONGEST_PAUSE_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            self._done.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _once(self) -> bool:
        """One side-car, from its start to its death; whether another try makes sense."""
        said = bytearray()
        # It may allocate a machine, so one at a time.
        with allocation_lock(self._account, START_SECONDS), call_session(self._account) as session:
            process = start(
                self._command,
                self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
            )
            self.starts += 1
            self.pid = process.pid
            errors = bytearray()
            drains = _drains(process, said, errors)
            deadline = time.monotonic() + START_SECONDS
            while (
                process.poll() is None
                and CONNECTED not in said
                and not _asks(said)
                and time.monotonic() < deadline
                and not self._done.wait(0.05)
            ):
                pass
            if CONNECTED not in said:
                return self._end(process, drains, session, said, errors)
            self.connected.set()
        while process.poll() is None and not self._done.wait(0.2):
            pass
        return self._end(process, drains, None, said, errors)

    def _end(
        self,
        process: subprocess.Popen[bytes],
        drains: list[threading.Thread],
        session: Session | None,
        said: bytearray,
        errors: bytearray,
    ) -> bool:
        assert process.stdin is not None
        process.stdin.close()
        kill_group(process)
        for drain in drains:
            drain.join(timeout=2)
        self.connected.clear()
        self.pid = None
        revoked = REVOKED.encode() in errors
        if session is not None and not revoked:
            session.put_back()
        return not (revoked or _asks(said))


def _asks(said: bytearray) -> bool:
    return any(prompt in said for prompt in LOGIN_PROMPTS)


def _drains(
    process: subprocess.Popen[bytes], said: bytearray, errors: bytearray
) -> list[threading.Thread]:
    """Threads that read both outputs, and keep the beginning."""

    def drain(descriptor: int, kept: bytearray) -> None:
        while True:
            try:
                block = os.read(descriptor, 1 << 16)
            except OSError:
                return
            if not block:
                return
            kept += block[: (16 << 10) - len(kept)]

    assert process.stdout is not None
    assert process.stderr is not None
    threads = [
        threading.Thread(target=drain, args=(stream.fileno(), kept), daemon=True)
        for stream, kept in ((process.stdout, said), (process.stderr, errors))
    ]
    for thread in threads:
        thread.start()
    return threads
