"""What is written for others to read has a version: samples of 0.1 are read, what a newer program wrote is refused by name."""

from __future__ import annotations

import ast
import json
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from report.made_timeline import music, sources_in

from montage_dask import Style
from montage_dask.api.judging import judge
from montage_dask.api.working import driving
from montage_dask.cli import cli
from montage_dask.config import resolve
from montage_dask.edit.styles import FOLDER, load_style, style_names
from montage_dask.errors import UsageError
from montage_dask.graph.telling import Silent
from montage_dask.job import read_job
from montage_dask.records import CUT, Event, Source, Timeline, from_json
from montage_dask.report.html import rebuild
from montage_dask.report.otio import read_otio, write_otio
from montage_dask.report.summary import analysis_summary
from montage_dask.schema_versions import KEY, VERSIONS, read_version
from montage_dask.store import Store
from montage_dask.store.artefacts import MARK, check_store

SAMPLES = Path(__file__).parent / "samples" / "0.1"
NEWER = 99
PACKAGE = Path(FOLDER).parent


def test_the_first_version_has_none():
    for name in ("summary.json", "timeline.otio", "job.yaml", "calm.yaml"):
        assert KEY not in (SAMPLES / name).read_text(encoding="utf-8")
    assert all(read_version(c, {}, "x") == 1 for c in VERSIONS)


@pytest.mark.parametrize("contract", VERSIONS)
@pytest.mark.parametrize("wrong", ["1", 0, -1, True, 1.5, None, [1]])
def test_what_is_no_version(contract, wrong):
    with pytest.raises(UsageError, match=r"here\.x: schema_version .* is no version"):
        read_version(contract, {KEY: wrong}, "here.x")


@pytest.mark.parametrize("contract", VERSIONS)
def test_versions_known_and_not(contract):
    newest = VERSIONS[contract]
    assert read_version(contract, {KEY: newest}, "here.x") == newest
    with pytest.raises(UsageError, match=rf"here\.x: this {contract} has .*newer montage-dask"):
        read_version(contract, {KEY: newest + 1}, "here.x")


# Job files.


@pytest.fixture
def job(tmp_path: Path) -> Path:
    for name in ("job.yaml", "calm.yaml"):
        shutil.copy(SAMPLES / name, tmp_path)
    return tmp_path / "job.yaml"


@pytest.mark.parametrize("said", ["", "schema_version: 1\n"])
def test_a_job_file_of_the_first_version(job, said):
    job.write_text(said + job.read_text())
    spec = read_job(job, {})
    assert (spec.footage, spec.pins, spec.exclude) == ((str(job.parent / "clips"),), ("b.mp4@1",), ("c.mp4",))  # fmt: skip
    assert (spec["duration"], spec["fit"], spec["bpm"], spec["seed"]) == (5, "contain", 120, 3)
    assert load_style(spec["style"]).name == "calm"


@pytest.mark.parametrize(("version", "part"), [(NEWER, "newer montage-dask"), ("one", "is no version")])  # fmt: skip
def test_a_job_file_that_is_newer(job, version, part):
    job.write_text(f"schema_version: {version}\nsomething-new: 1\n" + job.read_text())
    with pytest.raises(UsageError, match=rf"job\.yaml: .*{part}"):
        read_job(job, {"trust-job": True})


# Styles.


def test_styles_of_the_first_version_lack_what_came_later():
    nature = replace(load_style("nature"), taste={})
    assert load_style(str(SAMPLES / "calm.yaml")) == replace(nature, name="calm")
    first = load_style(str(SAMPLES / "first.yaml"))
    assert first == replace(nature, name="first", match="off")


def test_styles_of_this_version_have_all_keys(tmp_path):
    for name in style_names():
        assert yaml.safe_load((FOLDER / f"{name}.yaml").read_text())[KEY] == VERSIONS["style"]
    path = tmp_path / "mine.yaml"
    text = (SAMPLES / "calm.yaml").read_text()
    path.write_text(f"schema_version: {VERSIONS['style']}\n{text}")
    with pytest.raises(UsageError, match="missing key jump_cuts, speed_change"):
        load_style(str(path))
    path.write_text(f"schema_version: {NEWER}\nsomething_new: 1\n{text}")
    with pytest.raises(UsageError, match=r"mine\.yaml: this style has .*newer"):
        load_style(str(path))
    saved = Style("nature").save(path)
    assert yaml.safe_load(saved.read_text())[KEY] == VERSIONS["style"]
    assert load_style(str(saved)) == replace(load_style("nature"), name="mine")


# Summaries.


def test_a_summary_of_the_first_version_becomes_a_report(tmp_path):
    shutil.copy(SAMPLES / "summary.json", tmp_path)
    text = rebuild(tmp_path).read_text(encoding="utf-8")
    told = json.loads((SAMPLES / "summary.json").read_text())
    assert told["cuts"][0]["reason"] in text
    with pytest.raises(UsageError, match="was not judged: run it again, or name the video"):
        judge(tmp_path / "summary.json")


