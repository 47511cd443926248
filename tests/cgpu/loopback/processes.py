"""The processes of virtual machines: found by a mark in their environment, and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

MARK = "LOOPBACK_VM"
"""Environment variable that every process of a virtual machine inherits, detached ones too."""

# Waits for the end of its stdin, then kills.
_GUARD = f"""while read -r _; do :; done
for _ in 1 2 3; do
    grep -lsz "^{MARK}=$0" /proc/[0-9]*/environ | cut -d/ -f3 | xargs -r kill -9
    sleep 0.1
done"""


def processes_of(vm_id: str) -> list[int]:
    """Process ids whose environment carries the mark of a machine (or of all whose ids begin so). Zombies carry none."""
    mark = f"{MARK}={vm_id}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue  # it ended meanwhile, or is not ours
        if any(each.startswith(mark) for each in environment.split(b"\0")):
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


class Guard:
    """Ends the processes of machines when this process dies without having done so: a crash, SIGKILL.

    Args:
        prefix: what the machines' ids begin with.
    """

    def __init__(self, prefix: str) -> None:
        # A session of its own: what interrupts this process's group must not reach it.
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, prefix],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """It is not needed any more."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
