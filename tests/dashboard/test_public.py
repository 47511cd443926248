"""What those who may only watch can read: names below the footage's folders, and no other folder."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from montage_dask.dashboard.public import Public, roots_of
from montage_dask.errors import MediaError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("left out: /data/footage/day 1/a.mp4: is bad", "left out: day 1/a.mp4: is bad"),
        ("cannot read '/home/me/secret dir/b c.mp4'", "cannot read 'b c.mp4'"),
        ("/data/footage2/a.mp4", "a.mp4"),
        ("/other/data/footage/a.mp4", "a.mp4"),
        ("file:///srv/x/y.mp4: no", "y.mp4: no"),
        ("path=/srv/x/y, »/srv/x/z«", "path=y, »z«"),
        ("3/4 of it on CPU/GPU at 25 frames/s, 1 / 2", "3/4 of it on CPU/GPU at 25 frames/s, 1 / 2"),
        ("http://server:80/model answered 500", "http://server:80/model answered 500"),
        ("gs://bucket/secret/a b.mp4: is bad", "a b.mp4: is bad"),
        ("cannot read s3://bucket/secret/a.mp4", "cannot read a.mp4"),
        ("s3://bucket/own/day/a.mp4: no", "day/a.mp4: no"),
        ("error:/srv/x/y", "error:y"),
        ("tcp://10.0.0.1:8786 is away", "tcp://10.0.0.1:8786 is away"),
        ("two\nlines of /srv/x/y", "two lines of y"),
        ("C:\\Users\\me\\clip.mp4: no", "clip.mp4: no"),
        ("/", "/"),
    ],
)  # fmt: skip
def test_texts(text, shown):
    assert Public(["/data/footage", "s3://bucket/own/"])(text) == shown


NAMES = st.text(
    st.characters(blacklist_categories=["C", "Z"], blacklist_characters="/\\'\"`:;,|<>") | st.just(" "),
    min_size=1, max_size=12,
).map(str.strip).filter(lambda n: n not in ("", ".", ".."))  # fmt: skip


@given(
    folders=st.lists(NAMES, min_size=1, max_size=5),
    name=NAMES,
    before=st.sampled_from(["", "x ", "(", "'", "error: "]),
)
def test_no_folder_of_any_path_is_shown(folders, name, before):
    secret = [f"S{n}{f}" for n, f in enumerate(folders)]
    path = "/" + "/".join([*secret, f"clip {name}"])
    public = Public(["/elsewhere"])
    for text in (public(f"{before}{path}: is bad"), public(str(MediaError(path, "is bad")))):
        assert not any(folder in text for folder in secret)
        assert "clip" in text
    assert public.path(path) == os.path.basename(path)


ANY_NAMES = st.text(
    st.characters(blacklist_categories=["C", "Z"], blacklist_characters="/\\") | st.sampled_from(" ':,"),
    min_size=1, max_size=12,
).map(str.strip).filter(lambda n: n not in ("", ".", ".."))  # fmt: skip


@given(
    folders=st.lists(ANY_NAMES, min_size=1, max_size=5),
    name=NAMES,
    before=st.sampled_from(["", "x ", "(", "'", "error: ", "file://"]),
    start=st.sampled_from(["/", "s3://"]),
)
def test_no_folder_of_a_known_path_is_shown_whatever_its_name(folders, name, before, start):
    secret = [f"S{n}{f}" for n, f in enumerate(folders)]
    path = start + "/".join([*secret, f"clip {name}"])
    public = Public(["/elsewhere"], [path])
    texts = [f"{before}{path}: is bad", str(MediaError(path, "is bad")), repr(OSError(path))]
    for text in map(public, texts):
        assert not any(folder in text for folder in secret)
        assert "clip" in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/ann/Tom's music/secret/track.mp3: is broken", "track.mp3: is broken"),
        ("/home/ann/Tom's music/other/b.mp3: is broken", "b.mp3: is broken"),
        ("cannot list /home/ann/Tom's music/secret", "cannot list secret"),
        ("/home/ann/Rock, Pop/secret/x", "x"),
        ("/home/ann/Rock, Pop/clips/day: 1/x is bad", "day: 1/x is bad"),
        ("cannot write '/home/ann/a|b/store/records/x'", "cannot write 'x'"),
        ("s3://b/a,b/c/d.mp4 is gone", "d.mp4 is gone"),
    ],
)
def test_known_folders_are_hidden_with_quotes_and_commas_in_their_names(text, shown):
    others = ["/home/ann/Tom's music/secret/track.mp3", "/home/ann/a|b/store", "s3://b/a,b/c/d.mp4"]
    assert Public(["/home/ann/Rock, Pop/clips"], others)(text) == shown


def test_paths_are_relative_to_the_nearest_root():
    public = Public(["/a", "/a/b/", "/"])
    assert public.path("/a/b/c/d.mp4") == "c/d.mp4"
    assert public.path("/a/x/d.mp4") == "x/d.mp4"
    assert Public(["s3://b/own/"]).path("s3://b/own/d/e.mp4") == "d/e.mp4"
    assert public.path("s3://b/own/e.mp4") == "e.mp4"
    assert public.path("/z/d.mp4") == "d.mp4"
    assert public.path("/z/evil\x1b[31m.mp4") == "evil\\x1b[31m.mp4"


def test_the_roots_of_what_a_user_names(tmp_path, monkeypatch):
    (tmp_path / "clips" / "day").mkdir(parents=True)
    (tmp_path / "clips" / "a [1].mp4").touch()
    monkeypatch.chdir(tmp_path)
    buckets = ["s3://b/own", "gs://b/x/*.mp4", "s3://b/y/clip.mp4", "s3://b/*/z/*"]
    assert roots_of(buckets) == ["s3://b/own", "gs://b/x", "s3://b/y", "s3://b"]
    given = ["clips", "clips/a [1].mp4", "clips/**/*.mp4", "clips/day/*.mov", "clips/gone.mp4"]
    clips = str(tmp_path / "clips")
    assert roots_of(given) == [clips, clips, clips, f"{clips}/day", clips]
