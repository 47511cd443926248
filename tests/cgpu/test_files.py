"""Files arrive whole, whatever is in them, whatever they are called, and whatever happens on the way."""

from __future__ import annotations

import gzip
import hashlib
import os
import resource
import threading
from pathlib import Path

import pytest
from driving import Counted

from montage_dask.cgpu import chunks, files
from montage_dask.cgpu.runtime import Runtime
from montage_dask.errors import (
    RemoteCommandFailed,
    RemoteError,
    RuntimeLost,
    StoreError,
    TransferCorrupt,
    UsageError,
)

pytestmark = pytest.mark.cgpu

MEGABYTE = 1 << 20
NAMES = [
    "plain",
    "-rf",
    "two words",
    "qu'o\"te",
    "line\nbreak",
    "tab\tand!bang!$HOME`id`",
    "emoji \U0001f3ac é",
    "a" * 200,
    "*",
]


def made(path: Path, size: int, seed: int = 0) -> Path:
    """A file that does not compress."""
    import random

    path.write_bytes(random.Random(seed).randbytes(size))
    return path


def test_names(work, tmp_path):
    """One file whose name, folder and remote name have everything; the others go in one call, see below."""
    _, runtime = work
    name = "-rf 'qu\"ote\nline\tbreak !bang!$HOME`id` *\U0001f3ac"
    source = made(tmp_path / name, 1000)
    runtime.put(source, f"in/{name}/{name}")
    there = Path(runtime.folder) / "in" / name / name
    assert there.read_bytes() == source.read_bytes()
    runtime.get(str(there), tmp_path / "back" / name)
    assert (tmp_path / "back" / name).read_bytes() == source.read_bytes()
    assert [p.name for p in (tmp_path / "back").iterdir()] == [name]


@pytest.mark.parametrize(
    ("size", "up"),
    [(0, 1), (MEGABYTE, 2), (4 * MEGABYTE + 1, 7)],
)
def test_sizes_and_processes(work, tmp_path, size, up):
    """Up: one process per chunk and one to join, from 4 MiB on one to ask before. Down: one."""
    _, runtime = work
    source = made(tmp_path / "source", size, size)
    with Counted(runtime.runner) as counted:
        runtime.put(source, f"size-{size}")
    assert counted.started == up
    with Counted(runtime.runner) as counted:
        runtime.get(f"size-{size}", tmp_path / "back")
    assert counted.started == 1
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    assert not list(Path(runtime.folder, "parts").iterdir())


