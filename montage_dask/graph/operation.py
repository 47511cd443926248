"""The one abstraction: an operation is a function from a small request to a small record, addressed by its content.

`perform` is what every target runs: it returns the record that stands in the store, or computes, saves and returns it. It is
idempotent, so a task that Dask runs twice, a job that is run again and two jobs that share a store do no work twice.
"""

from __future__ import annotations

import importlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from montage_dask import plugins
from montage_dask.devices import failure_of
from montage_dask.errors import DamagedArtefact, MediaError, MontageError, TargetFailed
from montage_dask.media.ffmpeg import STALL_SECONDS, patience
from montage_dask.records import Source, from_json
from montage_dask.store import Place, Store, key_of, objects, place_of
from montage_dask.store.artefacts import digest_of, flush, same_file

if TYPE_CHECKING:
    from montage_dask.graph.parcel import Carrier

log = logging.getLogger(__name__)


STALL = "stall_seconds"
"""Among a request's paths: the setting stall-seconds, for every ffmpeg that works on it, wherever that is."""


@dataclass(frozen=True, slots=True)
class Request:
    """What an operation is asked to do. Small and JSON-serialisable: it travels in the graph.

    Only `operation` and `parameters` decide the result; `paths` say where the inputs stand today.
    """

    operation: str
    parameters: Mapping[str, Any]
    """JSON values, with the identities of the inputs."""
    paths: Mapping[str, Any] = field(default_factory=dict)
    """Where to find the inputs (not part of the key)."""
    label: str = ""
    """What it is about, for people: the name of a clip."""

    @property
    def key(self) -> str:
        """Content address of the result."""
        return key_of(self.operation, operation(self.operation).version, self.parameters)

    @property
    def task_name(self) -> str:
        """Dask key: stable, and grouped by operation in the dashboard."""
        return f"{self.operation}-{self.key}"


@dataclass(frozen=True, slots=True)
class Context:
    """What the function may use beside the request."""

    store: Store
    key: str
    device: str = "cpu"
    threads: int = 1

    def file(self, request: Request, suffix: str) -> Path:
        """Where a file that this request makes is to stand (write it with `writing`)."""
        place = self.store.file(request.operation, self.key, suffix)
        assert isinstance(place, Path), "operations run at a desk where the store is no folder"
        return place


