"""Training as a job: killed in the middle it goes on, and makes what an undisturbed one makes; its weights can be used."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from jobs import make_clip, make_track

import montage_dask
from montage_dask.analysis import beat_network, scene_network
from montage_dask.errors import NothingToDoError, UsageError
from montage_dask.graph.operation import Request
from montage_dask.report.html import rebuild
from montage_dask.store import Store
from montage_dask_training.recipe import Input
from montage_dask_training.scenes import RECIPE

COMMAND = (sys.executable, "-m", "montage_dask", "train", "scenes", "--size", "tiny")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip, a picture, and what is neither."""
    folder = tmp_path_factory.mktemp("data")
    make_clip(folder / "clip.mp4", "testsrc2=size=160x90:rate=25", 2)
    noise = np.random.default_rng(1).integers(0, 255, (9, 16, 3)).astype(np.uint8)
    cv2.imwrite(str(folder / "photo.png"), cv2.resize(noise, (320, 180)))
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


def train(data: Path, output: Path) -> dict:
    command = [*COMMAND, "--data", str(data), "-o", str(output), "--n-workers", "1", "--json", "-q"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert run.returncode == 3, run.stderr  # the broken picture was left out
    return json.loads(run.stdout)


def undisturbed(result: dict, output: Path, folder: Path) -> bytes:
    """The weights that come of the same parts in one go, in this process."""
    inputs = [
        Input(d["identity"], d["name"], d["kind"], "", ((0, 50),) if d["kind"] == "video" else ())
        for d in result["data"]
    ]

    def made(split: str) -> list[Path]:
        identity = {"recipe": "scenes", "recipe_version": RECIPE.version}
        requests = [
            Request(
                "synthesise",
                {**identity, "part": dict(part.parameters), "inputs": list(part.inputs)},
            )
            for part in RECIPE.parts(0, "tiny", inputs)
            if part.split == split
        ]
        return [Store(output / ".montage").file("synthesise", r.key, ".npz") for r in requests]

    state = None
    for leg in range(3):
        after = folder / f"{leg}.pt"
        parameters = {"seed": 0, "size": "tiny", "leg": leg, "legs": 3}
        RECIPE.train(
            parameters, made("training"), state, after, start=None, device="cpu", threads=1
        )
        state = after
    RECIPE.export(state, made("validation"), folder / "weights.npz")
    return (folder / "weights.npz").read_bytes()


@pytest.mark.timeout(900)
def test_a_killed_training_goes_on(data: Path, tmp_path: Path):
    output = tmp_path / "trained"
    process = subprocess.Popen(
        [*COMMAND, "--data", str(data), "-o", str(output), "--n-workers", "1", "-q"],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    legs, deadline = output / ".montage/records/train", time.monotonic() + 400
    while not list(legs.rglob("*.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    for child in children:
        child.kill()
    psutil.wait_procs(children, timeout=60)
    process.wait()
    assert not (output / "weights.npz").exists()

    result = train(data, output)
    ran = {row["name"]: row for row in result["operations"]}
    assert (ran["synthesise"]["reused"], ran["synthesise"]["count"]) == (4, 0)
    assert ran["train"]["reused"] >= 1
    assert ran["train"]["reused"] + ran["train"]["count"] == 3
    assert {d["kind"] for d in result["data"]} == {"video", "picture"}
    assert [Path(s["path"]).name for s in result["skipped"]] == ["broken.jpg"]
    for name in ("card.md", "loss.png", "training.json"):
        assert (output / name).stat().st_size > 0
    page = (output / "report.html").read_text()
    assert "broken.jpg" in page
    assert rebuild(output).read_text() == page
    assert (output / "weights.npz").read_bytes() == undisturbed(result, output, tmp_path)

    shots = montage_dask.analyse(
        [data / "clip.mp4"], output=output, detector="auto", scenes_weights=output / "weights.npz",
        n_workers=1,
    )["footage"][0]["shots"]  # fmt: skip
    assert shots


def test_what_cannot_be_trained_is_said_at_once(tmp_path: Path):
    with pytest.raises(UsageError, match="nothing to train called 'colours'"):
        montage_dask.train("colours", output=tmp_path)
    with pytest.raises(UsageError, match="--size huge"):
        montage_dask.train("scenes", output=tmp_path, size="huge")
    with pytest.raises(UsageError, match=r"none\.npz: .* No such file"):
        montage_dask.train("scenes", output=tmp_path, weights=tmp_path / "none.npz")
    for network, other, said in (
        ("scenes", beat_network.WEIGHTS, "no weights of the scene network"),
        ("beats", scene_network.WEIGHTS, "no weights of this version's beat network"),
    ):
        with pytest.raises(UsageError, match=said):
            montage_dask.train(network, output=tmp_path / "o", weights=other)
        (tmp_path / "cut.npz").write_bytes(other.read_bytes()[:-900])
        with pytest.raises(UsageError, match=r"cut\.npz: .* damaged"):
            montage_dask.train(network, output=tmp_path / "o", weights=tmp_path / "cut.npz")
    with pytest.raises(UsageError, match="--store s3://films/store: must be a file or folder"):
        montage_dask.train("scenes", output=tmp_path / "o", store="s3://films/store")
    assert not (tmp_path / "o").exists()
    (tmp_path / "song.wav").write_bytes(b"RIFF")
    with pytest.raises(NothingToDoError, match="a sound is no data for this network"):
        montage_dask.train("scenes", [tmp_path / "song.wav"], output=tmp_path / "o", n_workers=1)


def test_beats_are_learnt_with_own_music_and_used(tmp_path: Path):
    data = tmp_path / "music"
    data.mkdir()
    track = data / "song.wav"
    beats = make_track(track)
    track.with_suffix(".beats").write_text("".join(f"{b:.3f}\n" for b in beats))
    output = tmp_path / "trained"
    result = montage_dask.train("beats", [data], output=output, size="tiny", n_workers=1)
    assert [d["name"] for d in result["data"]] == ["song.wav"]
    assert result["skipped"] == []
    weights = output / "weights.npz"
    assert weights.stat().st_size < 2_000_000
    assert "1 tracks" in (output / "card.md").read_text()

    # Adjusted further, from these weights.
    more = montage_dask.train(
        "beats", [data], output=tmp_path / "more", size="tiny", weights=weights, n_workers=1,
        store=output / ".montage",
    )  # fmt: skip
    ran = {row["name"]: row for row in more["operations"]}
    assert ran["synthesise"]["count"] == 0
    assert (tmp_path / "more/weights.npz").read_bytes() != weights.read_bytes()

    music = montage_dask.analyse(
        [], music=[track], output=output, tracker="network", beats_weights=weights, n_workers=1
    )["music"]
    # A network of seconds hears no beat: then the onsets are asked.
    assert [m["tracker"] for m in music] in (["network"], ["flux"])
