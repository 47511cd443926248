"""What the driver's tests share: a runner on the loopback Colab, and a clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from colab import Colab

from montage_dask.cgpu.client import CgpuCli
from montage_dask.cgpu.runtime import Runtime


def make_runner(
    binary: Path, config_dir: Path, environment: dict[str, str], colab: Colab, seconds: float = 30
) -> CgpuCli:
    """A driver of the signed-in cgpu."""
    return CgpuCli(
        binary,
        config_dir,
        call_seconds=seconds,
        scratch=str(colab.root()),
        environment=environment,
    )


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fails when its body takes longer."""
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < seconds, f"{took:.1f} s instead of {seconds} s at most"


def make_runtime(runner: CgpuCli, colab: Colab, chunk_bytes: int = 1 << 20) -> Runtime:
    """A runtime whose Python has everything."""
    return Runtime(
        runner,
        f"{colab.root()}/montage-dask",
        install="off",
        chunk_bytes=chunk_bytes,
        call_seconds=runner.call_seconds,
    )


class Counted:
    """How many cgpu processes a block started."""

    def __init__(self, runner: CgpuCli) -> None:
        self._runner = runner
        self.started = 0

    def __enter__(self) -> Counted:
        self._before = self._runner.processes_started
        return self

    def __exit__(self, *_: object) -> None:
        self.started = self._runner.processes_started - self._before
