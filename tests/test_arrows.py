"""Who imports whom: the table of docs/architecture.md and the code say the same, and there are no circles but the known ones."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

import montage_dask

ROOT = Path(montage_dask.__file__).parent
TEXT = (ROOT.parent / "docs/architecture.md").read_text(encoding="utf-8")
OWN_ROOMS = ("coordinator/client",)
"""Modules that are a room of their own in a folder of another one."""

KNOWN_CIRCLES = {
    # An operation that is asked for by its name registers all.
    ("graph.effect_operations", "graph.music_operations", "graph.operation", "graph.operations"),
}
"""Of modules, by imports inside functions. One that goes is taken from here; none comes."""


@cache
def modules() -> Mapping[str, Path]:
    """Every module of the package by its name in it: "media.decode"; "" is the package."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def statements(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """All imports that may run, wherever they stand."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        yield from statements(node)


@cache
def imports(name: str) -> tuple[ast.Import | ast.ImportFrom, ...]:
    return tuple(statements(ast.parse(modules()[name].read_text(encoding="utf-8"))))


@cache
def imported(name: str) -> frozenset[str]:
    """The modules of the package that a module imports, now or later."""
    found = set()
    for node in imports(name):
        if isinstance(node, ast.Import):
            targets = [a.name for a in node.names]
        else:
            assert not node.level, f"{name}: a relative import"
            inside = [f"{node.module}.{a.name}" for a in node.names]
            targets = [t if inner(t) in modules() else str(node.module) for t in inside]
        found |= {inner(t) for t in targets if t.split(".")[0] == "montage_dask"}
    return frozenset(found & modules().keys()) - {name}


def inner(name: str) -> str:
    return name.removeprefix("montage_dask").removeprefix(".")


def room(name: str) -> str:
    if name.replace(".", "/") in OWN_ROOMS:
        return name.replace(".", "/")
    return name.split(".")[0] or "__init__"


def rows() -> Iterator[tuple[list[str], str, list[str]]]:
    """Rooms of a row of the table, what it says of them, and what they may import."""
    table = TEXT[TEXT.index("| room | what is in it |") :].split("\n\n")[0]
    for line in table.splitlines()[2:]:
        cells = [c.strip() for c in line.strip("|").split(" | ")]
        names = [re.findall(r"`([\w/]+?)/?`", cells[n]) for n in (0, -1)]
        yield names[0], cells[1], names[1]


@cache
def allowed() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for names, _, targets in rows():
        for name in names:
            assert name not in found, f"{name} stands in the table twice"
            found[name] = {*targets, *names} - {name}
    return found


FREE = {name for names, what, _ in rows() if "all may import them" in what for name in names}


def arrows() -> dict[tuple[str, str], list[str]]:
    """Room to room, and the imports that make the arrow."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in modules():
        for target in imported(name):
            if room(name) != room(target):
                found.setdefault((room(name), room(target)), []).append(f"{name} → {target}")
    return found


def circles(graph: Mapping[str, frozenset[str]]) -> set[tuple[str, ...]]:
    """Sets of nodes that reach each other."""
    reached = {}
    for node in graph:
        seen, waiting = set(), list(graph[node])
        while waiting:
            if (one := waiting.pop()) not in seen:
                seen.add(one)
                waiting += graph[one]
        reached[node] = seen
    return {
        tuple(sorted(o for o in reached[n] if n in reached[o]))
        for n in graph
        if n in reached[n]
    }  # fmt: skip


def test_every_module_has_a_room():
    assert {room(name) for name in modules()} == allowed().keys()


@pytest.mark.parametrize("name", sorted({room(m) for m in modules()}))
def test_a_room_imports_what_the_table_says(name):
    actual = {target: why for (source, target), why in arrows().items() if source == name}
    more = {t: why for t, why in actual.items() if t not in allowed()[name] | FREE}
    assert not more, "an arrow that the table does not have"


def test_the_table_has_no_arrow_that_nothing_uses():
    used = arrows().keys()
    for names, _, targets in rows():
        for target in targets:
            assert any((name, target) in used for name in names), f"{names} → {target}"


def test_rooms_have_no_circles():
    graph: dict[str, set[str]] = {room(name): set() for name in modules()}
    for source, target in arrows():
        graph[source].add(target)
    assert not circles({k: frozenset(v) for k, v in graph.items()})


def test_modules_have_the_known_circles_only():
    assert circles({name: imported(name) for name in modules()}) == KNOWN_CIRCLES


DASK = ("dask", "distributed", "dask_cuda", "dask_kubernetes")


def test_who_may_import_dask():
    said = re.search(r"Dask is imported by (.*?), and by nothing else", " ".join(TEXT.split()))
    assert said is not None
    found = set()
    for name in modules():
        for node in imports(name):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]  # fmt: skip
            if any(n.split(".")[0] in DASK for n in names):
                found.add(room(name))
    assert found == set(re.findall(r"`(\w+)`", said[1]))
