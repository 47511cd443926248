"""timeline.otioz: the timeline and all media that it uses in one file, as OpenTimelineIO bundles them."""

from __future__ import annotations

import hashlib
import os
import unicodedata
import zipfile
from pathlib import Path
from urllib.parse import quote

import opentimelineio as otio

from montage_dask.errors import UsageError, printable
from montage_dask.media.container import open_media
from montage_dask.report._otio_load import load_document, media_path
from montage_dask.store import is_url, writing

FOLDER = "media"
FORMAT_VERSION = "1.0.0"


def write_otioz(timeline: Path) -> Path:
    """Bundle an .otio file with its media, beside it.

    Args:
        timeline: the file; its media must be local.

    Returns:
        The bundle: the same name, with .otioz.

    Raises:
        UsageError: it is no timeline, or its media are not there or not local.
        MediaError: one of its files is no media file.
        StoreError: the bundle cannot be written.
    """
    name, document = printable(str(timeline)), load_document(timeline)
    inside: dict[str, str] = {}
    for clip in document.find_clips():
        path = media_path(clip, timeline.parent, name)
        if is_url(path):
            raise UsageError(f"{name}: {printable(path)} is not a local file; a bundle holds local media only")  # fmt: skip
        if path not in inside:
            # A timeline from elsewhere may name any file of this machine: only media go into the bundle.
            open_media(path).close()
            inside[path] = _name(path, {n.casefold() for n in inside.values()})
        clip.media_reference.target_url = quote(f"{FOLDER}/{inside[path]}")
        # What it was called elsewhere is nobody's business who gets the bundle.
        clip.media_reference.metadata.pop("montage", None)
    target = timeline.with_suffix(".otioz")
    with writing(target) as part, zipfile.ZipFile(part, "w", strict_timestamps=False) as bundle:
        text = otio.adapters.write_to_string(document, adapter_name="otio_json")
        for entry, content in (("version.txt", FORMAT_VERSION), ("content.otio", text)):
            bundle.writestr(entry, content, compress_type=zipfile.ZIP_DEFLATED)
        for path, entry in inside.items():
            bundle.write(path, f"{FOLDER}/{entry}", compress_type=zipfile.ZIP_STORED)
    return target


def _name(path: str, taken: set[str]) -> str:
    """The file's own name where a bundle can hold it and no other has it: readers know media by their names alone."""
    name = os.path.basename(path)
    plain = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode())
    plain = "".join("_" if c in '\\/:*?"<>|%' or not c.isprintable() else c for c in plain)
    if plain.casefold() not in taken:
        return plain
    stem, suffix = os.path.splitext(plain)
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()
    return next(
        n for k in range(6, 65) if (n := f"{stem}-{digest[:k]}{suffix}").casefold() not in taken
    )
