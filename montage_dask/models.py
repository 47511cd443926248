"""Neural networks of this process: each is loaded once, and let go when the memory is needed.

A worker runs many small operations with the same few networks. Loading one takes longer than many of them, so they stay;
`release` gives their memory back, for example when a device has none left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar, cast

T = TypeVar("T")

Key = tuple[str, ...]
"""What a network is called: its name first, then all that makes it another one (file, device, precision)."""

_loaded: dict[Key, Any] = {}
_lock = RLock()


def get(key: Key, load: Callable[[], T]) -> T:
    """The network of a name, loaded when it is first asked for.

    Args:
        key: equal keys must mean equal networks.
        load: makes it; errors are the caller's and nothing is kept then.
    """
    with _lock:
        if key not in _loaded:
            _loaded[key] = load()
        return cast(T, _loaded[key])


def of_file(key: Key, path: Path, load: Callable[[], T]) -> T:
    """The network of a file: as `get`, and loaded again when the file was written anew; the former one is let go then.

    Args:
        key: of the network, without the file.
        path: the file; what is missing is for `load` to say.
        load: reads it.
    """
    named = (*key, str(path))
    try:
        status = path.stat()
        state = f"{status.st_ino} {status.st_size} {status.st_mtime_ns}"
    except OSError:
        state = ""
    with _lock:
        for other in [k for k in _loaded if k[:-1] == named and k[-1] != state]:
            del _loaded[other]
        return get((*named, state), load)


def release(*, keep: str | None = None) -> int:
    """Let go of all networks, except those of one name; the memory they had on a GPU is free for others then.

    Args:
        keep: first part of the keys that stay.

    Returns:
        How many were let go.
    """
    import torch

    with _lock:
        gone = [k for k in _loaded if k[0] != keep]
        for key in gone:
            del _loaded[key]
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return len(gone)


def native_bfloat16(device: str) -> bool:
    """Whether a device computes in bfloat16 itself; elsewhere it is emulated and slower than float32."""
    import torch

    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    cpu: Any = torch.cpu
    return any(
        getattr(cpu, name, lambda: False)()
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Compute with so many CPU threads: the slots of a worker are counted in them."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