Function = Callable[[Request, Context], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Operation:
    """A registered operation."""

    name: str
    module: str
    """The module that does the work, below the package of its distribution; its `VERSION` is raised when the same parameters give
    another result."""
    function: Function
    threads: int = 1
    """CPU threads it uses: its `CPU` resource."""
    gpu_speedup: float | None = None
    """How many times faster a GPU is expected to be than one CPU thread; None: no code for `device="cuda"`."""
    files: tuple[str, ...] = ()
    """Suffixes of the files that must stand beside the record for it to count."""
    pieces: Callable[[Request], list[str]] | None = None
    """Places below a store of the files of arrays that it fills, beside others."""
    outputs: tuple[str, ...] = ()
    """Which of its `paths` name what it writes, not what it reads: files outside of the store."""
    distribution: str = plugins.OWN
    """What must be installed where it runs."""
    carrier: Carrier | None = None
    """How its requests travel to a machine that does not see the store, where `graph.parcel` does not say; None: they do not."""

    @property
    def package(self) -> str:
        """The import package of its distribution."""
        return self.distribution.replace("-", "_")

    @property
    def version(self) -> int:
        """The version of the code behind it."""
        return int(importlib.import_module(f"{self.package}.{self.module}").VERSION)


def texts(value: Any) -> Iterator[str]:
    """All texts in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, Sequence):
        for item in value:
            yield from texts(item)


def source_of(request: Request) -> Source:
    """The source that a request is about."""
    return from_json(Source, request.paths["source"])


_REGISTRY: dict[str, Operation] = {}


def register(op: Operation) -> Operation:
    """Make an operation known by its name.

    Raises:
        ValueError: the name is taken.
    """
    if op.name in _REGISTRY and _REGISTRY[op.name] != op:
        raise ValueError(f"operation {op.name} is registered twice")
    _REGISTRY[op.name] = op
    return op


def operation(name: str) -> Operation:
    """The operation of a name.

    Raises:
        KeyError: there is none.
        UsageError: its distribution is not installed here; says what to do.
    """
    if name not in _REGISTRY:
        # Workers import only this module; the operations come with their first request.
        import montage_dask.graph.operations  # noqa: F401
    if name not in _REGISTRY:
        register(plugins.load(plugins.OPERATIONS, name))
    return _REGISTRY[name]


def distribution_of(name: str) -> str:
    """What must be installed where an operation runs; of what is no operation that was asked for yet, this package."""
    return _REGISTRY[name].distribution if name in _REGISTRY else plugins.OWN


SMALL_BYTES = 1 << 20
"""Files up to this size are read whenever a record is used; of larger ones only the size is looked at, until they are read."""


def files_of(request: Request) -> list[str]:
    """Places below any store of the files that a request makes, but for pieces of arrays."""
    op, key = operation(request.operation), request.key
    return [f"files/{op.name}/{key[:2]}/{key}{suffix}" for suffix in op.files]


def pieces_of(request: Request) -> list[str]:
    """Places below any store of the pieces of arrays that a request fills."""
    pieces = operation(request.operation).pieces
    return [] if pieces is None else pieces(request)


def finished(request: Request, store: Store) -> dict[str, Any] | None:
    """The record of a request if it is done, its files stand, and its outputs are those that it wrote; else None."""
    record = store.load(request.operation, request.key)
    if record is None:
        return None
    told = record.get("files", {})
    if not told.keys() >= set(files_of(request)):
        return None
    if not all(_stands(store.root, place, of) for place, of in told.items()):
        return None
    try:
        states = {p: objects.state_of(place_of(p)) for p in record.get("outputs", {})}
    except (OSError, objects.Vanished):
        return None
    return record if states == record.get("outputs", {}) else None


def _stands(root: Place, place: str, told: Mapping[str, Any]) -> bool:
    path = root
    for part in place.split("/"):
        path = path / part
    if isinstance(path, Path) and told["size_bytes"] <= SMALL_BYTES:
        return same_file(path, told)
    try:
        return bool(objects.state_of(path)["size_bytes"] == told["size_bytes"])
    except (OSError, objects.Vanished):
        return False


def seal(request: Request, store: Store, record: dict[str, Any]) -> None:
    """Bring what a request has made to the disk, and note it in the record: "files" with size and digest, "outputs" with state.

    Args:
        request: done.
        store: of this machine. Arrays that stand elsewhere are the object store's matter, which shows objects whole.
        record: gets the notes.

    Raises:
        StoreError: something was not made, or cannot be brought to the disk.
    """
    root = store.root
    assert isinstance(root, Path)
    places = files_of(request)
    if isinstance(store.array(request.operation, request.key), Path):
        places += pieces_of(request)
    outputs = {k: v for k, v in request.paths.items() if k in operation(request.operation).outputs}
    written = [p for p in map(Path, texts(outputs)) if p.exists()]
    folders: set[Path] = set()
    for path in (*(root / place for place in places), *written):
        try:
            flush(path)
        except FileNotFoundError as error:
            raise DamagedArtefact(str(path), missing=True) from error
        folders |= {p for p in path.parents if p != root and p.is_relative_to(root)}
        folders.add(path.parent)
    for folder in sorted(folders):
        flush(folder)
    record["files"] = {
        p: {"size_bytes": (root / p).stat().st_size, "digest": digest_of(root / p)} for p in places
    }
    if written:
        record["outputs"] = {str(p): objects.state_of(p) for p in written}


def perform(request: Request, store: Store, device: str = "cpu") -> dict[str, Any]:
    """Run a request here, unless it is done already.

    Returns:
        The record, with `seconds` and `cpu_seconds` (of this process and its children) from when it was computed.

    Raises:
        TargetFailed: the device could not do it, another may.
        MontageError: as the operation does; nothing is saved then.
    """
    done = finished(request, store)
    if done is not None:
        return done
    op, key = operation(request.operation), request.key
    started, cpu = time.perf_counter(), sum(os.times()[:4])
    try:
        with patience(request.paths.get(STALL, STALL_SECONDS)):
            record = op.function(request, Context(store, key, device, op.threads))
    except (RuntimeError, AssertionError, OSError, MontageError) as error:
        failure = failure_of(error) if device != "cpu" else None
        if failure is None or isinstance(error, MediaError | TargetFailed):
            raise
        raise failure from error
    record["seconds"] = round(time.perf_counter() - started, 3)
    record["cpu_seconds"] = round(sum(os.times()[:4]) - cpu, 3)
    record["target"] = device if device != "cuda" else "gpu"
    seal(request, store, record)
    store.save(request.operation, key, record)
    return record
