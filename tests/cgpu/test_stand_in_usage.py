"""The command line: verbs, options that are swallowed, usage errors."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path

import pytest
from calling import Cgpu
from colab import Colab

pytestmark = pytest.mark.cgpu


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--version"], "error: unknown option '--version'"),
        (["sessions"], "error: unknown command 'sessions'"),
        (["run"], "error: missing required argument 'command'"),
        (["run", "--cpu", "--tpu", "true"], "Choose either --cpu or --tpu, not both."),
        (["run", "--", ""], "Cannot run an empty command"),
    ],
)
def test_usage_errors_are_named_on_stderr(cgpu: Cgpu, arguments: list[str], text: str) -> None:
    ended = cgpu(*arguments)
    assert ended.returncode == 1
    assert text in ended.stderr


def test_without_a_verb_the_help_comes_on_stderr(cgpu: Cgpu) -> None:
    ended = cgpu()
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "Usage: cgpu" in ended.stderr


def test_status_allocates_nothing(cgpu: Cgpu, colab: Colab) -> None:
    ended = cgpu("status")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "Authenticated as Me. Eligible GPUs: T4\n"
    assert colab.count("GET", "/tun/m/ccu-info") == 1
    assert colab.runtimes == []


@pytest.mark.skipif("CGPU_BIN" in os.environ, reason="the real one runs on Node")
def test_a_call_costs_little(cgpu: Cgpu) -> None:
    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    cgpu("status")  # compiles the modules
    before = spent()
    for _ in range(4):
        cgpu("status")
    assert (spent() - before) / 4 < 0.25  # seconds of CPU; 0.06 on a quiet machine


def test_status_without_a_gpu_ends_after_the_colon(cgpu: Cgpu, colab: Colab) -> None:
    colab.knobs.eligible_gpus = []
    ended = cgpu("status")
    assert (ended.returncode, ended.stdout.rstrip()) == (0, "Authenticated as Me. Eligible GPUs:")


def test_logout_deletes_the_session(cgpu: Cgpu, config_dir: Path) -> None:
    ended = cgpu("logout")
    assert (ended.returncode, ended.stdout) == (0, "Signed out and cleared session cache.\n")
    assert not (config_dir / "state" / "session.json").exists()


def test_an_option_that_does_not_exist_is_run_remotely(cgpu: Cgpu) -> None:
    ended = cgpu("run", "--new-session", "echo hi")
    assert ended.returncode == 127
    assert "command not found" in ended.stdout


def test_c_is_the_config_path_even_after_run(cgpu: Cgpu) -> None:
    ended = cgpu("run", "python3", "-c", "print(1)")
    assert ended.returncode == 1
    assert "Missing Colab OAuth credentials." in ended.stderr


def test_v_is_eaten_by_run(cgpu: Cgpu) -> None:
    ended = cgpu("run", "python3", "-v", "--version")
    assert ended.returncode == 0
    assert "Assigned GPU runtime T4" in ended.stderr


def test_the_first_word_is_raw_the_others_are_quoted(cgpu: Cgpu) -> None:
    ended = cgpu("run", "x='a  b'; echo", "$x", "a  'b'")
    assert ended.stdout.endswith("$x a  'b'\n")


def test_after_two_dashes_nothing_is_an_option(cgpu: Cgpu) -> None:
    ended = cgpu("run", "--", "echo", "-v", "-c", "--cpu")
    assert ended.stdout.endswith("-v -c --cpu\n")


def test_another_config_does_not_move_the_state(
    cgpu: Cgpu, config_dir: Path, tmp_path: Path
) -> None:
    (config_dir / "config.json").rename(tmp_path / "mine.json")
    ended = cgpu("-c", str(tmp_path / "mine.json"), "status")
    assert ended.returncode == 0
    assert not (tmp_path / "state").exists()


def test_the_storage_folder_moves_the_state(cgpu: Cgpu, config_dir: Path, tmp_path: Path) -> None:
    config = json.loads((config_dir / "config.json").read_text())
    config["storageDir"] = str(tmp_path / "storage")
    (config_dir / "config.json").write_text(json.dumps(config))
    (config_dir / "state").rename(tmp_path / "storage")
    assert cgpu("status").returncode == 0


def test_the_config_folder_is_below_xdg_config_home(
    cgpu_binary: Path, cgpu_environment: dict[str, str], config_dir: Path, tmp_path: Path
) -> None:
    del cgpu_environment["CGPU_CONFIG_DIR"]
    (tmp_path / "xdg").mkdir()
    config_dir.rename(tmp_path / "xdg" / "cgpu")
    environment = cgpu_environment | {"XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    assert Cgpu(cgpu_binary, environment)("status").returncode == 0
