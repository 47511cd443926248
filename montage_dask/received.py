"""Reading the small text files that others may have written: job files, styles, tables of colours, timelines.

Whatever stands in one, reading it ends soon, takes little memory, and fails with an error: no pipe is waited for, nothing endless
is read, and nothing is nested or repeated until a parser falls over.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import yaml

TEXT_BYTES = 256 << 10
"""The largest job file or style: a hundred times the usual."""

TIMELINE_BYTES = 64 << 20
"""The largest timeline: one of 10,000 clips has half of it."""

DEEPEST = 100
MOST_BITS = 64
"""So many mappings and lists may stand in one another. The deepest timelines of editors have about thirty."""


def read_bytes(path: str | Path, most_bytes: int) -> bytes:
    """The content of a regular file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no regular file, or larger than `most_bytes`; says so in a few words.
    """
    # Nobody may ever write into a pipe.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("is not a regular file")
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValueError(f"is too large: more than {most_bytes:,} bytes")
    return content


class _Loader(yaml.SafeLoader):
    """YAML without anchors (a few of them unfold to more than a machine holds), and not nested without end."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not understood here")
        if self._depth >= DEEPEST:
            raise yaml.YAMLError(f"is nested more than {DEEPEST} times")
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_yaml_int(self, node: Any) -> int:
        value = int(super().construct_yaml_int(node))
        if value.bit_length() > MOST_BITS:  # Python does not even print the longest ones
            raise yaml.YAMLError(f"a whole number has more than {MOST_BITS} bits")
        return value


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def parse_yaml(text: str) -> Any:
    """The plain values of a YAML text.

    Raises:
        ValueError: it is none, or one that unfolds or is nested without end; one line says what is wrong.
    """
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError, TypeError) as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error


def read_yaml(path: str | Path) -> Any:
    """The plain values of a YAML file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no YAML that is read here; one line says what is wrong.
    """
    return parse_yaml(read_bytes(path, TEXT_BYTES).decode("utf-8"))


def parse_json(text: str) -> Any:
    """The values of a JSON text that is not nested without end: other parsers crash on those.

    Raises:
        ValueError: it is none, or nested too deeply.
    """
    too_deep = f"is nested more than {DEEPEST} times"
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError(too_deep) from None
    level = [found]
    for _ in range(DEEPEST):
        level = [v for above in level for v in _within(above)]
        if not level:
            return found
    raise ValueError(too_deep)


def _within(value: Any) -> list[Any]:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [v for v in inside if isinstance(v, dict | list)]
