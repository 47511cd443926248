"""How the outputs of a batch job are called: every input gets one, and keeps it whatever else is in the list."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from montage_dask.store import Place, Store, Url, objects, place_of
from montage_dask.store.artefacts import key_of


def output_names(
    paths: Sequence[str], folder: Place, suffix: str, held: Mapping[str, str] | None = None
) -> dict[str, Place]:
    """One output per input, by the input's path.

    An input that has an output in the folder keeps its name. Else it is the input's own name where nobody else has it or wants
    it, and otherwise that name with six digits of the SHA-256 of the input's path: never a number, which would depend on the
    other inputs. Names that differ in case or Unicode form only are equal, since they are on some file systems. No input and no
    other input's output is overwritten.

    Args:
        paths: the inputs.
        folder: where the outputs go.
        suffix: of their names.
        held: what stands in the folder already: name → path of the input that it was made of.
    """
    held = held or {}
    owners = {_folded(name): source for name, source in held.items()}
    kept = {source: name for name, source in held.items()}
    wanted = Counter(_folded(_stem(p) + suffix) for p in paths)
    taken = {_folded(str(_real(place_of(p)))) for p in paths}

    def choices(path: str) -> Iterator[str]:
        if path in kept:
            yield kept[path]
        plain = _stem(path) + suffix
        if wanted[_folded(plain)] == 1:
            yield plain
        digest = hashlib.sha256(os.fsencode(path)).hexdigest()
        yield from (f"{_stem(path)}-{digest[:n]}{suffix}" for n in range(6, len(digest) + 1))

    names = {}
    for path in paths:
        for name in choices(path):
            address = _folded(str(_real(folder / name)))
            if address not in taken and owners.get(_folded(name), path) == path:
                break
        taken.add(address)
        names[path] = folder / name
    return names


def names_in(store: Store, paths: Sequence[str], folder: Place, suffix: str) -> dict[str, Place]:
    """As `output_names`; what was made in the folder before is known from the store, and what will be is noted there.

    Raises:
        StoreError: the store cannot be read or written.
    """
    key = key_of("names", 1, {"folder": str(_real(folder)), "suffix": suffix})
    record = store.load("names", key) or {}
    found: Any = record.get("names")
    noted = {
        name: source
        for name, source in (found.items() if isinstance(found, dict) else ())
        if isinstance(source, str)
    }
    # Only those that matter here are looked for: a bucket answers slowly, and may hold thousands.
    inputs, wanted = set(paths), {_folded(_stem(p) + suffix) for p in paths}
    gone = {
        name
        for name, source in noted.items()
        if (source in inputs or _folded(name) in wanted) and not objects.exists(folder / name)
    }
    held = {name: source for name, source in noted.items() if name not in gone}
    names = output_names(paths, folder, suffix, held)
    now = {**held, **{place.name: path for path, place in names.items()}}
    if now != noted:
        store.save("names", key, {"names": now})
    return names


def _stem(path: str) -> str:
    return Path(path).stem


def _folded(text: str) -> str:
    """Equal for names that some file system takes for the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def _real(place: Place) -> Place:
    return place if isinstance(place, Url) else place.resolve()
