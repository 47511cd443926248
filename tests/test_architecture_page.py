"""docs/architecture.md: what it names is there, and its operation works."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pytest
from makers import film

from montage_dask.analysis.embedding import KINDS as EMBEDDINGS
from montage_dask.analysis.music import TRACKERS
from montage_dask.analysis.scenes import DETECTORS, THRESHOLDS
from montage_dask.config import KINDS
from montage_dask.edit.styles import TRANSITIONS
from montage_dask.graph import operation, operations
from montage_dask.graph.operation import Request, perform
from montage_dask.media.probe import probe
from montage_dask.records import to_json
from montage_dask.store import Store

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")


def test_the_files_that_are_named_are_there():
    """In the table, a bare name stands in the folder that the row named before."""
    table = TEXT[TEXT.index("## Where do I change") : TEXT.index("## A new operation")]
    named = re.findall(r"`([\w/]+(?:\.py|\.yaml|/))`", table.replace("NAME.yaml", "noir.yaml"))
    folder = Path()
    for name in named:
        if "/" in name:
            folder = Path(name).parent
        found = (ROOT / name, ROOT / "montage_dask" / name, ROOT / "montage_dask" / folder / name)
        assert any(p.exists() for p in found), name
    assert len(named) > 30


def test_every_room_is_named():
    rooms = {p.name for p in (ROOT / "montage_dask").iterdir() if (p / "__init__.py").exists()}
    for room in rooms:
        assert f"`{room}/`" in TEXT, room


def test_the_operation_of_the_page_works(tmp_path, monkeypatch):
    work, packing = re.findall(r"```python\n(# montage_dask/.*?)```", TEXT, re.DOTALL)
    module = types.ModuleType("montage_dask.analysis.brightness")
    exec(work, module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(operation, "_REGISTRY", dict(operation._REGISTRY))
    exec(packing, {**vars(operations)})
    source, index = probe(film(tmp_path / "clip.mp4", filters="lutyuv=y=235:u=128:v=128"))
    index.save(tmp_path / "index.npz")
    paths = {"source": to_json(source), "index": str(tmp_path / "index.npz")}
    request = Request("brightness", {"source": source.identity, "stills": 3}, paths, "clip")
    record = perform(request, Store(tmp_path / "store"))
    assert record["mean"] == pytest.approx(255, abs=2)
    assert perform(request, Store(tmp_path / "store")) == record


@pytest.mark.parametrize(
    ("setting", "known"),
    [("detector", DETECTORS), ("tracker", TRACKERS), ("embedding", EMBEDDINGS), ("transition", TRANSITIONS)],
)  # fmt: skip
def test_settings_offer_what_there_is(setting, known):
    assert re.findall(r"`([\w-]+)`", KINDS[setting].form) == list(known)
    assert THRESHOLDS.keys() == set(DETECTORS) - {"auto"}
