"""The commands as a person types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import montage_dask
from montage_dask.doctor import _cgpu

pytestmark = pytest.mark.cgpu


@pytest.fixture
def command(cgpu_binary, cgpu_environment, colab):
    environment = cgpu_environment | {
        "CGPU_BIN": str(cgpu_binary),
        "DASK_MONTAGE__CGPU_FOLDER": f"{colab.root()}/montage-dask",
        "DASK_MONTAGE__CGPU_CALL_SECONDS": "30",
        "PYTHONPATH": str(Path(montage_dask.__file__).parents[1]),
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "montage_dask", "cgpu", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def test_a_session_by_hand(command, colab, tmp_path):
    status = command("status", "--json")
    assert status.returncode == 0, status.stderr
    assert json.loads(status.stdout)["eligible"] == ["T4"]
    assert colab.runtimes == []  # it allocates nothing
    done = command("run", "echo out; echo err >&2; exit 5")
    assert (done.returncode, done.stdout, done.stderr) == (5, "out\nerr\n", "")
    assert command("run", "printf", "%s|", "-n", "a b", "--timeout").stdout == "-n|a b|--timeout|"
    source = tmp_path / "-so'urce\n"
    source.write_bytes(os.urandom(5000))
    assert command("put", "--", str(source), "-there").returncode == 0
    assert command("get", "--", "-there", str(tmp_path / "back")).returncode == 0
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    looked = command("status", "--start")
    assert "runtime python" in looked.stdout
    assert "runtime missing: nothing" in looked.stdout
    stopped = command("stop")
    assert stopped.returncode == 0
    assert "Disconnect and delete" in stopped.stderr
    assert not (colab.root() / "montage-dask").exists()


def test_failures_are_one_line(command, colab, tmp_path, config_dir):
    lost = command("get", "no-such", str(tmp_path / "x"))
    assert lost.returncode == 1
    assert lost.stderr == "error: get failed on the runtime (code 1): no such file: no-such\n"
    colab.knobs.offline = True
    offline = command("status")
    assert (offline.returncode, offline.stderr.count("\n")) == (1, 1)
    assert "network" in offline.stderr
    (config_dir / "state" / "session.json").unlink(missing_ok=True)
    out = command("run", "true")
    assert out.returncode == 1
    assert "cgpu connect" in out.stderr


def test_doctor(cgpu_binary, config_dir, cgpu_environment, monkeypatch, tmp_path):
    monkeypatch.setenv("CGPU_BIN", str(cgpu_binary))
    monkeypatch.setenv("CGPU_CONFIG_DIR", str(config_dir))
    (row,) = _cgpu()
    assert row["ok"]
    assert str(config_dir) in row["detail"]
    (config_dir / "state" / "session.json").unlink()
    (row,) = _cgpu()
    assert not row["ok"]
    assert "not logged in" in row["detail"]
    assert row["advice"]
    monkeypatch.setenv("CGPU_BIN", str(tmp_path / "none"))
    (row,) = _cgpu()
    assert "npm install" in row["advice"]
