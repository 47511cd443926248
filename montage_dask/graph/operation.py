"""The one abstraction: an operation is a function from a small request to a small record, addressed by its content.

`perform` is what every target runs: it returns the record that stands in the store, or computes, saves and returns it. It is
idempotent, so a task that Dask runs twice, a job that is run again and two jobs that share a store do no work twice.
"""

from __future__ import annotations

import importlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from montage_dask.devices import failure_of
from montage_dask.errors import MediaError, MontageError, TargetFailed
from montage_dask.media.ffmpeg import STALL_SECONDS, patience
from montage_dask.records import Source, from_json
from montage_dask.store import Store, key_of, objects

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
    """The module that does the work; its `VERSION` is raised when the same parameters give another result."""
    function: Function
    threads: int = 1
    """CPU threads it uses: its `CPU` resource."""
    gpu_speedup: float | None = None
    """How many times faster a GPU is expected to be than one CPU thread; None: no code for `device="cuda"`."""
    files: tuple[str, ...] = ()
    """Suffixes of the files that must stand beside the record for it to count."""
    outputs: tuple[str, ...] = ()
    """Which of its `paths` name what it writes, not what it reads."""

    @property
    def version(self) -> int:
        """The version of the code behind it."""
        return int(importlib.import_module(f"montage_dask.{self.module}").VERSION)


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
    """The operation of a name."""
    if name not in _REGISTRY:
        # Workers import only this module; the operations come with their first request.
        import montage_dask.graph.operations  # noqa: F401
    return _REGISTRY[name]


def finished(request: Request, store: Store) -> dict[str, Any] | None:
    """The record of a request if it is done and its files stand, else None."""
    op, key = operation(request.operation), request.key
    record = store.load(request.operation, key)
    if record is None or any(not objects.exists(store.file(op.name, key, s)) for s in op.files):
        return None
    return record


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
    store.save(request.operation, key, record)
    return record
