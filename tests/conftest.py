"""Makes `makers` (beside this file) importable from the tests of every room, and fits hypothesis to slow machines."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import montage_dask.graph.operations  # noqa: F401 - all are known before a test adds its own
from montage_dask.devices import count_gpus

CHROMIUM = shutil.which("chromium")
SERVICE_FOLDERS = frozenset(["cgpu", "cluster", "integration", "kubernetes", "notebooks"])
SERVICE_MARKERS = frozenset(["gpu", "browser", "faults", "kubernetes", "cgpu", "redis", "job"])
"""What makes a test one of the other lane (`-m service`)."""

# Health checks and deadlines measure the machine, not the product.
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

# A shell's background jobs ignore Ctrl-C, and so would all that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _path_of_the_next_test() -> Iterator[None]:
    """A command that runs within a test protects what it starts from the current folder; the next test starts as users do."""
    yield
    os.environ.pop("PYTHONSAFEPATH", None)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which lane a test is of; skip, with the reason, what this machine cannot show."""
    here = Path(__file__).parent
    for item in items:
        # The tests of training stand elsewhere, all in one folder.
        folder = item.path.relative_to(here).parts[0] if item.path.is_relative_to(here) else ""
        if folder in SERVICE_FOLDERS or any(item.get_closest_marker(m) for m in SERVICE_MARKERS):
            item.add_marker("service")
    lacking = {}
    if not count_gpus():
        lacking["gpu"] = pytest.mark.skip(reason="needs an NVIDIA GPU, its driver and dask-cuda")
    if CHROMIUM is None or importlib.util.find_spec("playwright") is None:
        lacking["browser"] = pytest.mark.skip(reason="needs chromium on PATH, and playwright")
    if shutil.which("redis-server") is None or importlib.util.find_spec("redis") is None:
        lacking["redis"] = pytest.mark.skip(reason="needs redis-server on PATH, and redis-py")
    for item in items:
        for marker, skip in lacking.items():
            if item.get_closest_marker(marker):
                item.add_marker(skip)


@pytest.fixture(scope="module")
def browser():
    """The system's chromium without a window. No longer than a module: with it an event loop runs in this thread."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()
