#!/usr/bin/env python3
"""Whether a result that changed has another address: the versions of all operations, and what their code looked like.

    python .ci/versions.py                  what differs from versions.json; exit code 1 if anything does
    python .ci/versions.py --sign NAME …    NAME's code changed: its VERSION was raised, or its results are the same as before
    python .ci/versions.py --sign all

The address of an artefact holds the VERSION of its operation. Whoever changes a grade raises that of transcoding and forgets the
segments': then stores go on giving old pictures. So versions.json keeps, for each operation, its version and a digest of all code
of the packages that it can reach by imports, comments and docstrings apart. A test compares.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import importlib.util
import inspect
import io
import json
import sys
import tokenize
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from montage_dask.graph.operation import Operation

HERE = Path(__file__).parent
LOCK = HERE / "versions.json"
PACKAGES = ("montage_dask", "montage_dask_training")
BELOW = tuple(f"{package}." for package in PACKAGES)
PLUMBING = frozenset(
    ["errors", "children", "devices", "store", "config", "graph", "cluster", "dashboard", "cgpu"]
)
"""What carries results and never makes them: modules of these rooms are not looked into."""

Entry = dict[str, int | str]


def operations() -> dict[str, Operation]:
    """All that are registered, by name."""
    import montage_dask.graph.operations  # noqa: F401 - registers them
    from montage_dask import plugins
    from montage_dask.graph.operation import _REGISTRY, operation

    for name in {*plugins.names(plugins.OPERATIONS), *plugins.LEFT[plugins.OPERATIONS]}:
        if operation(name).package not in PACKAGES:
            raise SystemExit(
                f"{name} is of {operation(name).distribution}, which is not this project's"
            )
    return dict(sorted(_REGISTRY.items()))


def entry(op: Operation) -> Entry:
    """The version of an operation and the digest of its code."""
    function = inspect.getsource(op.function)
    named = [f"{op.package}.{op.module}", *_imported(ast.parse(function), ""), *_used(op)]
    modules = {m for name in named for m in reached(name)}
    parts = [bare(function), *(bare(_path(m).read_text(encoding="utf-8")) for m in sorted(modules))]
    digest = hashlib.sha256("\0".join(parts).encode())
    for data in _data(modules):
        digest.update(data.read_bytes())
    return {"version": op.version, "digest": digest.hexdigest()[:16]}


def _used(op: Operation) -> list[str]:
    """Modules of the packages that a function names without importing them itself."""
    module = inspect.getmodule(op.function)
    assert module is not None
    names = {
        n.id for n in ast.walk(ast.parse(inspect.getsource(op.function))) if isinstance(n, ast.Name)
    }
    imported: dict[str, str] = {}
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(BELOW):
            imported |= {a.asname or a.name: f"{node.module}" for a in node.names}
    return [where for name, where in imported.items() if name in names]


@cache
def reached(module: str) -> frozenset[str]:
    """A module and all that it imports of the packages, now or lazily."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or (name.split(".")[1:2] and name.split(".")[1] in PLUMBING):
            continue
        path = _path(name)
        if name in PACKAGES or not path.is_file():
            continue
        found.add(name)
        waiting += _beside(name)
    return frozenset(found)


@cache
def _beside(module: str) -> tuple[str, ...]:
    """What one module imports of the package."""
    return tuple(_imported(ast.parse(_path(module).read_text(encoding="utf-8")), module))


@cache
def bare(source: str) -> str:
    """Code without what cannot change a result: comments, docstrings, blank lines, indentation of continued lines."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                for line in range(statement.lineno - 1, statement.end_lineno or statement.lineno):
                    lines[line] = ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _imported(tree: ast.AST, module: str) -> list[str]:
    """Names of the packages' modules that a piece of code imports."""
    named = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            named += [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*module.split(".")[: -node.level], *([base] if base else [])])
            named += [base, *(f"{base}.{a.name}" for a in node.names)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            named.append(node.value.partition(":")[0])  # what is loaded by its name
    return [n for n in named if n.startswith(BELOW)]


@cache
def _path(module: str) -> Path:
    package, *names = module.split(".")
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    stem = Path(spec.origin).parent.joinpath(*names)
    return stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")


def _data(modules: frozenset[str] | set[str]) -> list[Path]:
    """Weights beside the modules whose code names them."""
    found = set()
    for module in modules:
        path = _path(module)
        text = path.read_text(encoding="utf-8")
        found |= {w for w in path.parent.glob("weights/*.npz") if w.name in text}
    return sorted(found)


def differences() -> dict[str, str]:
    """What to do, by operation; empty when all is signed."""
    signed: dict[str, Entry] = json.loads(LOCK.read_text(encoding="utf-8"))
    now = {name: entry(op) for name, op in operations().items()}
    said = {}
    for name in sorted(signed.keys() | now.keys()):
        old, new = signed.get(name), now.get(name)
        if old == new:
            continue
        if old is None or new is None:
            said[name] = "is new" if old is None else "is gone"
        elif old["version"] == new["version"]:
            said[name] = (
                f"its code changed: raise VERSION in {operations()[name].module} if the same request can give another result"
            )
        else:
            said[name] = f"its version changed from {old['version']} to {new['version']}"
        said[name] += f"; then: python .ci/versions.py --sign {name}"
    return said


def sign(names: list[str]) -> None:
    """Write down what the operations are now."""
    signed: dict[str, Entry] = json.loads(LOCK.read_text(encoding="utf-8")) if LOCK.exists() else {}
    known = operations()
    for name in signed.keys() | known.keys() if names == ["all"] else names:
        if name in known:
            signed[name] = entry(known[name])
        else:
            signed.pop(name, None)
    lines = [f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(signed.items())]
    LOCK.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sign", nargs="+", metavar="NAME")
    names = parser.parse_args().sign
    if names:
        sign(names)
    found = differences()
    for name, said in found.items():
        print(f"{name}: {said}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
