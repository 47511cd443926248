"""The tasks of a contributor: `nox -s check`, `test`, `test_all`, `docs`, `bench -- NAME`; nox's own environment is used."""

from __future__ import annotations

import sys
from pathlib import Path

import nox

nox.options.sessions = ["check", "test"]
nox.options.default_venv_backend = "none"
PAGES = {
    "docs/configuration.md": ("-m", "montage_dask", "config", "reference"),
    "docs/styles.md": ("-m", "montage_dask", "config", "reference", "--styles"),
    "docs/api.md": ("docs/make_api.py",),
}


@nox.session
def check(session: nox.Session) -> None:
    """Style and types."""
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session
def test(session: nox.Session) -> None:
    """What needs no second service."""
    session.run(sys.executable, "-m", "pytest", "-n", "2", *session.posargs)


@nox.session
def test_all(session: nox.Session) -> None:
    """The other lane: whole jobs, clusters, pages, cgpu, faults, notebooks."""
    session.run(sys.executable, "-m", "pytest", "-n", "2", "-m", "service", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The pages that are generated."""
    for page, command in PAGES.items():
        with Path(page).open("w") as file:
            session.run(sys.executable, *command, stdout=file)


@nox.session
def bench(session: nox.Session) -> None:
    """One benchmark: `nox -s bench -- montage`."""
    session.run(sys.executable, "-m", "benchmarks", *session.posargs)
