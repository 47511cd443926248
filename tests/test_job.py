"""Jobs: options are checked before anything runs, and a job file cannot reach outside its folder."""

from __future__ import annotations

import json
import os
import re
from fractions import Fraction
from pathlib import Path

import dask.config
import pytest

from montage_dask.config import DEFINITIONS, KINDS, Trust, defaults
from montage_dask.errors import UsageError
from montage_dask.job import LISTS, make_job, read_job

EXAMPLE = Path(__file__).parents[1] / "specs" / "jobs" / "example.yaml"
GIVEN = {"footage": ["clips"], "music": "track.mp3"}

WRONG = {
    "duration": ["1e999999999", "nan", "inf", -1, 0, "-0:30", "1:2:3:4", "1e9", "abc", "", True, [], float("nan"), "1/0", "٣x"],
    "start": ["nan", -1, "1e300", "x", float("inf"), "9" * 400],
    "size": ["0x0", "1920", "1920x", "x1080", "-2x4", "99999x99999", "1921x1080", "nanxnan", "1920x1080x3", 1e9, "²x²"],
    "fps": ["1e-999999999", "0", "-25", "nan", "inf", "1e12", "1/0", "abc", "", True, "0.5", 241],
    "fit": ["stretch", 1, ""],
    "quality": ["best", 7],
    "codec": ["mpeg2", "libx264; rm", None.__class__],
    "crf": [-1, 64, "nan", 1.5, "x", True, float("inf"), 10**400],
    "seed": [-1, "nan", 2**31, 1.5, "x", float("nan")],
    "variants": [0, -1, 21, 10**9, "many"],
    "transition": ["wipe", 3],
    "bpm": [0, -120, "nan", "inf", 1e9, "fast"],
    "beats-per-bar": [0, 1, 99, "x"],
    "window-frames": [0, -50, "nan", 10**9],
    "n-workers": [0, -1, 10**6, "x"],
    "memory-limit": ["-1GB", "1", "huge", "nan", 10**30],
    "threshold": ["nan", -1, "x"],
    "loudness-lufs": ["nan", 0, -100],
    "placement": ["cpu", {"strip": "moon"}, {"strip": None}, 3],
    "keep-audio": ["maybe", 2],
    "cluster": ["", 3],
    "style": ["", 5],
    "no-such-option": [1],
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in WRONG.items() for v in values])
def test_wrong_values_are_named_in_one_line(name, value):
    with pytest.raises(UsageError) as caught:
        make_job({**GIVEN, name: value})
    message = str(caught.value)
    assert name in message
    assert "\n" not in message
    assert len(message) < 300, len(message)


def test_an_output_that_no_montage_fits_into(tmp_path):
    for output in ("out", "out.txt", "out.mp4.exe", "", "."):
        with pytest.raises(UsageError, match="must end in"):
            make_job({**GIVEN, "output": output})
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        make_job({**GIVEN, "output": tmp_path / "folder.mp4"})


def test_files_of_settings_are_absolute(tmp_path, monkeypatch):
    """Workers have another current folder."""
    monkeypatch.chdir(tmp_path)
    names = ("beats-file", "scenes-weights", "beats-weights", "beat-this-checkpoint")
    with dask.config.set({"montage.scenes-weights": "scenes-weights.x"}):
        given = {name: f"{name}.x" for name in names if name != "scenes-weights"}
        job = make_job({**GIVEN, **given})
    assert [job[n] for n in names] == [str(tmp_path / f"{n}.x") for n in names]
    assert make_job({**GIVEN, **given}, base=Path("/b"))["beats-file"] == "/b/beats-file.x"
    with pytest.raises(UsageError, match=r"--beats-weights s3://b/w\.npz: must be a file"):
        make_job({**GIVEN, "beats-weights": "s3://b/w.npz"})


def test_a_part_of_the_track_or_its_own_ending():
    assert make_job({**GIVEN, "start": "auto"})["start"] == "auto"
    assert make_job({**GIVEN, "music-fit": True, "start": "0:10"})["start"] == 10
    with pytest.raises(UsageError, match="--music-fit keeps its intro"):
        make_job({**GIVEN, "music-fit": True, "start": "auto"})


