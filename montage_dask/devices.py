"""GPUs of this machine, and failures that are a device's own: those that another device need not have."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TypeVar

from montage_dask.errors import TargetFailed

T = TypeVar("T")

log = logging.getLogger(__name__)

MEGABYTE = 1_000_000

DEFAULT_LIMIT_MB = 4096
"""Of a worker that nobody told a limit; the default of the setting `gpu-memory-limit`."""

GPU_TROUBLE = (
    "CUDA", "NVIDIA", "cuDNN", "CUBLAS", "CUFFT", "NVRTC", "NVML", "libcuda", "no kernel image", "nvenc", "nvdec", "cuvid",
    "OpenEncodeSession", "hwaccel",
)  # fmt: skip
"""Words by which torch, FFmpeg and NVIDIA's libraries tell that the GPU, its memory or its driver is the matter."""


def count_gpus() -> int:
    """NVIDIA GPUs that this process may use; 0 without a driver or without `dask-cuda`."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1", "NoDevFiles"):
        return 0
    try:
        from dask_cuda.utils import get_n_gpus

        return int(get_n_gpus())
    except Exception:  # NVML's errors are made at run time and have no common public base
        return 0


def best_device() -> str:
    """cuda where torch can use a GPU, else cpu."""
    try:
        import torch
    except ImportError:
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"


class _Memory:
    limit_mb = DEFAULT_LIMIT_MB
    capped_mb: int | None = None


def limit_memory(megabytes: int) -> None:
    """Tell this process how much GPU memory it may take (`gpu-memory-limit`)."""
    _Memory.limit_mb = megabytes


def memory_limit_mb() -> int:
    """What this process may take."""
    return _Memory.limit_mb


def hold_to_limit(device: str, megabytes: int | None = None) -> None:
    """Hold torch to a limit, so that others on the GPU keep theirs. Nothing happens on a CPU.

    Args:
        device: where torch is to work.
        megabytes: the limit; None: that of this process.

    Raises:
        TargetFailed: torch finds no GPU.
    """
    limit_mb = _Memory.limit_mb if megabytes is None else megabytes
    if not device.startswith("cuda") or _Memory.capped_mb == limit_mb:
        return
    import torch

    if not torch.cuda.is_available():
        raise TargetFailed("no CUDA device: torch finds no GPU that it can use")
    total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, limit_mb * MEGABYTE / total))
    _Memory.capped_mb = limit_mb


def shrinking(
    size: int, least: int, work: Callable[[int], T], *, device: str = "cuda", keep: str = ""
) -> T:
    """Do `work(size)`; when the device's memory does not suffice, again with half the size and without other networks.

    Args:
        size: of a batch or a tile.
        least: below which it makes no sense.
        work: must not keep anything when it fails.
        device: for the message.
        keep: name of the network that does it (`models.get`).

    Raises:
        TargetFailed: not even the least size fits.
    """
    import torch

    from montage_dask import models

    while True:
        try:
            return work(size)
        except torch.OutOfMemoryError as error:
            reason = str(error).splitlines()[0][:200]
        # Outside of the handler: the error holds on to all that was allocated.
        if size <= least:
            raise TargetFailed(f"it does not fit into the memory of {device} ({reason})")
        models.release(keep=keep)
        size = max(least, size // 2)
        log.warning("no memory left on %s: %d at a time", device, size)


def failure_of(error: BaseException) -> TargetFailed | None:
    """The failure of a GPU behind an error of a computation on it, or None when the GPU is not to blame."""
    text = f"{type(error).__name__}: {error}"
    out_of_memory = type(error).__name__ in ("OutOfMemoryError", "AcceleratorError")
    if not out_of_memory and not any(word.lower() in text.lower() for word in GPU_TROUBLE):
        return None
    return TargetFailed(f"the GPU could not do it: {text.splitlines()[0][:200]}")
