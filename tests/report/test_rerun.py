"""The command of a run makes the same job again."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from montage_dask.commands.montage import run
from montage_dask.job import make_job
from montage_dask.report.rerun import described


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def again(text: str):
    """The job of a command, read as a shell and click do."""
    words = shlex.split(text)
    while "=" in words[0] and words[0].split("=")[0].isidentifier():
        name, _, value = words.pop(0).partition("=")
        os.environ[name] = value
    assert words[:4] == ["python", "-m", "montage_dask", "run"]
    given = run.make_context("run", words[4:]).params
    given.pop("demo")
    for name in ("as_json", "quiet", "verbose"):
        given.pop(name)
    options = {k.replace("_", "-"): v for k, v in given.items() if v not in (None, ())}
    return make_job(options)


def same(one, two) -> bool:
    values = [{k: s.value for k, s in job.settings.items()} for job in (one, two)]
    rest = [{f: v for f, v in vars(job).items() if f != "settings"} for job in (one, two)]
    return values[0] == values[1] and rest[0] == rest[1]


def test_options_of_all_kinds(tmp_path):
    job = make_job({
        "footage": ["a b/*.mp4", "it's $HOME; rm -rf.mp4", "-x.mp4"], "music": "m's.ogg", "output": "out.mp4",
        "run-dir": "elsewhere", "pin": ["-dash.mp4@3", "b@1:02"], "first": ["c"], "include": ["*"], "fps": "29.97",
        "duration": "1:30", "keep-audio": True, "beats-file": "beats.txt", "director": "fast, \"hopeful\"\nends on the sea",
        "seed": 7, "upscale-limit-minutes": 3, "allow": ["text", "card"], "exact": True, "faces": "off",
        "focus": ["c.mp4@2=0.1,0.9"],
    })  # fmt: skip
    told = described(job)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DASK_MONTAGE__UPSCALE_LIMIT_MINUTES", "")
        text = told["command"]
        assert "DASK_MONTAGE__UPSCALE_LIMIT_MINUTES=3" in text
        words = text.partition(" ")[2]
        back = again(words)
    assert {k: s.value for k, s in back.settings.items() if k != "upscale-limit-minutes"} == {
        k: s.value for k, s in job.settings.items() if k != "upscale-limit-minutes"
    }
    assert (back.footage, back.pins, back.first, back.include, back.focus, back.music, back.output, back.run_dir) == (
        job.footage, job.pins, job.first, job.include, job.focus, job.music, job.output, job.run_dir,
    )  # fmt: skip
    rows = {s["name"]: s for s in told["settings"]}
    assert rows["fps"] == {"name": "fps", "value": "30000/1001", "origin": "command line"}
    assert "codec" not in rows
    assert told["folder"] == str(tmp_path)
    assert told["versions"].keys() == {"montage-dask", "Python", "FFmpeg", "dask", "system"}
    assert "ffmpeg" in told["versions"]["FFmpeg"]


def test_what_the_environment_said(monkeypatch):
    monkeypatch.setenv("CGPU_ENCODE_THRESHOLD", "120")
    monkeypatch.setenv("GPU_MEMORY_LIMIT", "2048")
    job = make_job({"footage": ["f"], "music": "m.ogg"})
    text = described(job)["command"]
    assert text.startswith(("CGPU_ENCODE_THRESHOLD=", "GPU_MEMORY_LIMIT="))
    monkeypatch.delenv("CGPU_ENCODE_THRESHOLD")
    monkeypatch.delenv("GPU_MEMORY_LIMIT")
    assert same(again(text), job)


def test_no_password_of_an_address():
    address = "tls://me:secret@127.0.0.1:8786"
    told = described(make_job({"footage": ["f"], "music": "m.ogg", "cluster": address}))
    assert "secret" not in str(told)
    assert "--cluster=tls://127.0.0.1:8786" in told["command"]
