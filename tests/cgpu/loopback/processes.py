"""The processes of one virtual machine: found by a mark in their environment, and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

MARK = "LOOPBACK_VM"
"""Environment variable that every process of a virtual machine inherits, detached ones too."""


def processes_of(vm_id: str) -> list[int]:
    """Process ids whose environment carries the machine's mark. Zombies carry none."""
    mark = f"{MARK}={vm_id}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue  # it ended meanwhile, or is not ours
        if mark in environment.split(b"\0"):
            found.append(int(entry.name))
    return found


def end_processes(vm_id: str, seconds: float = 10) -> None:
    """Kill all of them, those that they start meanwhile too, and wait until none is left.

    Raises:
        TimeoutError: some live on.
    """
    end = time.monotonic() + seconds
    while found := processes_of(vm_id):
        if time.monotonic() > end:
            raise TimeoutError(f"processes {found} of virtual machine {vm_id} do not end")
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
