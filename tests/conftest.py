"""Makes `makers` (beside this file) importable from the tests of every room, and fits hypothesis to slow machines."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

import montage_dask.graph.operations  # noqa: F401 - all are known before a test adds its own
from montage_dask.devices import count_gpus

# Health checks and deadlines measure the machine, not the product.
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, what this machine cannot show."""
    if count_gpus():
        return
    lacking = pytest.mark.skip(reason="needs an NVIDIA GPU, its driver and dask-cuda")
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(lacking)
