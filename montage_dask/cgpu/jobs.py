"""Detached jobs on a runtime: they outlive cut lines and clients, are found again by their name, and end on time.

The script stands in a folder of its own and runs in a session of its own; its exit code is a file that appears by a rename.
A call waits there for it, and prints the log as it grows, so that one call a minute is enough however long the job is.
"""

from __future__ import annotations

import codecs
import hashlib
import logging
import re
import shlex
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from montage_dask.cgpu.bundle import bundled, check_results, listed, made_folder, place
from montage_dask.cgpu.chunks import (
    ASK_FIRST_BYTES,
    PAUSE_SECONDS,
    TRIES,
    Presence,
    cut,
    passing,
    send_chunks,
)
from montage_dask.cgpu.download import LARGEST_BYTES, Download, extract
from montage_dask.cgpu.files import BYTES_PER_SECOND, DISK_BYTES_PER_SECOND, fetch
from montage_dask.cgpu.framing import Base64Stream, encoded
from montage_dask.errors import (
    RemoteCommandFailed,
    RemoteError,
    RuntimeLost,
    Timeout,
    TransferCorrupt,
)

if TYPE_CHECKING:
    from montage_dask.cgpu.runtime import Runtime

log = logging.getLogger(__name__)

WAIT_SECONDS = 60
"""How long one call waits for a job."""

STALL_SECONDS = 45.0
"""A waiting call says something every three seconds; this much silence is a cut line."""

TAIL_BYTES = 64 << 10
"""Of a job's log."""

INLINE_BYTES = 48 << 20
"""Results up to this size come with the call that waits: 64 MB of text."""

TYPED_BYTES = 500
"""A script that is longer comes with the bundle, for then the call is too long to be typed."""

PLAIN_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,47}", re.ASCII)

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class JobResult:
    """A job that ended."""

    code: int
    """Its exit code."""
    log_tail: str
    """The last 64 KiB that it printed."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A job that ended, and its results."""

    code: int
    """Its exit code. There are results only if it is 0."""
    log_tail: str
    """The last 64 KiB that it printed."""
    files: dict[str, Path] = field(default_factory=dict)
    """The results asked for, by their names."""


def job(
    runtime: Runtime,
    job_id: str,
    script: str,
    timeout_seconds: float,
    on_progress: Progress | None = None,
) -> JobResult:
    """See `Runtime.job`."""
    with bundled(script, (), None) as (bundle, identity):
        work = _Job(runtime, _folder(job_id, identity), timeout_seconds, on_progress)
        return work.run(script, (), bundle, None)


def exchange(
    runtime: Runtime,
    upload: Path | None,
    script: str,
    results: Sequence[str],
    timeout_seconds: float,
    into: Path | None,
    job_id: str | None,
    on_progress: Progress | None,
    most_bytes: int = LARGEST_BYTES,
) -> Exchange:
    """See `Runtime.exchange`."""
    check_results(results, into)
    with (
        bundled(script, results, upload) as (bundle, identity),
        tempfile.TemporaryDirectory(prefix="montage-dask-", dir=made_folder(into)) as scratch,
    ):
        work = _Job(runtime, _folder(job_id or "exchange", identity), timeout_seconds, on_progress)
        download = Download(Path(scratch) / "results", most_bytes) if results else None
        try:
            done = work.run(None if upload else script, results, bundle, download)
        finally:
            if download is not None:
                download.close()
        files = {}
        if done.code == 0 and into is not None and results:
            extract(Path(scratch) / "results", Path(scratch) / "out")
            files = place(Path(scratch) / "out", into, results)
        runtime.garbage.append(work.folder)
    return Exchange(done.code, done.log_tail, files)


def cancel(runtime: Runtime, job_id: str) -> None:
    """See `Runtime.cancel`."""
    runtime.run(f'. "$L/remote.sh"; cancel jobs/{_name(job_id)}.*', runtime.call_seconds)


