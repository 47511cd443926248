"""What is imported is declared, and what is optional says what to install."""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from montage_dask.cluster.kube import Kube
from montage_dask.errors import UsageError

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OWN = ("montage_dask",)


def named(requirement: str) -> str:
    return re.split(r"[\[<>=!~ ;]", requirement, maxsplit=1)[0].lower().replace("_", "-")


DECLARED = {
    named(r)
    for rs in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for r in rs
}


def imported() -> dict[str, Path]:
    """Top-level modules that the package imports, at once or lazily, and one file that does."""
    found: dict[str, Path] = {}
    for path in sorted((ROOT / "montage_dask").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            found |= {n.partition(".")[0]: path for n in names}
    return {n: p for n, p in found.items() if n not in (*OWN, *sys.stdlib_module_names)}


def test_every_import_is_declared():
    # What is not installed here goes by its own name; dask's extra brings the other.
    makers = {"distributed": ["dask"]}
    makers |= {n: ds for n, ds in metadata.packages_distributions().items() if n not in makers}
    undeclared = {
        name: str(path.relative_to(ROOT))
        for name, path in imported().items()
        if not DECLARED & {d.lower().replace("_", "-") for d in makers.get(name, [name])}
    }
    assert undeclared == {}


def test_extras_that_messages_name_are_there():
    text = "\n".join(p.read_text() for p in (ROOT / "montage_dask").rglob("*.py"))
    extras = set(re.findall(r"montage-dask\[([a-z0-9-]+)\]", text))
    assert {"kubernetes", "accurate", "librosa", "upscale", "gpu", "notebook"} <= extras
    assert extras <= PROJECT["optional-dependencies"].keys()


def test_kubernetes_says_what_to_install(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n: None if n == "dask_kubernetes" else find(n)
    )
    with pytest.raises(UsageError, match=r"montage-dask\[kubernetes\]"):
        asyncio.run(Kube(None).open())
