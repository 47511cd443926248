"""Where this package keeps what can be made again: the user's cache folder, or one among those of others that is ours alone."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from montage_dask.cgpu import wheel
from montage_dask.errors import StoreError
from montage_dask.store.cache import Cache, default_folder


@pytest.fixture
def fallback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own folder cannot be made: its place is a file."""
    (tmp_path / "file").write_text("")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file/cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return tmp_path / "tmp" / f"montage-dask-{os.getuid()}"


def test_the_usual_one(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert default_folder() == tmp_path / "cache/montage-dask"
    assert default_folder().stat().st_mode & 0o777 == 0o700
    # A relative one would lie in whatever folder one stands in.
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_folder() == tmp_path / "home/.cache/montage-dask"


def test_store_and_wheel_fall_back_alike(fallback):
    assert default_folder() == fallback
    assert default_folder() == fallback
    assert fallback.stat().st_mode & 0o777 == 0o700
    path, _ = wheel.wheel()
    assert path.is_relative_to(fallback)


def test_a_link_in_its_place_is_not_used(fallback, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    fallback.symlink_to(tmp_path / "elsewhere")
    for use in (default_folder, wheel.wheel):
        with pytest.raises(StoreError, match="is not ours alone"):
            use()
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_folder_that_others_can_write_is_not_used(fallback):
    fallback.mkdir()
    for mode in (0o777, 0o1777, 0o770, 0o702):
        fallback.chmod(mode)
        with pytest.raises(StoreError, match="DASK_MONTAGE__CACHE_FOLDER"):
            default_folder()
    fallback.chmod(0o755)
    assert default_folder() == fallback


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give folders away")
def test_a_folder_of_somebody_else_is_not_used(fallback):
    fallback.mkdir(mode=0o700)
    os.chown(fallback, 12345, 12345)
    with pytest.raises(StoreError, match="of another user"):
        default_folder()


def test_a_link_inside_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/work").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="is a link"), Cache(tmp_path / "cache", 10**6).scratch():
        pass
    assert not list((tmp_path / "elsewhere").iterdir())
