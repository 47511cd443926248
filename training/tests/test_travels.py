"""What goes to a Colab runtime has the training beside the package, and finds it there."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import montage_dask_training
from montage_dask.cgpu import wheel as wheels

INFO = f"montage_dask_training-{montage_dask_training.__version__}.dist-info"

THERE = """
import montage_dask_training
from montage_dask.graph.operation import operation
from montage_dask.graph.parcel import can_travel
from montage_dask import plugins
from importlib import metadata
print(montage_dask_training.__file__, metadata.distribution(plugins.TRAINING).locate_file(""))
print(operation("train").version, can_travel("train"), plugins.version_of(plugins.TRAINING))
"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_it_is_found_where_the_code_is_unpacked(tmp_path):
    path, digest = wheels.code()
    assert wheels.code() == (path, digest)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "lib")
        names = set(archive.namelist())
        listed: set[str] = set()
        for info in (wheels.INFO, INFO):
            rows = csv.reader(io.StringIO(archive.read(f"{info}/RECORD").decode()))
            listed |= {row[0] for row in rows}
    assert listed == names
    root = Path(montage_dask_training.__file__).parent
    assert {f"montage_dask_training/{p.name}" for p in root.glob("*.py")} <= names
    assert "montage_dask_training/page/training.html.j2" in names
    assert not [n for n in names if "tests" in n or "__pycache__" in n]
    done = subprocess.run(
        [sys.executable, "-c", THERE], capture_output=True, text=True, check=True, cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "lib"), "PATH": ""},
    )  # fmt: skip
    module, found, *said = done.stdout.split()
    assert Path(module).is_relative_to(tmp_path / "lib")
    assert Path(found) == tmp_path / "lib"
    assert said == ["2", "True", montage_dask_training.__version__]
