"""Our own files in folders that others may have filled before: nothing is written through a link that somebody planted there."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import IO, Any

from montage_dask.errors import StoreError, printable


def open_own(path: str | Path, mode: str, **options: Any) -> IO[Any]:
    """`open` for writing (or both) a plain file, which is made if it is not there.

    Raises:
        OSError: as `open`; with ELOOP when there is a link, with EEXIST when there is a pipe, a device or a socket.
    """
    return open(path, mode, opener=_plain, **options)


def _plain(path: str, flags: int) -> int:
    # A pipe would be waited for.
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EEXIST, "is no regular file", path)
    return descriptor


def refuse_links(folder: Path, option: str) -> None:
    """Make sure that a folder of ours, of whose place the user need not know, is none of somebody else's making.

    Args:
        folder: it and all below it must be no links; nothing need be there.
        option: by which the user can name another one.

    Raises:
        StoreError: there is a link; says where.
    """
    waiting = [folder]
    if folder.is_symlink():
        raise _planted(folder, option)
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        raise _planted(Path(entry.path), option)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
        except OSError:  # what cannot be read is named where it is used
            continue


def _planted(path: Path, option: str) -> StoreError:
    return StoreError(
        f"{printable(str(path))} is a link, and would be written through: remove it, or name another folder by {option}"
    )