def test_what_must_be_there():
    with pytest.raises(UsageError, match="no footage"):
        make_job({"music": "a.mp3"})
    with pytest.raises(UsageError, match="no music"):
        make_job({"footage": ["a"]})
    assert make_job({"from-timeline": "x.otio"}).music is None


def test_a_job_is_absolute_and_converted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = make_job(
        {
            **GIVEN,
            "output": "a/b.mp4",
            "fps": "29.97",
            "duration": "1:30",
            "size": "640x360",
            "pin": "x@3",
        }
    )
    assert job.output == tmp_path / "a" / "b.mp4"
    assert job.run_dir == tmp_path / "a" / "b.montage"
    assert job.store == tmp_path / "a" / ".montage"
    assert job.footage == (str(tmp_path / "clips"),)
    assert (job.fps, job["duration"], job.width, job.height) == (
        Fraction(30000, 1001),
        90,
        640,
        360,
    )
    assert job.pins == ("x@3",)
    assert make_job({**GIVEN, "run-dir": "r"}).store == tmp_path / "r" / "store"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for a job file, with another one beside it."""
    inside = tmp_path / "jobs"
    (inside / "clips").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    return inside


def job_file(folder: Path, text: str) -> Path:
    path = folder / "job.yaml"
    path.write_text(text)
    return path


def test_the_example_loads_beside_its_files(folder):
    job = read_job(job_file(folder, EXAMPLE.read_text(encoding="utf-8")), {"seed": 7})
    assert job.footage == (str(folder / "clips"), str(folder / "more" / "*.mov"))
    assert job.music == str(folder / "track.mp3")
    assert job.output == folder / "montage.mp4"
    assert job["duration"] == 60
    assert (job["seed"], job.settings["seed"].origin) == (7, "command line")
    assert (job["style"], job.settings["style"].origin) == ("travel", "job file")
    assert job.exclude == ("blurred.mp4",)


def test_every_key_of_the_example_is_one(folder):
    """Those in comments too."""
    keys = re.findall(r"^(?:# )?([a-z-]+):(?= |$)", EXAMPLE.read_text(encoding="utf-8"), re.M)
    assert len(keys) > 20
    assert set(keys) <= {*KINDS, *LISTS, "music", "output"}


@pytest.mark.parametrize(
    "key",
    [
        "footage",
        "music",
        "output",
        "run-dir",
        "grade",
        "style",
        "beats-file",
        "from-timeline",
        "upscale-model",
    ],
)
@pytest.mark.parametrize(
    "where", ["../outside/x{}", "/etc/x{}", "clips/../../outside/x{}", "link/x{}"]
)
def test_a_job_file_cannot_reach_outside(folder, key, where):
    (folder / "link").symlink_to(folder.parent / "outside")
    ending = {"output": ".mp4", "grade": ".cube", "style": ".yaml", "upscale-model": ".pth"}.get(
        key, ""
    )
    text = f"{key}: {where.format(ending)}\n"
    for name, value in {"footage": "clips", "music": "track.mp3"}.items():
        text += "" if name == key else f"{name}: {value}\n"
    with pytest.raises(UsageError, match="outside the job file's folder"):
        read_job(job_file(folder, text), {})


def test_roots_let_more_folders_in_and_only_from_outside_the_file(folder):
    text = "footage: ../outside\nmusic: track.mp3\n"
    with dask.config.set({"montage.roots": [str(folder.parent / "outside")]}):
        assert read_job(job_file(folder, text), {}).footage == (str(folder.parent / "outside"),)
    with pytest.raises(UsageError, match="cannot be set by a job file"):
        read_job(job_file(folder, text + f"roots: [{folder.parent}]\n"), {})
    with pytest.raises(UsageError, match="cannot be set by a job file"):
        read_job(job_file(folder, text + f"store: {folder.parent}\n"), {})


def test_only_one_clip_can_be_first(folder):
    text = "footage: clips\nmusic: track.mp3\nfirst: [a.mp4, b.mp4]\nlast: c.mp4@3\n"
    with pytest.raises(UsageError, match="only one clip can be first, got 2"):
        read_job(job_file(folder, text), {})
    assert read_job(job_file(folder, text), {"first": "d"}).first == ("d",)
    assert read_job(job_file(folder, text), {"first": "d"}).last == ("c.mp4@3",)


@pytest.mark.parametrize(
    "key", sorted(d.name for d in DEFINITIONS.values() if d.trust is Trust.OWNER)
)
def test_a_job_file_does_not_say_where_it_runs(folder, key):
    """`cluster: tcp://…` would let whoever listens there run code in the client."""
    value = json.dumps(defaults()[key])
    text = f"footage: clips\nmusic: track.mp3\n{key}: {value}\n"
    with pytest.raises(UsageError, match=f"job.yaml: {key} cannot be set by a job file.*--trust"):
        read_job(job_file(folder, text), {})
    assert read_job(job_file(folder, text), {"trust-job": True}).settings[key].origin == "job file"


def test_all_that_is_refused_is_named(folder):
    text = "cluster: tcp://10.0.0.1:8786\nmusic: a\nfootage: b\nmemory-limit: 1TB\ncgpu-binary: x\n"
    with pytest.raises(UsageError, match=r"cluster, memory-limit, cgpu-binary cannot"):
        read_job(job_file(folder, text), {})


def test_the_owner_of_a_job_file_may_name_any_path(folder):
    text = f"footage: ../outside\nmusic: track.mp3\nstore: {folder.parent}\nretries: 7\n"
    job = read_job(job_file(folder, text), {"trust-job": True, "seed": 3})
    assert job.footage == (str(folder.parent / "outside"),)
    assert (job.store, job["retries"], job["seed"]) == (folder.parent, 7, 3)
    assert make_job({**GIVEN, "trust-job": True}).footage


def test_a_job_file_may_hold_a_brief_but_not_name_a_server(folder):
    """A received file must not send file names and a key where it likes."""
    text = "footage: clips\nmusic: track.mp3\n"
    job = read_job(job_file(folder, text + "director: ruhig, endet am Meer\n"), {})
    assert job["director"] == "ruhig, endet am Meer"
    assert job["director-url"] is None
    with pytest.raises(UsageError, match="director-url cannot be set by a job file"):
        read_job(job_file(folder, text + "director-url: http://evil.example\n"), {})
    for name, wrong in (
        ("director", "x" * 2001),
        ("director-api", "soap"),
        ("director-url", "http://me:pw@x"),
    ):
        with pytest.raises(UsageError, match=f"{name} = .*must") as caught:
            make_job({"footage": ["x"], "music": "x", name: wrong})
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "- a\n", "just words\n", "1: 2\n", "footage: {a: b}\nmusic: x\n", "a: [\n",
        "footage: !!python/object:os.system x\n", "\x00", "musik: x\n",
        # Nested until the parser falls over, unfolding to more than there is, larger than anybody writes.
        "footage: " + "[" * 5000 + "]" * 5000, "footage: " + "{a: " * 5000 + "}" * 5000, "- " * 5000,
        "a: &a [x]\nb: &b [*a, *a]\nfootage: [*b, *b]\n", "#" * 300_000, "seed: " + "9" * 5000, "start: 2001-99-99\n"],
)  # fmt: skip
def test_files_that_are_no_job(folder, text):
    with pytest.raises(UsageError) as caught:
        read_job(job_file(folder, text), {"footage": ["x"]})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_pipe_is_not_waited_for(folder):
    os.mkfifo(folder / "job.yaml")
    with pytest.raises(UsageError, match="is not a regular file"):
        read_job(folder / "job.yaml", {})


def test_a_job_file_that_cannot_be_read(folder):
    with pytest.raises(UsageError, match=r"nothing\.yaml: cannot read"):
        read_job(folder / "nothing.yaml", {})
    (folder / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not a YAML file"):
        read_job(folder / "binary.yaml", {})
