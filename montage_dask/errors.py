"""Every error that this package raises on purpose.

MontageError
├── UsageError            the request is wrong: an option, a job file, a style (exit code 2)
├── MediaError            a media file cannot be used; carries the file and the reason
│   └── FFmpegError       ffmpeg failed on it; carries the last lines and the command
├── NothingToDoError      no usable footage or music is left
├── StoreError            the run folder or the output cannot be written
├── ClusterError          no cluster, or it lacks a resource that the graph needs
├── DirectorUnavailable   no usable answer from a language model; rules read the brief instead
├── TargetFailed          a target (GPU, cgpu) could not do it; another one may
└── VerificationError     a rendered file is not what the timeline promised

The message is one line for the user: what, which file, what to do. Details go to the log.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence


class MontageError(Exception):
    """Base of all errors raised on purpose."""


class UsageError(MontageError, ValueError):
    """An option, a job file or a style is wrong."""


class MediaError(MontageError):
    """A media file cannot be used.

    Args:
        path: the file.
        reason: one line that says why, fit for the user.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{printable(self.path)}: {self.reason}"


class FFmpegError(MediaError):
    """ffmpeg failed.

    Args:
        path: the file that was read or written.
        reason: one line that says why.
        last_lines: the end of what ffmpeg printed.
        command: the argument list, to run again by hand.
    """

    def __init__(
        self, path: str, reason: str, last_lines: Sequence[str] = (), command: Sequence[str] = ()
    ) -> None:
        super().__init__(path, reason)
        self.args = (path, reason, tuple(last_lines), tuple(command))
        self.last_lines = tuple(last_lines)
        self.command = tuple(command)

    def details(self) -> str:
        """The last lines and the re-runnable command, for the log."""
        return "\n".join([*self.last_lines, "command: " + shlex.join(self.command)])


class NothingToDoError(MontageError):
    """No usable footage or music is left."""


class StoreError(MontageError):
    """The run folder or the output cannot be written."""


class ClusterError(MontageError):
    """There is no cluster, or it lacks what the graph needs."""


class DirectorUnavailable(MontageError):
    """A language model gave no usable answer; the message says why."""


class TargetFailed(MontageError):
    """The target could not do it, another may: no memory left on the GPU, for example."""


class VerificationError(MontageError):
    """A rendered file is not what the timeline promised."""


def printable(text: str) -> str:
    """A file name on one line: control characters and broken encodings are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
