"""How far a job is, told through a file: by whole files, not too often, and the truth when the job is gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from montage_dask import progress_file
from montage_dask.commands import report as commands
from montage_dask.commands.report import ending, line, report, status
from montage_dask.errors import StoreError, UsageError
from montage_dask.graph.telling import Silent
from montage_dask.progress_file import ProgressFile, read_progress

CHILD = """
import sys, time
from pathlib import Path
from montage_dask.graph.telling import Silent
from montage_dask.progress_file import ProgressFile
with ProgressFile(Path(sys.argv[1]), Silent(), Path("out.mp4"), 0.05) as told:
    told.stage("encode", 4, "segments")
    told.step("encode", "a.mp4", 2.0)
    time.sleep(60)
"""


def read(folder: Path) -> dict:
    found = read_progress(folder)
    assert found is not None
    return found


def until(folder: Path, **expected: object) -> dict:
    """What the file says as soon as it says this."""
    for _ in range(300):
        found = read_progress(folder)
        if found and all(found[k] == v for k, v in expected.items()):
            return found
        time.sleep(0.05)
    raise AssertionError(found)


class Heard(Silent):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.all: list[tuple[object, ...]] = []

    def stage(self, *told: object) -> None:
        self.all.append(told)

    def step(self, *told: object) -> None:
        self.all.append(told)

    def note(self, *told: object) -> None:
        self.all.append(told)


def test_it_tells_the_stage_its_speed_and_what_is_left(tmp_path):
    heard = Heard()
    with ProgressFile(tmp_path, heard, tmp_path / "out.mp4", 0.02) as told:
        assert read(tmp_path)["state"] == "running"
        told.stage("strip", 4, "windows")
        time.sleep(0.2)
        told.step("strip", "a\nb.mp4", 10.0)
        told.note("footage is short")
        found = until(tmp_path, stage="strip", done=1, noted=1)
        assert (found["total"], found["unit"], found["label"]) == (4, "windows", "a\\nb.mp4")
        assert 1 < found["speed"] < 60
        assert found["eta_seconds"] == pytest.approx(0.6, abs=0.25)
        assert found["notes"] == ["footage is short"]
        assert found["pid"] == os.getpid()
        told.step("never announced", "x")
    done = read(tmp_path)
    assert (done["state"], done["error"]) == ("finished", None)
    assert [s["name"] for s in done["stages"]] == ["strip", "never announced"]
    assert heard.all == [
        ("strip", 4, "windows"), ("strip", "a\nb.mp4", 10.0), ("footage is short",), ("never announced", "x", 0.0),
    ]  # fmt: skip


def test_of_stages_side_by_side_one_that_goes_on_is_told(tmp_path):
    with ProgressFile(tmp_path, Silent(), tmp_path) as told:
        told.stage("beats", 1, "tracks")
        told.stage("shots", 1, "clips")
        told.step("shots", "a.mp4")
    found = read(tmp_path)
    assert (found["stage"], found["done"], found["total"], found["label"]) == ("beats", 0, 1, "")


def test_many_steps_are_few_writes(tmp_path, monkeypatch):
    writes: list[dict] = []
    monkeypatch.setattr(progress_file, "write_json", lambda _, value: writes.append(value))
    with ProgressFile(tmp_path, Silent(), tmp_path, 0.2) as told:
        told.stage("strip", 5000)
        for _ in range(5000):
            told.step("strip", "x")
        time.sleep(0.5)
    assert len(writes) <= 6
    assert writes[-1]["stages"][0]["done"] == 5000


@pytest.mark.parametrize(
    ("error", "state", "told"),
    [
        (StoreError("the disk is full"), "failed", "the disk is full"),
        (ZeroDivisionError("oh"), "failed", "ZeroDivisionError('oh')"),
        (KeyboardInterrupt(), "interrupted", "run the same command"),
    ],
)
def test_how_it_ended(tmp_path, error, state, told):
    with pytest.raises(type(error)), ProgressFile(tmp_path, Silent(), tmp_path / "o.mp4"):
        raise error
    found = read(tmp_path)
    assert found["state"] == state
    assert told in found["error"]
    result = CliRunner().invoke(status, [str(tmp_path)], standalone_mode=False)
    assert result.return_value == (130 if state == "interrupted" else 1)
    assert state in result.output


def test_a_full_disk_does_not_stop_the_job(tmp_path):
    (tmp_path / "file").write_text("")
    with ProgressFile(tmp_path / "file" / "run", Silent(), tmp_path) as told:
        told.stage("strip", 1)
        told.step("strip", "x")


def test_a_killed_job_is_followed_and_called_stopped(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)])
    try:
        until(tmp_path, done=1)
        follower = subprocess.Popen(
            [sys.executable, "-m", "montage_dask", "status", str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert follower.stdout is not None
        assert follower.stdout.readline().startswith("encode: 1/4 segments")
    finally:
        child.kill()
        child.wait()
    rest, _ = follower.communicate(timeout=30)
    assert follower.returncode == 1
    assert "stopped without an end in encode (1/4)" in rest
    assert "run the same command" in rest
    assert read(tmp_path)["state"] == "stopped"


def test_the_process_id_of_another_one_is_no_sign_of_life(tmp_path):
    with ProgressFile(tmp_path, Silent(), tmp_path):
        found = json.loads((tmp_path / "progress.json").read_text())
    path = tmp_path / "progress.json"
    path.write_text(json.dumps({**found, "state": "running"}))
    assert read(tmp_path)["state"] == "running"
    path.write_text(json.dumps({**found, "process_started": 1}))
    assert read(tmp_path)["state"] == "stopped"


@pytest.mark.parametrize(("age", "state"), [(5, "running"), (300, "stopped")])
def test_on_another_machine_time_tells(tmp_path, age, state):
    with ProgressFile(tmp_path, Silent(), tmp_path):
        found = json.loads((tmp_path / "progress.json").read_text())
    far = {**found, "host": "elsewhere", "updated_at": time.time() - age}
    (tmp_path / "progress.json").write_text(json.dumps(far))
    assert read(tmp_path)["state"] == state
    if age > 20:
        assert "elsewhere is gone" in ending(read(tmp_path))


def test_status_once_and_as_json(tmp_path):
    with ProgressFile(tmp_path, Silent(), tmp_path / "o.mp4"):
        once = CliRunner().invoke(status, [str(tmp_path), "--once"], standalone_mode=False)
        assert (once.return_value, once.output) == (0, "starting: connecting to the workers\n")
        told = CliRunner().invoke(status, [str(tmp_path), "--json"], standalone_mode=False)
        assert json.loads(told.output)["state"] == "running"
    after = CliRunner().invoke(status, [str(tmp_path)], standalone_mode=False)
    assert after.return_value == 0
    assert after.output.startswith("finished after 0 s: ")


def test_status_tells_the_notes_of_the_last_moment(tmp_path, monkeypatch):
    job = ProgressFile(tmp_path, Silent(), tmp_path / "o.mp4")
    told = job.__enter__()
    told.note("at the beginning")

    def meanwhile(_):
        told.note("at the end")
        job.__exit__(None, None, None)

    monkeypatch.setattr(commands.time, "sleep", meanwhile)
    followed = CliRunner().invoke(status, [str(tmp_path)], standalone_mode=False)
    assert followed.output.count("note: at the end") == 1
    assert "finished after" in followed.output.splitlines()[-1]


def test_a_silent_job_is_called_silent():
    found = {
        "stage": "encode", "done": 1, "total": 2, "unit": "segments", "speed": 2.0, "eta_seconds": 7.2, "label": "x.mp4",
        "updated_at": time.time() - 45,
    }  # fmt: skip
    assert (
        line(found) == "encode: 1/2 segments  2.0×  about 7 s left  no sign of it for 45 s  x.mp4"
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"updated_at": "now"}'])
def test_a_damaged_file_is_named(tmp_path, text):
    (tmp_path / "progress.json").write_text(text)
    with pytest.raises(UsageError, match=r"progress\.json"):
        read_progress(tmp_path)


def test_a_folder_without_a_job(tmp_path):
    result = CliRunner().invoke(status, [str(tmp_path)], standalone_mode=False)
    assert "no job has begun there" in str(result.exception)
    result = CliRunner().invoke(report, [str(tmp_path)], standalone_mode=False)
    assert "no run has finished there" in str(result.exception)