def test_what_compresses_is_compressed(work, tmp_path):
    colab, runtime = work
    source = tmp_path / "text"
    source.write_bytes(b"".join(b"%d lines of text\n" % i for i in range(150_000)))
    transfer = chunks.cut(source, MEGABYTE)
    assert (transfer.packer, transfer.count) == ("gzip", 3)
    before = len(colab.requests)
    runtime.put(source, "text")
    sent = [r for r in colab.requests[before:] if r.method == "PUT"]
    assert len(sent) == 3
    runtime.get("text", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    # Of the same bytes, the same chunks.
    with chunks.chunk_file(source, transfer, 1) as (one, digest):
        assert gzip.decompress(one.read_bytes()) == source.read_bytes()[MEGABYTE : 2 * MEGABYTE]
    with chunks.chunk_file(source, transfer, 1) as (_, again):
        assert digest == again


def test_a_broken_upload_goes_on(work, tmp_path):
    colab, runtime = work
    source = made(tmp_path / "source", 4 * MEGABYTE, 1)
    colab.knobs.contents_limit = 10  # 413 on everything
    with pytest.raises(RemoteError, match="cgpu-chunk-megabytes"):
        runtime.put(source, "broken")
    colab.knobs.reset()
    transfer = chunks.cut(source, MEGABYTE)
    for index in (0, 1, 3):
        with chunks.chunk_file(source, transfer, index) as (chunk, _):
            runtime.upload(chunk, f"parts/{transfer.id}.{index:05d}")
    there = Path(runtime.folder, "parts", f"{transfer.id}.00001")
    there.write_bytes(there.read_bytes()[:-1] + b"?")
    with Counted(runtime.runner) as counted:
        runtime.put(source, "broken")
    assert (
        counted.started == 1 + 2 + 1
    )  # the question, the damaged one and the one that lacks, the join
    assert Path(runtime.folder, "broken").read_bytes() == source.read_bytes()
    with Counted(runtime.runner) as counted:
        runtime.put(source, "broken")
    assert counted.started == 1  # it is there


def test_chunks_that_arrive_changed_are_sent_again(work, tmp_path):
    colab, runtime = work
    source = made(tmp_path / "source", 2 * MEGABYTE, 2)
    colab.knobs.for_next(1, corrupt_uploads=True)
    with Counted(runtime.runner) as counted:
        runtime.put(source, "changed")
    assert counted.started == 2 + 1 + 1 + 1
    assert Path(runtime.folder, "changed").read_bytes() == source.read_bytes()
    colab.knobs.corrupt_uploads = True
    with pytest.raises(TransferCorrupt, match="arrived changed 3 times"):
        runtime.put(made(tmp_path / "other", 1000, 3), "never")
    assert not Path(runtime.folder, "never").exists()


def test_a_flaky_upload_is_tried_again(work, tmp_path):
    colab, runtime = work
    source = made(tmp_path / "source", 1000, 4)
    colab.knobs.for_next(1, contents_status=500)
    runtime.put(source, "flaky")
    assert Path(runtime.folder, "flaky").read_bytes() == source.read_bytes()


def test_a_broken_download_goes_on(work, tmp_path):
    colab, runtime = work
    data = made(Path(runtime.folder, "down"), 6 * MEGABYTE, 5).read_bytes()
    colab.knobs.for_next(1, ws_drop_after_chars=4_500_000)
    with Counted(runtime.runner) as counted:
        runtime.get("down", tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == data
    assert counted.started <= 3  # cut, perhaps a new start of the line, and the rest

    # The client dies instead: what it left is used.
    part = tmp_path / "later"
    colab.knobs.set(ws_drop_after_chars=3_000_000)
    with pytest.raises(RemoteError):
        files_get_once(runtime, "down", part)
    colab.knobs.reset()
    left = [p for p in tmp_path.iterdir() if p.name.endswith(".part")]
    assert len(left) == 1
    kept = left[0].read_bytes()
    assert len(kept) in (MEGABYTE, 2 * MEGABYTE)  # whole blocks, as many as had arrived
    assert data.startswith(kept)
    sent = []
    stream = runtime.stream
    runtime.stream = lambda script, *rest: sent.append(script) or stream(script, *rest)
    try:
        runtime.get("down", part)
    finally:
        del runtime.stream
    assert f" {len(kept)} " in sent[0]
    assert part.read_bytes() == data
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".part")]


def files_get_once(runtime: Runtime, remote: str, local: Path) -> None:
    """A get that gives up at the first cut."""
    tries, files.TRIES = files.TRIES, 1
    passing, files.passing = files.passing, lambda error: False
    try:
        runtime.get(remote, local)
    finally:
        files.TRIES, files.passing = tries, passing


