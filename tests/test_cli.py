"""The commands: help, usage errors in one line, settings with their origins."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from montage_dask import cli
from montage_dask.config import ENVIRONMENT
from montage_dask.edit.styles import style_names

COMMANDS = (
    ["run"], ["plan"], ["styles"],
    ["styles", "clips", "--music", "a.mp3", "--style", "none"], ["styles", "clips"],
    ["styles", "clips", "--music", "a.mp3", "--style", "noir", "--style", "noir"],
)  # fmt: skip


def call(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run a command in this process as `python -m montage_dask` does."""
    with pytest.raises(SystemExit) as left:
        cli.main(list(arguments))
    out, err = capfd.readouterr()
    assert "Traceback" not in err
    return int(left.value.code or 0), out, err


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_variables_of_older_set_ups_are_said_to_do_nothing(capfd, monkeypatch):
    for name in ("WORKER_MODE", "TASK_TYPE", "TASK_ID"):
        monkeypatch.setenv(name, "x")
    code, _, err = call(capfd, "worker")
    assert code == 2
    notes = [line for line in err.splitlines() if line.startswith("note: ")]
    assert [line.split()[1] for line in notes] == ["TASK_ID", "TASK_TYPE", "WORKER_MODE"]
    assert all("WORKER_TYPE" in line or "jobs follow" in line for line in notes)
    assert "note" not in call(capfd, "config", "styles")[2]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command):
    result = CliRunner().invoke(cli.cli, [*command, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_run_offers_what_is_promised():
    text = CliRunner().invoke(cli.cli, ["run", "--help"]).output
    for option in (
        "cluster", "n-workers", "style", "duration", "start", "size", "fps", "fit", "quality", "codec", "seed",
        "variants", "include", "exclude", "pin", "grade", "transition", "keep-audio", "from-timeline", "run-dir", "json",
        "quiet", "verbose", "bpm", "beats", "demo", "upscale", "upscale-model",
    ):  # fmt: skip
        assert f"--{option}" in text


WRONG = (
    ["run"], ["run", "clips"], ["run", "--demo", "clips"], ["run", "clips", "--music", "a.mp3", "--fps", "nan"],
    ["run", "clips", "--music", "a.mp3", "--duration", "-5"], ["run", "clips", "--music", "a.mp3", "--size", "99999999x2"],
    ["run", "clips", "--music", "a.mp3", "--n-workers", "0"], ["run", "clips", "--music", "a.mp3", "--n-workers", "x"],
    ["run", "clips", "--music", "a.mp3", "-o", "a.txt"], ["run", "clips", "--music", "a.mp3", "--seed", "1e400"],
    ["cluster", "down"], ["run", "clips", "--music", "a.mp3", "--cpu-workers", "8:0"],
    ["run", "clips", "--music", "a.mp3", "--namespace", "No!"],
    ["run", "nothing.yaml"], ["run", "--nonsense"], ["plan"], ["analyse"], ["frames"], ["frames", "a.mp4", "--per-shot", "0"],
    ["frames", "a.mp4", "--every", "nan"], ["frames", "a.mp4", "--every", "0"], ["frames", "a.mp4", "--every", "-1"],
    ["frames", "a.mp4", "--format", "exe"], ["frames", "a.mp4", "--width", "1"], ["transcode", "a.mp4"], ["transcode", "-o", "x"],
    ["transcode", "a.mp4", "-o", "x", "--audio", "mp3"], ["transcode", "a.mp4", "-o", "x", "--crf", "nan"],
    ["transcode", "a.mp4", "-o", "x", "--size", "big"], ["transcode", "a.mp4", "-o", "x", "--codec", "mpeg1"], ["nonsense"],
    ["config", "nonsense"], ["upscale"], ["upscale", "a.mp4", "-o", "x", "--scale", "3"],
    ["upscale", "a.mp4", "-o", "x", "--model", "best"], ["upscale", "a.mp4", "-o", "x", "--model", "none.pth"],
    ["run", "clips", "--music", "a.mp3", "--upscale", "maybe"], ["styles"],
    ["styles", "clips", "--music", "a.mp3", "--style", "none"], ["styles", "clips"],
    ["styles", "clips", "--music", "a.mp3", "--style", "noir", "--style", "noir"],
)  # fmt: skip


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_a_wrong_request_is_one_line_and_exit_code_2(capfd, arguments):
    code, out, err = call(capfd, *arguments)
    assert code == 2
    assert out == ""
    errors = [line for line in err.splitlines() if line.lower().startswith("error: ")]
    assert len(errors) == 1, err


def test_config_show_names_every_origin(capfd, monkeypatch):
    monkeypatch.setenv("WORKER_CONCURRENCY", "3")
    monkeypatch.setenv("CGPU_ENCODE", "true")
    monkeypatch.setenv("LOCAL_GPU_ENCODE", "false")
    code, out, _ = call(capfd, "config", "show", "--json")
    settings = json.loads(out)
    assert code == 0
    assert settings["n-workers"] == {"value": 3, "origin": "environment WORKER_CONCURRENCY"}
    assert settings["cgpu-encode"] == {"value": "true", "origin": "environment CGPU_ENCODE"}
    assert settings["gpu-encode"]["value"] == "false"
    assert settings["fps"] == {"value": "30", "origin": "default"}
    code, out, _ = call(capfd, "config", "show")
    assert code == 0
    assert "n-workers = 3  (environment WORKER_CONCURRENCY)  [WORKER_CONCURRENCY]" in out
    assert all(f"[{name}]" in out for name in ENVIRONMENT)


def test_a_wrong_environment_is_a_usage_error_that_names_it(capfd, monkeypatch):
    monkeypatch.setenv("GPU_MEMORY_LIMIT", "lots")
    code, _, err = call(capfd, "config", "show")
    assert code == 2
    assert "GPU_MEMORY_LIMIT" in err


def test_styles_are_listed(capfd):
    code, out, _ = call(capfd, "config", "styles")
    assert code == 0
    assert len(out.splitlines()) == len(style_names()) >= 10


def test_the_command_is_part_of_dasks_own():
    done = subprocess.run(
        [sys.executable, "-m", "dask", "montage", "--help"],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )
    assert done.returncode == 0, done.stderr
    assert "analyse" in done.stdout
