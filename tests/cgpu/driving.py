"""What the driver's tests share: a runner on the loopback Colab, and a clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from colab import Colab

from montage_dask.cgpu.client import CgpuCli


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
