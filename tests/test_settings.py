"""The table of settings, and that all else is a view of it.

A setting that is added there has its option, its row in the reference, its place in the schema and in the command that runs a job
again, and somebody has decided who may set it.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import dask.config
import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from montage_dask.cli import cli
from montage_dask.commands.montage import plan, run
from montage_dask.commands.options import setting_options
from montage_dask.config import DEFINITIONS, KINDS, Definition, Trust
from montage_dask.config.schema import job_schema
from montage_dask.config.settings import SECTIONS
from montage_dask.config.values import brief
from montage_dask.errors import UsageError
from montage_dask.job import FILE_SUFFIXES, LISTS, PATH_SETTINGS, PATHS, make_job, read_job
from montage_dask.records import to_json
from montage_dask.report.rerun import command

ROOT = Path(__file__).parents[1]
GIVEN = {"footage": ["clips"], "music": "track.mp3"}
ALL = [pytest.param(d, id=d.name) for d in DEFINITIONS.values()]

POOL: tuple[Any, ...] = (
    False, True, "on", "off", 7, 70, 0.5, -9, -6.5, 300, 4096, "3", "0:5", "1:30", "25", "640x360", "nature", "noir", "warm",
    "cpu", "gpu", "fast", "flux", "strip", "clip", "hevc", "high", "cover", "crossfade", "chat", "target", "true", "2GB", "300MB",
    "flash=drops", "http://127.0.0.1:8000", "/elsewhere", ["text", "card"], ["/elsewhere"], {"strip": "gpu"}, {"NAME": "value"},
)  # fmt: skip
"""Values of all kinds: some setting takes each of them, and each setting takes one that is not its default."""


def other(definition: Definition) -> Any:
    """A value that a setting takes and that is not its default."""
    usual = definition.kind(definition.default)
    for value in POOL:
        try:
            read = definition.kind(value)
        except (ValueError, TypeError, UsageError):
            continue
        if read != usual:
            return value
    raise AssertionError(f"{definition.name}: nothing in POOL is a value of it")


def test_names_are_unique_and_words():
    names = [d.name for s in SECTIONS for d in s.settings]
    assert len(names) == len(set(names)) == len(DEFINITIONS)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", n) for n in names)
    aliases = [d.alias for d in DEFINITIONS.values() if d.alias]
    assert len(aliases) == len(set(aliases))


@pytest.mark.parametrize("definition", ALL)
def test_every_setting_is_whole(definition):
    assert len(definition.help) > 10
    assert definition.kind.form
    assert isinstance(definition.trust, Trust)
    assert KINDS[definition.name].in_job_files == (definition.trust is Trust.MONTAGE)
    row = next(
        line
        for line in (ROOT / "docs/configuration.md").read_text(encoding="utf-8").splitlines()
        if line.startswith(f"| `{definition.name}`")
    )
    assert all(f"`{v}`" in row for v in (*definition.variables, definition.flag) if v)
    assert ("¹" in row) == (definition.trust is Trust.MONTAGE)


def test_the_options_of_the_table_are_those_of_the_commands():
    """No option of a setting is written by hand, but those that set several."""
    of_the_table = {d.flag for d in DEFINITIONS.values() if d.option}
    given = [
        "music",
        "output",
        "run-dir",
        "from-timeline",
        "json",
        "quiet",
        "verbose",
        "demo",
        "trust-job",
    ]
    given += [name for name in LISTS if name != "footage"]
    every = of_the_table | {f"--{name}" for name in given}
    for cmd in (run, plan):
        assert {o for p in cmd.params for o in p.opts if o.startswith("--")} == every
    by_name, nothing = {p.name: p for p in run.params}, run.make_context("run", []).params
    for definition in DEFINITIONS.values():
        if definition.option and not definition.option.many:
            parameter = by_name[definition.name.replace("-", "_")]
            assert parameter.opts == [definition.flag]
            # Not given is not no.
            assert nothing[parameter.name] in (None, ())
            assert definition.option.help
    assert sum(len(setting_options(g)) for g in ("montage", "analysis", "shared")) == sum(
        1 for d in DEFINITIONS.values() if d.option and not d.option.many
    )


def test_flags_are_switches():
    for d in DEFINITIONS.values():
        if d.option and d.option.metavar is None:
            assert (d.kind("true"), d.default) == (True, False), d.name


@pytest.mark.parametrize("definition", ALL)
def test_the_command_of_a_run_sets_it_again(definition, monkeypatch, tmp_path):
    if definition.option and definition.option.many:
        pytest.skip("the option reads the file: tests/training")
    monkeypatch.chdir(tmp_path)
    for variable in (v for d in DEFINITIONS.values() for v in d.variables):
        monkeypatch.delenv(variable, raising=False)
    job = make_job({**GIVEN, definition.name: other(definition)})
    words = shlex.split(command(job))
    while re.fullmatch(r"[A-Z_0-9]+=.*", words[0], re.S):
        name, _, value = words.pop(0).partition("=")
        monkeypatch.setenv(name, value)
    context = run.make_context("run", words[4:])
    of_the_output = {"demo", "as_json", "quiet", "verbose"}
    options = {
        k.replace("_", "-"): v
        for k, v in context.params.items()
        if v not in (None, ()) and k not in of_the_output
    }
    with dask.config.set(dask.config.collect_env()):
        again = make_job(options)
    assert again[definition.name] == job[definition.name]
    assert {n: s.value for n, s in again.settings.items()} == {
        n: s.value for n, s in job.settings.items()
    }


@pytest.mark.parametrize("definition", ALL)
def test_a_job_file_holds_what_its_trust_says(definition, tmp_path):
    value = other(definition)
    if definition.trust is Trust.MONTAGE and definition.file == "always":
        value = "beside"
    text = yaml.safe_dump({**GIVEN, definition.name: value})
    (tmp_path / "job.yaml").write_text(text)
    if definition.trust is Trust.MONTAGE:
        job = read_job(tmp_path / "job.yaml", {})
        assert job.settings[definition.name].origin == "job file"
    else:
        with pytest.raises(UsageError, match=f"{definition.name} cannot be set by a job file"):
            read_job(tmp_path / "job.yaml", {})


def test_what_a_received_file_names_stays_in_its_folder(tmp_path):
    """A setting that anybody may set and that takes a path is declared a file, or is words alone: a `brief`."""
    for definition in DEFINITIONS.values():
        if definition.trust is not Trust.MONTAGE or brief.form in definition.kind.form:
            continue
        for path in (
            "/etc/passwd",
            *(f"/etc/x{s}" for s in FILE_SUFFIXES),
            "s3://theirs/x",
            "http://theirs/x",
        ):
            (tmp_path / "job.yaml").write_text(yaml.safe_dump({**GIVEN, definition.name: path}))  # fmt: skip
            try:
                read_job(tmp_path / "job.yaml", {})
            except UsageError:
                continue
            assert definition.name in PATH_SETTINGS, (definition.name, path)
            # A name, which no file is opened for.
            assert not path.endswith(FILE_SUFFIXES)
            assert definition.file == "or a name"


SCHEMA = job_schema(PATHS, LISTS, newest=1)
TRUSTED = job_schema(PATHS, LISTS, newest=1, trusted=True)


def fits(schema: dict[str, Any], value: Any) -> bool:
    return bool(jsonschema.Draft202012Validator(schema).is_valid(value))


def test_the_schema_is_one_and_is_printed():
    for schema, arguments in ((SCHEMA, []), (TRUSTED, ["--trusted"])):
        jsonschema.Draft202012Validator.check_schema(schema)
        made = CliRunner().invoke(cli, ["config", "schema", *arguments])
        assert made.exit_code == 0
        assert json.loads(made.output) == json.loads(json.dumps(schema))


def test_the_schema_takes_the_example():
    example = yaml.safe_load((ROOT / "specs/jobs/example.yaml").read_text(encoding="utf-8"))
    assert fits(SCHEMA, example)
    assert not fits(SCHEMA, {**example, "fit": "stretch"})
    assert not fits(SCHEMA, {**example, "musik": "x"})
    assert not fits(SCHEMA, {**example, "cluster": "local"})
    assert fits(TRUSTED, {**example, "cluster": "local"})


@pytest.mark.parametrize("definition", ALL)
def test_the_schema_and_the_reader_agree(definition):
    """What the schema refuses in a usual spelling is wrong, and what it takes and can judge is right."""
    of_it = TRUSTED["properties"][definition.name]
    assert fits(of_it, to_json(definition.default))
    assert fits(of_it, other(definition)) or isinstance(other(definition), str | int)
    judged = {"string", "object", "array"}
    for value in POOL:
        try:
            definition.kind(value)
        except (ValueError, TypeError, UsageError):
            kinds = {type_of(v) for v in flat(of_it)} - {""}
            if not kinds & judged:
                assert not fits(of_it, value), value


def flat(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [s for part in schema.get("anyOf", [schema]) for s in ([part] if "anyOf" not in part else flat(part))]  # fmt: skip


def type_of(schema: dict[str, Any]) -> str:
    found = schema.get("type", "")
    return "string" if isinstance(found, list) else str(found)


def test_every_setting_of_the_environment_alone_says_so():
    """A setting without an option of `run` is one of the machine or of how something is worked out, not what people ask for."""
    montage = [d.name for d in SECTIONS[0].settings if d.option is None]
    assert montage == ["director-seconds", "upscale-limit-minutes"]
