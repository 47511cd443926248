"""A reader sees a whole artefact or none, whoever writes and whenever they die."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import montage_dask
from montage_dask.errors import StoreError
from montage_dask.store import Store, key_of, write_json, writing
from montage_dask.store.artefacts import free_bytes, storage_error

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(montage_dask.__file__).parents[1])}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(parameters=st.dictionaries(st.text(), JSON, max_size=4))
def test_keys_depend_on_all_and_only_on_content(parameters):
    key = key_of("probe", 1, parameters)
    assert len(key) == 32
    assert int(key, 16) >= 0
    assert key_of("probe", 1, dict(reversed(parameters.items()))) == key
    assert key_of("probe", 1, json.loads(json.dumps(parameters))) == key
    assert len({key, key_of("probe", 2, parameters), key_of("prob", 1, parameters)}) == 3
    assert key_of("probe", 1, {**parameters, "more": 1, "than": []}) != key


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), {1, 2}, b"x"])
def test_what_is_no_json_has_no_key(wrong):
    with pytest.raises((TypeError, ValueError)):
        key_of("probe", 1, {"x": wrong})


def test_names_that_are_not_utf8_have_keys():
    assert key_of("probe", 1, {"path": os.fsdecode(b"\xe9")})


def test_records_come_back(tmp_path):
    store = Store(tmp_path / "run")
    assert store.load("probe", "ab" * 16) is None
    store.save("probe", "ab" * 16, {"text": "Grüße\ud800", "list": [1, None, 2.5]})
    assert store.load("probe", "ab" * 16) == {"text": "Grüße\ud800", "list": [1, None, 2.5]}
    assert store.load("other", "ab" * 16) is None
    assert "run" in repr(store)


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b'{"a": 1',
        b"[1]",
        b"null",
        b"\xff\xfe",
        b"\0" * 64,
        b"[" * 100_000,
        b"9" * 10_000,
    ],
    ids=range(9),
)
def test_a_damaged_record_counts_as_none_and_is_replaced(tmp_path, damage):
    store = Store(tmp_path)
    key = key_of("x", 1, {})
    store.save("x", key, {"a": 1})
    store.record_path("x", key).write_bytes(damage)
    assert store.load("x", key) is None
    store.save("x", key, {"a": 2})
    assert store.load("x", key) == {"a": 2}


def test_a_failed_writer_leaves_what_was_there(tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="mine"), writing(path) as part:  # noqa: PT012
        part.write_bytes(b"half")
        raise RuntimeError("mine")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file.bin"]


def test_the_suffix_is_kept_and_long_names_fit(tmp_path):
    path = tmp_path / ("n" * 240 + ".mp4")
    with writing(path) as part:
        assert part.suffix == ".mp4"
        assert part.parent == tmp_path
        part.write_bytes(b"x")
    assert path.read_bytes() == b"x"
    wide = tmp_path / ("🎬" * 60 + ".mp4")  # 240 bytes
    with writing(wide) as part:
        part.write_bytes(b"x")
    assert wide.exists()


def test_errors_that_are_not_about_the_output_are_not_disguised(tmp_path):
    with pytest.raises(FileNotFoundError), writing(tmp_path / "out"):
        open(tmp_path / "input that is gone")  # noqa: SIM115
    assert not os.listdir(tmp_path)


WRITER = """
import sys, time
from pathlib import Path
from montage_dask.store import writing
path = Path(sys.argv[1])
n = 0
print("ready", flush=True)
while True:
    n += 1
    with writing(path) as part, part.open("wb") as file:
        for _ in range(64):
            file.write(bytes([n % 256]) * 4096)
"""


def test_a_killed_writer_never_shows_half_a_file(tmp_path):
    path = tmp_path / "deep" / "file.bin"
    for delay in (0.02, 0.05, 0.09):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, env=ENVIRONMENT
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        end = time.monotonic() + delay
        while time.monotonic() < end or not path.exists():
            if path.exists():
                assert _whole(path.read_bytes())
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        assert _whole(path.read_bytes())


def _whole(data: bytes) -> bool:
    return len(data) == 64 * 4096 and len(set(data)) == 1


def test_concurrent_writers_and_readers_of_one_record(tmp_path):
    store = Store(tmp_path)
    key = key_of("x", 1, {})
    store.save("x", key, {"writer": 0, "padding": "p" * 5000})

    def work(number):
        for _ in range(40):
            store.save("x", key, {"writer": number, "padding": "p" * 5000})
            found = store.load("x", key)
            assert found is not None
            assert len(found["padding"]) == 5000

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert not list(tmp_path.rglob("*.part*"))


def test_a_full_disk_is_told(tmp_path):
    with (
        pytest.raises(StoreError, match=r"disk is full.*run again") as caught,
        writing(tmp_path / "x.bin"),
        open("/dev/full", "wb", buffering=0) as file,
    ):
        file.write(b"x")
    assert "\n" not in str(caught.value)
    assert not os.listdir(tmp_path)


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="not a folder"):
        write_json(tmp_path / "file" / "x.json", {})
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="cannot write"):
        write_json(tmp_path / "folder", {})
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody without permission")
def test_no_permission(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from montage_dask.store import Store\n"
        "from montage_dask.errors import StoreError\n"
        "os.seteuid(65534)\n"
        "try: Store(Path(sys.argv[1])).save('x', 'ab' * 16, {})\n"
        "except StoreError as e: print(e)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, "/montage-run"],
        env=ENVIRONMENT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "no permission to write: choose another" in found.stdout


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
def test_every_cause_has_a_line(code):
    error = storage_error(Path("/a\nb"), OSError(code, os.strerror(code)))
    assert str(error).startswith("cannot write /a\\nb: ")
    assert "\n" not in str(error)


def test_free_space_of_a_folder_that_is_not_there_yet(tmp_path):
    assert free_bytes(tmp_path / "a" / "b") > 0
