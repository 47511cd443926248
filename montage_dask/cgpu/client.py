"""The `cgpu` command, driven: every call is framed, bounded and guarded, and fails as one of our errors.

cgpu types commands into a remote shell, hangs at logins, on lost networks and on commands that read, deletes its own session,
replaces lost machines without a word and exits with 1 for everything. What is done about each stands beside it.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from montage_dask.cgpu import framing
from montage_dask.cgpu.accounts import Account, find_account
from montage_dask.cgpu.failures import LOGIN_PROMPTS, REVOKED, Circumstances, failure
from montage_dask.cgpu.process import Ended, watch
from montage_dask.cgpu.runner import Finished, Sink
from montage_dask.cgpu.scrub import scrub
from montage_dask.cgpu.session import allocation_lock, call_session
from montage_dask.errors import RemoteError, UsageError

if TYPE_CHECKING:
    from montage_dask.config import Setting

log = logging.getLogger(__name__)

CALL_SECONDS = 180.0
"""Limit of a short call. A cold start takes most of a minute."""

SECONDS_PER_MEGABYTE = 6.0
"""Limit of an upload; 2 s/MB were seen."""

PLAIN_PATH = re.compile(r"/[\w./-]*", re.ASCII)
ACCELERATORS = {"gpu": (), "cpu": ("--cpu",), "tpu": ("--tpu",)}


class CgpuCli:
    """A `RemoteRunner` over the cgpu executable. Safe to share between threads.

    Args:
        binary: the executable.
        config_dir: the folder of its config.json; one Google account each.
        accelerator: `gpu`, `cpu` or `tpu`: the kind of machine.
        call_seconds: the limit of what should be short.
        scratch: a remote folder that exists, for scripts too long to type; a plain path.
        environment: of the child, instead of this process's own.
    """

    def __init__(
        self,
        binary: Path,
        config_dir: Path,
        *,
        accelerator: str = "gpu",
        call_seconds: float = CALL_SECONDS,
        scratch: str = "/content",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        if accelerator not in ACCELERATORS:
            raise UsageError(f"no accelerator {accelerator!r}: gpu, cpu or tpu")
        self.account = Account(Path(binary), Path(config_dir))
        self.call_seconds = call_seconds
        self.scratch = plain(scratch)
        self.processes_started = 0
        """cgpu processes started so far, without the keep-alive's."""
        self._flags = ACCELERATORS[accelerator]
        self._environment = environment
        self._allocated = False
        self._allocating = threading.Lock()
        self._counting = threading.Lock()

    @classmethod
    def from_settings(cls, settings: Mapping[str, Setting]) -> CgpuCli:
        """The cgpu that the settings name.

        Raises:
            RemoteError: there is none.
        """
        account = find_account(settings)
        seconds = settings["cgpu-call-seconds"].value
        return cls(account.binary, account.config_dir, call_seconds=seconds)

    def environment(self) -> dict[str, str]:
        """The environment of a child."""
        found = dict(os.environ if self._environment is None else self._environment)
        for name in ("FORCE_COLOR", "CGPU_DEBUG"):
            found.pop(name, None)
        return found | {"NO_COLOR": "1", "CGPU_CONFIG_DIR": str(self.account.config_dir)}

    def call(self, script: str, timeout_seconds: float) -> Finished:
        """Run a bash script there and return what it printed; see `RemoteRunner.call`."""
        token, sink = framing.new_token(), framing.Capture()
        program = framing.captured(script, token, timeout_seconds)
        return sink.result(self._framed(program, token, sink, timeout_seconds, None))

    def stream(
        self, script: str, timeout_seconds: float, sink: Sink, stall_seconds: float | None = None
    ) -> int:
        """Run a bash script that prints frames; see `RemoteRunner.stream`."""
        token = framing.new_token()
        program = framing.streamed(script, token, timeout_seconds)
        return framing.code_of(self._framed(program, token, sink, timeout_seconds, stall_seconds))

    def upload(self, local: Path, remote: str) -> None:
        """Copy one file to a plain absolute path in a folder that exists; see `RemoteRunner.upload`."""
        self.allocate()
        limit = self.call_seconds + SECONDS_PER_MEGABYTE * local.stat().st_size / 1e6
        said = _Said(b"Uploaded:")
        arguments = ["copy", *self._flags, str(Path(local).absolute()), plain(remote)]
        ended = self._process(arguments, limit, said)
        if ended.code != 0 or not said.succeeded():
            self._allocated = False
            raise self._failure(Circumstances("upload", ended, limit))

    def allocate(self) -> None:
        """Get a machine, or find the one that there is; at once when this runner has one.

        Raises:
            RemoteError: no machine.
        """
        with self._allocating:
            if self._allocated:
                return
            self.account.check()
            with allocation_lock(self.account, 2 * self.call_seconds):
                # Verbose: without it, a lack of capacity ends without a word.
                arguments = ["run", "-v", *self._flags, "--", "true"]
                ended = self._process(arguments, self.call_seconds, _Said())
            if ended.code != 0:
                raise self._failure(Circumstances("start of a runtime", ended, self.call_seconds))
            self._allocated = True

    def alive(self) -> bool:
        """Whether a runtime answers. It may be another one than before: cgpu replaces lost ones."""
        try:
            return self.call("true", self.call_seconds).code == 0
        except RemoteError as error:
            log.info("no runtime: %s", error)
            return False

    def eligible(self) -> list[str]:
        """The accelerators that Colab offers this account now. Allocates nothing.

        Raises:
            RemoteError: cgpu or Colab does not answer.
        """
        self.account.check()
        said = _Said()
        ended = self._process(["status"], self.call_seconds, said)
        found = re.search(r"Eligible GPUs:([^\n]*)", said.text.decode("utf-8", "replace"))
        if ended.code != 0 or found is None:
            circumstances = Circumstances(
                "cgpu status", ended, self.call_seconds, silent_is_capacity=False
            )
            raise self._failure(circumstances)
        return [name.strip() for name in found[1].split(",") if name.strip()]

    @contextmanager
    def keep_alive(self) -> Iterator[None]:
        """While open, the runtime does not count as idle: `cgpu connect` runs beside."""
        from montage_dask.cgpu.keepalive import KeepAlive

        with KeepAlive(self.account, self.environment(), self._flags):
            yield

    def stop(self) -> None:
        """Forget the machine. cgpu has no verb to release it."""
        self._allocated = False

    def _framed(
        self,
        program: str,
        token: str,
        sink: Sink,
        timeout_seconds: float,
        stall_seconds: float | None,
    ) -> list[str]:
        """Run a program that prints one frame; the arguments of its end marker."""
        self.allocate()
        line = framing.typed_line(program)
        if line is None:
            line = self._uploaded(framing.encoded(program), token)
        reader = framing.FrameReader(token, sink)
        arguments = ["run", *self._flags, "--", line]
        ended = self._process(arguments, timeout_seconds, _Frame(reader), stall_seconds)
        reader.finish()
        if reader.ended is None:
            self._allocated = False
            raise self._failure(
                Circumstances(
                    "remote call",
                    ended,
                    timeout_seconds,
                    stall_seconds,
                    begun=reader.begun,
                    refused=reader.refused,
                )
            )
        return reader.ended

    def _uploaded(self, program: bytes, token: str) -> str:
        remote = f"{self.scratch}/.montage-dask-{token}.sh"
        with tempfile.NamedTemporaryFile(prefix="montage-dask-", suffix=".sh") as file:
            file.write(program)
            file.flush()
            self.upload(Path(file.name), remote)
        return framing.typed_file(remote, program, token)

    def _process(
        self,
        arguments: list[str],
        timeout_seconds: float,
        output: _Output,
        stall_seconds: float | None = None,
    ) -> Ended:
        """One cgpu process; another if a bad moment of a call beside it took the session away."""
        ended = self._guarded(arguments, timeout_seconds, output, stall_seconds)
        by_chance = ended.killed_for == "login" and REVOKED not in ended.errors
        if by_chance and self.account.session_path.exists():
            output.reset()
            ended = self._guarded(arguments, timeout_seconds, output, stall_seconds)
        return ended

    def _guarded(
        self,
        arguments: list[str],
        timeout_seconds: float,
        output: _Output,
        stall_seconds: float | None,
    ) -> Ended:
        """One cgpu process. The session is put back when cgpu threw it away for want of a network."""
        with call_session(self.account) as session:
            with self._counting:
                self.processes_started += 1
            log.debug("cgpu %s", arguments[0])
            command = [str(self.account.binary), *arguments]
            refused = False
            try:
                ended = watch(
                    command, self.environment(), timeout_seconds, output.feed, stall_seconds
                )
                refused = REVOKED in ended.errors
            except OSError as error:
                why = error.strerror or str(error)
                message = f"{self.account.binary} does not run: {why}"
                raise RemoteError(message, retryable=False) from error
            finally:
                # After a call that worked, it is gone because somebody logged out.
                if not refused and not output.succeeded():
                    session.put_back()
            return ended

    def _failure(self, circumstances: Circumstances) -> RemoteError:
        secrets = self.account.secrets()
        log.debug("cgpu: %s", scrub(circumstances.ended.errors, secrets)[-2000:])
        return failure(circumstances, secrets)


