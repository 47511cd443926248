"""A cluster: its dashboard first, then its workers."""

from __future__ import annotations

from montage_dask.graph.placement import Capacity
from montage_dask.notebook.page import dashboard_line, facts, frame, lines, title


def cluster_html(
    where: str, dashboard: str | None, capacity: Capacity | None, why_otherwise: str | None
) -> str:
    """The card of a cluster; of a closed one it says so."""
    if capacity is None:
        return frame(title("Cluster", where), lines("muted", ["not open"]))
    tags = {f"{tag} slots": f"{n:g}" for tag, n in sorted(capacity.resources.items())}
    return frame(
        dashboard_line(dashboard),
        title("Cluster", where),
        facts({"workers": capacity.workers, **tags}),
        lines("warn", [f"not where it was asked for: {why_otherwise}"] if why_otherwise else []),
    )
