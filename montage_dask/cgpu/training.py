"""A user's own script on a runtime: what people train there, with their data, and what comes back."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from montage_dask.cgpu.download import LARGEST_BYTES
from montage_dask.cgpu.runtime import Runtime
from montage_dask.errors import RemoteCommandFailed
from montage_dask.store import writing

OUTPUT = "output"


def train(
    runtime: Runtime,
    script: Path,
    output: Path,
    *,
    data: Path | None = None,
    arguments: Sequence[str] = (),
    timeout_seconds: float,
    on_progress: Callable[[str], None] | None = None,
    most_bytes: int = LARGEST_BYTES,
) -> list[Path]:
    """Run a Python script on the runtime and fetch what it wrote.

    The script finds its data at the path in `$DATA` and writes into the folder `$OUTPUT`. Asked for again while it runs, this
    waits for that run; after it succeeded, its results are fetched again.

    Args:
        runtime: where.
        script: in Python.
        output: the folder for the results; what stands there under other names is left alone.
        data: a file or a folder.
        arguments: of the script.
        timeout_seconds: then it is killed.
        on_progress: gets what it prints, as it comes.
        most_bytes: larger results are not fetched.

    Returns:
        The files fetched.

    Raises:
        FileNotFoundError: there is no such script, or no such data.
        RemoteCommandFailed: the script failed.
        RemoteError: it could not be run, or its results not be fetched.
        StoreError: the output cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="montage-train-") as name:
        folder = Path(name) / "input"
        folder.mkdir()
        shutil.copyfile(script, folder / "script.py")
        if data is not None:
            (folder / "data").symlink_to(data.absolute())
        command = shlex.join(["input/script.py", *arguments])
        remote = f'mkdir -p {OUTPUT} && DATA="$PWD/input/data" OUTPUT="$PWD/{OUTPUT}" "$PYTHON" -u {command}'
        done = runtime.exchange(
            folder,
            remote,
            [OUTPUT],
            timeout_seconds,
            into=Path(name) / "made",
            on_progress=on_progress,
            most_bytes=most_bytes,
        )
        if done.code:
            lines = tuple(done.log_tail.splitlines()[-20:])
            raise RemoteCommandFailed(script.name, done.code, lines)
        return _moved(done.files[OUTPUT], output)


def _moved(made: Path, output: Path) -> list[Path]:
    """Put the results where they belong, one file after the other."""
    moved = []
    for path in sorted(made.rglob("*")):
        if path.is_file() and not path.is_symlink():
            target = output / path.relative_to(made)
            with writing(target) as part:
                shutil.copyfile(path, part)
            moved.append(target)
    return moved