class _Job:
    """One job, from its start to its result."""

    def __init__(
        self, runtime: Runtime, folder: str, timeout_seconds: float, on_progress: Progress | None
    ) -> None:
        self.folder = folder
        """Its folder, below ours."""
        self._runtime = runtime
        self._seconds = timeout_seconds
        self._sink = _Watch(on_progress)

    def run(
        self, script: str | None, results: Sequence[str], bundle: Path, download: Download | None
    ) -> JobResult:
        """Start it (or find it), wait, and fetch its results.

        Args:
            script: what to run if it can be typed; None: it comes with the bundle.
            results: names of what it makes.
            bundle: a tar with run.sh, results and input.
            download: takes the results.
        """
        self._runtime.ensure()
        begin = self._typed(script, results) if script is not None else None
        if begin is None:
            begin = self._sent(bundle)
        deadline = time.monotonic() + self._seconds + self._runtime.call_seconds
        try:
            code = self._wait(begin, bundle, download, deadline)
        except KeyboardInterrupt:
            with suppress(RemoteError):
                self._runtime.run(f'. "$L/remote.sh"; cancel {self.folder}', 30)
            raise
        if code == 0 and download is not None:
            if self._sink.lacking:
                raise RemoteCommandFailed(
                    "the job", 0, ("it ended well, but not all its results are there",)
                )
            fetch(self._runtime, f"{self.folder}/results.tar", download)
        return JobResult(code, self._sink.tail())

    def _typed(self, script: str, results: Sequence[str]) -> str | None:
        """The remote function that makes the folder ready, if it can be typed."""
        f = self.folder
        write = f"rm -rf {f}/work;printf %s {shlex.quote(script)} >{f}/run.sh"
        if results:
            write += f";printf '%s\\0' {shlex.join(listed(results))} >{f}/results"
        return f"r(){{ {write};}}" if len(write) <= TYPED_BYTES else None

    def _sent(self, bundle: Path) -> str:
        """Upload the bundle unless it is there or the job needs it no more; the function that unpacks it."""
        transfer = cut(bundle, self._runtime.chunk_bytes)
        target = f"{self.folder}/bundle"
        state = Presence()
        if transfer.size >= ASK_FIRST_BYTES:
            ask = f"settled {self.folder}&&mark there||{transfer.have(target)}"
            self._runtime.stream(ask, self._limit(transfer.size), state)
        if not state.there:
            send_chunks(self._runtime, bundle, transfer, state.parts)
        return f"r(){{ {transfer.join(target)}&&unpack {self.folder};}}"

    def _limit(self, size: int) -> float:
        return self._runtime.call_seconds + size / DISK_BYTES_PER_SECOND

    def _wait(self, begin: str, bundle: Path, download: Download | None, deadline: float) -> int:
        first, misses, changed = begin, 0, 0
        while True:
            left = max(1, min(WAIT_SECONDS, int(deadline - time.monotonic())))
            try:
                self._call(begin, left, bundle, download)
            except RemoteError as error:
                misses += 1
                begin = "" if self._sink.started else begin
                if download is not None:
                    download.rewind()
                if misses > TRIES or not passing(error):
                    raise
                log.info("job %s: asked again: %s", self.folder, error)
                time.sleep(PAUSE_SECONDS)
                continue
            misses = 0
            state = self._sink.state
            if state is None:
                # The bundle did not arrive as it was sent.
                changed += 1
                self._sink.presence.check(self.folder)
                if changed >= TRIES:
                    raise TransferCorrupt(
                        f"the job's files arrived changed {TRIES} times: try again"
                    )
                begin = self._sent(bundle)
            elif state.isdecimal():
                return int(state)
            elif state == "gone" and changed < TRIES:
                # Another client asked for the same, had it, and cleaned up before we had it.
                changed += 1
                begin, self._sink.started, self._sink.known = first, False, 0
            elif state != "running":
                raise self._failure(state)
            elif time.monotonic() >= deadline:
                raise Timeout(f"the job did not end within {self._seconds:.0f} s")
            else:
                begin = ""

    def _call(self, begin: str, wait: int, bundle: Path, download: Download | None) -> None:
        """One call: start if need be, wait, send the results if they are small."""
        runtime, f = self._runtime, self.folder
        dropped = [runtime.garbage.pop() for _ in range(min(3, len(runtime.garbage)))]
        script = f"rm -rf {' '.join(dropped)};" if dropped else ""
        if begin:
            script += f"{begin};start {f} {max(1, round(self._seconds))} r&&"
        script += f"await {f} {self._sink.known} {wait}"
        seconds = wait + self._limit(bundle.stat().st_size if begin else 0)
        if download is not None:
            request = download.request(f"{f}/results.tar", runtime.chunk_bytes, INLINE_BYTES)
            script += f"&&results {f}&&{request}"
            seconds += INLINE_BYTES / BYTES_PER_SECOND
        self._sink.begin(download)
        try:
            runtime.stream(script, seconds, self._sink, STALL_SECONDS)
        except RuntimeLost:
            runtime.garbage.clear()
            raise

    def _failure(self, state: str) -> RemoteError:
        if state == "timeout":
            return Timeout(f"the job did not end within {self._seconds:.0f} s and was killed")
        if state == "cancelled":
            return RemoteError("the job was cancelled", retryable=False)
        if state == "died":
            return RemoteError("the job died on the runtime without an exit code: out of memory?")
        return RuntimeLost("the job's folder is gone from the runtime: the next try starts anew")