def plain(path: str) -> str:
    """A remote path that can be typed as it stands.

    Raises:
        UsageError: it cannot.
    """
    if not PLAIN_PATH.fullmatch(path) or "/../" in path + "/":
        raise UsageError(f"not a plain absolute path: {path!r}")
    return path


class _Output(Protocol):
    """Takes the stdout of a cgpu process."""

    def feed(self, block: bytes) -> str | None:
        """Some of it; a text ends the process."""

    def succeeded(self) -> bool:
        """Whether it shows that the call worked."""

    def reset(self) -> None:
        """A new process begins."""


class _Said:
    """The first 64 KiB of short output."""

    def __init__(self, success: bytes | None = None) -> None:
        self.text = bytearray()
        self._success = success

    def feed(self, block: bytes) -> str | None:
        self.text += block[: (64 << 10) - len(self.text)]
        return "login" if _asks_for_login(self.text) else None

    def succeeded(self) -> bool:
        return self._success is not None and self._success in self.text

    def reset(self) -> None:
        self.text.clear()


class _Frame:
    """Output with one frame in it. What follows it is read to the end: cgpu closes its terminal then."""

    def __init__(self, reader: framing.FrameReader) -> None:
        self._reader = reader

    def feed(self, block: bytes) -> str | None:
        self._reader.feed(block)
        begun = self._reader.begun
        return "login" if not begun and _asks_for_login(self._reader.prelude) else None

    def succeeded(self) -> bool:
        return self._reader.ended is not None

    def reset(self) -> None:
        self._reader.prelude = b""


def _asks_for_login(text: bytes | bytearray) -> bool:
    return any(prompt in text for prompt in LOGIN_PROMPTS)
