"""The process of a job: `run` in a process group of its own, begun, watched and ended for certain."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from montage_dask.children import dying_with_parent
from montage_dask.coordinator.accounts import Account
from montage_dask.coordinator.jobs import Job, State
from montage_dask.errors import MontageError
from montage_dask.progress_file import read_progress
from montage_dask.received import parse_json, read_bytes
from montage_dask.store.locks import FOLDER_LOCK, Lock

JOB_FILE, OUTPUT, RUN_DIR = "job.yaml", "montage.mp4", "montage.montage"
LOG, RESULT, ENDING = "log.txt", "result.json", "ending.json"

ENDING_VARIABLE = "MONTAGE_ENDING"
"""Names the file where a command leaves why it failed (see `cli`); and marks all processes of a job, for they inherit it."""

HIDDEN = (
    "COORDINATOR_URL", "DASK_MONTAGE__COORDINATOR_URL", "COORDINATOR_TOKEN", "REDIS_URL", "DISTRIBUTED_MODE",
    "DASK_MONTAGE__DISTRIBUTED_MODE", "DASK_MONTAGE__ROOTS", "DASK_MONTAGE__STORE", "DASK_MONTAGE__CLUSTER",
)  # fmt: skip
"""What a job's process never inherits: it must not come back here, nor see what is not its own."""

TERM_SECONDS = 5.0
"""A process that is asked to end has so long; then it is killed with its whole group."""
KILLED_SECONDS = 3.0
ENDING_BYTES = 1 << 20

TOLD = ("stage", "done", "total", "unit", "speed", "eta_seconds", "stages", "notes", "noted")
"""What of a progress file stands in the queue."""

FOR_LATER = ("ClusterError", "InUse")
"""What is wrong with the machines of the moment, and not with the job."""

SKIPPED, INTERRUPTED = 3, 130
"""Exit codes of `run`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a process."""

    state: State | None
    """None: it stopped without an end, and goes on later."""
    reason: str = ""
    crashed: bool = False
    later: bool = False
    """Not at once: somebody or something must come back first."""


def outcome(code: int, ending: Mapping[str, Any] | None) -> Outcome:
    """What an exit code means, and what the command said of its end."""
    said = ending or {}
    reason = str(said.get("message", "") or "")
    if code == 0:
        return Outcome("finished")
    if code == SKIPPED:
        return Outcome("partly", "some clips were left out: see the log")
    if code == INTERRUPTED:
        return Outcome(None, "its process was interrupted")
    if code < 0:
        return Outcome(None, f"its process was killed by {_signal(-code)}", crashed=True)
    if said.get("error") in FOR_LATER:
        return Outcome(None, reason, later=True)
    return Outcome("failed", reason or f"its process ended with code {code}: see the log")


def _signal(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


class Child:
    """A running process of a job.

    Start it in a thread that lives as long as this program: with that thread the process ends, however that comes.

    Args:
        job: as it was claimed.
        account: its user's.
        options: of the command `run`, such as `--cluster`.

    Raises:
        BlockingIOError: another process still works in the folder.
        OSError: it cannot be begun.
    """

    def __init__(self, job: Job, account: Account, options: Sequence[str]) -> None:
        self.job = job
        self.folder = account.job_folder(job.id)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._mark = f"{ENDING_VARIABLE}={self.folder / ENDING}"
        self._refuse_second()
        (self.folder / ENDING).unlink(missing_ok=True)
        self._asked_at: float | None = None
        text = yaml.safe_dump({**job.request, "output": OUTPUT}, allow_unicode=True)
        (self.folder / JOB_FILE).write_text(text, encoding="utf-8")
        command = [
            sys.executable, "-P", "-m", "montage_dask", "run", JOB_FILE, "--json", "--store", str(account.store), *options,
        ]  # fmt: skip
        environment = {k: v for k, v in os.environ.items() if k not in HIDDEN}
        environment["DASK_MONTAGE__ROOTS"] = repr([str(p) for p in account.roots])
        environment[ENDING_VARIABLE] = str(self.folder / ENDING)
        with (self.folder / LOG).open("ab") as log, (self.folder / RESULT).open("wb") as result:
            self.process = subprocess.Popen(
                dying_with_parent(command, environment),
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=result,
                stderr=log,
                process_group=0,
            )

    def _refuse_second(self) -> None:
        """The process of a former owner may still be there; what it left behind without being there any more is ended."""
        run_dir = self.folder / RUN_DIR
        if run_dir.is_dir() and (run_dir / FOLDER_LOCK).exists():
            Lock(run_dir / FOLDER_LOCK, exclusive=True, wait=False).close()
        kill_marked(self._mark)

    def poll(self) -> int | None:
        """Its exit code, once it and all that it had begun are gone."""
        with suppress(ChildProcessError):
            # Looked at, not taken: as long as it is a zombie, its process group is nobody else's.
            gone = os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if gone is None:
                if self._asked_at is not None and time.monotonic() - self._asked_at > TERM_SECONDS:
                    self.kill()
                return None
        self._kill_group()
        kill_marked(self._mark)
        return self.process.wait()

    def ask_to_stop(self) -> None:
        """Let it end by itself; it keeps what is done. `poll` kills it when it does not."""
        if self._asked_at is None:
            self._asked_at = time.monotonic()
            with suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and all that it had begun, at once."""
        self._kill_group()
        kill_marked(self._mark)

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def progress(self) -> dict[str, Any] | None:
        """How far it is; None as long as it has not said so."""
        with suppress(MontageError):
            found = read_progress(self.folder / RUN_DIR)
            if found is not None and found.get("pid") == self.process.pid:
                return {name: found.get(name) for name in TOLD}
        return None

    def outcome(self, code: int) -> Outcome:
        """What came of it."""
        ending = None
        with suppress(OSError, ValueError):
            said = parse_json(read_bytes(self.folder / ENDING, ENDING_BYTES).decode("ascii"))
            ending = said if isinstance(said, dict) else None
        return outcome(code, ending)


def kill_marked(mark: str) -> None:
    """End all processes of this machine that carry a job's mark in their environment, until there are none.

    Those that left the group of their job, and those whose job process died before them.
    """
    end = time.monotonic() + KILLED_SECONDS
    while (pids := marked(mark)) and time.monotonic() < end:
        for pid in pids:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def marked(mark: str) -> list[int]:
    """Living processes with a text in their environment. Those of others cannot be read."""
    wanted, found = mark.encode() + b"\0", []
    for entry in os.scandir("/proc") if os.path.isdir("/proc") else ():
        if entry.name.isdigit():
            with suppress(OSError):
                content = Path(entry.path, "environ").read_bytes()
                if b"\0" + wanted in b"\0" + content:
                    found.append(int(entry.name))
    return found
