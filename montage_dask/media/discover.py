"""Which files a user means: files, folders and globs to a deterministic list of candidates."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from montage_dask.errors import StoreError
from montage_dask.store import Place, Url, is_url, objects, place_of
from montage_dask.store.places import lies_in

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

    path: Place
    """Absolute, not resolved: the name that the user knows."""
    explicit: bool
    """Named itself, not found in a folder."""
    state: Mapping[str, Any] | None = None
    """What a listing told of an object (see `objects.state_of`): it need not be asked for again."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that is left out, and why."""

    path: str
    reason: str


def natural(path: str) -> list[tuple[int, int, str]]:
    """Sort key that puts clip2 before clip10."""
    parts = re.split(r"(\d+)", path)
    return [(0, int(p), p) if p.isdecimal() and p.isascii() else (1, 0, p) for p in parts]


LEADS_AWAY = (
    "is a link that leads out of its folder: name its target itself, or allow the folder of that by "
    "DASK_MONTAGE__ROOTS='[\"/folder\"]'"
)


def discover(
    patterns: Sequence[str],
    *,
    exclude: Collection[Place] = (),
    link_roots: Sequence[Place] = (),
    links: bool = False,
) -> tuple[list[Candidate], list[Skipped]]:
    """Expand what the user named.

    Args:
        patterns: files, folders (recursive, without hidden files) and globs; a name that exists is no glob. Or URLs of these.
        exclude: real paths or URLs that are not footage (the music).
        link_roots: real folders. What a folder or a glob holds must lie in that folder (of a glob, the one before its first
            wildcard) or in one of these once links are followed: a received folder must not bring in files from elsewhere. A
            file or folder that was named itself may be a link to anywhere.
        links: whether a link to a file counts beside the file itself.

    Returns:
        Candidates in the order of the patterns, naturally sorted within each, every file once; and what was left out.
    """
    candidates: list[Candidate] = []
    skipped: list[Skipped] = []
    excluded = {str(p) if isinstance(p, Url) else os.path.realpath(p) for p in exclude}
    seen = set(excluded)
    for pattern in patterns:
        if is_url(pattern) and isinstance(url := place_of(pattern), Url):
            for candidate in _objects(url, skipped):
                if str(candidate.path) not in seen:
                    seen.add(str(candidate.path))
                    candidates.append(candidate)
            continue
        if is_url(pattern):
            pattern = str(place_of(pattern))
        for path, explicit in _expand(pattern, [_folder_of(pattern), *link_roots], skipped):
            real = os.path.realpath(path)
            known = os.path.abspath(path) if links else real
            if known not in seen and real not in excluded:
                seen.add(known)
                candidates.append(Candidate(Path(os.path.abspath(path)), explicit))
    return candidates, skipped


def _objects(url: Url, skipped: list[Skipped]) -> Iterator[Candidate]:
    """The objects that a URL names: one, all below it, or those that match its wildcards."""
    wild = any(c in url.key for c in "*?[")
    try:
        found = objects.below(url, f"{url.bucket}/{url.key}" if wild else "")
    except StoreError as error:
        skipped.append(Skipped(str(url), str(error)))
        return
    named = str(url) in found or wild
    if not named:
        found = {u: state for u, state in found.items() if _is_media(Url(u).relative_to(url))}
    if not found:
        why = "matches nothing" if wild else "does not exist, or holds no media files"
        skipped.append(Skipped(str(url), why))
    for name in sorted(found, key=natural):
        yield Candidate(Url(name), named, found[name])


def _is_media(name: str) -> bool:
    """Whether an object below a folder counts, as a file of this name would."""
    *folders, last = name.split("/")
    hidden = last.startswith(".") or any(
        f.startswith(".") or f.endswith(".montage") for f in folders
    )
    return not hidden and last.rpartition(".")[2].lower() in MEDIA


def _expand(
    pattern: str, roots: Sequence[Place], skipped: list[Skipped]
) -> Iterator[tuple[str, bool]]:
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
        if path != pattern and not _stays(path, roots, skipped):
            continue
        if not os.path.isdir(path):
            yield path, True
            continue
        found = list(_walk(path, roots, skipped))
        if not found and not any(_below(s.path, path) for s in skipped):
            skipped.append(Skipped(path, "is a folder without media files"))
        for file in found:
            yield file, False


def _folder_of(pattern: str) -> Path:
    """The real folder that a user named: the pattern itself, or what stands before its first wildcard."""
    if not os.path.lexists(pattern):
        parts = Path(pattern).parts
        wild = next((n for n, part in enumerate(parts) if glob.has_magic(part)), len(parts))
        pattern = os.path.join(*parts[:wild]) if wild else ""
    try:
        return Path(os.path.realpath(pattern))
    except ValueError:  # no file can have such a name, so nothing lies in it
        return Path(os.devnull)


def _below(path: str, folder: str) -> bool:
    return Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder))


def _stays(path: str, roots: Sequence[Place], skipped: list[Skipped]) -> bool:
    """Whether what was found, and not named, lies where it may, once links are followed; else it is told."""
    stays = lies_in(Path(path), roots)
    if not stays:
        skipped.append(Skipped(path, LEADS_AWAY))
    return stays


def _walk(folder: str, roots: Sequence[Place], skipped: list[Skipped]) -> Iterator[str]:
    """Media files below a folder. Folders that are links are followed once, and only where they may lead."""
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
        folders[:] = [
            f
            for f in folders
            if not os.path.islink(inside := os.path.join(parent, f))
            or _stays(inside, roots, skipped)
        ]
        for name in names:
            inside = os.path.join(parent, name)
            if name.startswith(".") or name.rpartition(".")[2].lower() not in MEDIA:
                continue
            if not os.path.islink(inside) or _stays(inside, roots, skipped):
                files.append(inside)
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
