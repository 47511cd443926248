"""Every error that this package raises on purpose.

MontageError
├── UsageError            the request is wrong: an option, a job file, a style (exit code 2)
├── MediaError            a media file cannot be used; carries the file and the reason
│   ├── FFmpegError       ffmpeg failed on it; carries the last lines and the command
│   │   └── InputChanged  pictures changed on the way, which its filters cannot take; another way to read them is tried
│   ├── SourceChanged     it was written to while the job ran
│   └── Uncuttable        a part of it cannot be told from the rest without decoding: use the whole file
├── FFmpegKilled          somebody killed ffmpeg, mostly the system for want of memory: tried again, no file is to blame
├── NothingToDoError      no usable footage or music is left
├── StoreError            the run folder or the output cannot be written
│   ├── InUse             another job makes the same output, or works in the same folder
│   └── DamagedArtefact   what an earlier operation made is not there as it was made: it is made again
├── ClusterError          no cluster, or it lacks a resource that the graph needs
├── Cancelled             the work was called off; what is done is kept
├── DirectorUnavailable   no usable answer from a language model; rules read the brief instead
├── TargetFailed          a target (GPU, cgpu) could not do it; another one may
│   └── RemoteError       the runtime behind cgpu; `retryable` says whether to try again there
│       ├── AuthenticationRequired  a person must log in
│       ├── QuotaExceeded           the account gets no (more) runtime for now
│       ├── NoCapacity              Colab has no machine free at the moment
│       ├── RuntimeLost             the machine is gone or was replaced, with all files
│       │   └── ConnectionLost      only the line to it was cut; what it does goes on
│       ├── RemoteCommandFailed     the command ran there and failed; carries code and last lines
│       ├── TransferCorrupt         bytes arrived changed, again and again
│       └── Timeout                 no answer in time
├── RenderError           pictures cannot be rendered, and no source is to blame
└── VerificationError     a rendered file is not what the timeline promised
    └── PictureMismatch       its pictures are not those of the footage that they claim to be

The message is one line for the user: what, which file, what to do. Details go to the log.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass


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


class SourceChanged(MediaError):
    """A file is not what it was when the job first looked at it. Nothing that was made of it meanwhile is kept.

    Args:
        path: the file.
        reason: as for `MediaError`.
    """

    def __init__(
        self,
        path: str,
        reason: str = "has changed since it was probed: run again when it is complete",
    ) -> None:
        super().__init__(path, reason)


class InputChanged(FFmpegError):
    """The pictures of an input changed their size or colours, and ffmpeg would have made its filters anew."""


class Uncuttable(MediaError):
    """A range of a file cannot be copied out so that it decodes as in the whole; the whole can be used."""


class FFmpegKilled(MontageError):
    """Somebody killed ffmpeg. It may go well another time, like the task of a worker that died.

    Args:
        signal_name: how.
        last_lines: the end of what ffmpeg printed.
        command: the argument list, to run again by hand.
    """

    def __init__(
        self, signal_name: str, last_lines: Sequence[str] = (), command: Sequence[str] = ()
    ) -> None:
        super().__init__(signal_name, tuple(last_lines), tuple(command))
        self.signal_name = signal_name
        self.last_lines = tuple(last_lines)
        self.command = tuple(command)

    def __str__(self) -> str:
        memory = ": mostly for want of memory" if self.signal_name == "SIGKILL" else ""
        if self.signal_name == "SIGSTOP":
            return "ffmpeg was stopped by somebody, and so killed"
        return f"ffmpeg was killed ({self.signal_name}){memory}"

    details = FFmpegError.details


class RenderError(MontageError):
    """Pictures cannot be rendered, and none of their sources is to blame.

    Args:
        reason: one line that says why.
        last_lines: the end of what ffmpeg printed.
        command: its argument list.
    """

    def __init__(
        self, reason: str, last_lines: Sequence[str] = (), command: Sequence[str] = ()
    ) -> None:
        super().__init__(reason, tuple(last_lines), tuple(command))
        self.reason = reason
        self.last_lines = tuple(last_lines)
        self.command = tuple(command)

    def __str__(self) -> str:
        return f"the pictures cannot be rendered, and no file is to blame: {self.reason}"

    details = FFmpegError.details


class NothingToDoError(MontageError):
    """No usable footage or music is left."""


class StoreError(MontageError):
    """The run folder or the output cannot be written."""


class InUse(StoreError):
    """Another job makes the same output, or works in the same folder.

    Args:
        place: the output or folder.
        who: process and machine.
        since: when it began.
    """

    def __init__(self, place: str, who: str, since: str) -> None:
        super().__init__(place, who, since)
        self.place, self.who, self.since = place, who, since

    def __str__(self) -> str:
        return f"{self.place} is in use by {self.who} since {self.since}: wait for it, or name another --output or --run-dir"


class DamagedArtefact(StoreError):
    """What an earlier operation made is gone, or is not what it made; whoever has its request makes it again.

    Args:
        place: the file or object.
        missing: it is not there at all.
    """

    def __init__(self, place: str, missing: bool = False) -> None:
        super().__init__(place, missing)
        self.place = place
        self.missing = missing

    @property
    def brief(self) -> str:
        """What is the matter, in few words."""
        return "its result is missing" if self.missing else "its result is damaged"

    def __str__(self) -> str:
        place = printable(self.place)
        return (
            f"{place} is missing: run again" if self.missing else f"{place} is damaged: run again"
        )


class ClusterError(MontageError):
    """There is no cluster, or it lacks what the graph needs."""


class Cancelled(MontageError):
    """The work was called off by `Run.cancel`; what is done is kept."""


class DirectorUnavailable(MontageError):
    """A language model gave no usable answer; the message says why."""


class TargetFailed(MontageError):
    """The target could not do it, another may: no memory left on the GPU, for example."""


class RemoteError(TargetFailed):
    """The runtime behind cgpu could not do it.

    Args:
        message: one line that says what, and what to do.
        retryable: trying again there may help; by default what the class says.
    """

    usually_retryable = True

    def __init__(self, message: str, retryable: bool | None = None) -> None:
        super().__init__(message, retryable)
        self.message = message
        self.retryable = self.usually_retryable if retryable is None else retryable

    def __str__(self) -> str:
        return self.message


class AuthenticationRequired(RemoteError):
    """A person must log in (again): cgpu is not set up, or Google refuses its session."""

    usually_retryable = False


class QuotaExceeded(RemoteError):
    """The account gets no runtime: its quota is used up, it has too many, or it is blocked."""

    usually_retryable = False


class NoCapacity(RemoteError):
    """Colab has no machine free at the moment."""


class RuntimeLost(RemoteError):
    """The machine is gone or was replaced, and all files on it: set it up again, then redo."""


class ConnectionLost(RuntimeLost):
    """The line to the machine was cut. Detached jobs go on there, if it still exists."""


class RemoteCommandFailed(RemoteError):
    """The command ran on the runtime and failed.

    Args:
        what: which command, in a few words.
        code: its exit code.
        last_lines: the end of what it printed.
    """

    usually_retryable = False

    def __init__(self, what: str, code: int, last_lines: Sequence[str] = ()) -> None:
        told = next((line.strip() for line in reversed(last_lines) if line.strip()), "no output")
        super().__init__(f"{what} failed on the runtime (code {code}): {printable(told)[:300]}")
        self.args = (what, code, tuple(last_lines))
        self.code = code
        self.last_lines = tuple(last_lines)


class TransferCorrupt(RemoteError):
    """What arrived is not what was sent, after several tries."""


class Timeout(RemoteError):
    """No answer in time."""


class VerificationError(MontageError):
    """A rendered file is not what the timeline promised."""


@dataclass(frozen=True, slots=True)
class Misshown:
    """One event of a segment that shows something else than it claims."""

    number: int
    """Of the event in its segment."""
    source: str
    """Identity of what it claims to show."""
    frame: int
    """Of the segment."""
    source_seconds: float
    """Time in the footage that this frame claims to show."""
    what: str
    """What it shows instead, for people."""
    picture: bytes
    """PNG: what was to be seen, beside what is."""


class PictureMismatch(VerificationError):
    """Pictures of a rendered segment are not those of the footage that they claim to be.

    Args:
        found: the events.
        message: one line for the user, where it is known which files and times these are.
    """

    def __init__(self, found: Sequence[Misshown], message: str = "") -> None:
        super().__init__(tuple(found), message)
        self.found = tuple(found)
        self.message = message

    def __str__(self) -> str:
        return self.message or "; ".join(
            f"event {m.number}, {m.source_seconds:.2f} s: {m.what}" for m in self.found
        )


def printable(text: str) -> str:
    """A file name on one line: control characters and broken encodings are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
