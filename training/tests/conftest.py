"""What the tests need of their own; helpers are those of `tests/` (see pythonpath in pyproject.toml)."""

from __future__ import annotations

from pathlib import Path

import pytest

from montage_dask import plugins

INSTALLED = plugins.version_of(plugins.TRAINING) is not None
collect_ignore_glob = [] if INSTALLED else ["test_*.py"]


def pytest_report_header() -> str:
    """Whether there is something to test."""
    return "" if INSTALLED else f"training/tests: left out, {plugins.missing(plugins.TRAINING)}"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole jobs are of the other lane, also where only this folder is run."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and item.get_closest_marker("job"):
            item.add_marker("service")
