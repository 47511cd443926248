"""The only place that starts ffmpeg: found once, run without a shell, watched, and never outliving its worker.

Inputs are untrusted: only the `file` protocol, only the demuxer that the probe found, names passed so that they cannot be
read as options, patterns or URLs.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from functools import cache
from pathlib import Path

from montage_dask.children import DIE_WITH_PARENT
from montage_dask.errors import FFmpegError, UsageError

log = logging.getLogger(__name__)

STALL_SECONDS = 120.0
"""No progress for this long means that ffmpeg hangs. Opening a file counts as progress only once."""

LAST_LINES = 20


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
    try:
        import imageio_ffmpeg

        return Path(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        found = shutil.which("ffmpeg")
        if found:
            return Path(found)
    raise UsageError("no ffmpeg found: pip install imageio-ffmpeg, or set MONTAGE_FFMPEG")


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
        "-f", format_name,
        "-i", "file:" + os.path.abspath(path),
    ]  # fmt: skip


def output_argument(path: Path) -> str:
    """An output name that cannot be read as an option or a URL."""
    return "file:" + os.path.abspath(path)


def run_ffmpeg(
    arguments: Sequence[str],
    *,
    about: str | Path,
    stall_seconds: float = STALL_SECONDS,
    on_frame: Callable[[int], None] | None = None,
    cwd: Path | None = None,
    executable: Path | None = None,
    feed: Generator[bytes, None, None] | None = None,
) -> list[str]:
    """Run ffmpeg to its end and return the lines that it printed (the last 2,000).

    Args:
        arguments: everything behind the executable, except the global options that are always given.
        about: the file that an error names.
        stall_seconds: kill it when it reports no progress for this long.
        on_frame: called with the number of output frames so far, about twice a second.
        cwd: working folder; filter options then name files in it without any path to escape.
        executable: another ffmpeg than the usual one.
        feed: what its standard input gets, block by block; no more is taken of it than ffmpeg reads.

    Raises:
        Exception: what `feed` raises.
        FFmpegError: it failed, stalled, or was killed; carries the last lines and the command.
    """
    command = [
        str(executable or binary()), "-hide_banner", "-nostdin", "-nostats", "-y",
        "-progress", "pipe:1", "-stats_period", "0.5", *arguments,
    ]  # fmt: skip
    lines: deque[str] = deque(maxlen=2000)
    log.debug("ffmpeg %s", arguments)
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL if feed is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        start_new_session=True,
        preexec_fn=DIE_WITH_PARENT,
    )
    alive = _Watchdog(process, stall_seconds)
    assert process.stdout is not None
    assert process.stderr is not None
    reader = threading.Thread(target=_collect, args=(process.stderr, lines, alive), daemon=True)
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
        if process.poll() is None:
            _kill_group(process)
            process.wait()
        process.stdout.close()
        process.stderr.close()
        if feeder is not None:
            feeder.join()
    if feeder is not None and feeder.failure is not None:
        raise feeder.failure
    if returncode != 0 or alive.stalled:
        tail = list(lines)[-LAST_LINES:]
        reason = (
            f"ffmpeg made no progress for {stall_seconds:g} s" if alive.stalled else _cause(tail)
        )
        raise FFmpegError(str(about), reason, tail, command)
    return list(lines)


def _collect(stream: object, lines: deque[str], alive: _Watchdog) -> None:
    for raw in stream:  # type: ignore[attr-defined]
        lines.append(raw.decode("utf-8", "replace").rstrip())
        alive.feed()


VAGUE = re.compile(
    r"^(Conversion failed|Exiting|Terminating|Task finished|Error (while|sending|parsing global|submitting|selecting|splitting|"
    r"reinitializing)|Error opening output files: |Error opening output file .*\.$|Failed to configure \w+ pad|"
    r"Could not open encoder before EOF|Nothing was written|Last message repeated|  Stream #|\s*$)"
)
"""What ffmpeg prints after the line that names the cause."""


def _cause(tail: Sequence[str]) -> str:
    """The line that most likely names the cause: the last ones say only that ffmpeg gave up."""
    lines = [re.sub(r"^(\[[^\]]*\]\s*)+", "", line) for line in tail]
    useful = [line for line in lines if not VAGUE.match(line)]
    telling = r"error|invalid|unknown|unrecognized|failed|no such|unable|denied|space|cannot|not found|no device"
    worded = [line for line in useful if re.search(telling, line, re.I)]
    return (worded or useful or lines or ["ffmpeg failed without a message"])[-1][:300]


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
        self.stalled = False
        self._process = process
        self._stall_seconds = stall_seconds
        self._fed = time.monotonic()
        self._done = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def feed(self) -> None:
        self._fed = time.monotonic()

    def stop(self) -> None:
        self._done.set()

    def _watch(self) -> None:
        while not self._done.wait(min(1.0, self._stall_seconds / 4)):
            if time.monotonic() - self._fed > self._stall_seconds:
                self.stalled = True
                _kill_group(self._process)
                return
