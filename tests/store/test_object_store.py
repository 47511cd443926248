"""Object stores: copies in the cache of a machine, artefacts and arrays in a bucket, and errors that say what to do."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from s3_server import serving

from montage_dask.errors import MediaError, StoreError, UsageError
from montage_dask.store import Store, Url, objects, writing
from montage_dask.store.arrays import ArraySpec, Rows, chunk_files, create_array, write_rows
from montage_dask.store.cache import Cache, Wanted

KILOBYTE = 1000


@pytest.fixture(scope="module")
def bucket():
    with serving() as made:
        yield made


@pytest.fixture
def fetched(monkeypatch):
    """The URLs that were copied."""
    done, fetch = [], objects.fetch

    def counted(url, path):
        done.append(str(url))
        return fetch(url, path)

    monkeypatch.setattr(objects, "fetch", counted)
    return done


def names(cache: Cache) -> list[str]:
    return sorted(p.suffix for p in cache.folder.iterdir() if p.suffix in (".mp4", ".part"))


def test_a_copy_is_made_once_and_found_without_asking(bucket, tmp_path, fetched):
    url = Url(bucket.write("once.mp4", b"film" * KILOBYTE))
    etag = objects.state_of(url)["etag"]
    cache = Cache(tmp_path, 10 * KILOBYTE)
    together = threading.Barrier(4)

    def use(_):
        together.wait()
        with cache.holding([Wanted(url, etag=etag)]) as copies:
            return copies[url].read_bytes()

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(use, range(4))) == {b"film" * KILOBYTE}
    assert fetched == [str(url)]
    bucket.remove("once.mp4")
    with cache.holding([Wanted(url, etag=etag)]) as copies:
        assert copies[url].suffix == ".mp4"


def test_the_longest_unused_goes_and_what_is_held_stays(bucket, tmp_path, fetched):
    urls = [Url(bucket.write(f"{n}.mp4", bytes([n]) * 4 * KILOBYTE)) for n in range(4)]
    cache = Cache(tmp_path, 12 * KILOBYTE)
    with cache.holding([Wanted(urls[0])]) as copies:
        for url in urls[1:]:
            with cache.holding([Wanted(url)]):
                assert cache.size_bytes() <= 12 * KILOBYTE
        assert copies[urls[0]].read_bytes() == bytes(4 * KILOBYTE)
    with cache.holding([Wanted(urls[0]), Wanted(urls[3])]):
        assert len(fetched) == 4
    with cache.holding([Wanted(urls[1])]):  # it had to go for the last one
        assert len(fetched) == 5


def test_what_does_not_fit_is_refused(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr("montage_dask.store.cache.ROOM_SECONDS", 0)
    urls = [Url(bucket.write(f"large{n}.mp4", bytes(4 * KILOBYTE))) for n in range(2)]
    with pytest.raises(StoreError, match="raise DASK_MONTAGE__CACHE_LIMIT"):
        Cache(tmp_path, KILOBYTE).holding([Wanted(urls[0])]).__enter__()
    cache = Cache(tmp_path, 5 * KILOBYTE)
    with pytest.raises(StoreError, match="needed at the same time"):
        cache.holding([Wanted(u) for u in urls]).__enter__()
    with cache.holding([Wanted(urls[0])]), pytest.raises(StoreError, match="copies in use"):
        cache.holding([Wanted(urls[1])]).__enter__()
    monkeypatch.setattr("montage_dask.store.cache.SPARE_BYTES", 1 << 60)
    with pytest.raises(StoreError, match="free some space"):
        Cache(tmp_path / "full", 5 * KILOBYTE).holding([Wanted(urls[1])]).__enter__()


def test_changed_and_vanished_objects_are_told(bucket, tmp_path):
    url = Url(bucket.write("changing.mp4", b"first"))
    cache = Cache(tmp_path, KILOBYTE)
    etag = objects.state_of(url)["etag"]
    with cache.holding([Wanted(url)]) as copies:
        first = copies[url]
    bucket.write("changing.mp4", b"other")
    with pytest.raises(MediaError, match="has changed while the job ran"):
        Cache(tmp_path / "b", KILOBYTE).holding([Wanted(url, etag=etag)]).__enter__()
    with pytest.raises(MediaError, match="has changed while the job ran"):
        cache.holding([Wanted(url, identity="0" * 32)]).__enter__()
    with cache.holding([Wanted(url)]) as copies:
        assert copies[url] != first
        assert copies[url].read_bytes() == b"other"
    bucket.remove("changing.mp4")
    with pytest.raises(MediaError, match="is no longer there"):
        cache.holding([Wanted(url)]).__enter__()


KILLED = """
import sys, time
from pathlib import Path
from montage_dask.store import Url, objects
from montage_dask.store.cache import Cache, Wanted

def half(url, path):
    path.write_bytes(b"x" * 2000)
    print("half", flush=True)
    time.sleep(600)

objects.fetch = half
with Cache(Path(sys.argv[1]), 6000).holding([Wanted(Url(sys.argv[2]))]):
    pass
