"""`report.html` of a training: how the loss fell, the figures of its card, where it learnt, and from what."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from montage_dask.report.layout import embedded, rendered, there, write_page

SUMMARY = "training.json"
CARD = "card.md"
LINKED = ("weights.npz", CARD, SUMMARY, "montage.log")
PLOT_BYTES = 300_000
"""What the plot may take of the file."""


def write_report(
    training: Mapping[str, Any], folder: Path, later: Mapping[str, Any] | None = None
) -> Path:
    """Write `report.html` into the folder of a training.

    Args:
        training: the object of `training.json`.
        folder: where the card and the plot stand.
        later: progress of a training that began after it and ended without a summary of its own.

    Returns:
        The path of the report.

    Raises:
        StoreError: it cannot be written.
    """
    page = rendered(
        "training.html.j2",
        beside=Path(__file__).with_name("page"),
        s=training,
        later=later,
        finished=True,
        # Older ones did not tell.
        skipped=training.get("skipped", ()),
        title=folder.name,
        minutes=sum(leg["cpu_seconds"] for leg in training["legs"]) / 60,
        plot=embedded(folder / "loss.png", PLOT_BYTES),
        tables=_tables(folder / CARD),
        links=there(folder, LINKED),
    )
    return write_page(page, folder)


def _tables(card: Path) -> list[list[list[str]]]:
    """The tables of a model card, each as rows of cells: all recipes tell their figures there."""
    if not card.is_file():
        return []
    tables: list[list[list[str]]] = [[]]
    for line in card.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            tables.append([])
        elif line.strip("|-: "):  # no ruler
            tables[-1].append([cell.strip(" *") for cell in line.strip().strip("|").split("|")])
    return [table for table in tables if table]
