"""Texts that those who may only watch can see: no path outside the folders of the job's own footage."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable

from montage_dask.errors import printable

START = r"(?<![\w./)\\])"
"""Where a path may begin: not in the middle of another, nor in 3/4."""
NAME = r"[^'\"`:;,|<>]*"
PATH = re.compile(
    rf"\b(?!https?:|tcp:|tls:|ucx:)[a-z][a-z0-9+]*:/{{2,}}{NAME}"  # of a bucket, say
    rf"|{START}(?!(?<=[a-z0-9]:)//)/+(?![\s/]|$){NAME}"
    rf"|\b[A-Za-z]:\\{NAME}"
)
"""What may be an absolute path: from its first slash to whatever cannot go on in most names; rather too much than too little."""


class Public:
    """Makes texts fit to be seen.

    Args:
        roots: folders below which names are told as they are, relative to them.
        others: files and folders that texts may name; of these only the last part of the name is told.
    """

    def __init__(self, roots: Iterable[str] = (), others: Iterable[str] = ()) -> None:
        known = {(r if "://" in r else os.path.abspath(r)).rstrip("/") for r in roots}
        # The longest first: of two roots, one may lie in the other. The root of the file system would show everything.
        self._roots = sorted((r for r in known if r), key=len, reverse=True)
        self._inside = [re.compile(START + re.escape(printable(r)) + "/") for r in self._roots]
        self._hidden = _hidden(f for p in (*self._roots, *others) for f in _folders_of(p))

    def __call__(self, text: str) -> str:
        """A text without absolute paths: relative to a root, or the last part of the name."""
        text = _line(text)
        for inside in self._inside:
            text = inside.sub("", text)
        # What a pattern cannot tell from the text around it goes first: folders that are known, whatever their names.
        return PATH.sub(_last_part, self._hidden.sub("/", text))

    def path(self, path: str) -> str:
        """The name of a file: relative to its root, or its last part."""
        for root in self._roots:
            if path.startswith(f"{root}/"):
                return printable(path[len(root) + 1 :])
        return printable(os.path.basename(path.rstrip("/")))


def _line(text: str) -> str:
    return printable(" ".join(text.splitlines()))


def _folders_of(path: str) -> set[str]:
    """A path as texts may write it: as it was given, and without links."""
    if "://" in path:
        return {path.rstrip("/")}
    given = os.path.join(os.getcwd(), path).rstrip("/")
    return {given, os.path.abspath(given), os.path.realpath(given)}


def _hidden(known: Iterable[str]) -> re.Pattern[str]:
    """Any of these paths as a folder, and any folder that holds one."""
    folders = set()
    for path in known:
        scheme, there, rest = path.rpartition("://")
        while rest and rest != "/" and path not in folders:
            folders.add(path)
            rest = rest.rpartition("/")[0]
            path = scheme + there + rest
    forms = {
        f for folder in folders for f in (printable(folder), _line(folder), repr(folder)[1:-1])
    }
    longest = sorted(map(re.escape, forms), key=len, reverse=True)
    return re.compile(rf"{START}/*(?:{'|'.join(longest)})/+" if longest else r"(?!)")


def _last_part(found: re.Match[str]) -> str:
    whole = found[0]
    kept = whole.rstrip()
    name = re.split(r"[/]" if "/" in kept else r"[\\]", kept.rstrip("/\\"))[-1]
    return (name or "…") + whole[len(kept) :]


def roots_of(patterns: Iterable[str]) -> list[str]:
    """The folders that file patterns of a user start from: a folder itself, else the one that holds the file or the glob."""
    roots = []
    for pattern in patterns:
        if "://" in pattern:
            folder, _, last = pattern.rpartition("/")
            while glob.has_magic(folder):
                folder = folder.rpartition("/")[0]
            roots.append(folder if "." in last or glob.has_magic(last) else pattern)
            continue
        path = os.path.abspath(pattern)
        if os.path.isdir(path):
            roots.append(path)
            continue
        if not os.path.lexists(path):
            while glob.has_magic(path):
                path = os.path.dirname(path)
            if os.path.isdir(path):
                roots.append(path)
                continue
        roots.append(os.path.dirname(path))
    return roots
