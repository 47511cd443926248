"""The wheel is what runs here: valid, complete, and the same whenever it is made."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import montage_dask
from montage_dask import plugins
from montage_dask.cgpu import wheel as wheels


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_it_is_made_once_and_always_the_same(cache, monkeypatch, tmp_path):
    path, digest = wheels.wheel()
    assert path.is_relative_to(cache)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
    when = path.stat().st_mtime_ns
    assert wheels.wheel() == (path, digest)
    assert path.stat().st_mtime_ns == when
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    assert wheels.wheel()[1] == digest


def test_record_and_contents():
    path, _ = wheels.wheel()
    root = Path(montage_dask.__file__).parent
    with zipfile.ZipFile(path) as archive:
        rows = list(csv.reader(io.StringIO(archive.read(f"{wheels.INFO}/RECORD").decode())))
        assert {row[0] for row in rows} == set(archive.namelist())
        for name, digest, size in rows:
            if digest:
                content = archive.read(name)
                made = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
                assert (digest, size) == (f"sha256={made.decode()}", str(len(content)))
        names = set(archive.namelist())
        assert {"montage_dask/cgpu/remote.sh", "montage_dask/styles/noir.yaml"} <= names
        assert any(name.startswith("montage_dask/styles/") for name in names)
        assert not [name for name in names if "__pycache__" in name or name.startswith("tests")]
        source = archive.read("montage_dask/cgpu/wheel.py")
        assert source == (root / "cgpu" / "wheel.py").read_bytes()
        metadata = archive.read(f"{wheels.INFO}/METADATA").decode()
    assert "Requires-Dist: av>=" in metadata
    assert "extra" not in metadata


def test_pip_takes_it(tmp_path):
    path, _ = wheels.wheel()
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target"]
    subprocess.run([*pip, str(target), str(path)], check=True, capture_output=True)
    done = subprocess.run(
        [sys.executable, "-m", "montage_dask", "--version"],
        env={"PYTHONPATH": str(target), "PATH": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert montage_dask.__version__ in done.stdout
    where = subprocess.run(
        [sys.executable, "-c", "import montage_dask; print(montage_dask.__file__)"],
        env={"PYTHONPATH": str(target), "PATH": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(target))


def test_requirements_have_no_extras():
    found = wheels.requirements()
    assert found["zarr"].startswith("zarr>=")
    assert found["dask"].startswith("dask[distributed]>=")
    assert not {"pytest", "dask-cuda"} & found.keys()


def test_without_others_the_wheel_is_all_that_travels(monkeypatch):
    monkeypatch.setattr(plugins, "distributions", lambda group: [])
    assert wheels.code() == wheels.wheel()
