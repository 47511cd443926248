"""How exports name their media."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from montage_dask.store import is_url


def media_url(path: str, folder: Path) -> str:
    """The URL of a media file: relative to the export where it lies below it, so that the folder can be moved as a whole.

    Args:
        path: absolute, or a URL.
        folder: where the export is written.
    """
    if is_url(path):
        return quote(path, safe=":/")
    if Path(path).is_relative_to(folder.absolute()):
        return quote(str(Path(path).relative_to(folder.absolute())), errors="surrogateescape")
    return file_url(path)


def file_url(path: str, host: str = "") -> str:
    """The file:// URL of an absolute path; a URL as it is."""
    if is_url(path):
        return quote(path, safe=":/")
    return f"file://{host}" + quote(path, errors="surrogateescape")
