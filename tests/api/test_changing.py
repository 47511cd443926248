"""Files that are written to while a job runs: an error that names the file, nothing wrong kept, and the same command mends it."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from jobs import make_clip, make_track
from made_small import SMALL

from montage_dask import Footage, Job
from montage_dask.errors import SourceChanged
from montage_dask.graph.inputs import Sources
from montage_dask.graph.operation import Request
from montage_dask.graph.telling import Silent

pytestmark = pytest.mark.job


class At(Silent):
    """Does something when a stage begins, once."""

    def __init__(self, stage: str, action: Callable[[], None]) -> None:
        self._stage, self._action, self.done = stage, action, False

    def stage(self, name: str, total: int, unit: str = "") -> None:
        if name == self._stage and not self.done:
            self.done = True
            self._action()


def all_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def material(small, tmp_path):
    """Copies that may be written to, and what is written over them."""
    shutil.copytree(small.footage, tmp_path / "footage")
    shutil.copy(small.music, tmp_path / "track.wav")
    make_clip(tmp_path / "other.mp4", "smptebars=size=160x90:rate=25", 2.5)
    make_track(tmp_path / "other.wav", 5, 150)
    return tmp_path


def overwritten(paths: list[Path], other: Path) -> Callable[[], None]:
    return lambda: [p.write_bytes(other.read_bytes()) for p in paths] and None


def replaced(paths: list[Path], other: Path) -> Callable[[], None]:
    """As an editor does it: a new file, renamed; with the time of the old one."""

    def act() -> None:
        for path in paths:
            status = path.stat()
            new = path.with_suffix(".new")
            new.write_bytes(other.read_bytes() + b"\0" * 8)
            os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
            os.replace(new, path)

    return act


def restore(small, folder: Path) -> None:
    for original in (*small.footage.iterdir(), small.music):
        copy = folder / ("footage" if original.parent == small.footage else "") / original.name
        shutil.copyfile(original, copy)


def job_of(folder: Path, output: str, **more) -> Job:
    return Job(folder / "footage", folder / "track.wav", output=folder / output, **{**SMALL, **more})  # fmt: skip


@pytest.mark.parametrize("change", [overwritten, replaced])
@pytest.mark.parametrize("stage", ["strip", "encode"])
def test_clips_that_change_end_the_job_and_leave_nothing_wrong(
    cluster, small, material, stage, change
):
    clips = sorted((material / "footage").iterdir())
    job = job_of(material, "out.mp4", store=material / "store")
    with pytest.raises(SourceChanged, match="has changed since it was probed") as caught:
        job.run(progress=At(stage, change(clips, material / "other.mp4")))
    assert Path(caught.value.path) in clips
    assert not job.output.exists()
    restore(small, material)
    job.run()
    fresh = job_of(material, "fresh.mp4", store=material / "fresh")
    assert not fresh.run().summary["skipped"]
    assert all_of_pictures(job.output) == all_of_pictures(fresh.output)


def all_of_pictures(path: Path) -> str:
    from montage_dask.render.verify import frames_hash

    return frames_hash(path)


def test_music_that_changes_is_never_cut_by_the_beats_of_another(cluster, small, material):
    job = job_of(material, "out.mp4", store=material / "store")
    change = overwritten([material / "track.wav"], material / "other.wav")
    with pytest.raises(SourceChanged, match=r"track\.wav"):
        job.run(progress=At("audio", change))
    assert not job.output.exists()
    restore(small, material)
    job.run()
    fresh = job_of(material, "fresh.mp4", store=material / "fresh")
    fresh.run()
    # Titles differ.
    sounds = [next(j.spec.store.glob("files/audio/*/*.m4a")) for j in (job, fresh)]
    assert all_of(sounds[0]) == all_of(sounds[1])


def test_a_table_that_changes_is_a_file_that_changes(cluster, material):
    table = "LUT_3D_SIZE 2\n" + "".join(
        f"{r} {g} {b}\n" for b in (0, 1) for g in (0, 1) for r in (0, 1)
    )
    (material / "look.cube").write_text(table)
    (material / "other.cube").write_text(table.replace("1 ", "0.5 "))
    job = job_of(material, "out.mp4", store=material / "store", grade=material / "look.cube")
    change = overwritten([material / "look.cube"], material / "other.cube")
    with pytest.raises(SourceChanged, match=r"look\.cube"):
        job.run(progress=At("encode", change))


def test_other_verbs_leave_the_file_out_by_name(cluster, material):
    clips = sorted((material / "footage").iterdir())
    change = overwritten(clips[:1], material / "other.mp4")
    made = Footage(material / "footage").transcode(
        material / "made", quality="preview", progress=At("transcode", change)
    )
    assert [Path(s["path"]) for s in made.skipped] == clips[:1]
    assert "has changed since it was probed" in made.skipped[0]["reason"]
    assert len(list((material / "made").glob("*.mp4"))) == len(clips) - 1


def test_a_file_is_looked_at_before_and_after(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"12345")
    status = path.stat()
    seen = {"path": str(path), "size_bytes": 5, "mtime_ns": status.st_mtime_ns}
    request = Request("probe", seen, {"path": str(path)})
    sources = Sources(request)
    sources.check()
    # Another file in its place, though as long and as old.
    new = tmp_path / "new"
    new.write_bytes(b"54321")
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(new, path)
    with pytest.raises(SourceChanged):
        sources.check()
    path.write_bytes(b"1234567")
    with pytest.raises(SourceChanged):
        Sources(request)


def test_an_output_that_is_made_again_is_not_a_file_that_changed(cluster, material):
    job = job_of(material, "out.mp4", store=material / "store")
    job.run()
    job.output.write_bytes(b"something else")
    assert job.run().summary["pictures"]
