"""Which files a user means: files, folders and globs to a deterministic list of candidates."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

VIDEO = frozenset(
    [
        "3g2", "3gp", "asf", "avi", "divx", "dv", "f4v", "flv", "gif", "gxf", "h264", "hevc",
        "ivf", "m2ts", "m2v", "m4v", "mjpeg", "mjpg", "mkv", "mov", "mp4", "mpe", "mpeg", "mpg",
        "mts", "mxf", "nut", "ogm", "ogv", "qt", "rm", "rmvb", "ts", "vob", "webm", "wmv", "y4m",
    ]
)  # fmt: skip
AUDIO = frozenset(
    [
        "aac", "ac3", "aif", "aiff", "alac", "ape", "flac", "m4a", "mka", "mp2", "mp3", "oga",
        "ogg", "opus", "wav", "wma", "wv",
    ]
)  # fmt: skip
IMAGE = frozenset(
    [
        "avif", "bmp", "heic", "heif", "jpeg", "jpg", "jxl", "png", "tif", "tiff", "webp",
    ]
)  # fmt: skip
PLAYLIST = frozenset(
    [
        "asx", "ffconcat", "m3u", "m3u8", "mpd", "pls", "sdp", "smil", "xspf",
    ]
)  # fmt: skip
MEDIA = VIDEO | AUDIO | IMAGE | PLAYLIST


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may be footage."""

    path: Path
    """Absolute, not resolved: the name that the user knows."""
    explicit: bool
    """Named itself, not found in a folder."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that is left out, and why."""

    path: str
    reason: str


def natural(path: str) -> list[tuple[int, int, str]]:
    """Sort key that puts clip2 before clip10."""
    parts = re.split(r"(\d+)", path)
    return [(0, int(p), p) if p.isdecimal() and p.isascii() else (1, 0, p) for p in parts]


def discover(
    patterns: Sequence[str], *, exclude: Collection[Path] = ()
) -> tuple[list[Candidate], list[Skipped]]:
    """Expand what the user named.

    Args:
        patterns: files, folders (recursive, without hidden files) and globs; a name that exists is no glob.
        exclude: real paths that are not footage (the music).

    Returns:
        Candidates in the order of the patterns, naturally sorted within each, every real file once; and what was left out.
    """
    candidates: list[Candidate] = []
    skipped: list[Skipped] = []
    seen: set[str] = {os.path.realpath(p) for p in exclude}
    for pattern in patterns:
        for path, explicit in _expand(pattern, skipped):
            real = os.path.realpath(path)
            if real not in seen:
                seen.add(real)
                candidates.append(Candidate(Path(os.path.abspath(path)), explicit))
    return candidates, skipped


def _expand(pattern: str, skipped: list[Skipped]) -> Iterator[tuple[str, bool]]:
    if os.path.lexists(pattern):
        named = [pattern]
    else:
        try:
            named = sorted(glob.glob(pattern, recursive=True), key=natural)
        except (ValueError, re.error):
            named = []
        if not named:
            wild = any(c in pattern for c in "*?[")
            skipped.append(Skipped(pattern, "matches nothing" if wild else "does not exist"))
    for path in named:
        if not os.path.isdir(path):
            yield path, True
            continue
        found = list(_walk(path, skipped))
        if not found and not any(_below(s.path, path) for s in skipped):
            skipped.append(Skipped(path, "is a folder without media files"))
        for file in found:
            yield file, False


def _below(path: str, folder: str) -> bool:
    return Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder))


def _walk(folder: str, skipped: list[Skipped]) -> Iterator[str]:
    """Media files below a folder. Folders that are links are followed once."""
    visited: set[str] = set()

    def denied(error: OSError) -> None:
        skipped.append(Skipped(str(error.filename), f"cannot be read: {error.strerror}"))

    files: list[str] = []
    for parent, folders, names in os.walk(folder, onerror=denied, followlinks=True):
        real = os.path.realpath(parent)
        if real in visited:
            folders[:] = []
            continue
        visited.add(real)
        # Artefacts of earlier runs (`name.montage`, `.montage`) are no footage.
        folders[:] = [f for f in folders if not f.startswith(".") and not _is_run(parent, f)]
        files += [
            os.path.join(parent, name)
            for name in names
            if not name.startswith(".") and name.rpartition(".")[2].lower() in MEDIA
        ]
        for name in list(folders):
            inside = os.path.join(parent, name)
            if name.rpartition(".")[2].lower() in VIDEO and _is_empty(inside):
                skipped.append(Skipped(inside, "is an empty folder, not a video"))
    yield from sorted(files, key=natural)


def _is_empty(folder: str) -> bool:
    try:
        return not os.listdir(folder)
    except OSError:
        return False  # the walk into it tells why


def _is_run(parent: str, name: str) -> bool:
    return name.endswith(".montage") and os.path.exists(os.path.join(parent, name, "summary.json"))
