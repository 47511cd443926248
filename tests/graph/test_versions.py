"""The address of an artefact changes when its content may: versions are signed together with the code behind them."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

pytest.importorskip(
    "montage_dask_training", reason="its operations are signed, too: pip install ./training"
)

ROOT = Path(__file__).parents[2]


def _load(path: Path):
    spec = importlib.util.spec_from_file_location("versions", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def versions(tmp_path):
    """The tool, with a lock file of its own."""
    for name in ("versions.py", "versions.json"):
        shutil.copy(ROOT / ".ci" / name, tmp_path / name)
    return _load(tmp_path / "versions.py")


def test_every_operation_is_signed_as_it_is(versions):
    """Fails until VERSION is raised or the digest is signed again as the same result; the message says how."""
    assert versions.differences() == {}


def test_changed_code_is_noticed_wherever_an_operation_reaches(versions, monkeypatch):
    """A grade changes transcoding *and* segments: 782b8af raised the version of one of them."""
    bare = versions.bare
    grade = bare((ROOT / "montage_dask/render/grade.py").read_text(encoding="utf-8"))
    monkeypatch.setattr(
        versions, "bare", lambda source: bare(source) + ("\nX = 1" if bare(source) == grade else "")
    )
    said = versions.differences()
    assert {"encode", "transcode", "grade"} <= said.keys()
    assert not {"probe", "strip", "beats", "audio"} & said.keys()
    assert "raise VERSION in render.segments" in said["encode"]


def test_what_is_signed_is_quiet_and_nothing_else(versions, monkeypatch):
    bare = versions.bare
    monkeypatch.setattr(versions, "bare", lambda source: bare(source) + "\nX = 1")
    versions.sign(["encode"])
    said = versions.differences()
    assert "encode" not in said
    assert said.keys() == versions.operations().keys() - {"encode"}


def test_words_change_nothing(versions):
    code = 'def f(x):\n    """Says."""\n    return x  # because\n'
    assert versions.bare(code) == versions.bare(
        'def f(x):\n    """Other words."""\n\n    return x\n'
    )
    assert versions.bare(code) != versions.bare(code.replace("return x", "return x + 1"))


def test_lazy_imports_and_weights_count(versions):
    assert "montage_dask.analysis.scene_network" in versions.reached("montage_dask.analysis.scenes")
    weights = versions._data(versions.reached("montage_dask.analysis.music"))
    assert [w.name for w in weights] == ["beats.npz"]
    assert "versions" not in sys.modules
