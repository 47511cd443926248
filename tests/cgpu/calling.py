"""Calls of a cgpu executable as tests make them: bounded in time, nothing of them left behind."""

from __future__ import annotations

import os
import signal
import subprocess
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

    def hangs(self, *arguments: str, seconds: float = 3) -> tuple[str, str]:
        """Run it, make sure that it does not end within `seconds`, kill it: its stdout and stderr so far."""
        process = self.start(*arguments)
        try:
            output, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            return self.kill(process)
        text = f"cgpu ended with {process.returncode} instead of hanging: {output}{errors}"
        raise AssertionError(text)

    @staticmethod
    def kill(process: subprocess.Popen[str]) -> tuple[str, str]:
        """Kill it with its process group: its stdout and stderr."""
        os.killpg(process.pid, signal.SIGKILL)
        output, errors = process.communicate()
        return output or "", errors or ""

    def remote(self, command: str, seconds: float = 30) -> tuple[int, str]:
        """`run -- COMMAND`: exit code and what it printed after the line on the account."""
        ended = self("run", "--", command, seconds=seconds)
        first, _, rest = ended.stdout.partition("\n")
        assert first.startswith("Authenticated as "), (ended.stdout, ended.stderr)
        return ended.returncode, rest
