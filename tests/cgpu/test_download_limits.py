"""What a runtime sends is bounded: it says itself how much it has, and need not be honest."""

from __future__ import annotations

import tarfile
import zlib
from base64 import encodebytes
from hashlib import sha256
from pathlib import Path

import pytest

from montage_dask.cgpu.download import LARGEST_BYTES, Download, extract
from montage_dask.errors import RemoteError, StoreError, TransferCorrupt


def test_more_than_was_asked_for_is_not_fetched(tmp_path):
    download = Download(tmp_path / "part", 1000)
    download.mark("file", ["1000", "0" * 64])
    for size in ("1001", "-1", str(10**18)):
        with pytest.raises(RemoteError, match="not fetched") as caught:
            Download(tmp_path / "other", 1000).mark("file", [size, "0" * 64])
        assert not caught.value.retryable
    with pytest.raises(RemoteError, match="not fetched"):
        Download(tmp_path / "other").mark("file", [str(LARGEST_BYTES + 1), "0" * 64])
    download.close()


@pytest.mark.parametrize("length", [1001, 10**12, -1])
def test_a_chunk_is_no_larger_than_the_file(tmp_path, length):
    download = Download(tmp_path / "part", 5000)
    download.mark("file", ["1000", "0" * 64])
    download.mark("from", ["0"])
    with pytest.raises(TransferCorrupt):
        download.mark("chunk", ["0", str(length), "packed"])
    download.close()


def test_a_packed_chunk_unfolds_to_what_was_said(tmp_path):
    """10 kB that unfold to 10 MB."""
    packed = zlib.compressobj(9, zlib.DEFLATED, 31)
    data = packed.compress(bytes(10_000_000)) + packed.flush()
    download = Download(tmp_path / "part", 5000)
    download.mark("file", ["1000", sha256(bytes(1000)).hexdigest()])
    download.mark("from", ["0"])
    download.mark("chunk", ["0", "1000", "packed"])
    with pytest.raises(TransferCorrupt):
        download.data(encodebytes(data))
    download.close()
    assert (tmp_path / "part").stat().st_size <= 1000


def test_a_part_is_not_fetched_through_a_link(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "part").symlink_to(tmp_path / "mine")
    with pytest.raises(OSError, match="symbolic links"):
        Download(tmp_path / "part")
    assert (tmp_path / "mine").read_text() == "mine"


def sparse(path: Path, size: int) -> None:
    """10 kB that say that they are a large file with holes, as GNU tar writes it."""
    header = bytearray(tarfile.TarInfo("output").tobuf(tarfile.GNU_FORMAT))
    header[156:157] = b"S"
    header[386:410] = b"%011o\0%011o\0" % (size, 0)
    header[483:495] = b"%011o\0" % size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path.write_bytes(bytes(header) + bytes(10240 - 512))


def test_results_are_no_larger_than_what_was_fetched(tmp_path):
    sparse(tmp_path / "sparse.tar", 300_000_000)
    (tmp_path / "plain").write_bytes(bytes(50_000_000))
    for kind in ("gz", "bz2", "xz"):
        with tarfile.open(tmp_path / f"{kind}.tar", f"w:{kind}") as tar:
            tar.add(tmp_path / "plain", "output")
    for name in ("sparse", "gz", "bz2", "xz"):
        with pytest.raises((RemoteError, StoreError)):
            extract(tmp_path / f"{name}.tar", tmp_path / f"{name}-into")
        assert not list((tmp_path / f"{name}-into").iterdir()), name


def test_results_are_files_and_stay_in_their_folder(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, kind, target in (
            ("output/link", tarfile.SYMTYPE, "../../secret"), ("output/hard", tarfile.LNKTYPE, "output/x"),
            ("output/inside", tarfile.SYMTYPE, "x"), ("output/pipe", tarfile.FIFOTYPE, ""), ("output/x", tarfile.REGTYPE, ""),
        ):  # fmt: skip
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
    extract(tmp_path / "a.tar", tmp_path / "into")
    assert [p.name for p in (tmp_path / "into/output").iterdir()] == ["x"]
    with tarfile.open(tmp_path / "b.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("../out"))
    with pytest.raises(RemoteError):
        extract(tmp_path / "b.tar", tmp_path / "into")
    assert not (tmp_path / "out").exists()
