"""What a job takes along and brings home: one archive each way."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from montage_dask.cgpu.framing import encoded
from montage_dask.errors import UsageError, printable


@contextmanager
def bundled(script: str, results: Sequence[str], upload: Path | None) -> Iterator[tuple[Path, str]]:
    """A tar with all that a job needs, and its identity: the same input makes the same bytes."""
    with tempfile.NamedTemporaryFile(prefix="montage-dask-", suffix=".tar") as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
            _add(tar, "run.sh", encoded(script))
            _add(tar, "results", b"".join(encoded(name) + b"\0" for name in listed(results)))
            if upload is not None:
                if not upload.exists():
                    raise UsageError(f"no such file: {printable(str(upload))}")
                _add_tree(tar, upload, "work/input")
        file.flush()
        file.seek(0)
        yield Path(file.name), hashlib.file_digest(file, "sha256").hexdigest()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _add_tree(tar: tarfile.TarFile, path: Path, name: str) -> None:
    """A file, or a folder with its files in order; links are followed, times and owners left out."""
    if path.is_dir():
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(entry)
        for child in sorted(path.iterdir()):
            _add_tree(tar, child, f"{name}/{child.name}")
    elif path.is_file():
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = (
            path.stat().st_size,
            0o755 if path.stat().st_mode & 0o100 else 0o644,
        )
        with open(path, "rb") as file:
            tar.addfile(entry, file)


def listed(results: Sequence[str]) -> list[str]:
    """Names that tar cannot take for options."""
    return [f"./{name}" for name in results]


def check_results(results: Sequence[str], into: Path | None) -> None:
    for name in results:
        path = PurePosixPath(name)
        if not name or path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
            raise UsageError(f"not a name below the job's folder: {printable(name)}")
    if results and into is None:
        raise UsageError("results need a folder to put them into")


def made_folder(folder: Path | None) -> Path | None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def place(source: Path, into: Path, results: Sequence[str]) -> dict[str, Path]:
    """Move the results where they belong, each by one rename."""
    placed = {}
    for name in results:
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        (source / name).replace(target)
        placed[name] = target
    return placed
