"""Names of places: paths stay paths, URLs stay whole, and what could be a password is never repeated."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from montage_dask.errors import UsageError
from montage_dask.store.places import Url, is_url, place_of


def test_paths_and_file_urls_are_paths(tmp_path):
    assert place_of("clips/a.mp4", tmp_path) == tmp_path / "clips" / "a.mp4"
    assert place_of("/a/../b") == Path("/b")
    assert place_of("file:///a/b%20c.mp4") == Path("/a/b c.mp4")
    assert not is_url("C:/clips")
    assert not is_url("a:b")


def test_a_url_has_the_parts_of_a_path():
    url = place_of("S3://films/raw/a b#1?.mp4/")
    assert isinstance(url, Url)
    assert str(url) == "s3://films/raw/a b#1?.mp4"
    assert (url.bucket, url.key, url.name) == ("films", "raw/a b#1?.mp4", "a b#1?.mp4")
    assert (url.stem, url.suffix) == ("a b#1?", ".mp4")
    assert str(url.with_suffix(".montage") / "log") == "s3://films/raw/a b#1?.montage/log"
    assert str(url.with_stem("b")) == "s3://films/raw/b.mp4"
    assert url.parent.parent == Url("s3://films") == url.parent.parent.parent


@settings(max_examples=30)
@given(st.lists(st.text("abz. -é", min_size=1).filter(lambda p: p not in (".", "..")), min_size=1))
def test_what_lies_below_is_named_below(parts):
    root = url = Url("gs://bucket/root")
    for part in parts:
        url = url / part
    assert url.is_relative_to(root)
    assert Url(f"{root}/{url.relative_to(root)}") == url
    assert not Url("gs://bucket/rooted").is_relative_to(root)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("memory://a/b", "memory:// cannot be used"),
        ("https://host/a.mp4", "https:// cannot be used"),
        ("s3://me:hunter2@films/a", "credentials do not belong into a URL"),
        ("ftp://me:hunter2@host/a", "ftp:// cannot be used"),
        ("s3://films/../other/a", "without . and .."),
        ("s3:///a", "s3://bucket"),
        ("file://host/a", "file:///folder"),
    ],
)
def test_what_cannot_be_used_is_said_without_a_password(text, said):
    with pytest.raises(UsageError, match=said.replace("(", r"\(")) as refused:
        place_of(text)
    assert "hunter2" not in str(refused.value)