"""


def test_a_killed_copy_never_counts(bucket, tmp_path):
    url = Url(bucket.write("killed.mp4", b"whole" * 800))
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path), str(url)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    cache = Cache(tmp_path, 6 * KILOBYTE)
    assert names(cache) == [".part"]
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    # Its room is free again, and so is its lock.
    with cache.holding([Wanted(url)]) as copies:
        assert copies[url].read_bytes() == b"whole" * 800
    assert names(cache) == [".mp4"]


def test_scratch_of_a_dead_process_is_removed(tmp_path):
    cache = Cache(tmp_path, KILOBYTE)
    (tmp_path / "work" / "dead").mkdir(parents=True)
    (tmp_path / "work" / "dead.lock").touch()
    with cache.scratch() as mine, cache.scratch() as other:
        assert {p.name for p in (tmp_path / "work").iterdir() if p.is_dir()} == {
            mine.name,
            other.name,
        }
    assert not list((tmp_path / "work").iterdir())


def test_artefacts_in_a_bucket(bucket):
    store = Store(Url(f"{bucket.url}/store"))
    assert store.load("op", "ab12") is None
    store.save("op", "ab12", {"n": 1})
    assert Store(store.root).had("op", "ab12")
    assert not Store(store.root).had("op", "cd34")
    assert store.load("op", "ab12") == {"n": 1}
    store.forget("op", "ab12")
    store.forget("op", "ab12")
    assert store.load("op", "ab12") is None


def test_an_upload_that_fails_leaves_what_was_there(bucket):
    url = Url(f"{bucket.url}/out.txt")
    with writing(url) as part:
        part.write_text("first")
    with pytest.raises(ZeroDivisionError), writing(url) as part:
        part.write_text(f"half {1 / 0}")
    assert bucket.read("out.txt") == b"first"


def test_arrays_in_a_bucket_are_zarr(bucket, tmp_path):
    import zarr
    from zarr.storage import FsspecStore

    folder = Url(f"{bucket.url}/strip.zarr")
    rows = np.arange(250 * 2, dtype="uint16").reshape(250, 2)
    for _ in range(2):
        create_array(folder, "numbers", ArraySpec((250, 2), "uint16", 100))
    for start in (0, 200):
        write_rows(folder, "numbers", start, rows[start : start + 100])
    read = Rows(folder, "numbers")
    assert (read.read(210, 240) == rows[210:240]).all()
    with pytest.raises(StoreError, match="missing"):
        read.read(90, 110)
    write_rows(folder, "numbers", 100, rows[100:200])
    assert (read.read(0, 250) == rows).all()
    files = chunk_files(folder, "numbers", 150, 210, tmp_path)
    assert sorted(files) == ["numbers/c/1/0", "numbers/c/2/0", "numbers/zarr.json"]
    assert all(p.is_file() for p in files.values())
    whole = zarr.open_array(FsspecStore.from_url(f"{folder}/numbers"), mode="r")
    assert (whole[:] == rows).all()


@pytest.mark.parametrize(
    ("url", "environment", "said"),
    [
        ("s3://nowhere/a.mp4", {}, "there is no bucket nowhere"),
        ("{bucket}/none.mp4", {}, "it does not exist"),
        (
            "{bucket}/a.mp4",
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            "no credentials: set AWS_ACCESS_KEY_ID",
        ),
        ("{bucket}/a.mp4", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "cannot be reached"),
    ],
)
def test_errors_say_what_to_do(bucket, monkeypatch, url, environment, said):
    import s3fs

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        with pytest.raises(StoreError, match=said):
            objects.state_of(Url(url.format(bucket=bucket.url)))
    finally:
        s3fs.S3FileSystem.clear_instance_cache()


def test_a_missing_package_is_named(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == "gcsfs" else find(n))
    with pytest.raises(UsageError, match=r"pip install 'montage-dask\[gcs\]'"):
        objects.state_of(Url("gs://bucket/a"))


def test_what_a_pattern_names(bucket):
    from montage_dask.media.discover import discover

    for key in ("d/clip10.mp4", "d/clip2.MP4", "d/a.txt", "d/.b.mp4", "d/x.montage/s.jpg"):
        bucket.write(key, b"x")
    found, skipped = discover([f"{bucket.url}/d/"])
    assert [Path(str(c.path)).name for c in found] == ["clip2.MP4", "clip10.mp4"]
    assert not skipped
    assert found[0].state == objects.state_of(Url(f"{bucket.url}/d/clip2.MP4"))
    found, _ = discover([f"{bucket.url}/d/clip1*.mp4", f"{bucket.url}/d/a.txt"])
    assert [c.path.name for c in found] == ["clip10.mp4", "a.txt"]
    assert all(c.explicit for c in found)
    _, skipped = discover([f"{bucket.url}/none", "s3://nowhere/d"])
    assert "does not exist" in skipped[0].reason
    assert "there is no bucket nowhere" in skipped[1].reason


def test_the_cache_is_private(tmp_path):
    cache = Cache(tmp_path / "cache", KILOBYTE)
    with cache.scratch():
        assert os.stat(cache.folder).st_mode & 0o077 == 0
