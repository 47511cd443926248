"""A picture of how the loss fell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def draw_losses(losses: Sequence[float], path: Path) -> None:
    """Draw mean losses of equal runs of steps, in order, into a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    share = [100 * (n + 1) / len(losses) for n in range(len(losses))]
    axes.plot(share, losses, linewidth=1.5)
    axes.set_xlabel("training done, %")
    axes.set_ylabel("loss")
    axes.set_yscale("log")
    axes.grid(visible=True, which="both", alpha=0.3)
    figure.savefig(path, dpi=110, metadata={"Software": None})
