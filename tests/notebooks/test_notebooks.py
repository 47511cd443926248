"""Every notebook runs from top to bottom with media made on the spot, shows pictures, and is committed without outputs."""

from __future__ import annotations

import html
import os
import re
import time
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))

PICTURES = {
    "1_quickstart": 5, "2_tuning_by_hand": 5, "3_batch_on_a_cluster": 3, "4_placement_and_costs": 1, "5_single_operations": 4,
}  # fmt: skip
"""At least so many cells show a picture or a video."""

# Notebooks that run one after the other share what was analysed, as those of a user do.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where they run: one folder for all, whichever process runs which."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "notebooks"
    shared.mkdir(exist_ok=True)
    return shared


def test_they_are_all_here():
    assert {n.stem for n in NOTEBOOKS} == set(PICTURES)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_no_output_is_committed(path):
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None
            assert "execution" not in cell.metadata
    assert path.stat().st_size < 30_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_page_of_it_is_of_these_cells(path):
    """When it is not: python docs/make_notebooks.py"""
    page = path.parents[1] / "docs/notebooks" / f"{path.stem}.html"
    text = page.read_text("utf-8")
    said = "".join(html.unescape(re.sub(r"<[^>]+>", "", text)).split())
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "code":
            assert "".join(cell.source.split()) in said
    assert not re.search(r"(?<![\w.])/(tmp|home|root|work)/", said)
    assert not re.search(r'(src|href)="https?://(?!127\.0\.0\.1)', text)
    assert len(text) < 1_000_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_it_runs_and_shows_pictures(path, folder, monkeypatch):
    monkeypatch.delenv("PYTHONWARNINGS", raising=False)
    # Where there is a cluster, the tests of Kubernetes use it.
    monkeypatch.setenv("KUBECONFIG", str(folder / "none"))
    notebook = nbformat.read(path, 4)
    began = time.monotonic()
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()  # an error in a cell is one here
    print(f"{path.stem}: {time.monotonic() - began:.1f} s")
    outputs = [o for c in notebook.cells if c.cell_type == "code" for o in c.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    complaints = [o.text for o in outputs if o.output_type == "stream" and o.name == "stderr"]
    assert not complaints
    shown = [o.data for o in outputs if o.output_type in ("display_data", "execute_result")]
    pictures = [d for d in shown if "image/png" in d or "image/jpeg" in d or _drawn(d.get("text/html", ""))]  # fmt: skip
    assert len(pictures) >= PICTURES[path.stem]
    assert sum(len(str(d)) for d in shown) < 8_000_000


def _drawn(html: str) -> bool:
    return any(sign in html for sign in ("data:image/", "<svg", "data:video/"))
