"""GPUs of this machine, and failures that are a device's own: those that another device need not have."""

from __future__ import annotations

import os

from montage_dask.errors import TargetFailed

GPU_TROUBLE = (
    "CUDA", "cuDNN", "CUBLAS", "CUFFT", "NVRTC", "NVML", "libcuda", "no kernel image", "nvenc", "nvdec", "cuvid",
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


def failure_of(error: BaseException) -> TargetFailed | None:
    """The failure of a GPU behind an error of a computation on it, or None when the GPU is not to blame."""
    text = f"{type(error).__name__}: {error}"
    out_of_memory = type(error).__name__ in ("OutOfMemoryError", "AcceleratorError")
    if not out_of_memory and not any(word.lower() in text.lower() for word in GPU_TROUBLE):
        return None
    return TargetFailed(f"the GPU could not do it: {text.splitlines()[0][:200]}")