def test_a_summary_that_is_newer(tmp_path):
    told = json.loads((SAMPLES / "summary.json").read_text())
    (tmp_path / "summary.json").write_text(json.dumps({**told, KEY: NEWER}))
    for read in (rebuild, lambda folder: judge(folder / "summary.json")):
        with pytest.raises(UsageError, match=r"summary\.json: this summary has .*newer"):
            read(tmp_path)


# Timelines.


def test_a_timeline_of_the_first_version_is_rendered_again(tmp_path):
    (tmp_path / "clips").mkdir()
    sources = {}
    for path in (SAMPLES / "store/records/probe").glob("*/*.json"):
        found = from_json(Source, json.loads(path.read_text())["source"])
        beside = tmp_path / "clips" / Path(found.path).name
        beside.touch()
        sources[found.identity] = replace(found, path=str(beside))
    (tmp_path / "track.wav").touch()
    run_dir = tmp_path / "montage.montage"
    run_dir.mkdir()
    shutil.copy(SAMPLES / "timeline.otio", run_dir)
    read = read_otio(run_dir / "timeline.otio", sources, fps=Fraction(30), width=64, height=36)
    told = json.loads((SAMPLES / "summary.json").read_text())
    for key in ("frames", "style", "seed"):
        assert getattr(read, key) == told[key]
    assert read.fps == Fraction(told["fps_exact"])
    assert [e.start_frame for e in read.events[1:]] == [c["frame"] for c in told["cuts"]]
    assert [e.transition.kind for e in read.events[1:]] == [c["transition"] for c in told["cuts"]]
    assert read.events[0].reason == told["opening"]["reason"]
    assert len(read.beats_seconds) == len(told["beats_seconds"])


def test_a_timeline_says_its_version(tmp_path):
    sources = sources_in(tmp_path)
    source = next(iter(sources.values()))
    event = Event(0, 50, source.identity, 0, Fraction(0), Fraction(1), CUT, None, "why", {})
    timeline = Timeline(
        Fraction(25), 64, 36, (event,), str(tmp_path / "music.ogg"), Fraction(0), "noir", 1, (), "none", 0,
    )  # fmt: skip
    path = tmp_path / "timeline.otio"
    write_otio(timeline, sources, music(tmp_path), path)
    told = json.loads(path.read_text())
    assert told["metadata"]["montage"][KEY] == VERSIONS["timeline"]
    assert read_otio(path, sources, fps=Fraction(25), width=64, height=36).events == (event,)
    told["metadata"]["montage"][KEY] = NEWER
    path.write_text(json.dumps(told))
    with pytest.raises(UsageError, match=r"timeline\.otio: this timeline has .*newer"):
        read_otio(path, sources, fps=Fraction(25), width=64, height=36)


# Stores.


def test_records_of_the_first_version_are_made_again(tmp_path):
    root = shutil.copytree(SAMPLES / "store", tmp_path / "store")
    check_store(root)
    store = Store(root)
    (operation, key), *_ = ((p.parts[-3], p.stem) for p in root.glob("records/*/*/*.json"))
    assert store.load(operation, key) is None
    store.save(operation, key, {"made": "again"})
    assert store.load(operation, key) == {"made": "again"}
    assert json.loads((root / MARK).read_text()) == {KEY: VERSIONS["store"]}


@pytest.mark.parametrize(
    ("mark", "part"),
    [
        (f'{{"schema_version": {NEWER}}}', "this store has .*newer"),
        ("{", "is damaged: remove it"),
        ("[]", "is damaged: remove it"),
    ],
)
def test_a_store_that_is_newer_is_not_used(tmp_path, mark, part):
    """Before there is a cluster, and by no worker."""
    (tmp_path / MARK).write_text(mark)
    settings = resolve({"store": str(tmp_path), "cluster": "tcp://127.0.0.1:1"})
    with (
        pytest.raises(UsageError, match=rf"{MARK}: {part}"),
        driving(settings, tmp_path, Silent(), None, None),
    ):
        pass
    with pytest.raises(UsageError, match=part):
        Store(tmp_path).save("probe", "0" * 32, {})


# What commands print.


def test_all_json_goes_one_way():
    """`--json` of every command is printed by `print_json`, which adds the version; `op` speaks to a program of ours."""
    elsewhere = {}
    for path in (PACKAGE / "commands").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                called = [ast.unparse(c.func) for c in ast.walk(node) if isinstance(c, ast.Call)]
                if "json.dumps" in called:
                    elsewhere[f"{path.stem}.{node.name}"] = called
    assert elsewhere.keys() <= {"shared.print_json", "machine.schema", "worker.op"}


def test_output_says_its_version():
    made = CliRunner().invoke(cli, ["config", "show", "--json"])
    assert next(iter(json.loads(made.output).items())) == (KEY, VERSIONS["output"])
    assert analysis_summary((), (), (), (), {})[KEY] == VERSIONS["output"]


def test_numbers_without_end_are_refused_in_one_line(tmp_path):
    path = tmp_path / "job.yaml"
    for key in ("schema_version", "seed"):
        path.write_text(f"{key}: 0x{'f' * 4000}\n")
        with pytest.raises(UsageError, match="more than 64 bits"):
            read_job(path, {})
    with pytest.raises(UsageError, match="is no version"):
        read_version("style", {"schema_version": 10**5000}, "x")
