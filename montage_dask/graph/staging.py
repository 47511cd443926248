"""The one seam where objects become files: operations see paths of their machine only, wherever their inputs and outputs lie.

Inputs are copied into the machine's cache and held there while the operation runs; what it makes is uploaded when it is done,
the record last. So operations run unchanged on machines that share nothing but a bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from montage_dask.config import resolve
from montage_dask.errors import DamagedArtefact, MediaError
from montage_dask.graph.inputs import Sources, check_artefacts
from montage_dask.graph.operation import Request, finished, operation, texts
from montage_dask.store import Place, Store, Url, is_url, objects, place_of
from montage_dask.store.artefacts import Desk
from montage_dask.store.cache import Cache, Wanted, default_folder


@cache
def machine_cache() -> Cache:
    """The cache of this machine: `cache-folder` and `cache-limit` of its own configuration."""
    settings = resolve()
    folder = settings["cache-folder"].value
    return Cache(Path(folder) if folder else default_folder(), settings["cache-limit"].value)


@contextmanager
def at_hand(*places: str | Place) -> Iterator[list[Path]]:
    """Files of this machine with what stands at places now; artefacts are meant, which never change.

    Raises:
        StoreError: an object cannot be had.
    """
    named = [place_of(p) if isinstance(p, str) else p for p in places]
    wanted = [Wanted(p, constant=True) for p in named if isinstance(p, Url)]
    if not wanted:
        yield [p for p in named if isinstance(p, Path)]
        return
    with machine_cache().holding(wanted) as copies:
        yield [copies[p] if isinstance(p, Url) else p for p in named]


def perform_staged(
    request: Request, store: Store, perform: Callable[[Request, Store], dict[str, Any]]
) -> dict[str, Any]:
    """Run a request, unless it is done, on files of this machine; only what was made of whole and unchanged inputs is kept.

    Args:
        request: its paths may be URLs.
        store: where its artefacts belong.
        perform: runs a request whose paths are paths.

    Returns:
        The record, as it stands in the store.

    Raises:
        SourceChanged: a source was written to meanwhile.
        DamagedArtefact: an artefact that it reads is not what was made.
        MediaError: an input is gone or has changed.
        StoreError: an object store cannot be read or written.
        MontageError: as the operation does.
    """
    done = finished(request, store)
    if done is not None:
        return done
    written = {k: v for k, v in request.paths.items() if k in operation(request.operation).outputs}
    read = {k: v for k, v in request.paths.items() if k not in written}
    wanted, outputs = list(_wanted(request, read, store)), _urls(written)
    with ExitStack() as stack:
        copies = stack.enter_context(machine_cache().holding(wanted)) if wanted else {}
        try:
            check_artefacts(request, store, copies)
        except DamagedArtefact as error:
            bad = place_of(error.place)
            if isinstance(bad, Url) and bad in copies:
                machine_cache().doubt(copies[bad])
            raise
        root: Path | None = store.root if isinstance(store.root, Path) else None
        folder = Path()
        if root is None or outputs:
            folder = stack.enter_context(machine_cache().scratch())
        made = {u: _made_at(folder, u, outputs) for u in outputs}
        here = {str(u): str(p) for u, p in (*copies.items(), *made.items())}
        there = {p: u for u, p in here.items()}
        desk = Desk(root or folder / "store", store)
        request_here = replace(request, paths=_renamed(request.paths, here)) if here else request
        try:
            sources = Sources(request_here)
            record = perform(request_here, desk)
            # Nothing is kept of what may be made of two versions of a file.
            sources.check()
        except MediaError as error:
            _rename_error(error, there)
            raise
        record = _renamed(record, there)
        _publish(desk, store)
        states = {str(u): objects.upload(p, u) for u, p in made.items() if p.exists()}
        if "output" in written:
            record |= next(iter(states.values()), {})
        if states:
            record["outputs"] = states
        store.save(request.operation, request.key, record)
    return record


def _wanted(request: Request, paths: Mapping[str, Any], store: Store) -> Iterator[Wanted]:
    """The objects that a request reads, with what it says of them."""
    etags = dict(_pairs(request.parameters, "etag"))
    identities = dict(_pairs(paths, "identity"))
    for url in _urls(paths):
        if isinstance(store.root, Url) and url.is_relative_to(store.root):
            yield Wanted(url, constant=True)
        else:
            yield Wanted(url, etags.get(str(url)), identities.get(str(url)))


def _urls(value: Any) -> list[Url]:
    """All URLs in a JSON value, each once."""
    found = (place_of(text) for text in texts(value) if is_url(text))
    return list(dict.fromkeys(p for p in found if isinstance(p, Url)))


def _pairs(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """What JSON objects that have a path tell of it under a name."""
    if isinstance(value, Mapping):
        if isinstance(value.get("path"), str) and isinstance(value.get(name), str):
            yield value["path"], value[name]
        for item in value.values():
            yield from _pairs(item, name)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _pairs(item, name)


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """A JSON value with some of its texts replaced."""
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, Mapping):
        return {k: _renamed(v, names) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(v, names) for v in value]
    return value


def _rename_error(error: MediaError, names: Mapping[str, str]) -> None:
    error.path = names.get(error.path, error.path)
    error.args = (error.path, *error.args[1:])


def _made_at(folder: Path, url: Url, outputs: Sequence[Url]) -> Path:
    """Where an operation writes what belongs to a URL: what belongs into one folder lies in one."""
    parents = list(dict.fromkeys(u.parent for u in outputs))
    place = folder / "out" / str(parents.index(url.parent)) / url.name
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _publish(desk: Desk, store: Store) -> None:
    """Upload the files of an operation to where they belong."""
    if isinstance(store.root, Path):
        return  # written in place
    assert isinstance(desk.root, Path)
    for path in sorted(p for p in desk.root.rglob("*") if p.is_file()):
        url = store.root
        for part in path.relative_to(desk.root).parts:
            url = url / part
        objects.upload(path, url)
