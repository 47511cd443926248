"""The distribution as montage-dask sees it: plugged in by entry points, stored as ever, nothing known of it in the package."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
import tomllib
import warnings
from importlib import metadata
from pathlib import Path

import pytest

import montage_dask
import montage_dask_training
from montage_dask import plugins
from montage_dask.cli import cli
from montage_dask.graph.operation import Request, finished, operation, perform
from montage_dask.graph.parcel import can_travel
from montage_dask.store import Store
from montage_dask.store.artefacts import digest_of

ROOT = Path(__file__).parents[2]
STORED = {
    "synthesise": ("e4064f0d988c4d816705e0d707b760e2", ".npz"),
    "train": ("172a768210a72ee2e56b2b3e5bea271a", ".pt"),
    "evaluate": ("623b5abb38c559cc0f9b7c463347b76f", ".npz"),
}
"""Keys of PARAMETERS and files, as montage-dask 0.1.0 wrote them when all of it was one package."""
PARAMETERS = {"recipe": "scenes", "recipe_version": 3, "seed": 7, "leg": 0}


@pytest.mark.parametrize("name", STORED)
def test_what_is_stored_stays_valid(name, tmp_path):
    """An artefact of before the training was a distribution of its own is found, and not made again."""
    key, suffix = STORED[name]
    request = Request(name, PARAMETERS)
    assert request.key == key
    place = f"files/{name}/{key[:2]}/{key}{suffix}"
    file = tmp_path / place
    file.parent.mkdir(parents=True)
    file.write_bytes(b"made by 0.1.0")
    told = {"size_bytes": file.stat().st_size, "digest": digest_of(file)}
    store, record = Store(tmp_path), {"seconds": 1.0, "files": {place: told}}
    store.save(name, key, record)
    assert (tmp_path / f"records/{name}/{key[:2]}/{key}.json").is_file()
    assert finished(request, store) == record
    assert perform(request, store) == record
    file.write_bytes(b"something else")
    assert finished(request, store) is None


def test_both_have_one_version():
    """They are installed together; another version is refused."""
    project = tomllib.loads((ROOT / "training/pyproject.toml").read_text(encoding="utf-8"))
    declared = {project["project"]["version"], montage_dask_training.__version__}
    assert declared == {montage_dask.__version__}
    assert metadata.version(plugins.TRAINING) == montage_dask.__version__


def test_everything_is_plugged_in_as_declared():
    """Also what the package says is missing where the distribution is not installed."""
    project = tomllib.loads((ROOT / "training/pyproject.toml").read_text(encoding="utf-8"))
    declared = project["project"]["entry-points"]
    assert {g: dict.fromkeys(n, plugins.TRAINING) for g, n in declared.items()} == plugins.LEFT
    for group, found in declared.items():
        for name in found:
            loaded = plugins.load(group, name)
            module, _, attribute = found[name].partition(":")
            assert loaded is getattr(importlib.import_module(module), attribute)
    for name in declared[plugins.OPERATIONS]:
        op = operation(name)
        assert (op.name, op.distribution, op.package) == (
            name, plugins.TRAINING, "montage_dask_training",
        )  # fmt: skip
    assert [can_travel(n) for n in ("synthesise", "train", "evaluate")] == [False, True, False]


def test_the_command_and_the_function_are_there():
    assert "train" in cli.list_commands(None)
    assert cli.get_command(None, "train").help.startswith("Train a network")
    assert montage_dask.train is montage_dask.api.train
    assert list(inspect.signature(montage_dask.train).parameters)[:2] == ["network", "data"]


def test_the_package_imports_nothing_of_it():
    """But through entry points: it does not even say its name."""
    for path in (ROOT / "montage_dask").rglob("*.py"):
        assert "montage_dask_training" not in path.read_text(encoding="utf-8"), path


def test_what_it_imports_the_package_brings():
    """It declares no requirement of its own: all must be among those of the package, extras apart."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[\[<>=!~ ;]", r, maxsplit=1)[0].lower() for r in project["dependencies"]}
    imported = set()
    for path in (ROOT / "training/montage_dask_training").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            imported |= {n.partition(".")[0] for n in names}
    imported -= {"montage_dask", "montage_dask_training", *sys.stdlib_module_names}
    makers = metadata.packages_distributions()
    assert imported >= {"numpy", "torch", "cv2"}
    assert [n for n in imported if not declared & {d.lower() for d in makers[n]}] == []


def test_the_old_module_forwards_for_a_release():
    import montage_dask.training as old

    with pytest.warns(DeprecationWarning, match=r"montage_dask\.training\.recipe_named has moved"):
        assert old.recipe_named("scenes").name == "scenes"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert set(old.RECIPES) == {"scenes", "beats", "graphics"}
        assert callable(old.recipe_of_weights)
    with pytest.raises(AttributeError):
        _ = old.nothing
