"""ffmpeg making a file of our own: a full disk or a refused encoder is not the fault of the media that is read."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from montage_dask.errors import FFmpegError, InputChanged, MontageError
from montage_dask.media.ffmpeg import run_ffmpeg
from montage_dask.store.artefacts import storage_error

WRITING_FAILED = {os.strerror(n): n for n in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)}
"""What ffmpeg prints for errors that only writing can give."""

ENCODER_REFUSED = "Error while opening encoder"


def make_file(
    arguments: Sequence[str],
    output: Path,
    *,
    about: str | Path,
    on_frame: Callable[[int], None] | None = None,
    cwd: Path | None = None,
    executable: Path | None = None,
    feed: Generator[bytes, None, None] | None = None,
    constant: bool = False,
) -> list[str]:
    """Run ffmpeg to write `output`, which the arguments name; for the rest see `run_ffmpeg`.

    Raises:
        InputChanged: see `run_ffmpeg`.
        StoreError: the output cannot be written: full disk, read-only.
        MontageError: the encoder does not take its options, or does not run on this machine.
        FFmpegError: anything else.
    """
    try:
        return run_ffmpeg(
            arguments,
            about=about,
            on_frame=on_frame,
            cwd=cwd,
            executable=executable,
            feed=feed,
            constant=constant,
        )
    except InputChanged:
        raise
    except FFmpegError as error:
        said = "\n".join([error.reason, *error.last_lines])
        for words, number in WRITING_FAILED.items():
            if words in said:
                raise storage_error(output, OSError(number, words)) from error
        if ENCODER_REFUSED in said:
            raise MontageError(f"the encoder cannot be used: {error.reason}") from error
        raise
