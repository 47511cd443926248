"""Guards cgpu's session.json: cgpu deletes it whenever Google's token server has a bad minute, and asks for a login then.

A copy is held in memory during a call and put back when the file vanished for no good reason. Calls hold a shared lock
meanwhile, so that another one that misses the file can tell a bad moment from a logout.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from montage_dask.cgpu.accounts import Account
from montage_dask.errors import Timeout

PATIENCE_SECONDS = 2.0
"""How long a missing session may take to be put back by whoever saw it vanish."""

POLL_SECONDS = 0.05


class Session:
    """The session of one account during one call."""

    def __init__(self, account: Account) -> None:
        self._path = account.session_path
        self._copy: bytes | None = None

    def read(self) -> None:
        """Take the copy."""
        try:
            self._copy = self._path.read_bytes()
        except OSError:
            self._copy = None

    def put_back(self) -> bool:
        """Write the copy again if the file vanished; whether there is a file now."""
        if self._path.exists():
            return True
        if self._copy is None:
            return False
        part = self._path.with_name(f".{uuid.uuid4().hex}.part")
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(self._copy)
            # Not over a file that another call, or a login, wrote meanwhile.
            os.link(part, self._path)
        except FileExistsError:
            pass
        except OSError:
            return False
        finally:
            part.unlink(missing_ok=True)
        return True


@contextmanager
def call_session(account: Account) -> Iterator[Session]:
    """The session to guard during one call.

    Raises:
        AuthenticationRequired: there is none, so that cgpu would wait for a login for ever.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while account.lack() and _others_call(account) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    account.check()
    with _locked(_lock_path(account, "calls"), fcntl.LOCK_SH, PATIENCE_SECONDS):
        session = Session(account)
        session.read()
        yield session


@contextmanager
def allocation_lock(account: Account, timeout_seconds: float) -> Iterator[None]:
    """One at a time per account: two cold starts would allocate two machines.

    Raises:
        Timeout: another process holds it for longer than that.
    """
    with _locked(_lock_path(account, "allocation"), fcntl.LOCK_EX, timeout_seconds):
        yield


@contextmanager
def _locked(path: Path, kind: int, timeout_seconds: float) -> Iterator[None]:
    descriptor = _open(path)
    try:
        deadline = time.monotonic() + timeout_seconds
        while not try_lock(descriptor, kind):
            if time.monotonic() >= deadline:
                message = f"another process keeps cgpu busy for more than {timeout_seconds:.0f} s: try again later"
                raise Timeout(message)
            time.sleep(POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def try_lock(descriptor: int, kind: int) -> bool:
    """Lock an open file without waiting; whether it worked."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _others_call(account: Account) -> bool:
    path = _lock_path(account, "calls")
    if not path.exists():
        return False
    descriptor = _open(path)
    try:
        return not try_lock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def _lock_path(account: Account, name: str) -> Path:
    state = account.state_dir()
    if os.access(state, os.W_OK):
        return state / f"montage-dask.{name}.lock"
    # A read-only mount, such as a secret of Kubernetes: one machine shares a lock at least with itself.
    key = hashlib.sha256(os.fsencode(state.absolute())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"montage-dask-{os.getuid()}-{key}.{name}.lock"


def lock_file(account: Account, name: str) -> int:
    """Open a lock file of an account; close it to let go."""
    return _open(_lock_path(account, name))


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
