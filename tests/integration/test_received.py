"""What a received folder holds harms nobody: planted links, timelines that name other files, files nested without end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import opentimelineio as otio
import pytest
from jobs import environment
from makers import film, write_wav

from montage_dask.errors import StoreError, UsageError
from montage_dask.job import make_job, read_job
from montage_dask.report.otio import media_of
from montage_dask.store.own_files import open_own, refuse_links


def montage(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "montage_dask", *map(str, arguments)],
        cwd=folder, env=environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with something in it, beside a received folder."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home/.bashrc").write_text("# mine\n")
    (tmp_path / "received").mkdir()
    return tmp_path / "home"


@pytest.fixture
def received(home: Path) -> Path:
    return home.parent / "received"


def run(received: Path) -> subprocess.CompletedProcess[str]:
    (received / "$(touch X).mp4").write_bytes(b"no media")
    write_wav(received / "track.wav", np.zeros(22_050))
    return montage(
        "run", "$(touch X).mp4", "--music", "track.wav", "-o", "m.mp4", "-q", folder=received
    )


def test_the_log_is_not_written_through_a_link(home, received):
    (received / "m.montage").mkdir()
    (received / "m.montage/montage.log").symlink_to("../../home/.bashrc")
    done = run(received)
    assert done.returncode == 1
    assert "montage.log is a link" in done.stderr
    assert "Traceback" not in done.stderr
    assert (home / ".bashrc").read_text() == "# mine\n"
    assert not (received / ".montage").exists() or not list((received / ".montage").iterdir())


@pytest.mark.parametrize("name", ["m.montage", ".montage"])
def test_run_folder_and_store_are_not_elsewhere(home, received, name):
    (received / name).symlink_to("../home")
    done = run(received)
    assert done.returncode == 2
    assert f"{name} is a link that nobody named" in done.stderr
    assert [p.name for p in home.iterdir()] == [".bashrc"]


def test_links_inside_the_store_are_found(home, received):
    (received / ".montage/records").mkdir(parents=True)
    (received / ".montage/records/probe").symlink_to(home)
    done = run(received)
    assert done.returncode == 1
    assert "probe is a link, and would be written through" in done.stderr
    assert [p.name for p in home.iterdir()] == [".bashrc"]


def test_who_names_a_folder_may_have_made_it_a_link(home, received):
    (received / "mine").symlink_to(home)
    job = make_job(
        {"footage": ["a"], "music": "b", "run-dir": "mine", "store": "mine"}, base=received
    )
    assert job.run_dir == received / "mine"
    refuse_links(home, "--store")


def test_our_own_files_are_plain_files(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        for mode in ("w", "ab", "a+b"):
            with pytest.raises(OSError):  # noqa: PT011 - of several kinds
                open_own(tmp_path / name, mode)
    assert not (tmp_path / "elsewhere").exists()
    with open_own(tmp_path / "own", "w", encoding="utf-8") as file:
        file.write("x")
    assert (tmp_path / "own").read_text() == "x"
    with pytest.raises(StoreError, match="link is a link"):
        refuse_links(tmp_path, "--run-dir")


def timeline(path: Path, *media: str, music: str | None = None) -> Path:
    """A timeline of a second of each file."""
    made = otio.schema.Timeline(path.stem)
    second = otio.opentime.TimeRange(
        otio.opentime.RationalTime(0, 25), otio.opentime.RationalTime(25, 25)
    )
    for kind, files in (("Video", media), ("Audio", [music] if music else [])):
        track = otio.schema.Track(kind, kind=kind)
        for file in files:
            track.append(
                otio.schema.Clip(
                    file, otio.schema.ExternalReference(target_url=file), source_range=second
                )
            )
        made.tracks.append(track)
    otio.adapters.write_to_file(made, str(path))
    return path


@pytest.mark.parametrize("where", ["picture", "sound", "bucket", "link"])
def test_a_timeline_of_a_job_file_names_nothing_outside(home, received, where):
    secret = film(home / "secret.mp4", sound=True)
    inside = film(received / "a.mp4", sound=True).name
    named = {
        "picture": ((secret.as_uri(),), None),
        "sound": ((inside,), secret.as_uri()),
        "bucket": (("s3://not-mine/a.mp4",), None),
        "link": (("link.mp4",), None),
    }[where]
    (received / "link.mp4").symlink_to(secret)
    timeline(received / "cut.otio", *named[0], music=named[1])
    job = received / "job.yaml"
    job.write_text("from-timeline: cut.otio\noutput: m.mp4\n")
    done = montage("run", job, "--n-workers", 1, "-q", folder=received)
    assert done.returncode == 2, done.stderr
    assert "lies outside the job file's folder" in done.stderr
    assert not (received / "m.mp4").exists()
    # Named by the user, it may name what it likes.
    assert read_job(job, {"from-timeline": str(received / "cut.otio")}).timeline_roots is None


def nested(levels: int) -> str:
    stacks = '{"OTIO_SCHEMA":"Stack.1","children":[' * levels + "]}" * levels
    return (
        '{"OTIO_SCHEMA":"Timeline.1","tracks":{"OTIO_SCHEMA":"Stack.1","children":['
        + stacks
        + "]}}"
    )


@pytest.mark.parametrize("levels", [200, 10_000, 100_000])
def test_a_timeline_that_is_nested_without_end_is_an_error(tmp_path, levels):
    (tmp_path / "deep.otio").write_text(nested(levels))
    code = (
        "import sys; from pathlib import Path; from montage_dask.errors import UsageError\n"
        "from montage_dask.report.otio import media_of\n"
        "try: media_of(Path(sys.argv[1]))\n"
        "except UsageError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "deep.otio")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-500:]
    assert "is nested more than 100 times" in done.stdout


def test_a_timeline_that_holds_itself_is_an_error(tmp_path):
    text = (timeline(tmp_path / "a.otio", "a.mp4")).read_text()
    itself = '"metadata": {"me": {"OTIO_SCHEMA": "SerializableObjectRef.1", "id": "T"}}'
    text = text.replace('"metadata": {}', itself, 1).replace("{", '{"OTIO_REF_ID": "T",', 1)
    (tmp_path / "circle.otio").write_text(text)
    with pytest.raises(UsageError, match="holds itself"):
        media_of(tmp_path / "circle.otio")


@pytest.mark.parametrize("name", ["cut.otio", "style.yaml", "grade.cube", "beats.txt"])
def test_pipes_and_endless_files_are_not_read_to_their_end(tmp_path, name):
    from montage_dask.analysis.beatfile import read_beats
    from montage_dask.edit.styles import load_style
    from montage_dask.render.grade import check_grade, identity_of

    readers = {
        ".otio": (media_of,),
        ".yaml": (lambda p: load_style(str(p)),),
        ".cube": (lambda p: check_grade(str(p)), lambda p: identity_of(str(p))),
        ".txt": (read_beats,),
    }[Path(name).suffix]
    os.mkfifo(tmp_path / name)
    (tmp_path / f"zero-{name}").symlink_to("/dev/zero")
    for path in (tmp_path / name, tmp_path / f"zero-{name}"):
        for read in readers:
            with pytest.raises(UsageError, match="regular file"):
                read(path)
