"""The seam between runtimes and the program that reaches them.

`CgpuCli` is the one implementation. google-colab-cli (Google's own, on PyPI) would be a second: it has named sessions, real
exit codes and downloads, but needs Python 3.12 or later, so it is not wired up here.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Finished:
    """A script that ran to its end."""

    code: int
    """Its exit code; 128 + n when signal n ended it."""
    output: str
    """What it printed, both streams as one, exact; the last 8 MiB of it."""


class Sink(Protocol):
    """What takes the frames of a stream."""

    def data(self, block: bytes) -> None:
        """Base64 text without line breaks; blocks end anywhere."""

    def mark(self, name: str, arguments: list[str]) -> None:
        """A marker: `@@token:name:argument:…` stood on a line of its own."""


class RemoteRunner(Protocol):
    """Runs scripts on a runtime and sends files to it. All methods may be called from several threads."""

    def call(self, script: str, timeout_seconds: float) -> Finished:
        """Run a bash script there and return what it printed.

        Raises:
            RemoteError: it did not run, or how it ended is not known.
        """

    def stream(
        self, script: str, timeout_seconds: float, sink: Sink, stall_seconds: float | None = None
    ) -> int:
        """Run a bash script that prints frames, and hand them on as they come.

        Args:
            script: prints base64 lines, and markers as `@@$U:name:…` on lines of their own.
            timeout_seconds: the hard limit.
            sink: takes the frames; what it raises ends the stream.
            stall_seconds: no output for this long counts as a cut line.

        Returns:
            The exit code of the script.

        Raises:
            RemoteError: as `call`.
        """

    def upload(self, local: Path, remote: str) -> None:
        """Copy one file to a plain absolute path in a folder that exists. Not verified: see `files`.

        Raises:
            RemoteError: it did not arrive.
        """

    def alive(self) -> bool:
        """Whether a runtime answers. It may be another one than before."""

    def keep_alive(self) -> AbstractContextManager[None]:
        """While open, the runtime does not count as idle."""

    def stop(self) -> None:
        """End what this runner keeps running here. The runtime itself may live on."""
