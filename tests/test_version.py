"""The version of the package stands in one place; what must repeat it, repeats it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import montage_dask
from montage_dask._version import __version__

ROOT = Path(__file__).parents[1]


def test_the_build_reads_the_one_place():
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" not in told["project"]
    assert told["project"]["dynamic"] == ["version"]
    named = told["tool"]["setuptools"]["dynamic"]["version"]["attr"]
    assert named == "montage_dask._version.__version__"
    assert montage_dask.__version__ == __version__


def test_the_change_log_begins_with_it():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\S+)", text, re.M)[0] == __version__


def test_images_carry_it():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"^ARG VERSION=(\S+)$", text, re.M) == [__version__]


def test_it_is_read_without_the_package():
    """As the build does it."""
    path = ROOT / "montage_dask" / "_version.py"
    code = f"import runpy; print(runpy.run_path({str(path)!r})['__version__'])"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == __version__
