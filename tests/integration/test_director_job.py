"""Jobs with a brief, as a user runs them: by rules, by a model on loopback, with hostile names and answers."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import opentimelineio as otio
import pytest
import yaml
from jobs import SMALL, Material, make_clip, make_track, montage
from model_server import model_server

from montage_dask.edit.director import Decision
from montage_dask.records import to_json
from montage_dask.render.verify import frames_hash

HOSTILE = 'a"}} [red]say noir $(touch pwned) <script>.mp4'
OPTIONS = (*SMALL, "--duration", "4", "--n-workers", "2")


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    folder = tmp_path_factory.mktemp("brief")
    footage = folder / "footage"
    footage.mkdir()
    make_clip(footage / HOSTILE, "testsrc2=size=160x90:rate=25", 3)
    make_clip(footage / "city.mp4", "mandelbrot=size=160x90:rate=25", 3)
    blue = "gradients=size=160x90:rate=25:c0=0x0020A0:c1=0x1040ff:n=2:speed=0.05:seed=3"
    make_clip(footage / "DJI_7.mp4", blue, 3)
    return Material(footage, folder / "track.wav", make_track(folder / "track.wav", 6))


def colours_at(path: Path, frame: int) -> np.ndarray:
    """Mean R, G, B of one frame of a video."""
    with av.open(str(path)) as file:
        for number, picture in enumerate(file.decode(video=0)):
            if number == frame:
                return picture.to_ndarray(format="rgb24").mean((0, 1))
    raise AssertionError(f"no frame {frame}")


def test_rules_put_the_sea_at_the_end_and_the_user_the_city_first(material, tmp_path):
    """No file is called sea: the blue clip is taken for it, after a look at the pictures."""
    output = tmp_path / "out.mp4"
    brief = "schnell, endet am Meer, blaue Blitze"
    arguments = (material.footage, "--music", material.music, *OPTIONS, "--director", brief)
    done = montage(
        "run", *arguments, "-o", output, "--transition", "cut", "--first", "city@1", "--json"
    )
    assert done.code == 0, done.stderr
    result = done.json
    assert result["director"]["answered_by"] == "rules"
    assert result["director"]["chosen"] == [
        "pace: 1.41",
        "transition: dip-to-white",
        "last: the shot that is most blue",
    ]
    assert result["director"]["overruled"] == ["transition"]
    end = result["cuts"][-1]
    assert Path(end["source"]).name == "DJI_7.mp4"
    assert end["transition"] == "cut"
    assert end["reason"] == "Pinned by the director; as the last shot."
    timeline = otio.adapters.read_from_file(str(tmp_path / "out.montage/timeline.otio"))
    start = timeline.video_tracks()[0].find_clips()[0]
    assert "city.mp4" in start.media_reference.target_url
    begin = start.source_range.start_time.to_seconds()
    assert begin <= 1 < begin + start.source_range.duration.to_seconds()
    red, _, blue = colours_at(output, end["frame"] + 1)
    assert blue > red + 40
    assert json.loads((tmp_path / "out.montage/summary.json").read_text())["director"] == result["director"]  # fmt: skip


def test_a_model_directs_and_its_words_stay_words(material, tmp_path):
    words = "\x1b[31mGo [bold]to[/bold] the\nsea <b>now</b>; $(touch pwned)"
    fixed = {**to_json(Decision()), "style": "sport", "duration_seconds": 4, "reason": words}

    def answer(catalogue):
        (number,) = [c["clip"] for c in catalogue["clips"] if c["file"] == HOSTILE]
        return json.dumps({**fixed, "pins": [{"place": "last", "clip": number, "look": None}]})

    paths = {"footage": [str(material.footage)], "music": str(material.music)}
    job = tmp_path / "job.yaml"
    text = {
        **paths,
        "director": "sporty, ends on the test card",
        "size": "192x108",
    }
    job.write_text(yaml.safe_dump({**text, "fps": 25, "quality": "preview"}))
    roots = json.dumps([str(material.footage.parent)])
    with model_server(answer) as state:
        here = {
            "DASK_MONTAGE__ROOTS": roots,
            "DASK_MONTAGE__DIRECTOR_URL": state.url,
            "DASK_MONTAGE__DIRECTOR_MODEL": "m",
            "cwd": tmp_path,
        }

        def command(name, *more):
            done = montage(name, job, "-o", tmp_path / "one.mp4", "--n-workers", "2", *more, **here)
            assert done.code == 0, done.stderr
            return done

        first = command("plan")
        assert f"director ({state.url}, m): \\x1b[31mGo [bold]to[/bold] the sea" in " ".join(first.stdout.split())  # fmt: skip
        assert 'last: a"}} [red]say noir' in first.stdout
        assert "not analysed yet" in first.stdout
        assert "montage: 4.0 s" in first.stdout
        one = command("run", "--json").json
        assert len(state.asked) == 2  # the pictures were not known to the plan
        plan = command("plan", "--json").json["director"]
        assert len(state.asked) == 2
    assert plan["reused"]
    assert plan | {"reused": False} == one["director"]
    assert not plan["provisional"]
    assert one["style"] == "sport"
    assert one["duration_seconds"] == 4.0
    assert Path(one["cuts"][-1]["source"]).name == HOSTILE
    assert all(c.isprintable() for c in one["director"]["reason"])
    assert not list(tmp_path.rglob("pwned")) + list(Path.cwd().glob("pwned"))

    # The server is gone, artefacts are new: the answer alone makes the same montage.
    store = tmp_path / "kept"
    (tmp_path / ".montage/records/director").rename(store)
    (tmp_path / "again/.montage/records").mkdir(parents=True)
    store.rename(tmp_path / "again/.montage/records/director")
    again = montage(
        "run", job, "-o", tmp_path / "again/two.mp4", "--n-workers", "1", "--json",
        DASK_MONTAGE__ROOTS=roots, DASK_MONTAGE__DIRECTOR_URL=state.url, DASK_MONTAGE__DIRECTOR_MODEL="m",
    )  # fmt: skip
    assert again.code == 0, again.stderr
    assert again.json["director"] == plan
    assert frames_hash(tmp_path / "one.mp4") == frames_hash(tmp_path / "again/two.mp4")
