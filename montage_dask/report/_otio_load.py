"""An OpenTimelineIO file as a document of the library, and the media that it names (see `report.otio`)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import opentimelineio as otio

from montage_dask.errors import UsageError, printable
from montage_dask.received import TIMELINE_BYTES, parse_json, read_bytes
from montage_dask.report._otio_write import NAMESPACE
from montage_dask.schema_versions import read_version
from montage_dask.store import place_of
from montage_dask.store.places import PROTOCOLS

REFERENCE, NAME_OF_REFERENCE = "SerializableObjectRef.", "OTIO_REF_ID"
"""How a file says once more what stands elsewhere in it, and the mark of that."""


def load_document(path: Path) -> Any:
    name = printable(str(path))
    try:
        # What is nested without end, or holds itself, ends the process inside the library.
        text = read_bytes(path, TIMELINE_BYTES).decode("utf-8")
        _refuse_circles(parse_json(text))
        document = otio.adapters.read_from_string(text, adapter_name="otio_json")
    except OSError as error:
        raise UsageError(f"{name}: cannot read the timeline: {error.strerror}") from error
    except Exception as error:  # the library raises many kinds
        raise UsageError(f"{name}: not an OpenTimelineIO file: {str(error)[:200]}") from error
    if not isinstance(document, otio.schema.Timeline):
        raise UsageError(f"{name}: holds no timeline")
    own = document.metadata.get(NAMESPACE)
    if hasattr(own, "items"):
        read_version("timeline", own, name)
    return document


def _refuse_circles(found: Any) -> None:
    """Make sure that nothing holds itself: what is referred to must hold no references.

    Raises:
        ValueError: something may.
    """
    named: set[str] = set()
    holding: set[str] = set()
    waiting: list[tuple[Any, tuple[str, ...]]] = [(found, ())]
    while waiting:
        value, around = waiting.pop()
        if isinstance(value, dict):
            if str(value.get("OTIO_SCHEMA", "")).startswith(REFERENCE):
                named.add(str(value.get("id")))
                holding.update(around)
            if NAME_OF_REFERENCE in value:
                around = (*around, str(value[NAME_OF_REFERENCE]))
            waiting += [(v, around) for v in value.values() if isinstance(v, dict | list)]
        elif isinstance(value, list):
            waiting += [(v, around) for v in value if isinstance(v, dict | list)]
    if named & holding:
        raise ValueError("an object of it holds itself")


def video_items(document: Any, name: str) -> Iterator[Any]:
    tracks = [t for t in document.video_tracks() if len(t) and t.enabled]
    if len(tracks) != 1:
        raise UsageError(f"{name}: must have one video track with clips, has {len(tracks)}")
    for item in tracks[0]:
        if isinstance(item, otio.schema.Gap) and not item.duration().value:
            continue
        if not isinstance(item, otio.schema.Clip | otio.schema.Transition):
            kind = type(item).__name__.lower()
            raise UsageError(
                f"{name}: a {kind} in the video track cannot be rendered; use clips only"
            )
        if isinstance(item, otio.schema.Clip) and not item.enabled:
            raise UsageError(f"{name}: clip {printable(item.name)!r} is disabled; remove it")
        yield item


def media_path(clip: Any, folder: Path, name: str) -> str:
    """The media file of a clip: a local one, here or beside the timeline."""
    reference = clip.media_reference
    if not isinstance(reference, otio.schema.ExternalReference) or not reference.target_url:
        raise UsageError(f"{name}: clip {printable(clip.name)!r} names no media file")
    url = reference.target_url
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        path = unquote(parts.path, errors="surrogateescape")
    elif parts.scheme in PROTOCOLS:
        return str(place_of(unquote(url)))
    elif "://" not in url:
        ours = reference.metadata.get(NAMESPACE, {}).get("relative_path") == url
        plain = not ours and os.path.exists(os.path.join(folder, url))
        path = url if plain else unquote(url, errors="surrogateescape")
    else:
        raise UsageError(f"{name}: {printable(url)} is not a local file; only local media are used")
    if not os.path.isabs(path):
        path = os.path.join(folder, path)
    if not os.path.exists(path):
        relative = dict(reference.metadata.get(NAMESPACE, {})).get("relative_path", "")
        beside = (
            [os.path.join(folder, unquote(str(relative), errors="surrogateescape"))]
            if relative
            else []
        )
        beside.append(os.path.join(folder, os.path.basename(path)))
        path = next((p for p in beside if os.path.exists(p)), path)
    if not os.path.exists(path):
        raise UsageError(
            f"{name}: media {printable(path)} does not exist; put it back or relink the clip"
        )
    return os.path.abspath(path)


def media_of(path: Path) -> tuple[str, ...]:
    """The video files that a timeline uses, each once.

    Raises:
        UsageError: the file is no timeline, or names media that are not there or not local.
    """
    name, document = printable(str(path)), load_document(path)
    clips = [i for i in video_items(document, name) if isinstance(i, otio.schema.Clip)]
    return tuple(dict.fromkeys(media_path(c, path.parent, name) for c in clips))


def plain(value: Any) -> dict[str, Any]:
    """OTIO's own dictionaries and lists as Python's."""

    def convert(v: Any) -> Any:
        if hasattr(v, "items"):
            return {str(k): convert(x) for k, x in v.items()}
        if isinstance(v, str) or not hasattr(v, "__iter__"):
            return v
        return [convert(x) for x in v]

    result = convert(value)
    return result if isinstance(result, dict) else {}
