"""Calls of a cgpu executable as tests make them: bounded in time, nothing of them left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Cgpu:
    """A cgpu executable in an environment."""

    binary: Path
    environment: Mapping[str, str]
    """The complete one."""

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start it in a process group of its own, with pipes; stdin is empty unless `options` say otherwise."""
        defaults: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        }
        return subprocess.Popen(
            [str(self.binary), *arguments],
            env=dict(self.environment),
            text=True,
            start_new_session=True,
            **defaults | options,
        )

    def __call__(self, *arguments: str, seconds: float = 30) -> subprocess.CompletedProcess[str]:
        """Run it to its end.

        Raises:
            subprocess.TimeoutExpired: it does not end within `seconds`; it was killed.
        """
        process = self.start(*arguments)
        try:
            output, errors = process.communicate(timeout=seconds)
        except BaseException:
            self.kill(process)
            raise
        return subprocess.CompletedProcess(arguments, process.returncode, output, errors)

    def hangs(self, *arguments: str, after: str, seconds: float = 1) -> tuple[str, str]:
        """Run it, make sure that it does not end, kill it.

        Args:
            arguments: of the command.
            after: what it prints on stdout before it hangs; waited for, however slow the machine is.
            seconds: that it must live on after that.

        Returns:
            Its stdout and stderr so far.
        """
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:

            def texts() -> tuple[str, str]:
                # The child writes where this file's position is: it must not move.
                out, err = (os.pread(file.fileno(), 1 << 28, 0) for file in (output, errors))
                return out.decode(), err.decode()

            process = self.start(*arguments, stdout=output, stderr=errors)
            try:
                deadline = time.monotonic() + 30
                while after not in texts()[0] and process.poll() is None:
                    assert time.monotonic() < deadline, texts()
                    time.sleep(0.02)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(seconds)
                assert process.poll() is None, (process.returncode, texts())
                return texts()
            finally:
                self.kill(process)

    @staticmethod
    def kill(process: subprocess.Popen[str]) -> tuple[str, str]:
        """Kill it with its process group: its stdout and stderr."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        output, errors = process.communicate()
        return output or "", errors or ""

    def remote(self, command: str, seconds: float = 30) -> tuple[int, str]:
        """`run -- COMMAND`: exit code and what it printed after the line on the account."""
        ended = self("run", "--", command, seconds=seconds)
        first, _, rest = ended.stdout.partition("\n")
        assert first.startswith("Authenticated as "), (ended.stdout, ended.stderr)
        return ended.returncode, rest
