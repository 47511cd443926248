"""Several parcels in one file, and the other machine's side of it: unpack, run, pack up what came out.

A bundle is a tar with `items.json` and the files of its parcels. The answer is a tar with `answers.json` and the files that the
requests made. Neither side trusts the other's names: members that were not expected are not unpacked.
"""

from __future__ import annotations

import importlib
import io
import json
import logging
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from montage_dask._version import __version__
from montage_dask.cgpu.answers import most_answer_bytes
from montage_dask.errors import TargetFailed, TransferCorrupt, UsageError, printable
from montage_dask.graph.operation import Request, operation, perform
from montage_dask.graph.parcel import BUNDLE, STORE, Parcel, can_travel, results_of
from montage_dask.received import parse_json, read_bytes
from montage_dask.store import Store
from montage_dask.store.own_files import open_own

log = logging.getLogger(__name__)

ITEMS, ANSWERS = "items.json", "answers.json"

LARGEST_LIST = 256 << 20
"""Bytes of a list of items or answers; more is damage."""

LARGEST_BUNDLE = 4_000_000_000
"""Bytes of a bundle that is unpacked; our own are closed at a twentieth of that."""


FUNCTIONS = frozenset(
    [
        "montage_dask.media.encoders:working_encoder",
        # Costs nothing: by it a line is tried.
        "montage_dask.config.values:size",
    ]
)
"""All that a bundle may ask: module:name. Whoever sends one must not choose what is called here."""


@dataclass(frozen=True, slots=True)
class Question:
    """A function of this project to be called on the other machine. Nothing of it is kept."""

    function: str
    """module:name below `montage_dask`."""
    arguments: tuple[Any, ...]
    """JSON values."""

    @classmethod
    def of(cls, function: Callable[..., Any], arguments: Sequence[Any]) -> Question:
        """The question that calls a function of this project."""
        return cls(f"{function.__module__}:{function.__qualname__}", tuple(arguments))


Item = Parcel | Question


def write_bundle(items: Sequence[Item], path: Path) -> None:
    """Write a bundle.

    Raises:
        OSError: a file of a parcel is gone, or `path` cannot be written.
    """
    with tarfile.open(path, "w") as tar:
        listed = [_listed(item) for item in items]
        _add_text(tar, ITEMS, json.dumps({"version": __version__, "items": listed}))
        files = {n: f for i in items if isinstance(i, Parcel) for n, f in i.files.items()}
        for name, file in sorted(files.items()):
            _add_file(tar, name, file)


def _listed(item: Item) -> dict[str, Any]:
    if isinstance(item, Question):
        return {"question": asdict(item)}
    return {"request": asdict(item.request), "key": item.request.key}