def test_a_download_with_changed_bytes_is_mended(work, tmp_path):
    colab, runtime = work
    data = made(Path(runtime.folder, "bits"), 3 * MEGABYTE, 6).read_bytes()
    colab.knobs.for_next(2, corrupt_downloads=True)
    colab.knobs.corrupt_downloads_after = 2_000_000
    runtime.get("bits", tmp_path / "bits")
    assert (tmp_path / "bits").read_bytes() == data
    colab.knobs.set(corrupt_downloads=True, corrupt_downloads_after=3000)
    with pytest.raises(TransferCorrupt):
        runtime.get("bits", tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_a_file_that_changed_meanwhile_is_fetched_anew(work, tmp_path):
    colab, runtime = work
    source = made(Path(runtime.folder, "moving"), 3 * MEGABYTE, 7)
    colab.knobs.set(ws_drop_after_chars=2_500_000)
    with pytest.raises(RemoteError):
        files_get_once(runtime, "moving", tmp_path / "moving")
    colab.knobs.reset()
    data = made(source, 3 * MEGABYTE, 8).read_bytes()
    runtime.get("moving", tmp_path / "moving")
    assert (tmp_path / "moving").read_bytes() == data


def test_what_is_not_there(work, tmp_path):
    _, runtime = work
    with pytest.raises(RemoteCommandFailed, match="no such file: no"):
        runtime.get("no", tmp_path / "no")
    with pytest.raises(RemoteCommandFailed, match="no such file"):
        runtime.get("parts", tmp_path / "no")  # a folder
    with pytest.raises(UsageError, match="no such file"):
        runtime.put(tmp_path / "none", "x")
    with pytest.raises(UsageError):
        runtime.put(made(tmp_path / "a", 1), "")
    with pytest.raises(RemoteError, match="no file can be there"):
        runtime.put(made(tmp_path / "a", 1), "parts")
    with pytest.raises((StoreError, UsageError)):
        runtime.get("no", tmp_path)


def test_a_machine_that_is_lost_on_the_way(work, tmp_path):
    colab, runtime = work
    source = made(tmp_path / "source", 3 * MEGABYTE, 9)
    colab.knobs.latency = 0.1
    threading.Timer(1.0, colab.lose_runtime).start()
    with pytest.raises(RuntimeLost):
        _to_and_fro(runtime, source, tmp_path / "lost")
    colab.knobs.reset()
    runtime.put(source, "lost")
    assert Path(runtime.folder, "lost").read_bytes() == source.read_bytes()


def _to_and_fro(runtime: Runtime, source: Path, back: Path) -> None:
    while True:
        runtime.put(source, "lost")
        runtime.get("lost", back)


def test_many_small_files(work, tmp_path):
    _, runtime = work
    folder = Path(runtime.folder, "many")
    folder.mkdir(exist_ok=True)
    for i, name in enumerate(NAMES):
        made(folder / name, 100 + i, i)
    with Counted(runtime.runner) as counted:
        found = runtime.get_many([f"many/{name}" for name in NAMES], tmp_path / "many")
    assert counted.started <= 2
    assert [p.name for p in found] == NAMES
    assert all(p.read_bytes() == (folder / p.name).read_bytes() for p in found)
    with pytest.raises(RemoteCommandFailed, match="none"):
        runtime.get_many(["many/none"], tmp_path / "many")
    with pytest.raises(UsageError):
        runtime.get_many(["a/x", "b/x"], tmp_path)


def test_two_fetch_the_same_file_at_once(work, tmp_path):
    _, runtime = work
    data = made(Path(runtime.folder, "both"), 2 * MEGABYTE, 10).read_bytes()
    threads = [
        threading.Thread(target=runtime.get, args=("both", tmp_path / "both")) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [p.name for p in tmp_path.iterdir()] == ["both"]
    assert (tmp_path / "both").read_bytes() == data


def test_a_large_file_comes_in_one_call_and_is_not_held(shared_runtime, tmp_path):
    _, runtime = shared_runtime
    runtime = Runtime(runtime.runner, runtime.folder, install="off", call_seconds=60)
    runtime.ensure()
    size = 30 * MEGABYTE
    block = os.urandom(MEGABYTE)
    with open(Path(runtime.folder, "large"), "wb") as file:
        file.writelines(block for _ in range(size // MEGABYTE))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Counted(runtime.runner) as counted:
        runtime.get("large", tmp_path / "large")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert counted.started == 1
    assert (
        hashlib.sha256((tmp_path / "large").read_bytes()).digest()
        == hashlib.sha256(Path(runtime.folder, "large").read_bytes()).digest()
    )
    assert grown < 80 << 10
