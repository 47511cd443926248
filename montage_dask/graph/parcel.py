"""What travels to another machine: a request with small copies of its inputs, and what comes back.

A parcel's files have names inside a bundle. What stands in the store here stands at the same place of the store there, for places
are content addresses; so the names of the results are known before, and nobody far away chooses where a file is written.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from montage_dask.graph.operation import Request, operation
from montage_dask.records import Music, Source, from_json, to_json
from montage_dask.store import Store, writing

BUNDLE = "bundle:"
"""A string that begins so names a file of the bundle; the rest is its name there."""

STORE = "store"
"""Folder of the bundle that is the store of the other machine."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One request, ready to go."""

    request: Request
    """With the key of the original; its paths name files of the bundle."""
    files: Mapping[str, Path]
    """Name in the bundle → file here. Parcels of one bundle may share names: then it is the same file."""

    @property
    def size_bytes(self) -> int:
        """What it weighs, when nothing is shared."""
        return sum(p.stat().st_size for p in self.files.values())


@dataclass(frozen=True, slots=True)
class Carrier:
    """How the requests of one operation travel."""

    pack: Callable[[Request, Store, Path], Parcel]
    """From the request, the store and a folder for temporary files."""
    made: Callable[[Request], list[str]] = field(default=lambda request: list(_files(request)))
    """Places below the store of the files that come back."""
    settle: Callable[[Request, Store], None] = lambda request, store: None
    """What must stand here before those files are put to their places."""
    home: Callable[[Request, dict[str, Any]], dict[str, Any]] = lambda request, record: record
    """The record as if it had been made here."""


def _files(request: Request) -> list[str]:
    """Where the files of an operation stand, below any store."""
    op, key, nowhere = operation(request.operation), request.key, Store(Path())
    return [nowhere.file(op.name, key, suffix).as_posix() for suffix in op.files]


# -- scenes: the strip instead of the video --------------------------------------------------------------------------------


def _strip_place(request: Request) -> Path:
    from montage_dask.analysis.strip import strip_folder

    source = from_json(Source, request.paths["source"])
    return strip_folder(Store(Path()), source, request.parameters["window_frames"])


def _nameless(source: Mapping[str, Any]) -> dict[str, Any]:
    """A source without the folders that it lies in here."""
    return {**source, "path": Path(source["path"]).name}


def _pack_scores(request: Request, store: Store, folder: Path) -> Parcel:
    from montage_dask.analysis.transnet import frames_needed
    from montage_dask.store.arrays import chunk_files

    place, p = _strip_place(request), request.parameters
    frames = from_json(Source, request.paths["source"]).frames
    start, stop = frames_needed(p["start_frame"], p["stop_frame"], frames)
    files = {
        f"{STORE}/{(place / name).as_posix()}": store.root / place / name
        for name in chunk_files(store.root / place, "thumbnails", start, stop)
    }
    paths = {"source": _nameless(request.paths["source"])}
    return Parcel(replace(request, paths=paths), files)


def _scores_made(request: Request) -> list[str]:
    from montage_dask.analysis.transnet import scores_name

    p = request.parameters
    array = _strip_place(request) / scores_name(p["precision"])
    return [(array / "c" / str(p["window"])).as_posix()]


def _settle_scores(request: Request, store: Store) -> None:
    from montage_dask.analysis.strip import Strip
    from montage_dask.analysis.transnet import create_scores

    create_scores(Strip(store.root / _strip_place(request)), request.parameters["precision"])


# -- beats: what is heard instead of the track -----------------------------------------------------------------------------


def _pack_beats(request: Request, store: Store, folder: Path) -> Parcel:
    from montage_dask.media.packed_sound import pack_sound

    heard = folder / "track.flac"
    pack_sound(request.paths["path"], heard)
    files = {_name(request, heard.name): heard}
    paths: dict[str, Any] = {"packed": True, "beats_file": None}
    paths["path"] = BUNDLE + _name(request, heard.name)
    beats = request.paths.get("beats_file")
    if beats:
        files[_name(request, "beats.txt")] = Path(beats)
        paths["beats_file"] = BUNDLE + _name(request, "beats.txt")
    return Parcel(replace(request, paths=paths), files)


def _name(request: Request, name: str) -> str:
    return f"in/{request.key}/{name}"


def _music_home(request: Request, record: dict[str, Any]) -> dict[str, Any]:
    from montage_dask.analysis.music import at_home

    music = at_home(from_json(Music, record["music"]), request.paths["path"])
    return {**record, "music": to_json(music)}


CARRIERS: Mapping[str, Carrier] = {
    "scores": Carrier(_pack_scores, _scores_made, _settle_scores),
    "beats": Carrier(_pack_beats, home=_music_home),
}
"""The operations that can run on a machine that does not see the store."""


def can_travel(name: str) -> bool:
    """Whether an operation can run on a machine that does not see the store."""
    return name in CARRIERS


def pack(request: Request, store: Store, folder: Path) -> Parcel:
    """Make a request ready to travel.

    Args:
        request: of an operation that `can_travel`.
        store: where its inputs stand.
        folder: for temporary files, which must live until the parcel is sent.

    Raises:
        MontageError: an input cannot be read or made small.
    """
    return CARRIERS[request.operation].pack(request, store, folder)


def results_of(request: Request) -> list[str]:
    """Where the files of its result stand, below the store of either machine."""
    return CARRIERS[request.operation].made(request)


def bring_home(
    request: Request, store: Store, record: dict[str, Any], files: Mapping[str, Path]
) -> dict[str, Any]:
    """Put what came back to its place, and save the record.

    Args:
        request: the original.
        store: here.
        record: from the other machine.
        files: by their place below the store; all of `results_of`.

    Returns:
        The record as it stands in the store now.

    Raises:
        StoreError: the store cannot be written.
        MontageError, ValueError, KeyError, TypeError: the record is not one of this operation.
    """
    carrier = CARRIERS[request.operation]
    record = carrier.home(request, record)
    carrier.settle(request, store)
    for place in results_of(request):
        with writing(store.root / place) as part:
            _move(files[place], part)
    store.save(request.operation, request.key, record)
    return record


def _move(file: Path, part: Path) -> None:
    import shutil

    try:
        os.replace(file, part)
    except OSError:  # another file system
        shutil.copyfile(file, part)
