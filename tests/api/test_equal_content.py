"""Files of equal content: every input of a batch verb has its output and its line, and the work is done once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from makers import film, network_file

import montage_dask
from montage_dask.media.probe import fingerprint, probe

DRAFT = {"quality": "preview", "audio": "none"}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Another file, and four of one content: of one name, of another ending, of another name, and a link."""
    folder = tmp_path_factory.mktemp("equal")
    for name in "abc":
        (folder / name).mkdir()
    first = film(folder / "a" / "clip.mp4", frames=30, size="64x36")
    copies = [folder / "b" / "clip.mp4", folder / "a" / "clip.mov", folder / "a" / "other.mp4"]
    for copy in copies:
        shutil.copy(first, copy)
    link = folder / "a" / "link.mp4"
    link.symlink_to(first)
    return [first, *copies, link, film(folder / "c" / "unlike.mp4", frames=20, size="64x36")]


def ran(result, *names):
    return sum(o["count"] for o in result["operations"] if o["name"] in names)


@pytest.mark.parametrize(
    ("verb", "work", "options"),
    [
        ("transcode", "transcode", {}),
        ("grade", "transcode", {"grade": "noir"}),
        ("stabilise", "stabilise", {}),
        ("upscale", "upscale", {"yes": True}),
    ],
)
def test_every_input_has_its_output(verb, work, options, inputs, cluster, tmp_path):
    if verb == "upscale":
        options = {**options, "model": str(network_file(tmp_path / "small.pth"))}
    made = getattr(montage_dask, verb)(
        inputs, tmp_path / "out", cluster=cluster, **DRAFT, **options
    )
    assert made["skipped"] == []
    assert [o["path"] for o in made["outputs"]] == [str(p) for p in inputs]
    outputs = [Path(o["output"]) for o in made["outputs"]]
    assert sorted(p for p in (tmp_path / "out").iterdir() if p.suffix) == sorted(outputs)
    assert [probe(p)[0].frames for p in outputs] == [30] * 5 + [20]
    assert len({fingerprint(p) for p in outputs}) == 2
    assert ran(made, work) == 2
    if verb == "stabilise":
        assert all(len(o["shots"]) == 1 for o in made["outputs"])
    # What stands there is found again, whichever of them is asked for.
    again = getattr(montage_dask, verb)(
        inputs[1:3], tmp_path / "out", cluster=cluster, **DRAFT, **options
    )
    assert [Path(o["output"]) for o in again["outputs"]] == outputs[1:3]
    assert sum(o["count"] for o in again["operations"]) == 0


def test_every_input_has_its_stills(inputs, cluster, tmp_path):
    made = montage_dask.frames(inputs, tmp_path, every=0.5, cluster=cluster)
    assert [f["path"] for f in made["frames"]] == [str(p) for p in inputs]
    folders = {Path(still).parent for f in made["frames"] for still in f["stills"]}
    assert len(folders) == len(inputs)
    assert all(Path(still).exists() for f in made["frames"] for still in f["stills"])


def test_every_input_is_analysed(inputs, cluster, tmp_path):
    found = montage_dask.analyse(inputs, output=tmp_path, cluster=cluster)
    assert [f["path"] for f in found["footage"]] == [str(p) for p in inputs]
    assert all(f["shots"] == found["footage"][0]["shots"] for f in found["footage"][:5])
    assert ran(found, "shots") == 2


def test_what_cannot_be_used_has_a_line_for_each(cluster, tmp_path):
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"no video")
    film(tmp_path / "good.mp4", frames=10, size="64x36")
    made = montage_dask.transcode([tmp_path], tmp_path / "out", cluster=cluster, **DRAFT)
    assert [Path(s["path"]).name for s in made["skipped"]] == ["a.mp4", "b.mp4"]


def test_music_of_equal_content_is_heard_under_each_name(small, cluster, tmp_path):
    copy = shutil.copy(small.music, tmp_path / "again.wav")
    found = montage_dask.analyse([small.music, copy], output=tmp_path, cluster=cluster)
    assert [m["path"] for m in found["music"]] == [str(small.music), str(copy)]
