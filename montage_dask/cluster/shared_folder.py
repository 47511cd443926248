"""Whether the pods and this process see the same folder, found out before any work is sent."""

from __future__ import annotations

import secrets
from pathlib import Path

from distributed import Client

from montage_dask.errors import ClusterError
from montage_dask.store.artefacts import storage_error

PROBE = ".montage-probe-"


def check_folder(client: Client, folder: str, claim: str) -> None:
    """Leave a mark and let the scheduler, which mounts what the workers mount, look for it.

    Args:
        client: connected.
        folder: where pods see the claim; this machine has one of its name.
        claim: the PersistentVolumeClaim, for the message.

    Raises:
        ClusterError: this machine has another one under its name; the pods cannot write there.
        StoreError: this process cannot write there.
    """
    path = Path(folder)
    mark = path / (PROBE + secrets.token_hex(8))
    try:
        mark.touch(exist_ok=False)
    except OSError as error:
        raise storage_error(path, error) from error
    try:
        answer = client.run_on_scheduler(look, str(mark))
    finally:
        mark.unlink(missing_ok=True)
    if answer == "missing":
        raise ClusterError(
            f"{folder} is another folder in the pods (claim {claim}) than here: what stands here cannot be read there"
        )
    if answer:
        raise ClusterError(
            f"the pods cannot write to {folder} (claim {claim}): {answer}; mount it read-write, and let their user (10001 in the "
            "specs) write there"
        )


def look(mark: str) -> str:
    """Runs in the scheduler: whether the mark is there and a file can be written beside it; "" when all is well."""
    path = Path(mark)
    if not path.exists():
        return "missing"
    own = path.with_name(path.name + "-pod")
    try:
        own.touch()
        own.unlink()
    except OSError as error:
        return str(error.strerror)
    return ""
