"""The only place that starts ffmpeg: found once, run without a shell, watched, and never outliving its worker.

Inputs are untrusted: only the `file` protocol, only the demuxer that the probe found, names passed so that they cannot be
read as options, patterns or URLs.
"""

from __future__ import annotations

import importlib.resources
import logging
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

from montage_dask.children import dying_with_parent
from montage_dask.errors import FFmpegError, FFmpegKilled, InputChanged, UsageError
from montage_dask.media.container import checked_format

log = logging.getLogger(__name__)

STALL_SECONDS = 120.0
"""No progress for this long means that ffmpeg hangs. Opening a file counts as progress only once."""

_patience: ContextVar[float] = ContextVar("stall-seconds", default=STALL_SECONDS)

LAST_LINES = 20

REMADE = re.compile(r"Reconfiguring filter graph because .*(video|hwaccel|display matrix)")
"""What ffmpeg prints before it makes its filters anew: what they have counted is lost, and it may hang for ever."""


@cache
def binary() -> Path:
    """The ffmpeg executable: `MONTAGE_FFMPEG`, else the one in imageio-ffmpeg, else ffmpeg on PATH.

    Raises:
        UsageError: there is none.
    """
    chosen = os.environ.get("MONTAGE_FFMPEG")
    if chosen:
        if not shutil.which(chosen):
            raise UsageError(f"MONTAGE_FFMPEG is not an executable: {chosen}")
        return Path(chosen)
    bundled = None if "IMAGEIO_FFMPEG_EXE" in os.environ else _bundled()
    if bundled is not None:
        return bundled
    try:
        import imageio_ffmpeg

        return Path(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        found = shutil.which("ffmpeg")
        if found:
            return Path(found)
    raise UsageError("no ffmpeg found: pip install imageio-ffmpeg, or set MONTAGE_FFMPEG")


def _bundled() -> Path | None:
    """The executable that imageio-ffmpeg brings. Asked for it, that package runs it once, and takes another ffmpeg if this one is
    killed: another build, which makes another file.
    """
    try:
        folder = Path(str(importlib.resources.files("imageio_ffmpeg"))) / "binaries"
        found = [p for p in folder.glob("ffmpeg-*") if os.access(p, os.X_OK)]
    except (ImportError, OSError):
        return None
    return found[0] if len(found) == 1 else None


def executables() -> tuple[Path, ...]:
    """The usual ffmpeg, and the one on PATH if it is another: builds ask for different drivers of a GPU."""
    usual, found = binary(), shutil.which("ffmpeg")
    other = Path(found) if found else usual
    return (usual,) if other.resolve() == usual.resolve() else (usual, other)


def input_arguments(path: str | Path, format_name: str) -> list[str]:
    """Arguments that open one untrusted file, ending in `-i`.

    Args:
        path: the file; made absolute.
        format_name: the demuxer to force (`Source.format_name`); no probing, so a playlist cannot slip in.
    """
    return [
        "-protocol_whitelist", "file",
        "-f", checked_format(str(path), format_name),
        "-i", "file:" + os.path.abspath(path),
    ]  # fmt: skip


_TO_PRIVATE = {0xDC00 + byte: 0xFDC00 + byte for byte in range(0x80, 0x100)}
_FROM_PRIVATE = {private: surrogate for surrogate, private in _TO_PRIVATE.items()}


def graph_name(path: str | Path) -> str:
    """A file's name for a graph of ffmpeg-python, which cannot hold bytes that are no UTF-8: see `graph_arguments`."""
    return output_argument(Path(path)).translate(_TO_PRIVATE)


def graph_arguments(stream: Any) -> list[str]:
    """The arguments of a graph of ffmpeg-python, with the names of its files as they are."""
    return [a.translate(_FROM_PRIVATE) for a in stream.get_args()]


@contextmanager
def patience(stall_seconds: float) -> Iterator[None]:
    """Every ffmpeg that this thread starts in the block may be without progress for so long (the setting stall-seconds)."""
    token = _patience.set(stall_seconds)
    try:
        yield
    finally:
        _patience.reset(token)


def output_argument(path: Path) -> str:
    """An output name that cannot be read as an option or a URL."""
    return "file:" + os.path.abspath(path)


def run_ffmpeg(
    arguments: Sequence[str],
    *,
    about: str | Path,
    stall_seconds: float | None = None,
    on_frame: Callable[[int], None] | None = None,
    cwd: Path | None = None,
    executable: Path | None = None,
    feed: Generator[bytes, None, None] | None = None,
    constant: bool = False,
) -> list[str]:
    """Run ffmpeg to its end and return the lines that it printed (the last 2,000).

    Args:
        arguments: everything behind the executable, except the global options that are always given.
        about: the file that an error names.
        stall_seconds: kill it when it reports no progress for this long; None: as `patience` says.
        on_frame: called with the number of output frames so far, about twice a second.
        cwd: working folder; filter options then name files in it without any path to escape.
        executable: another ffmpeg than the usual one.
        feed: what its standard input gets, block by block; no more is taken of it than ffmpeg reads.
        constant: its pictures must not change on the way: it is ended at once when they do.

    Raises:
        Exception: what `feed` raises.
        InputChanged: the pictures of an input changed their size or colours.
        FFmpegKilled: somebody else killed it; that says nothing of the media.
        FFmpegError: it failed, stalled, or crashed; carries the last lines and the command.
    """
    command = [
        str(executable or binary()), "-hide_banner", "-nostdin", "-nostats", "-y", *SAID,
        "-progress", "pipe:1", "-stats_period", "0.5", *arguments,
    ]  # fmt: skip
    lines: deque[str] = deque(maxlen=2000)
    log.debug("ffmpeg %s", arguments)
    process = subprocess.Popen(
        dying_with_parent(command),
        stdin=subprocess.DEVNULL if feed is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        start_new_session=True,
    )
    stall_seconds = _patience.get() if stall_seconds is None else stall_seconds
    alive = _Watchdog(process, stall_seconds)
    assert process.stdout is not None
    assert process.stderr is not None
    reader = threading.Thread(
        target=_collect, args=(process.stderr, lines, alive, constant), daemon=True
    )
    reader.start()
    feeder = None if feed is None else _Feeder(process, feed, alive)
    try:
        position: dict[str, str] = {}
        for raw in process.stdout:
            name, _, value = raw.decode("ascii", "replace").strip().partition("=")
            # The progress block repeats while ffmpeg hangs: only a changed position is progress.
            if name in ("frame", "out_time_us", "total_size") and position.get(name) != value:
                position[name] = value
                alive.feed()
            if name == "frame" and on_frame is not None and value.isdigit():
                on_frame(int(value))
        returncode = process.wait()
        reader.join(timeout=5)
    finally:
        alive.stop()
        if process.poll() is None or reader.is_alive():  # a script's child may hold its pipes open
            _kill_group(process)
            process.wait()
            reader.join(timeout=5)
        process.stdout.close()
        process.stderr.close()
        if feeder is not None:
            feeder.join()
    if feeder is not None and feeder.failure is not None:
        raise feeder.failure
    if alive.changed:
        raise InputChanged(str(about), "its pictures change on the way", list(lines)[-LAST_LINES:])
    # One that ended well did so, whatever the clock said.
    if returncode != 0:
        tail = list(lines)[-LAST_LINES:]
        if alive.stalled:
            if alive.stopped:
                raise FFmpegKilled("SIGSTOP", tail, command)
            reason = f"ffmpeg made no progress for {stall_seconds:g} s"
            raise FFmpegError(str(about), reason, tail, command)
        ended_by = _signal(returncode, tail)
        if ended_by in CRASHES:
            raise FFmpegError(str(about), f"ffmpeg crashed ({ended_by})", tail, command)
        if ended_by is not None:
            raise FFmpegKilled(ended_by, tail, command)
        raise FFmpegError(str(about), _cause(lines), tail, command)
    return list(lines)


def _collect(stream: object, lines: deque[str], alive: _Watchdog, constant: bool) -> None:
    for raw in stream:  # type: ignore[attr-defined]
        lines.append(raw.decode("utf-8", "replace").rstrip())
        alive.feed()
        if constant and REMADE.search(lines[-1]):
            alive.end_changed()


SAID = ("-loglevel", "level+info")
"""Lines then say how bad they are."""

ERROR = re.compile(r"^((?:\[[^\]]*\]\s*)*?)\[(?:panic|fatal|error)\]\s*(.*)$")

CRASHES = frozenset(["SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS"])
"""Signals that a program brings upon itself: a file may make it do so."""

VAGUE = re.compile(
    r"^(Conversion failed|Exiting|Terminating|Task finished|Error (while|sending|parsing global|submitting|selecting|splitting|"
    r"reinitializing)|Error opening output files: |Error opening output file .*\.$|Failed to configure \w+ pad|"
    r"Could not open encoder before EOF|Nothing was written|Last message repeated|  Stream #|\s*$)"
)
"""What ffmpeg prints after the line that names the cause."""


def _cause(lines: Iterable[str]) -> str:
    """The line that most likely names the cause: the last error but those that say only that ffmpeg gave up.

    Args:
        lines: of an ffmpeg that was run with `SAID`.
    """
    errors = [found[2] for line in lines if (found := ERROR.match(line))]
    useful = [message for message in errors if not VAGUE.match(message)]
    return (useful or errors or ["ffmpeg failed without a message"])[-1][:300]


def _signal(returncode: int, tail: Sequence[str]) -> str | None:
    """The signal that ended ffmpeg, or a script that stands for it; None when it ended by itself."""
    number = -returncode if returncode < 0 else returncode - 128
    if returncode in (255, 123):
        # It ends by itself when it is asked to, and says so; asked again and again, with the other code.
        said = [m[1] for line in tail if (m := re.search(r"received signal (\d+)", line))]
        number = int(said[-1]) if said else (signal.SIGTERM if returncode == 123 else 0)
    try:
        return signal.Signals(number).name if number > 0 else None
    except ValueError:
        return None


def version() -> str:
    """What `ffmpeg -version` says first.

    Raises:
        UsageError: there is no ffmpeg, or it does not run.
    """
    try:
        answer = subprocess.run(
            [str(binary()), "-version"], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise UsageError(f"{binary()} does not run: {error}") from error
    return answer.stdout.split(" Copyright")[0]


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()


class _Feeder(threading.Thread):
    """Writes blocks into the standard input of ffmpeg, which may stop reading when it has enough."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        blocks: Generator[bytes, None, None],
        alive: _Watchdog,
    ) -> None:
        super().__init__(daemon=True)
        self.failure: Exception | None = None
        self._process, self._blocks, self._alive = process, blocks, alive
        self.start()

    def run(self) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        try:
            with closing(self._blocks) as blocks:
                for block in blocks:
                    self._alive.feed()
                    pipe.write(block)
        except BrokenPipeError:
            pass  # its exit status tells whether it had enough
        except Exception as error:
            self.failure = error
            _kill_group(self._process)
        finally:
            with suppress(BrokenPipeError):
                pipe.close()


class _Watchdog:
    """Kills the process group when it was not fed for a while."""

    def __init__(self, process: subprocess.Popen[bytes], stall_seconds: float) -> None:
        self.stalled = self.stopped = self.changed = False
        self._process = process
        self._stall_seconds = stall_seconds
        self._quiet_seconds = 0.0
        self._done = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def feed(self) -> None:
        self._quiet_seconds = 0.0

    def stop(self) -> None:
        self._done.set()

    def end_changed(self) -> None:
        """Kill it because its pictures change."""
        self.changed = True
        _kill_group(self._process)

    def _watch(self) -> None:
        look_seconds = min(1.0, self._stall_seconds / 4)
        looked = time.monotonic()
        while not self._done.wait(look_seconds):
            now = time.monotonic()
            # Time in which we were stopped ourselves (Ctrl-Z, a laptop that slept) says nothing of ffmpeg.
            self._quiet_seconds += min(now - looked, 2 * look_seconds)
            looked = now
            if self._quiet_seconds > self._stall_seconds:
                self.stopped = _state(self._process.pid) in ("T", "t")
                self.stalled = True
                _kill_group(self._process)
                return


def _state(pid: int) -> str:
    """What a process does, in the kernel's letters; "T": somebody stopped it. Empty where that is not told."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""