def _add_text(tar: tarfile.TarFile, name: str, text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def _add_file(tar: tarfile.TarFile, name: str, file: Path) -> None:
    info = tarfile.TarInfo(name)
    info.size = file.stat().st_size
    with file.open("rb") as stream:
        tar.addfile(info, stream)


def unpack(
    archive: Path,
    folder: Path,
    expected: Callable[[str], bool],
    most_bytes: int = LARGEST_BUNDLE,
) -> set[str]:
    """Unpack the plain files whose names are expected. They are no larger together than the archive: it is not compressed.

    Args:
        archive: an uncompressed tar.
        folder: to unpack into.
        expected: which names are.
        most_bytes: a larger archive is not looked into.

    Returns:
        Their names.

    Raises:
        TransferCorrupt: it is no such archive.
    """
    found = set()
    size = archive.stat().st_size
    if size > most_bytes:
        raise TransferCorrupt(
            f"{archive.name} has {size:,} bytes, more than the {most_bytes:,} that were expected"
        )
    try:
        with tarfile.open(archive, "r:") as tar:
            for member in tar:
                if not member.isreg() or not _harmless(member.name) or not expected(member.name):
                    log.warning("%s: %r is not expected and left out", archive.name, member.name)
                    continue
                if member.issparse():
                    raise tarfile.TarError(f"{member.name!r} has holes")
                target = folder / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                stream = tar.extractfile(member)
                assert stream is not None
                with open_own(target, "wb") as out:
                    while piece := stream.read(1 << 20):
                        out.write(piece)
                found.add(member.name)
    except (tarfile.TarError, EOFError, RecursionError, ValueError, OverflowError) as error:
        raise TransferCorrupt(f"{archive.name} is damaged: {error}; run again") from error
    return found


def _harmless(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and bool(path.parts)


def run_bundle(bundle: Path, answer: Path, folder: Path, device: str) -> Iterator[str]:
    """The other machine's side: run all items of a bundle one after the other.

    Args:
        bundle: from `write_bundle`.
        answer: the tar to write.
        folder: for the files; its store is used again by later bundles.
        device: cpu or cuda.

    Yields:
        A line for people after each item.

    Raises:
        UsageError: it is no bundle, or one of another version of this project.
        TransferCorrupt: it is damaged.
    """
    unpack(bundle, folder, lambda name: True)  # into a folder of its own
    try:
        text = read_bytes(folder / ITEMS, LARGEST_LIST).decode("utf-8", "surrogatepass")
        listed = parse_json(text)
        version, items = listed["version"], listed["items"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{bundle.name} is no bundle of montage-dask: {error}") from error
    if version != __version__:
        raise UsageError(f"the bundle is of montage-dask {version}, this is {__version__}")
    answers: list[dict[str, Any]] = []
    files: dict[str, Path] = {}
    for number, item in enumerate(items, 1):
        said, made = _run(item, folder, device)
        answers.append(said)
        files.update({f"{STORE}/{place}": folder / STORE / place for place in made})
        name = item["request"]["operation"] if "request" in item else item["question"]["function"]
        yield f"{number}/{len(items)} {name}: {said.get('error', 'done')}"
    with tarfile.open(answer, "w") as tar:
        _add_text(tar, ANSWERS, json.dumps(answers))
        for name, file in sorted(files.items()):
            _add_file(tar, name, file)


def _run(item: Mapping[str, Any], folder: Path, device: str) -> tuple[dict[str, Any], list[str]]:
    try:
        if "question" in item:
            return {"value": _ask(item["question"])}, []
        _check_paths(item["request"]["paths"])
        request = Request(**_placed(item["request"], folder))
        if not can_travel(request.operation):
            raise UsageError(f"{request.operation} is no operation of bundles")
        if request.key != item["key"]:
            raise UsageError(f"{request.operation} is of another version here")
        return {"record": perform(request, Store(folder / STORE), device)}, results_of(request)
    except Exception as error:  # one request must not cost the others of its bundle
        log.warning("%s", error, exc_info=True)
        return {"error": f"{type(error).__name__}: {error}".splitlines()[0][:500]}, []


def run_single(path: Path, folder: Path, device: str) -> dict[str, Any]:
    """Run the request of a JSON file: operation, parameters, paths, and label if it likes.

    Returns:
        The record.

    Raises:
        UsageError: it is no request.
        MontageError: as the operation does.
    """
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        request = Request(
            given["operation"], given["parameters"], given.get("paths", {}), given.get("label", "")
        )
        operation(request.operation)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is no request: {type(error).__name__} {error}") from error
    return perform(request, Store(folder), device)


def _ask(question: Mapping[str, Any]) -> Any:
    if question["function"] not in FUNCTIONS:
        raise UsageError(f"{question['function']} is no function of montage-dask that is called so")
    module, _, name = question["function"].partition(":")
    return getattr(importlib.import_module(module), name)(*question["arguments"])


FRACTION = re.compile(r"-?\d+/\d+")


def _check_paths(value: Any) -> None:
    """A bundle names files of its own, and nothing else of the machine that it runs on.

    Raises:
        UsageError: it names something else.
    """
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            _check_paths(one)
    elif isinstance(value, str):
        own = value.removeprefix(BUNDLE)
        if not _harmless(own) if own != value else "/" in value and not FRACTION.fullmatch(value):
            raise UsageError(f"the bundle names {printable(value)}, which is no file of it")


def _placed(value: Any, folder: Path) -> Any:
    """A request's JSON with the files of the bundle where they stand here."""
    if isinstance(value, str):
        return str(folder / value.removeprefix(BUNDLE)) if value.startswith(BUNDLE) else value
    if isinstance(value, list):
        return [_placed(v, folder) for v in value]
    if isinstance(value, dict):
        return {k: _placed(v, folder) for k, v in value.items()}
    return value


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one item."""

    value: Any
    """The record of a request, or the value of a question."""
    files: Mapping[str, Path]
    """Unpacked, by their place below the store."""
    error: TargetFailed | None = None


def read_answers(archive: Path, items: Sequence[Item], folder: Path) -> list[Answer]:
    """Unpack the answer to a bundle.

    Args:
        archive: the answer.
        items: what the bundle held, in order.
        folder: to unpack into; must live until the files were brought home.

    Raises:
        TransferCorrupt: something is damaged or missing.
    """
    wanted = [
        [f"{STORE}/{place}" for place in results_of(i.request)] if isinstance(i, Parcel) else []
        for i in items
    ]
    known = {ANSWERS, *(name for names in wanted for name in names)}
    sizes = [i.size_bytes if isinstance(i, Parcel) else None for i in items]
    found = unpack(archive, folder, known.__contains__, most_answer_bytes(sizes))
    try:
        answers = parse_json(read_bytes(folder / ANSWERS, LARGEST_LIST).decode("utf-8"))
        if not isinstance(answers, list) or len(answers) != len(items):
            raise ValueError(f"{len(items)} answers were expected")
        return [
            _answer(said, names, found, folder, item)
            for said, names, item in zip(answers, wanted, items, strict=True)
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TransferCorrupt(f"the answer is damaged: {error}; run again") from error


def _answer(
    said: Mapping[str, Any], names: Sequence[str], found: set[str], folder: Path, item: Item
) -> Answer:
    if "error" in said:
        what = item.request.operation if isinstance(item, Parcel) else item.function
        return Answer(None, {}, TargetFailed(f"{what} failed there: {said['error']}"))
    if isinstance(item, Question):
        return Answer(said["value"], {})
    record = said["record"]
    if not isinstance(record, dict) or not set(names) <= found:
        raise ValueError("a result is missing")
    return Answer(record, {n.removeprefix(f"{STORE}/"): folder / n for n in names})
