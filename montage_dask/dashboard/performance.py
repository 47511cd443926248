"""`dask.html`: Dask's own report of a run – task stream, profiles, bandwidth, logs – in one file that opens without a network."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path

from distributed import Client, performance_report

from montage_dask.store import writing

log = logging.getLogger(__name__)

NAME = "dask.html"


FETCHED = re.compile(r"<link[^>]*https?://[^>]*>")
"""Dask's icon, which would be looked for in the network."""


@contextmanager
def performance(client: Client, folder: Path, code: str, *, wanted: bool = True) -> Iterator[None]:
    """Report what the cluster does while the block runs, also when it fails.

    A run without this report is still a run: what goes wrong with it is a line in the log.

    Args:
        client: connected.
        folder: of the run.
        code: what is run, for people.
        wanted: false: do nothing.
    """
    report = _Report(client) if wanted else None
    try:
        yield
    finally:
        if report is not None:
            report.write(folder / NAME, code)


class _Report:
    def __init__(self, client: Client) -> None:
        self._client = client
        # With Bokeh's scripts in the file: it is not to fetch them.
        self._report = performance_report(mode="inline")
        try:
            with client.as_current():
                client.sync(self._report.__aenter__)
            self._begun = True
        except Exception:  # of a scheduler without Bokeh, or one that is away
            log.warning("no %s", NAME, exc_info=True)
            self._begun = False

    def write(self, path: Path, code: str) -> None:
        """Ask for the report, and save it."""
        if not self._begun:
            return
        try:
            with writing(path) as part, self._client.as_current():
                self._report.filename = str(part)
                # Names that are not UTF-8 cannot be sent to the scheduler.
                said = escape(code).encode("utf-8", "backslashreplace").decode("utf-8")
                self._client.sync(self._report.__aexit__, None, None, None, code=said)
                text = part.read_text(encoding="utf-8")
                part.write_text(FETCHED.sub("", text), encoding="utf-8")
        except Exception:
            log.warning("no %s", NAME, exc_info=True)
