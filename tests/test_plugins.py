"""What other distributions plug in, and what is said where they are not installed."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata

import click
import pytest

import montage_dask
from montage_dask import api, plugins
from montage_dask.cli import cli, main
from montage_dask.errors import UsageError
from montage_dask.graph import operation as room
from montage_dask.graph.operation import Request, operation, perform
from montage_dask.graph.parcel import can_travel
from montage_dask.report.html import rebuild, run_folders
from montage_dask.store import Store

HOW = "needs montage-dask-training, which is not installed here: `pip install ./training` in the folder of montage-dask's sources"


@pytest.fixture
def without(monkeypatch):
    """As if nothing were installed that plugs something in."""
    monkeypatch.setattr(plugins, "_plugged", lambda group: metadata.EntryPoints())
    monkeypatch.setattr(plugins, "version_of", lambda distribution: None)
    kept = {n: op for n, op in room._REGISTRY.items() if op.distribution == plugins.OWN}
    monkeypatch.setattr(room, "_REGISTRY", kept)


@pytest.fixture
def plugged(tmp_path, monkeypatch):
    """A distribution of somebody else, installed into a folder: an operation, a command, a function and a report."""
    folder = tmp_path / "site"
    (folder / "others_words").mkdir(parents=True)
    (folder / "others_words/__init__.py").write_text("")
    (folder / "others_words/counting.py").write_text(
        "import click\n"
        "from montage_dask.graph.operation import Operation\n"
        "VERSION = 3\n"
        "def _count(request, context):\n"
        "    return {'words': len(request.parameters['text'].split())}\n"
        "COUNT = Operation('count', 'counting', _count, distribution='others-words')\n"
        "@click.command()\n"
        "def count():\n"
        "    click.echo('counted')\n"
        "def words(text):\n"
        "    return text.split()\n"
        "def report(summary, folder, later):\n"
        "    path = folder / 'report.html'\n"
        "    path.write_text(summary['text'])\n"
        "    return path\n"
    )
    info = folder / "others_words-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: others-words\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[montage_dask.operations]\ncount = others_words.counting:COUNT\nencode = others_words.counting:COUNT\n"
        "[montage_dask.commands]\ncount = others_words.counting:count\nrun = others_words.counting:count\n"
        "gone = others_words.nowhere:count\n"
        "[montage_dask.api]\nwords = others_words.counting:words\nrun = others_words.counting:words\n"
        "[montage_dask.reports]\nwords.json = others_words.counting:report\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(room, "_REGISTRY", dict(room._REGISTRY))
    plugins._plugged.cache_clear()
    yield
    plugins._plugged.cache_clear()
    for name in [m for m in sys.modules if m.startswith("others_words")]:
        del sys.modules[name]


def test_what_is_plugged_in_works(plugged, tmp_path):
    request = Request("count", {"text": "a b c"})
    assert perform(request, Store(tmp_path / "store"))["words"] == 3
    assert operation("count").version == 3
    assert "count" in cli.list_commands(None)
    assert cli.get_command(None, "count").name == "count"
    assert api.words("a b") == ["a", "b"]
    (tmp_path / "words.json").write_text(json.dumps({"text": "said"}))
    assert run_folders(tmp_path) == [tmp_path]
    assert rebuild(tmp_path).read_text() == "said"


def test_nothing_takes_the_place_of_what_the_package_has(plugged):
    assert operation("encode").distribution == plugins.OWN
    assert cli.get_command(None, "run").name == "run"
    assert api.run is montage_dask.run
    assert montage_dask.run.__module__ == "montage_dask.api.job"


def test_a_broken_one_is_named_and_breaks_nothing_else(plugged, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["gone"])
    assert caught.value.code == 2
    assert "error: gone: others-words cannot be loaded: No module named" in capsys.readouterr().err
    with click.Context(cli) as context:
        assert "montage" in cli.get_help(context)


@pytest.mark.parametrize("arguments", [["train"], ["train", "scenes", "--size", "tiny"], ["train", "--help"]])  # fmt: skip
def test_the_command_says_what_to_install(without, arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    said = capsys.readouterr()
    assert caught.value.code == 2
    assert said.err == f"error: train {HOW}\n"
    assert said.out == ""
    assert "train" not in cli.list_commands(None)


def test_the_function_says_what_to_install(without):
    import montage_dask.training as old
    from montage_dask import train
    from montage_dask.api import train as again

    for function in (train, again):
        with pytest.raises(UsageError, match="needs montage-dask-training"):
            function("scenes")
    with pytest.raises(AttributeError):
        _ = api.nothing
    with pytest.raises(UsageError, match="needs montage-dask-training"):
        _ = old.RECIPES


def test_operations_and_reports_say_what_to_install(without, tmp_path):
    with pytest.raises(UsageError, match="train needs montage-dask-training"):
        _ = Request("train", {}).key
    with pytest.raises(UsageError, match="train needs montage-dask-training"):
        can_travel("train")
    assert not can_travel("nothing")
    with pytest.raises(KeyError):
        operation("nothing")
    (tmp_path / "training.json").write_text("{}")
    assert run_folders(tmp_path) == [tmp_path]
    with pytest.raises(UsageError, match=r"training\.json needs montage-dask-training"):
        rebuild(tmp_path)


def test_another_version_is_refused(without, monkeypatch):
    (entry,) = metadata.EntryPoints(
        [metadata.EntryPoint("train", "montage_dask_training.api:train", plugins.API)]
    )
    vars(entry)["dist"] = _Dist()
    monkeypatch.setattr(plugins, "_plugged", lambda group: metadata.EntryPoints([entry]))
    with pytest.raises(UsageError, match=r"montage-dask-training 9\.0 does not fit montage-dask"):
        plugins.load(plugins.API, "train")


class _Dist:
    name, version = plugins.TRAINING, "9.0"


def test_a_command_of_the_package_looks_for_no_others():
    """Looking at all that is installed takes time; a worker and `op` start often."""
    code = (
        "import sys; from montage_dask import plugins; from montage_dask.cli import cli;"
        "import montage_dask.graph.operations as o; from montage_dask.graph.operation import operation; operation('encode');"
        "cli.get_command(None, 'run'); print(plugins._plugged.cache_info().currsize, 'montage_dask_training' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "False"]
