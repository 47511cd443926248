"""Child processes that do not outlive what started them, however it ends."""

from __future__ import annotations

import ctypes
import signal
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:  # pragma: no cover - runs in the child
    # Runs between fork and exec: only async-signal-safe calls on a library that is already loaded.
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


try:
    _LIBC = ctypes.CDLL(None, use_errno=True)
    DIE_WITH_PARENT: Callable[[], None] | None = (
        _die_with_parent if hasattr(_LIBC, "prctl") else None
    )
except OSError:  # pragma: no cover - not Linux
    DIE_WITH_PARENT = None
"""For `preexec_fn`: the child dies with the *thread* that starts it (so says the kernel). None where that is not known."""
