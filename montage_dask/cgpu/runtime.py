"""A runtime as work sees it: ready when it is needed, the same one from call to call, or an error that says so.

cgpu replaces a lost machine by a new one without a word. Therefore each call first sources a file that only the machine has
which was set up, in the same call. Where it is missing, `RuntimeLost` is raised, and the next `ensure` sets the new one up.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from montage_dask.cgpu import files, jobs, provision
from montage_dask.cgpu.client import CALL_SECONDS, CgpuCli, plain
from montage_dask.cgpu.download import LARGEST_BYTES
from montage_dask.cgpu.jobs import Exchange, JobResult
from montage_dask.cgpu.provision import RuntimeInfo
from montage_dask.cgpu.runner import Finished, RemoteRunner, Sink
from montage_dask.errors import ConnectionLost, RemoteError, RuntimeLost, UsageError

if TYPE_CHECKING:
    from montage_dask.config import Setting

log = logging.getLogger(__name__)

FOLDER = "/content/montage-dask"
CHUNK_BYTES = 32 << 20
LOST_CODE = 86
LOST = "@@:lost\n"
"""What a call prints that found another machine, as output; in a frame it is a marker."""


class Runtime:
    """One runtime behind a runner. Safe to share between threads.

    Args:
        runner: how it is reached.
        folder: ours on it; a plain absolute path. Its parent exists.
        python: its Python, a name or a path.
        install: what to do about missing packages: `python` (pip into it), `target` (pip into our folder) or `off`.
        chunk_bytes: of transfers; at most 64 MB.
        call_seconds: the limit of what should be short.
    """

    def __init__(
        self,
        runner: RemoteRunner,
        folder: str = FOLDER,
        *,
        python: str = "python3",
        install: str = "python",
        chunk_bytes: int = CHUNK_BYTES,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        if install not in ("python", "target", "off"):
            raise UsageError(f"install = {install!r}: must be python, target or off")
        if not 1 <= chunk_bytes <= 64 << 20:
            raise UsageError(f"chunks of {chunk_bytes} bytes: at most 64 MiB")
        self.runner = runner
        self.folder = plain(folder.rstrip("/"))
        self.python = python
        self.install = install
        self.chunk_bytes = chunk_bytes
        self.call_seconds = call_seconds
        self.environment_path: str | None = None
        """The file that calls source; None before the first `ensure`."""
        self.garbage: list[str] = []
        """Folders of jobs that nobody needs any more; removed by calls to come."""
        self._info: RuntimeInfo | None = None
        self._ensuring = threading.RLock()

    @classmethod
    def from_settings(cls, settings: Mapping[str, Setting]) -> Runtime:
        """The runtime that the settings name. Starts nothing.

        Raises:
            RemoteError: there is no cgpu.
        """
        folder = settings["cgpu-folder"].value
        runner = CgpuCli.from_settings(settings)
        runner.scratch = str(Path(plain(folder)).parent)
        return cls(
            runner,
            folder,
            python=settings["cgpu-python"].value,
            install=settings["cgpu-install"].value,
            chunk_bytes=settings["cgpu-chunk-megabytes"].value << 20,
            call_seconds=settings["cgpu-call-seconds"].value,
        )

    def ensure(self) -> RuntimeInfo:
        """Find the runtime ready, or get one and make it so: our wheel, and what it needs and lacks.

        Returns:
            What it is and has. Without a call, as long as nothing was lost.

        Raises:
            RemoteError: there is none to be had, or it cannot be set up.
        """
        with self._ensuring:
            if self._info is None:
                found, suffix = provision.prepare(self)
                # Packages are installed by a job, which needs a runtime.
                self._info = found
                try:
                    self._info = provision.complete(self, found, suffix)
                except BaseException:
                    self._info = None
                    raise
                log.info("runtime %s: %s", self._info.id, self._info.gpu or "no GPU")
            return self._info

    def run(self, script: str, timeout_seconds: float) -> Finished:
        """Run a bash script in our folder; `$PYTHON -m montage_dask` is this installation there.

        Args:
            script: what it prints comes back when it has ended.
            timeout_seconds: then it is killed. For more than a minute use `job`.

        Raises:
            RuntimeLost: the machine is another one now; all files are gone.
            RemoteError: it did not run, or how it ended is not known.
        """
        with self._watching():
            done = self.runner.call(f'{self._entry()}\ncd "$D"\n{script}', timeout_seconds)
            if done.code == LOST_CODE and done.output == LOST:
                raise _lost()
            return done

    def stream(
        self, script: str, timeout_seconds: float, sink: Sink, stall_seconds: float | None = None
    ) -> int:
        """Run a script that uses our remote functions and prints frames; see `RemoteRunner.stream`."""
        with self._watching():
            whole = f'{self._entry()}\ncd "$D"\n. "$L/remote.sh"\n{script}'
            return self.runner.stream(whole, timeout_seconds, _Watched(sink), stall_seconds)

    def upload(self, local: Path, name: str) -> None:
        """Send one file as it is to a plain name below our folder. Unverified; see `put`."""
        with self._watching():
            self.ensure()
            self.runner.upload(local, f"{self.folder}/{name}")

    def put(self, local: Path, remote: str) -> None:
        """Send a file, verified. What arrived of an earlier try is not sent again.

        Args:
            local: a file of any size.
            remote: any absolute path, or one below our folder; its folders are made.

        Raises:
            StoreError, UsageError: the file cannot be read, or there is a folder at `remote`.
            TransferCorrupt: it arrived changed, again and again.
            RemoteError: as `run`.
        """
        files.put(self, Path(local), remote)

    def get(self, remote: str, local: Path, most_bytes: int = LARGEST_BYTES) -> None:
        """Fetch a file, verified and atomically. What arrived of an earlier try is not fetched again.

        Args:
            remote: any absolute path, or one below our folder.
            local: written when all is there.
            most_bytes: a larger file is not fetched.

        Raises:
            RemoteCommandFailed: there is no such file.
            TransferCorrupt: it arrived changed, again and again.
            StoreError: it cannot be written here.
            RemoteError: as `run`.
        """
        files.get(self, remote, Path(local), most_bytes)

    def get_many(self, remotes: Sequence[str], folder: Path) -> list[Path]:
        """Fetch many small files in one transfer; they keep their last names.

        Args:
            remotes: as `get`.
            folder: where to.

        Raises:
            UsageError: two of them have the same last name.
            RemoteError: as `get`.
        """
        return files.fetch_many(self, remotes, Path(folder))

    def job(
        self,
        job_id: str,
        script: str,
        timeout_seconds: float,
        on_progress: Callable[[str], None] | None = None,
    ) -> JobResult:
        """Run a script detached, and wait for it; it survives cut lines and the end of this process.

        Asked for again with the same script while it runs: waits for that one. After it succeeded: returns at once, as
        long as its folder stays (a day). After it failed: starts anew.

        Args:
            job_id: any text.
            script: in bash. It works in a folder of its own.
            timeout_seconds: then it is killed there.
            on_progress: gets what it prints, as it comes; at most the last 64 KiB at once.

        Raises:
            Timeout: it took too long.
            RuntimeLost: the machine is gone.
            RemoteError: it was cancelled or died without an exit code, or as `run`.
        """
        return jobs.job(self, job_id, script, timeout_seconds, on_progress)

    def exchange(
        self,
        upload: Path | None,
        script: str,
        results: Sequence[str] | None,
        timeout_seconds: float,
        *,
        into: Path | None = None,
        job_id: str | None = None,
        on_progress: Callable[[str], None] | None = None,
        most_bytes: int = LARGEST_BYTES,
    ) -> Exchange:
        """Send, run as a job, fetch: for a small transfer and a short job one upload and one call.

        Args:
            upload: a file or a folder; it stands as `input` in the folder where the script works.
            script: in bash.
            results: names below that folder of files and folders to fetch when the script succeeds.
            timeout_seconds: for the script.
            into: the folder for the results; they get their own names in it.
            job_id: jobs with the same id, script and input are one job; by default these alone decide.
            on_progress: as `job`.
            most_bytes: larger results are not fetched.

        Raises:
            RemoteCommandFailed: a result is missing.
            RemoteError: as `job`, `put` and `get`. An exit code is no error: see `Exchange.code`.
        """
        return jobs.exchange(
            self,
            upload,
            script,
            results or (),
            timeout_seconds,
            into,
            job_id,
            on_progress,
            most_bytes,
        )

    def cancel(self, job_id: str) -> None:
        """Kill a job and all its processes.

        Raises:
            RemoteError: as `run`.
        """
        jobs.cancel(self, job_id)

    def alive(self) -> bool:
        """Whether the runtime that was set up is still there. False before the first `ensure`."""
        if self._info is None:
            return False
        try:
            return self.run("true", self.call_seconds).code == 0
        except RemoteError as error:
            log.info("runtime: %s", error)
            return False

    @contextmanager
    def keep_alive(self) -> Iterator[None]:
        """While open, the runtime does not count as idle.

        Raises:
            RemoteError: as `ensure`.
        """
        self.ensure()
        with self.runner.keep_alive():
            yield

    def stop(self) -> None:
        """End all jobs there and remove our files. The machine lives on: cgpu cannot release it.

        Raises:
            RemoteError: as `run`.
        """
        # Whatever runtime there is: nothing is set up only to be removed.
        script = f"""cd {self.folder} || exit 0
for p in jobs/*/pid; do [ -s "$p" ] && kill -9 -- -"$(cat "$p")"; done
cd / && rm -rf -- {self.folder}"""
        self.runner.call(script, self.call_seconds)
        self._forget()
        self.runner.stop()

    def _entry(self) -> str:
        """The first line of each script: on another machine it ends there."""
        self.ensure()
        return f'. {self.environment_path} 2>/dev/null||{{ echo "@@$U:lost";exit {LOST_CODE};}}'

    def _forget(self) -> None:
        with self._ensuring:
            self._info = None

    @contextmanager
    def _watching(self) -> Iterator[None]:
        try:
            yield
        except ConnectionLost:
            raise  # whether the machine is still the same shows at the next call
        except RuntimeLost:
            self._forget()
            raise


class _Watched:
    """Passes frames on, unless they come from another machine."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def data(self, block: bytes) -> None:
        self._sink.data(block)

    def mark(self, name: str, arguments: list[str]) -> None:
        if name == "lost":
            raise _lost()
        self._sink.mark(name, arguments)


def _lost() -> RuntimeLost:
    return RuntimeLost(
        "the runtime was replaced by a new one and its files are gone: the next try sets it up"
    )
