"""The process of a job: its command in a process group of its own, begun, watched and ended for certain."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from montage_dask.children import dying_with_parent
from montage_dask.coordinator.accounts import Account
from montage_dask.coordinator.jobs import Job, State
from montage_dask.coordinator.verbs import words
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
BAND = 100
"""Between the priorities of two bands: more than between those within a job."""
SKIPPED, INTERRUPTED = 3, 130
"""Exit codes of commands."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a process."""

    state: State | None
    """None: it stopped without an end, and goes on later."""
    reason: str = ""
    crashed: bool = False
    later: bool = False
    """Not at once: somebody or something must come back first."""


def outcome(code: int, ending: Mapping[str, Any]) -> Outcome:
    """What an exit code means, and what the command said of its end."""
    reason = str(ending.get("message") or "")
    if code == 0:
        return Outcome("finished")
    if code == SKIPPED:
        return Outcome("partly", "some clips were left out: see the log")
    if code == INTERRUPTED:
        return Outcome(None, "its process was interrupted")
    if code < 0:
        known = -code in set(signal.Signals)
        name = signal.Signals(-code).name if known else f"signal {-code}"
        return Outcome(None, f"its process was killed by {name}", crashed=True)
    if ending.get("error") in FOR_LATER:
        return Outcome(None, reason, later=True)
    return Outcome("failed", reason or f"its process ended with code {code}: see the log")


class Child:
    """A running process of a job.

    Start it in a thread that lives as long as this program: with that thread the process ends, however that comes.

    Args:
        job: as it was claimed.
        account: its user's.
        options: of its command, such as `--cluster`.

    Raises:
        BlockingIOError: another process still works in the folder.
        OSError: it cannot be begun.
    """

    def __init__(self, job: Job, account: Account, options: Sequence[str]) -> None:
        self.job, self.folder = job, account.job_folder(job.id)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._mark = f"{ENDING_VARIABLE}={self.folder / ENDING}"
        self._refuse_second()
        (self.folder / ENDING).unlink(missing_ok=True)
        self._asked_at: float | None = None
        if "verb" in job.request:
            said = words(job.request)
        else:
            text = yaml.safe_dump({**job.request, "output": OUTPUT}, allow_unicode=True)
            (self.folder / JOB_FILE).write_text(text, encoding="utf-8")
            said = ["run", JOB_FILE]
        own = ["--json", "--store", str(account.store), *options]
        command = [sys.executable, "-P", "-m", "montage_dask", said[0], *own, *said[1:]]
        environment = {k: v for k, v in os.environ.items() if k not in HIDDEN}
        environment["DASK_MONTAGE__PRIORITY"] = str(BAND * job.priority)
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
        lock = self.folder / RUN_DIR / FOLDER_LOCK
        if lock.exists():
            Lock(lock, exclusive=True, wait=False).close()
        kill_marked(self._mark)

    def poll(self) -> Outcome | None:
        """What came of it, once it and all that it had begun are gone."""
        with suppress(ChildProcessError):
            # Looked at, not taken: as long as it is a zombie, its process group is nobody else's.
            gone = os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if gone is None:
                if self._asked_at is not None and time.monotonic() - self._asked_at > TERM_SECONDS:
                    self.kill()
                return None
        self.kill()
        code, said = self.process.wait(), None
        with suppress(OSError, ValueError):
            said = parse_json(read_bytes(self.folder / ENDING, ENDING_BYTES).decode("ascii"))
        found = outcome(code, said if isinstance(said, dict) else {})
        return replace(found, crashed=False) if self._asked_at is not None else found

    def ask_to_stop(self) -> None:
        """Let it end by itself; it keeps what is done. `poll` kills it when it does not."""
        if self._asked_at is None:
            self._asked_at = time.monotonic()
            with suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and all that it had begun, at once."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        kill_marked(self._mark)

    def progress(self) -> dict[str, Any] | None:
        """How far it is; None as long as it has not said so."""
        with suppress(MontageError):
            found = read_progress(self.folder / RUN_DIR)
            if found is not None and found.get("pid") == self.process.pid:
                return {name: found.get(name) for name in TOLD}
        return None


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
    wanted, found = b"\0" + mark.encode() + b"\0", []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if wanted in b"\0" + environ.read_bytes():
                found.append(int(environ.parent.name))
    return found
