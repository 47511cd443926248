"""Names of the outputs of batch jobs: every input has one, and the others in the list do not change it."""

from __future__ import annotations

import random
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from montage_dask.graph.naming import names_in, output_names
from montage_dask.store import Store, place_of

OUT = Path("/nowhere/out")


def names(paths, held=None, folder=OUT, suffix=".mp4"):
    return {p: place.name for p, place in output_names(paths, folder, suffix, held).items()}


def test_a_name_of_its_own_stays():
    assert names(["/a/one.mov", "/b/two.mkv"]) == {"/a/one.mov": "one.mp4", "/b/two.mkv": "two.mp4"}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("/a/clip.mp4", "/b/clip.mp4"),
        ("/a/clip.mp4", "/a/clip.mov"),
        ("/a/Clip.mp4", "/a/clip.mp4"),
        ("/a/straße.mp4", "/b/STRASSE.mp4"),
        ("/a/" + unicodedata.normalize("NFC", "café.mp4"), "/b/" + unicodedata.normalize("NFD", "café.mp4")),
        ("/a/\udcff.mp4", "/b/\udcff.mp4"),
        ("s3://bucket/a/clip.mp4", "s3://bucket/b/clip.mp4"),
    ],
)  # fmt: skip
def test_equal_names_take_a_part_of_their_paths_digest(first, second):
    found = names([first, second])
    assert found == names([second, first])
    assert len({unicodedata.normalize("NFC", n.casefold()) for n in found.values()}) == 2
    more = names(["/z/clip.mp4", "/z/other.mp4", second, "/0/café.mp4", first])
    assert {p: more[p] for p in found} == found
    for path, name in found.items():
        assert name.startswith(Path(path).stem + "-")


PATHS = [f"/{d}/{n}" for d in "abc" for n in ("x.mp4", "X.mov", "y.mp4", "x-2.mp4")]


@given(st.lists(st.sampled_from(PATHS), unique=True, min_size=1), st.randoms())
def test_order_does_not_matter_and_nothing_is_lost(paths, shuffled: random.Random):
    found = names(paths)
    assert set(found) == set(paths)
    assert len({n.casefold() for n in found.values()}) == len(paths)
    mixed = list(paths)
    shuffled.shuffle(mixed)
    assert names(mixed) == found


def test_an_output_keeps_its_name_when_files_are_added():
    found = names(["/a/clip.mp4", "/b/clip.mp4"], held={"clip.mp4": "/a/clip.mp4"})
    assert found["/a/clip.mp4"] == "clip.mp4"
    assert found["/b/clip.mp4"].startswith("clip-")
    again = names(["/b/clip.mp4"], held={n: p for p, n in found.items()})
    assert again == {"/b/clip.mp4": found["/b/clip.mp4"]}


@pytest.mark.parametrize("held", ["clip.mp4", "CLIP.mp4"])
def test_the_output_of_another_input_is_not_overwritten(held):
    assert names(["/b/clip.mp4"], held={held: "/a/clip.mp4"})["/b/clip.mp4"] != "clip.mp4"


def test_no_input_is_overwritten(tmp_path):
    (tmp_path / "clip.mp4").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for folder in (tmp_path, tmp_path / "link"):
        [name] = names([str(tmp_path / "clip.mp4")], folder=folder).values()
        assert name not in ("clip.mp4", "CLIP.MP4")


def test_what_the_store_noted_counts_while_the_output_is_there(tmp_path):
    store, out = Store(tmp_path / "store"), tmp_path / "out"
    out.mkdir()

    def name(path):
        return names_in(store, [path], out, ".mp4")[path].name

    assert name("/a/clip.mp4") == "clip.mp4"
    (out / "clip.mp4").touch()
    other = name("/b/clip.mp4")
    assert other != "clip.mp4"
    (out / other).touch()
    assert (name("/a/clip.mp4"), name("/b/clip.mp4")) == ("clip.mp4", other)
    assert names_in(store, ["/b/clip.mp4"], out, ".mkv")["/b/clip.mp4"].name == "clip.mkv"
    (out / "clip.mp4").unlink()
    (out / other).unlink()
    assert name("/b/clip.mp4") == "clip.mp4"


def test_folders_of_buckets(tmp_path):
    [place] = output_names(["s3://b/in/x.mov"], place_of("s3://b/out"), ".mp4").values()
    assert str(place) == "s3://b/out/x.mp4"
