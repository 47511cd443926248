"""This very installation as wheels, so that a runtime runs the same code: what is imported here, not what is published."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import re
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

from montage_dask import plugins
from montage_dask._version import __version__
from montage_dask.store.artefacts import writing
from montage_dask.store.cache import default_folder

DISTRIBUTION = plugins.OWN
PACKAGE = Path(__file__).parents[1]
NAME = f"montage_dask-{__version__}-py3-none-any.whl"
INFO = f"montage_dask-{__version__}.dist-info"
CODE = "code.zip"
EPOCH = (1980, 1, 1, 0, 0, 0)
"""Of every member: the same files make the same wheel."""


Members = list[tuple[str, bytes]]


def wheel() -> tuple[Path, str]:
    """The wheel of this package, built unless it was before.

    Returns:
        The file in the user's cache, and the sha256 of its contents in 64 hex digits.

    Raises:
        StoreError: the cache cannot be written.
    """
    return _archive(NAME, _with_record(_members(), INFO))


def code() -> tuple[Path, str]:
    """What a runtime needs on Python's path: the wheel, together with those of the distributions that plug operations in.

    Returns:
        The file in the user's cache, and the sha256 of its contents in 64 hex digits. It is to be unpacked, not installed.

    Raises:
        StoreError: the cache cannot be written.
    """
    others = plugins.distributions(plugins.OPERATIONS)
    if not others:
        return wheel()
    members = _with_record(_members(), INFO)
    for other in others:
        info = f"{other.name.replace('-', '_')}-{other.version}.dist-info"
        members += _with_record(_members_of(other, info), info)
    return _archive(CODE, members)


def _archive(file: str, members: Members) -> tuple[Path, str]:
    identity = hashlib.sha256()
    for name, content in members:
        identity.update(f"{name}\0{len(content)}\0".encode() + content)
    key = identity.hexdigest()
    path = default_folder() / "wheels" / key[:16] / file
    if not path.exists():
        with writing(path) as part:
            _write(part, members)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def requirements() -> dict[str, str]:
    """What this package needs, without its extras: distribution name to requirement."""
    found = {}
    for requirement in _requires():
        text, _, marker = requirement.partition(";")
        if "extra" not in marker:
            name = re.split(r"[\[<>=!~ (]", text.strip(), maxsplit=1)[0]
            found[name.lower()] = text.strip()
    return found


def _requires() -> list[str]:
    # A source tree knows better than what was installed at some time.
    project = PACKAGE.parent / "pyproject.toml"
    try:
        declared = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
        if declared["name"] == DISTRIBUTION:
            return [str(r) for r in declared["dependencies"]]
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        pass
    try:
        return metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return []


def _files(root: Path) -> Members:
    """All of an import package."""
    return [
        (f"{root.name}/{path.relative_to(root).as_posix()}", path.read_bytes())
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    ]


def _members_of(other: metadata.Distribution, info: str) -> Members:
    """Of a distribution that plugs something in: the packages that it names, and by what they are found."""
    entries = sorted((e.group, e.name, e.value) for e in other.entry_points)
    members: Members = []
    for package in sorted({e.module.partition(".")[0] for e in other.entry_points}):
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            continue
        origin = Path(spec.origin)
        members += (
            _files(origin.parent)
            if spec.submodule_search_locations
            else [(origin.name, origin.read_bytes())]
        )
    groups = {group: [e for e in entries if e[0] == group] for group, _, _ in entries}
    text = "".join(
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for _, name, value in found) + "\n"
        for group, found in groups.items()
    )
    told = f"Metadata-Version: 2.1\nName: {other.name}\nVersion: {other.version}\n"
    return [
        *members,
        (f"{info}/METADATA", told.encode()),
        (f"{info}/entry_points.txt", text.encode()),
    ]


def _members() -> Members:
    """All files of the wheel but RECORD, by name."""
    members = _files(PACKAGE)
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {DISTRIBUTION}",
        f"Version: {__version__}",
    ]
    lines += ["Requires-Python: >=3.11"]
    lines += [f"Requires-Dist: {requirement}" for requirement in requirements().values()]
    info = {
        "METADATA": "\n".join(lines) + "\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: montage-dask\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "entry_points.txt": "[console_scripts]\nmontage-dask = montage_dask.cli:main\n\n"
        "[dask_cli]\nmontage = montage_dask.cli:cli\n",
    }
    return members + [(f"{INFO}/{name}", text.encode()) for name, text in sorted(info.items())]


def _with_record(members: Members, info: str) -> Members:
    """The files of one distribution with the list of them."""
    records = []
    for name, content in members:
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
        records.append(f"{name},sha256={digest.decode()},{len(content)}")
    records.append(f"{info}/RECORD,,")
    return [*members, (f"{info}/RECORD", ("\n".join(records) + "\n").encode())]


def _write(path: Path, members: Members) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in members:
            _add(archive, name, content)


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)