class _Watch:
    """The sink of a waiting call: the log, the state, then the results."""

    def __init__(self, on_progress: Progress | None) -> None:
        self.state: str | None = None
        """What the job was at the end of the call; None: it could not be started."""
        self.started = False
        """The job runs, or has run: it need not be started again after a cut line."""
        self.known = 0
        """Bytes of the log that were seen."""
        self.lacking = False
        """Results are missing."""
        self.presence = Presence()
        self._on_progress = on_progress
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._tail = bytearray()
        self._stream: Base64Stream | None = None
        self._piece = bytearray()
        self._end = self._length = 0
        self._download: Download | None = None

    def begin(self, download: Download | None) -> None:
        """A new call."""
        self.state, self._stream, self._download = None, None, download
        self.presence = Presence()

    def tail(self) -> str:
        """The last 64 KiB of the log."""
        return self._tail.decode("utf-8", "replace")

    def data(self, block: bytes) -> None:
        if self._stream is not None:
            self._piece += self._stream.write(block)
        elif self._download is not None:
            self._download.data(block)
        else:
            raise TransferCorrupt("the answer of the runtime was damaged: try again")

    def mark(self, name: str, arguments: list[str]) -> None:
        if name == "log":
            self._stream, self._end = Base64Stream(), int(arguments[1])
            self._length = self._end - int(arguments[0])
            self._piece.clear()
        elif name == "end-of-log" and self._stream is not None:
            self._stream.finish()
            self._stream = None
            if len(self._piece) != self._length:
                raise TransferCorrupt("the job's log arrived changed: try again")
            self._grow()
        elif name == "started":
            self.started = True
        elif name == "state":
            state, again = arguments
            if state != again:
                raise TransferCorrupt("the job's state arrived changed: try again")
            self.state = state
        elif name == "lacking":
            self.lacking = True
        elif name in ("file", "from", "chunk", "sum", "missing"):
            if self._download is not None:
                self._download.mark(name, arguments)
        else:
            self.presence.mark(name, arguments)

    def _grow(self) -> None:
        self.known = self._end
        self._tail += self._piece
        del self._tail[:-TAIL_BYTES]
        text = self._decoder.decode(bytes(self._piece))
        if self._on_progress is not None and text:
            self._on_progress(text)


def _folder(job_id: str, identity: str) -> str:
    """Where a job stands: jobs that differ in their script or input do not meet."""
    return f"jobs/{_name(job_id)}.{identity[:12]}"


def _name(job_id: str) -> str:
    if PLAIN_NAME.fullmatch(job_id):
        return job_id
    return "id-" + hashlib.sha256(encoded(job_id)).hexdigest()[:24]
