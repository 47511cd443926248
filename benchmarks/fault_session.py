"""A session in which one job follows the other on a local cluster that stays: what starts takes longer than a small job.

`python -m benchmarks.fault_session` opens the cluster and runs the commands that it reads, one JSON object a line.
"""

from __future__ import annotations

import json
import os
import queue
import secrets
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.fault_round import begin, is_ffmpeg, is_worker, kill, listen, marked

WORKERS = 2
STARTING_SECONDS = 60
ENDING_SECONDS = 15

ANSWER = "the exit code of the command: "


class Session:
    """A process with a local cluster in which commands are run; a group of its own, as behind a terminal.

    Args:
        environment: variables beside ours.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.mark = secrets.token_hex(8)
        self._hear: Callable[[str], None] = lambda line: None
        self._process = begin(
            ["-m", "benchmarks.fault_session"], self.mark, environment,
            stdin=subprocess.PIPE, cwd=Path(__file__).parents[1],
        )  # fmt: skip
        self.pid = self._process.pid
        self._answers: queue.Queue[int] = queue.Queue()
        threading.Thread(target=listen, args=(self._process, self._told), daemon=True).start()
        try:
            self.answer(STARTING_SECONDS)
        except TimeoutError:
            self.close()
            raise SystemExit("the cluster of the rounds does not start") from None

    def _told(self, line: str) -> None:
        if line.startswith(ANSWER):  # among the words, so that those before it were heard
            self._answers.put(int(line.removeprefix(ANSWER)))
        else:
            self._hear(line)

    def start(
        self,
        arguments: Sequence[str],
        hear: Callable[[str], None],
        settings: Mapping[str, Any] | None = None,
    ) -> Turn:
        """Run a command.

        Args:
            arguments: of the command.
            hear: gets each line that it says.
            settings: of Dask's configuration, as long as it runs.
        """
        self._hear = hear
        assert self._process.stdin is not None
        asked = {"arguments": list(arguments), "settings": dict(settings or {})}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return Turn(self)

    def answer(self, seconds: float) -> int:
        """The exit code of the command.

        Raises:
            TimeoutError: there is none so soon.
        """
        try:
            return self._answers.get(timeout=seconds)
        except queue.Empty as error:
            raise TimeoutError from error

    @property
    def alive(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def busy(self) -> list[psutil.Process]:
        """What a job has started, and its end should have ended."""
        return [p for p in marked(self.mark) if is_ffmpeg(p)]

    def whole(self) -> bool:
        """Whether all workers are there, or come soon; none of them stands still."""
        end = time.monotonic() + STARTING_SECONDS
        while self.alive and time.monotonic() < end:
            states = [p.status() for p in marked(self.mark) if is_worker(p) and p.is_running()]
            if len(states) == WORKERS and psutil.STATUS_STOPPED not in states:
                return True
            time.sleep(0.1)
        return False

    def close(self) -> None:
        """End it, with all that it has started."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(ENDING_SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            pass
        kill(marked(self.mark))
        self._process.wait(ENDING_SECONDS)


class Turn:
    """A run of the command in a session.

    Args:
        session: it.
    """

    def __init__(self, session: Session) -> None:
        self.mark, self.pid = session.mark, session.pid
        self._session = session
        self._code: int | None = None

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        if self._code is None and self._session.alive:
            try:
                self._code = self._session.answer(0.001)
            except TimeoutError:
                return True
        return False

    def wait(self, seconds: float) -> int:
        """See `fault_round.Runs`."""
        end = time.monotonic() + seconds
        while self._code is None:
            try:
                self._code = self._session.answer(0.2)
            except TimeoutError:
                if time.monotonic() > end:
                    raise
                if not self._session.alive:
                    self._code = 70
        return self._code


def main() -> None:
    """Answer each command with its exit code."""
    import dask

    from montage_dask import Cluster
    from montage_dask.cli import main as command

    with Cluster("local", n_workers=WORKERS):
        _say(0)
        for line in sys.stdin:
            asked = json.loads(line)
            code = 70
            try:
                with dask.config.set(asked["settings"]):
                    command(asked["arguments"])
            except SystemExit as end:
                code = int(end.code or 0)
            except Exception:  # a fault of the command; the rounds go on
                traceback.print_exc()
            _say(code)


def _say(code: int) -> None:
    sys.stderr.flush()
    os.write(2, f"{ANSWER}{code}\n".encode())


if __name__ == "__main__":
    main()
