"""The way of bundles to a Colab runtime and back, and what is known of it: its speed, and whether it is warm."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from montage_dask.cgpu.accounts import find_account
from montage_dask.cgpu.answers import most_answer_bytes
from montage_dask.cgpu.runtime import Runtime
from montage_dask.config import resolve
from montage_dask.errors import MontageError, RemoteCommandFailed, StoreError
from montage_dask.store import write_json
from montage_dask.store.cache import default_folder

log = logging.getLogger(__name__)

JOB_SECONDS = 3600.0
"""The longest that a bundle may run there; then it is killed."""

WARM_SECONDS = 600.0
"""A runtime that answered no longer ago is taken to be there still: reports of losses begin at 10 minutes without a sign."""

REPORTED_BYTES_PER_SECOND = 530_000.0
"""Of the first bundle: what users report of uploads to Colab (8.3 MB in 15.8 s)."""

NEWEST_COUNTS = 0.5
"""Weight of the newest measurement in the mean."""

SMALL_BYTES = 200_000
"""Transfers below are the time of the calls, not of the bytes."""

ANSWER = "answer.tar"
RUN = f'"$PYTHON" -m montage_dask op input --answer {ANSWER} --store "$D/store"'


@dataclass(frozen=True, slots=True)
class Known:
    """What earlier bundles told of a line."""

    bytes_per_second: float = REPORTED_BYTES_PER_SECOND
    contact: float = 0.0
    """When the runtime answered last, in seconds of the epoch."""

    @property
    def warm(self) -> bool:
        """Whether the runtime is likely to be there and set up."""
        return 0 <= time.time() - self.contact < WARM_SECONDS


def _notebook(config_dir: Path) -> Path:
    name = hashlib.sha256(str(config_dir.absolute()).encode()).hexdigest()[:16]
    return default_folder() / "cgpu" / f"{name}.json"


def known(config_dir: Path) -> Known:
    """What is known of the line of an account; of a new one what users report."""
    try:
        found = json.loads(_notebook(config_dir).read_text(encoding="ascii"))
        rate, contact = float(found["bytes_per_second"]), float(found["contact"])
    except (OSError, ValueError, KeyError, TypeError):
        return Known()
    return Known(rate if 1 <= rate < 1e12 else REPORTED_BYTES_PER_SECOND, contact)


def state() -> tuple[str, Known]:
    """Why nothing can be sent from this process, in one line (empty when something can), and what is known of its line.

    Starts nothing.
    """
    try:
        account = find_account(resolve())
    except MontageError as error:
        return str(error), Known()
    return account.lack() or "", known(account.config_dir)


class CgpuLine:
    """A line to the runtime of one account.

    Args:
        runtime: how it is reached.
        config_dir: of the account.
    """

    def __init__(self, runtime: Runtime, config_dir: Path) -> None:
        self._runtime = runtime
        self._config_dir = config_dir
        self._kept = ExitStack()
        self._keeping = False
        self._lock = threading.Lock()

    def exchange(self, bundle: Path, answer: Path) -> None:
        """Send a bundle, run it there, fetch the answer.

        Raises:
            RemoteError: it could not be done; says whether another try may help.
        """
        info = self._runtime.ensure()
        self._keep_alive()
        done = self._runtime.exchange(
            bundle,
            RUN,
            [ANSWER],
            JOB_SECONDS,
            into=answer.parent,
            on_progress=lambda text: log.info("runtime %s: %s", info.id, text.rstrip()),
            most_bytes=most_answer_bytes([bundle.stat().st_size]),
        )
        if done.code:
            raise RemoteCommandFailed(
                "the bundle", done.code, tuple(done.log_tail.splitlines()[-20:])
            )
        made = done.files[ANSWER]
        if made != answer:
            made.replace(answer)

    def learn(self, moved_bytes: int, seconds: float) -> None:
        """Note how long so many bytes were on their way."""
        rate = known(self._config_dir).bytes_per_second
        if moved_bytes > SMALL_BYTES and seconds > 0:
            rate += NEWEST_COUNTS * (moved_bytes / seconds - rate)
        value = {"bytes_per_second": rate, "contact": time.time()}
        with suppress(StoreError):  # a cache: without it the next job guesses
            write_json(_notebook(self._config_dir), value)

    def close(self) -> None:
        """End the sign of life; the runtime itself goes when Colab finds it idle."""
        self._kept.close()

    def _keep_alive(self) -> None:
        with self._lock:
            if not self._keeping:
                self._kept.enter_context(self._runtime.keep_alive())
                self._keeping = True


def open_line() -> CgpuLine:
    """The line of this process, as its settings and its environment say. Starts nothing.

    Raises:
        RemoteError: cgpu is not there, or nobody is logged in.
    """
    settings = resolve()
    account = find_account(settings)
    account.check()
    return CgpuLine(Runtime.from_settings(settings), account.config_dir)
