"""The seam: operations see paths, requests and records name objects, whatever the store is."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import pytest
from s3_server import serving

from montage_dask.errors import MediaError
from montage_dask.graph import operation as room
from montage_dask.graph import staging
from montage_dask.graph.operation import Operation, Request, finished, perform, register
from montage_dask.graph.staging import perform_staged
from montage_dask.store import Store, Url, objects, writing
from montage_dask.store.cache import Cache

RUNS: list[Path] = []


def _copy(request, context):
    """Reads its source, makes an artefact and an output, and tells what it has seen."""
    source = Path(request.paths["source"]["path"])
    RUNS.append(source)
    data = source.read_bytes()
    if data == b"bad":
        raise MediaError(str(source), "is damaged")
    with writing(context.file(request, ".bin")) as part:
        part.write_bytes(data.upper())
    output = Path(request.paths["output"])
    output.write_bytes(data * 2)
    return {"path": str(source), "output": str(output), **objects.state_of(output)}


@pytest.fixture(scope="module")
def bucket():
    with serving() as made:
        yield made


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    cache = Cache(tmp_path / "cache", 10_000)
    monkeypatch.setattr(staging, "machine_cache", lambda: cache)
    monkeypatch.setattr(room, "_REGISTRY", dict(room._REGISTRY))
    register(Operation("copy", "media.probe", _copy, files=(".bin",), outputs=("output",)))
    RUNS.clear()
    return cache


def request(url: str, data: bytes, output: str) -> Request:
    identity = hashlib.sha256(data).hexdigest()[:32]
    return Request(
        "copy",
        {"identity": identity, "output": output},
        {"source": {"path": url, "identity": identity}, "output": output},
    )


@pytest.mark.parametrize("far", [True, False], ids=["store in the bucket", "store here"])
def test_objects_in_and_objects_out(bucket, tmp_path, machine, far):
    url = bucket.write("a.mp4", b"film")
    output = f"{bucket.url}/{far}/out.mp4"
    store = Store(Url(f"{bucket.url}/store") if far else tmp_path / "store")
    wanted = request(url, b"film", output)
    record = perform_staged(wanted, store, perform)
    assert (record["path"], record["output"]) == (url, output)
    assert objects.state_of(Url(output)).items() <= record.items()
    assert bucket.read(f"{far}/out.mp4") == b"filmfilm"
    made = store.file("copy", wanted.key, ".bin")
    assert objects.read(made) == b"FILM"
    assert finished(wanted, store) == record
    assert perform_staged(wanted, store, perform) == record
    assert len(RUNS) == 1
    assert RUNS[0].is_relative_to(machine.folder)
    assert not list((machine.folder / "work").iterdir())


def test_what_is_local_is_left_alone(tmp_path, machine):
    source, output = tmp_path / "a.mp4", tmp_path / "out.mp4"
    source.write_bytes(b"film")
    record = perform_staged(
        request(str(source), b"film", str(output)), Store(tmp_path / "s"), partial(perform)
    )
    assert record["path"] == str(source)
    assert not machine.folder.exists()


def test_what_is_wrong_with_an_object_is_told_of_the_object(bucket, tmp_path):
    store = Store(tmp_path / "store")
    url = bucket.write("b.mp4", b"bad")
    output = f"{bucket.url}/b/out.mp4"
    with pytest.raises(MediaError, match="is damaged") as failed:
        perform_staged(request(url, b"bad", output), store, perform)
    assert failed.value.path == url
    with pytest.raises(MediaError, match="has changed while the job ran") as failed:
        perform_staged(request(url, b"what the probe has seen", output), store, perform)
    assert failed.value.path == url
    bucket.remove("b.mp4")
    with pytest.raises(MediaError, match="is no longer there"):
        perform_staged(request(url, b"gone", output), store, perform)
    assert not bucket.keys("b")
