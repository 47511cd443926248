"""Artefacts that a power cut or a bad disk has changed: the same montage again, and no clip is blamed."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from made_small import SMALL

from montage_dask import Footage, Job
from montage_dask.errors import StoreError
from montage_dask.graph import operation as room
from montage_dask.graph import rendering
from montage_dask.graph.operation import Request
from montage_dask.store import Store

pytestmark = pytest.mark.job


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    """200 bytes in the middle, or all of a smaller file; as long as before."""
    data = bytearray(path.read_bytes())
    begin = max(0, len(data) // 2 - 100)
    for at in range(begin, min(len(data), begin + 200)):
        data[at] ^= 0x55
    path.write_bytes(data)


def remove(path: Path) -> None:
    path.unlink()


def all_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def whole(small, cluster, tmp_path_factory):
    """A finished montage with its store, and the hash of its file."""
    folder = tmp_path_factory.mktemp("whole")
    job = Job(small.footage, small.music, output=folder / "out.mp4", **SMALL)
    assert not job.run().summary["skipped"]
    return job, all_of(folder / "out.mp4")


def artefacts(store: Path) -> dict[str, Path]:
    """One of each kind."""
    found = {
        "segment": "files/encode/*/*.mp4",
        "sound": "files/audio/*/*.m4a",
        "index": "files/probe/*/*.npz",
        "thumbnails": "files/strip/*/*.zarr/thumbnails/c/0/0/0/0",
        "description": "files/strip/*/*.zarr/scalars/zarr.json",
        "record": "records/beats/*/*.json",
    }
    return {name: sorted(store.glob(pattern))[0] for name, pattern in found.items()}


@pytest.mark.parametrize("lazily", [False, True], ids=["small", "large"])
@pytest.mark.parametrize("damage", [empty, cut, flip, remove])
def test_what_is_damaged_is_made_again(whole, monkeypatch, damage, lazily):
    """Of large files only the size is looked at, until they are read: here no file is small."""
    job, expected = whole
    if lazily:
        monkeypatch.setattr(room, "SMALL_BYTES", -1)
    job.output.unlink()
    # Shots are found again from the strip, whose own records say that it is there.
    shutil.rmtree(job.spec.store / "records" / "shots")
    for path in artefacts(job.spec.store).values():
        damage(path)
    again = job.run()
    assert again.summary["skipped"] == []
    assert all_of(job.output) == expected
    assert [p for p in job.spec.store.rglob(".*") if p.is_file()] == []


@pytest.mark.parametrize("damage", [empty, cut, flip, remove])
def test_an_output_that_is_damaged_is_made_again(whole, damage):
    job, expected = whole
    damage(job.output)
    job.run()
    assert all_of(job.output) == expected


def test_what_is_there_is_not_made_again(whole):
    job, _ = whole
    before = {p: p.stat().st_mtime_ns for p in (job.spec.store / "files").rglob("*") if p.is_file()}
    again = job.run()
    assert sum(o["count"] for o in again.summary["operations"]) == 0
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_records_from_before_that_carry_no_hashes_are_made_again(whole):
    job, expected = whole
    for path in (job.spec.store / "records").rglob("*.json"):
        record = json.loads(path.read_text())
        path.write_text(json.dumps({k: v for k, v in record.items() if k not in ("checksum", "files", "outputs")}))  # fmt: skip
    again = job.run()
    assert sum(o["reused"] for o in again.summary["operations"]) == 0
    assert all_of(job.output) == expected


def test_a_number_that_changed_in_a_record_is_seen(tmp_path):
    store = Store(tmp_path)
    store.save("shots", "ab" * 16, {"start_frame": 120, "more": {1: 2.5}})
    assert store.load("shots", "ab" * 16) == {"start_frame": 120, "more": {"1": 2.5}}
    path = store.record_path("shots", "ab" * 16)
    path.write_text(path.read_text().replace("120", "128"))
    assert store.load("shots", "ab" * 16) is None


def test_pieces_of_effects_and_stills(small, cluster, tmp_path):
    """A mezzanine is read by the encoder; stills are outputs."""
    options = {**SMALL, "duration": 2, "stabilise": "on"}
    job = Job(small.footage / "stars.mp4", small.music, output=tmp_path / "out.mp4", **options)
    job.run()
    expected = all_of(job.output)
    made = [*job.spec.store.glob("files/stabilise/*/*.mp4"), *job.spec.store.glob("files/path/*/*.npz")]  # fmt: skip
    assert made, "nothing was steadied: the test needs other footage"
    for path in made:
        flip(path)
    job.output.unlink()
    shutil.rmtree(job.spec.store / "records" / "encode")
    job.run()
    assert all_of(job.output) == expected
    Footage(small.footage / "stars.mp4").frames(tmp_path / "stills", every=1)
    still = Path(next(iter(sorted(tmp_path.glob("stills/*/*.jpg")))))
    before = all_of(still)
    empty(still)
    Footage(small.footage / "stars.mp4").frames(tmp_path / "stills", every=1)
    assert all_of(still) == before


def test_files_stand_on_the_disk_before_their_record(tmp_path, monkeypatch):
    """What is brought to the disk, in order: the file, its folder, the record, its folder."""
    import os

    flushed: list[str] = []
    real = os.fsync

    def told(handle: int) -> None:
        flushed.append(os.readlink(f"/proc/self/fd/{handle}"))
        real(handle)

    def write(request, context):
        path = context.file(request, ".txt")
        path.parent.mkdir(parents=True)
        path.write_text("x")
        return {}

    monkeypatch.setattr(room, "_REGISTRY", dict(room._REGISTRY))
    room.register(room.Operation("write", "media.probe", write, files=(".txt",)))
    monkeypatch.setattr(os, "fsync", told)
    request = Request("write", {"n": 1})
    room.perform(request, Store(tmp_path))
    file = f"{tmp_path}/files/write/{request.key[:2]}/{request.key}.txt"
    record = next(n for n, f in enumerate(flushed) if "/records/" in f)
    assert flushed.index(file) < flushed.index(str(Path(file).parent)) < record
    assert flushed[-1].endswith(f"records/write/{request.key[:2]}")


def test_a_store_that_is_gone_when_the_client_reads_it_is_named(
    whole, small, monkeypatch, tmp_path
):
    """What the client reads itself: the index of a clip whose strips are missing."""
    job, digest = whole
    store, output = tmp_path / "store", tmp_path / "out.mp4"
    shutil.copytree(job.output.parent / ".montage", store)
    again = Job(small.footage, small.music, output=output, store=store, **SMALL)
    make = rendering._make_strips

    def removed(*arguments: object) -> None:
        shutil.rmtree(store)
        make(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(rendering, "_make_strips", removed)
        with pytest.raises(StoreError, match=r"\.npz: No such file"):
            again.run()
    assert not output.exists()
    again.run()
    assert all_of(output) == digest
