"""Files: `copy` up, base64 through `run` down, and how each breaks."""

from __future__ import annotations

import base64
import os
import resource
import time
from pathlib import Path

import pytest
from calling import Cgpu
from colab import Colab

pytestmark = pytest.mark.cgpu


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_text("hello\n")
    return path


def test_copy_says_what_it_did(cgpu: Cgpu, colab: Colab, source: Path) -> None:
    target = colab.root() / "b é.txt"
    ended = cgpu("copy", str(source), str(target))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [
        "Authenticated as Me <me@example.com>",
        f"Uploaded: a.txt → {target} (6 B)",
    ]
    assert target.read_text() == "hello\n"


def test_copy_overwrites(cgpu: Cgpu, colab: Colab, source: Path) -> None:
    target = str(colab.root() / "b.txt")
    for text in ("first", "second"):
        source.write_text(text)
        assert cgpu("copy", str(source), target).returncode == 0
    assert Path(target).read_text() == "second"
    assert [each.status for each in colab.requests if each.method == "PUT"] == [201, 200]


def test_the_default_target_is_content(cgpu: Cgpu, colab: Colab, source: Path) -> None:
    cgpu("copy", str(source))
    assert [each.path for each in colab.requests if each.method == "PUT"] == [
        "/api/contents/content/a.txt"
    ]


def test_dots_and_backslashes_in_the_target(cgpu: Cgpu, colab: Colab, source: Path) -> None:
    cgpu("copy", str(source), r"../..\x")
    assert [each.path for each in colab.requests if each.method == "PUT"] == ["/api/contents/x"]


def test_parents_are_not_made(cgpu: Cgpu, colab: Colab, source: Path) -> None:
    ended = cgpu("copy", str(source), str(colab.root() / "no" / "such.txt"))
    assert ended.returncode == 1
    assert ended.stderr.startswith("Upload failed (500 Internal Server Error): {")
    assert "No such file or directory" in ended.stderr


def test_outside_the_machine_is_forbidden(
    cgpu: Cgpu, colab: Colab, source: Path, tmp_path: Path
) -> None:
    ended = cgpu("copy", str(source), str(tmp_path / "outside"))
    assert ended.stderr.startswith("Upload failed (403 Forbidden): ")
    assert not (tmp_path / "outside").exists()


def test_a_body_that_is_too_large(cgpu: Cgpu, colab: Colab, source: Path) -> None:
    colab.knobs.contents_limit = 10
    ended = cgpu("copy", str(source), str(colab.root() / "b"))
    assert ended.returncode == 1
    assert ended.stderr.startswith("Upload failed (413 Request Entity Too Large): ")


def test_sources_that_cannot_be_sent(cgpu: Cgpu, colab: Colab, tmp_path: Path) -> None:
    ended = cgpu("copy", str(tmp_path / "missing"), "/x")
    text = f"ENOENT: no such file or directory, stat '{tmp_path / 'missing'}'"
    assert (ended.returncode, ended.stderr.strip()) == (1, text)
    ended = cgpu("copy", str(tmp_path), "/x")
    assert (ended.returncode, ended.stderr.strip()) == (1, f"Cannot upload {tmp_path}: not a file.")
    assert ended.stdout == "Authenticated as Me <me@example.com>\n"
    assert colab.count("POST", "/tun/m/assign") == 1  # the runtime came first


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (403 << 20, "Cannot create a string longer than 0x1fffffe8 characters"),
        (2_200_000_000, "File size (2200000000) is greater than 2 GiB"),
    ],
)
def test_sizes_that_cgpu_cannot_send(cgpu: Cgpu, tmp_path: Path, size: int, text: str) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(size)
    ended = cgpu("copy", str(tmp_path / "sparse"), "/x")
    assert ended.returncode == 1
    assert text in ended.stderr


def cpu_seconds() -> float:
    """CPU time of this process (the loopback is in it) and of its children that have ended (the stand-in)."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def test_20_megabytes_up_and_down_are_the_same(cgpu: Cgpu, colab: Colab, tmp_path: Path) -> None:
    content = os.urandom(20_000_000)
    (tmp_path / "large").write_bytes(content)
    remote = colab.root() / "large"
    assert cgpu("copy", str(tmp_path / "large"), str(remote)).returncode == 0
    before = cpu_seconds()
    code, text = cgpu.remote(f"base64 -w 76 {remote}")
    seconds = cpu_seconds() - before
    assert code == 0
    assert base64.b64decode(text.replace("\n", ""), validate=True) == content
    if "CGPU_BIN" not in os.environ:
        # Work of the stand-in and the loopback together; the clock would measure what else runs here. On a quiet
        # machine it is 50 MB for a second of CPU, and 17 MB/s by the clock, which is what the kernel's pty can do.
        assert len(content) / seconds > 10e6


def test_one_endless_line_is_slow_in_large_frames(cgpu: Cgpu, colab: Colab) -> None:
    cgpu.remote("true")
    content = os.urandom(2_000_000)
    (colab.root() / "large").write_bytes(content)
    code, text = cgpu.remote(f"base64 -w 0 {colab.root() / 'large'}; echo", seconds=120)
    assert code == 0
    assert base64.b64decode(text.strip(), validate=True) == content


def test_one_endless_line_is_fatal_in_small_frames(cgpu: Cgpu, colab: Colab) -> None:
    cgpu.remote("true")
    colab.knobs.frame_chars = 1024
    (colab.root() / "large").write_bytes(bytes(20_000_000))
    command = f"echo started; base64 -w 0 {colab.root() / 'large'}"
    cgpu.hangs("run", "--", command, after="started\n", seconds=2.5)


def test_errors_of_any_stage_land_in_the_data(cgpu: Cgpu, colab: Colab) -> None:
    _, text = cgpu.remote("{ echo broken >&2; head -c 30 /dev/zero; } | base64 -w 76")
    assert "broken\n" in text


def test_chunks_as_the_recipe_says(cgpu: Cgpu, colab: Colab) -> None:
    cgpu.remote("true")
    content = os.urandom((2 << 20) + 12345)
    (colab.root() / "f").write_bytes(content)
    got = b""
    for chunk in range(3):
        read = f"dd if={colab.root() / 'f'} bs=1048576 skip={chunk} count=1 status=none"
        code, text = cgpu.remote(f"( exec 2>/dev/null; {read} | base64 -w 76 )")
        assert code == 0
        got += base64.b64decode(text.replace("\n", ""), validate=True)
    assert got == content
