"""docs/api.md, made from the docstrings: `python docs/make_api.py > docs/api.md`. A test keeps it in step."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import sys
import textwrap
from collections.abc import Iterator
from types import FunctionType
from typing import Any

import montage_dask
from montage_dask import errors

HEAD = """\
# Python API

Made by `python docs/make_api.py` from the docstrings; do not edit it here.

```python
from montage_dask import Cluster, Footage, Job, Music

with Cluster() as cluster:  # workers for all that follows
    footage = Footage("clips/").analyse()  # clips, each with its shots
    music = Music("track.mp3").analyse()  # beats, bars, sections
    job = Job(footage, music, style="travel", duration=30)
    print(job.plan())  # what it would do, where, how long
    timeline = job.edit().exclude("shaky*").pin("finish.mp4@0:42")
    montage = timeline.render("montage.mp4")
```

- **Sync and async.** Every verb that takes time has a twin that ends in `_async`; `await` it, and the event loop goes on. Work
  runs in threads of its own, also with an asynchronous Dask client.
- **In the background.** `start()` returns a `Run` at once; wait for it, await it, look at its `progress`, `cancel()` it. Several
  go on at once on one cluster.
- **In notebooks** all objects show themselves, with the dashboard's address first, and what takes time shows how far it is.
  Elsewhere give `progress=` an object with the methods `stage`, `step` and `note`.
- **Settings** are keywords with underscores: those of [configuration.md](configuration.md).
- **The same again** costs nothing: what is done stands in the store, whoever asks.

The [notebooks](../notebooks) show all of it.
"""

WORDS = (
    "Cluster", "Footage", "Clip", "Music", "Style", "Job", "Timeline", "Run", "Runs", "Plan", "Montage", "Batch",
)  # fmt: skip
VERBS = (
    "run",
    "plan",
    "analyse",
    "frames",
    "transcode",
    "grade",
    "stabilise",
    "upscale",
    "judge",
    "styles",
    "train",
    "start_all",
)
SECTIONS = ("Args", "Returns", "Raises")


def page() -> str:
    """The page, in Markdown."""
    lines = [HEAD, "## Objects", ""]
    for name in WORDS:
        lines += _class(name, getattr(montage_dask, name))
    lines += ["## Functions", "", "Every command is a function, too, which returns plain data.", ""]
    for name in VERBS:
        lines += _function(name, getattr(montage_dask, name), "###")
    tree = (errors.__doc__ or "").partition("\n\n")[2]
    lines += ["## Errors", "", "All are in `montage_dask` or `montage_dask.errors`.", "", "```"]
    lines += [*tree.partition("\n\n")[0].splitlines(), "```", ""]
    return "\n".join(lines)


def _class(name: str, cls: type) -> Iterator[str]:
    yield f"### {name}"
    yield ""
    constructed = name not in ("Clip", "Plan", "Batch", "Montage", "Run", "Runs")
    if constructed:
        yield f"```python\n{name}{_signature(cls.__init__)}\n```"  # type: ignore[misc]
        yield ""
    yield from _prose(inspect.getdoc(cls) or "", keep=constructed)
    for attribute, text in _attributes(cls):
        yield f"- `{attribute}`: {_one_line(text)}"
    yield ""
    for member, value in vars(cls).items():
        function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        if member.startswith("_") or not isinstance(function, FunctionType):
            continue
        if member.endswith("_async"):
            continue  # told with its twin
        twin = f"{member}_async" if hasattr(cls, f"{member}_async") else ""
        owner = name if isinstance(value, classmethod) else name.lower()
        told = f"await {owner}.{twin}(…)" if twin else ""
        yield from _function(f"{name}.{member}", function, "####", told)


def _attributes(cls: type) -> Iterator[tuple[str, str]]:
    """Properties, and what is set in the class or its constructor with a docstring below it."""
    for name, value in vars(cls).items():
        if isinstance(value, property) and not name.startswith("_"):
            yield name, (inspect.getdoc(value) or "").partition("\n\n")[0]
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(tree, ast.ClassDef)
    started = [f for f in tree.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"]
    for body in (tree.body, *(f.body for f in started)):
        for statement, below in itertools.pairwise(body):
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                name = _assigned(statement)
                if name and not name.startswith("_"):
                    yield name, str(below.value.value).partition("\n\n")[0]


def _assigned(statement: ast.stmt) -> str:
    """The name that a statement gives a value to."""
    if isinstance(statement, ast.AnnAssign):
        target: ast.expr = statement.target
    elif isinstance(statement, ast.Assign):
        target = statement.targets[0]
    else:
        return ""
    return getattr(target, "attr", None) or getattr(target, "id", "")


def _function(name: str, function: Any, level: str, twin: str = "") -> Iterator[str]:
    yield f"{level} {name}"
    yield ""
    yield f"```python\n{name.rpartition('.')[2]}{_signature(function)}"
    if twin:
        yield twin
    yield "```"
    yield ""
    yield from _prose(inspect.getdoc(function) or "")


def _signature(function: Any) -> str:
    signature = inspect.signature(function)
    parts, stars = [], False
    for name, p in signature.parameters.items():
        if name in ("self", "cls"):
            continue
        if p.kind is p.KEYWORD_ONLY and not stars:
            parts.append("*")
        stars = stars or p.kind in (p.KEYWORD_ONLY, p.VAR_POSITIONAL)
        mark = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        default = "" if p.default is p.empty else f" = {p.default!r}"
        parts.append(f"{mark}{name}: {p.annotation}{default}")
    returns = signature.return_annotation
    return f"({', '.join(parts)})" + ("" if returns in ("None", None) else f" -> {returns}")


def _prose(text: str, keep: bool = True) -> Iterator[str]:
    """A docstring as Markdown: sections become lists, indented text code."""
    blocks = re.split(rf"^({'|'.join(SECTIONS)}):\n", text, flags=re.M)
    for paragraph in blocks[0].strip().split("\n\n"):
        if paragraph.startswith("    "):
            yield "```python"
            yield textwrap.dedent(paragraph)
            yield "```"
        else:
            yield _one_line(paragraph)
        yield ""
    for section, body in zip(blocks[1::2], blocks[2::2], strict=True):
        if section == "Args" and not keep:
            continue
        if section == "Returns":
            yield f"Returns: {_one_line(body)}"
        else:
            yield f"{section}:" if section != "Args" else "Parameters:"
            yield ""
            for item in re.split(r"\n(?=    \S)", "\n" + body.rstrip()):
                if item.strip():
                    what, _, told = _one_line(item).partition(": ")
                    yield f"- `{what}`: {told}"
        yield ""


def _one_line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    sys.stdout.write(page())
