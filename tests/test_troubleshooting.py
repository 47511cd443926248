"""docs/troubleshooting.md: what it quotes is what the code says."""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache
from pathlib import Path

import pytest

from montage_dask import errors
from montage_dask.config import resolve

PACKAGE = Path(errors.__file__).parent
TEXT = (PACKAGE.parent / "docs/troubleshooting.md").read_text(encoding="utf-8")
GAP = "\0"


def quoted() -> list[str]:
    """Messages: the code spans in the first column of every table, and the lines of the last part but one."""
    rows = re.findall(r"^\| (.*?) \| .*? \| .*? \|$", TEXT, re.MULTILINE)
    told = [*rows, TEXT[TEXT.index("## The result is not whole") : TEXT.index("## For programs")]]
    music = TEXT[TEXT.index("Music is refused") : TEXT.index("## The beats")]
    spans = [s for part in [*told, music] for s in re.findall(r"`([^`]+)`", part)]
    return [s for s in dict.fromkeys(spans) if not re.fullmatch(r"[\w.]+|NAME.*", s)]


def _text(node: ast.AST) -> str | None:
    """A string of the code, with a gap for every value in it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(v.value) if isinstance(v, ast.Constant) else GAP for v in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _text(node.left), _text(node.right)
        return None if left is None and right is None else (left or GAP) + (right or GAP)
    return None


@cache
def strings() -> tuple[str, ...]:
    trees = [ast.parse(p.read_text(encoding="utf-8")) for p in PACKAGE.rglob("*.py")]
    found = (_text(node) for tree in trees for node in ast.walk(tree))
    return tuple({s for s in found if s is not None})


EXAMPLE = "fps = '0' (command line): must lie between 1 and 240"


@pytest.mark.parametrize("message", [m for m in quoted() if m != EXAMPLE])
def test_the_code_says_what_is_quoted(message):
    """In one string, gaps for gaps; or, of a message that is put together, every part in a string of its own."""
    parts = [p.strip(" :,;()") for p in message.split("…")]
    assert sum(map(len, parts)) >= 10, "nothing to look for"
    whole = re.compile(".*".join(map(re.escape, filter(None, parts))), re.DOTALL)
    if not any(whole.search(s) for s in strings()):
        for part in filter(None, parts):
            assert len(part) >= 7, "too short to be looked for alone"
            assert any(part in s for s in strings()), part


def test_the_example_of_a_wrong_value():
    assert f"`{EXAMPLE}`" in TEXT
    with pytest.raises(errors.UsageError) as caught:
        resolve({"fps": "0"})
    assert str(caught.value) == EXAMPLE


def test_a_message_that_does_not_exist_would_be_found():
    assert not any("the footage is boring" in s for s in strings())
    assert len(quoted()) > 100


def test_every_kind_of_error_is_named():
    kinds = inspect.getmembers(errors, lambda m: inspect.isclass(m) and issubclass(m, Exception))
    for name, _ in kinds:
        assert f"`{name}`" in TEXT or f".{name}`" in TEXT, name


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", TEXT):
        assert (PACKAGE.parent / "docs" / target).exists(), target
