"""Makes `makers` (beside this file) importable from the tests of every room, and fits hypothesis to slow machines."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Health checks and deadlines measure the machine, not the product.
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")
