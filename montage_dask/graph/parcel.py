"""What travels to another machine: a request with small copies of its inputs, and what comes back.

A parcel's files have names inside a bundle. What stands in the store here stands at the same place of the store there, for places
are content addresses; so the names of the results are known before, and nobody far away chooses where a file is written.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from montage_dask.errors import TargetFailed, Uncuttable
from montage_dask.graph.inputs import SEEN
from montage_dask.graph.operation import Request, files_of, operation, seal
from montage_dask.records import Music, Source, from_json, to_json
from montage_dask.store import Place, Store, writing

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
    made: Callable[[Request], list[str]] = files_of
    """Places below the store of the files that come back."""
    settle: Callable[[Request, Store], None] = lambda request, store: None
    """What must stand here before those files are put to their places."""
    home: Callable[[Request, dict[str, Any]], dict[str, Any]] = lambda request, record: record
    """The record as if it had been made here."""


class Shipment:
    """Files of one parcel, under names that say nothing of what they are called here."""

    def __init__(self, request: Request, store: Store) -> None:
        self.files: dict[str, Path] = {}
        self._folder = f"in/{request.key}"
        self._store = _below(store.root)

    def add(self, path: str | Path) -> str:
        """How the parcel's request names a file of this machine."""
        path = Path(path)
        if path.is_relative_to(self._store):  # parcels of one bundle share it
            name = f"{STORE}/{path.relative_to(self._store).as_posix()}"
        else:
            known = [n for n, p in self.files.items() if p == path]
            name = known[0] if known else f"{self._folder}/{len(self.files)}{path.suffix.lower()}"
        self.files[name] = path
        return BUNDLE + name

    def source(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The record of a source whose file goes along."""
        return {**data, "path": self.add(data["path"]), "mtime_ns": None}

    def named(self, name: str | None) -> str | None:
        """A preset's or a network's name as it is, or a file that goes along."""
        return name if name is None or not Path(name).is_file() else self.add(name)


# -- scenes: the strip instead of the video --------------------------------------------------------------------------------


def _strip_folder(request: Request, store: Store) -> Place:
    from montage_dask.analysis.strip import strip_folder

    source = from_json(Source, request.paths["source"])
    p = request.parameters
    return strip_folder(store, source, p["window_frames"], p.get("faces", True))


def _strip_place(request: Request) -> Path:
    """Where the strip stands below any store."""
    return _below(_strip_folder(request, Store(Path())))


def _below(place: Place) -> Path:
    """A place of this machine: a parcel is packed and unpacked at a desk (`graph.staging`)."""
    assert isinstance(place, Path)
    return place


def _nameless(source: Mapping[str, Any]) -> dict[str, Any]:
    """A source without the folders that it lies in here."""
    return {**source, "path": Path(source["path"]).name, "mtime_ns": None}


def _pack_scores(request: Request, store: Store, folder: Path) -> Parcel:
    from montage_dask.analysis.transnet import frames_needed
    from montage_dask.store.arrays import chunk_files

    place, p = _strip_place(request), request.parameters
    frames = from_json(Source, request.paths["source"]).frames
    start, stop = frames_needed(p["start_frame"], p["stop_frame"], frames)
    chunks = chunk_files(_strip_folder(request, store), "thumbnails", start, stop, folder)
    files = {f"{STORE}/{(place / name).as_posix()}": file for name, file in chunks.items()}
    paths = {"source": _nameless(request.paths["source"])}
    return Parcel(replace(request, paths=paths, label=""), files)


def _scores_made(request: Request) -> list[str]:
    from montage_dask.analysis.transnet import scores_name

    p = request.parameters
    array = _strip_place(request) / scores_name(p["precision"])
    return [(array / "c" / str(p["window"])).as_posix()]


def _settle_scores(request: Request, store: Store) -> None:
    from montage_dask.analysis.strip import Strip
    from montage_dask.analysis.transnet import create_scores

    create_scores(Strip(_strip_folder(request, store)), request.parameters["precision"])


# -- beats: what is heard instead of the track -----------------------------------------------------------------------------


def _pack_beats(request: Request, store: Store, folder: Path) -> Parcel:
    from montage_dask.media.packed_sound import pack_sound

    heard = folder / "track.flac"
    pack_sound(request.paths["path"], heard)
    shipment = Shipment(request, store)
    paths = {
        "packed": True,
        "path": shipment.add(heard),
        **{
            k: shipment.add(p) if (p := request.paths[k]) else None
            for k in ("beats_file", "weights", "checkpoint")
        },
    }
    return Parcel(replace(request, paths=paths, label=""), shipment.files)


def _music_home(request: Request, record: dict[str, Any]) -> dict[str, Any]:
    from montage_dask.analysis.music import at_home

    music = at_home(from_json(Music, record["music"]), request.paths["path"])
    return {**record, "music": to_json(music)}


# -- pictures: only the ranges of the sources that are used ----------------------------------------------------------------


def _pack_pictures(request: Request, store: Store, folder: Path) -> Parcel:
    from montage_dask.media.cutting import cut_ranges
    from montage_dask.media.index import FrameIndex
    from montage_dask.render.ranges import reading_cuts, readings

    cuts = {}
    for reading in readings(request.operation, request.parameters, request.paths) or ():
        index = FrameIndex.load(reading.index)
        identity = reading.source.identity
        try:
            cuts[identity] = cut_ranges(reading.source, index, reading.ranges, folder / identity)
        except Uncuttable as error:
            raise TargetFailed(f"it stays here: {error}") from error
    paths = reading_cuts(request.operation, request.paths, cuts, folder)
    shipment = Shipment(request, store)
    if request.operation == "encode":
        paths["sources"] = {k: shipment.source(v) for k, v in paths["sources"].items()}
        paths["indexes"] = {k: shipment.add(v) for k, v in paths["indexes"].items()}
        paths["stand_ins"] = {
            k: {
                **v,
                "source": _nameless(v["source"]),
                "index": shipment.add(v["index"]),
                "pieces": [shipment.add(piece) for piece in v["pieces"]],
            }
            for k, v in paths["stand_ins"].items()
        }
        paths["grade"] = shipment.named(paths["grade"])
    else:
        known = paths["source"]["identity"] in cuts
        paths["source"] = (shipment.source if known else _nameless)(paths["source"])
        paths["index"] = shipment.add(paths["index"])
    if request.operation in ("transcode", "grade"):
        paths["grade"] = shipment.named(paths["grade"])
    if request.operation == "upscale":
        paths["input"] = shipment.add(paths["input"]) if paths["input"] else None
        paths["model"] = shipment.named(paths["model"])
    return Parcel(replace(request, paths=paths, label=""), shipment.files)


CARRIERS: Mapping[str, Carrier] = {
    "encode": Carrier(_pack_pictures),
    "transcode": Carrier(_pack_pictures),
    "grade": Carrier(_pack_pictures),
    "upscale": Carrier(_pack_pictures),
    "scores": Carrier(_pack_scores, _scores_made, _settle_scores),
    "beats": Carrier(_pack_beats, home=_music_home),
}
"""The operations of this package that can run on a machine that does not see the store; those of others name their own."""


def carrier_of(name: str) -> Carrier | None:
    """How the requests of an operation travel; None: they do not.

    Raises:
        UsageError: the distribution of the operation is not installed here.
    """
    try:
        return CARRIERS.get(name) or operation(name).carrier
    except KeyError:
        return None


def can_travel(name: str) -> bool:
    """Whether an operation can run on a machine that does not see the store."""
    return carrier_of(name) is not None


def _carrier(request: Request) -> Carrier:
    carrier = carrier_of(request.operation)
    assert carrier is not None, f"{request.operation} does not travel"
    return carrier


def pack(request: Request, store: Store, folder: Path) -> Parcel:
    """Make a request ready to travel.

    Args:
        request: of an operation that `can_travel`.
        store: where its inputs stand.
        folder: for temporary files, which must live until the parcel is sent.

    Raises:
        MontageError: an input cannot be read or made small.
    """
    paths = {k: v for k, v in request.paths.items() if k != SEEN}  # of this machine
    return _carrier(request).pack(replace(request, paths=paths), store, folder)


def results_of(request: Request) -> list[str]:
    """Where the files of its result stand, below the store of either machine."""
    return _carrier(request).made(request)


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
    carrier = _carrier(request)
    record = carrier.home(request, record)
    carrier.settle(request, store)
    for place in results_of(request):
        with writing(_below(store.root) / place) as part:
            _move(files[place], part)
    seal(request, store, record)
    store.save(request.operation, request.key, record)
    return record


def _move(file: Path, part: Path) -> None:
    import shutil

    try:
        os.replace(file, part)
    except OSError:  # another file system
        shutil.copyfile(file, part)
