"""Whole jobs with a cgpu worker, through the command line and a loopback Colab: the same results, few calls, no lost work."""

from __future__ import annotations

import json
import random
import sys
import threading
from pathlib import Path

import pytest
from colab import Colab
from jobs import SMALL, Material, make_clip, make_track, montage

from montage_dask.render.verify import frames_hash

pytestmark = [pytest.mark.cgpu, pytest.mark.timeout(280)]


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    folder = tmp_path_factory.mktemp("material")
    footage = folder / "footage"
    footage.mkdir()
    make_clip(footage / 'it\'s "a" !clip 🎬.mp4', "testsrc2=size=320x180:rate=25", 2)
    make_clip(footage / "mandel.mp4", "mandelbrot=size=320x240:rate=30", 2, "30")
    return Material(footage, folder / "track.wav", make_track(folder / "track.wav", 8))


@pytest.fixture
def far(
    colab: Colab, cgpu_binary: Path, cgpu_environment: dict[str, str], tmp_path: Path
) -> dict[str, str]:
    """The environment of a user whose cgpu reaches the loopback Colab, whose Python is this one."""
    return cgpu_environment | {
        "CGPU_GPU_ENABLED": "true",
        "DASK_MONTAGE__CGPU_BINARY": str(cgpu_binary),
        "DASK_MONTAGE__CGPU_FOLDER": f"{colab.root()}/montage-dask",
        "DASK_MONTAGE__CGPU_PYTHON": sys.executable,
        "DASK_MONTAGE__CGPU_INSTALL": "off",
        # A silent line is given up soon.
        "DASK_MONTAGE__CGPU_CALL_SECONDS": "20",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }


def run(material: Material, output: Path, *more: str, **variables: str) -> dict:
    job = ("run", str(material.footage), "--music", str(material.music), "-o", str(output))
    done = montage(*job, "--json", *SMALL, "--duration", "3", *more, **variables)
    assert done.code == 0, done.stderr
    return done.json


def targets(result: dict) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for o in result["operations"]:
        if o["count"]:
            found.setdefault(o["name"], set()).add(o["target"])
    return found


FORCED = "{encode: cgpu, beats: cgpu, scores: cgpu}"


def test_the_montage_is_the_same_and_most_of_it_was_made_there(
    material: Material, tmp_path: Path, far: dict[str, str], colab: Colab
) -> None:
    accurate = ("--detector", "accurate")
    near = run(material, tmp_path / "near" / "out.mp4", *accurate)
    made = run(
        material, tmp_path / "far" / "out.mp4", *accurate, DASK_MONTAGE__PLACEMENT=FORCED, **far
    )
    assert {k: v for k, v in targets(made).items() if v == {"cgpu"}}.keys() == {
        "encode", "beats", "scores",
    }  # fmt: skip
    assert made["fallbacks"] == made["troubles"] == []
    assert frames_hash(Path(made["output"])) == frames_hash(Path(near["output"]))
    assert made["cuts"] == near["cuts"]
    assert colab.count("POST", "/tun/m/assign") == 1
    # No secret of the account stands in a log, a report, a record or an answer.
    left = [p.read_bytes() for p in (tmp_path / "far").rglob("*") if p.is_file()]
    assert len(left) > 10
    for secret in colab.secrets():
        assert all(secret.encode() not in data for data in (*left, json.dumps(made).encode()))


def test_what_costs_more_to_send_stays_here(
    material: Material, tmp_path: Path, far: dict[str, str], colab: Colab
) -> None:
    done = montage(
        "plan", str(material.footage), "--music", str(material.music), "--json", *SMALL, **far
    )
    assert done.code == 0, done.stderr
    reasons = {o["operation"]: (o["target"], o["reason"]) for o in done.json["operations"]}
    target, reason = reasons["beats"]
    assert target == "cpu"
    assert "cgpu " in reason
    assert "8.0 MB at 0.53 MB/s, cold runtime" in reason
    target, reason = reasons["encode"]
    assert target == "cpu"
    assert "fewer than CGPU_ENCODE_THRESHOLD = 300" in reason
    assert colab.count("POST", "/tun/m/assign") == 0


@pytest.fixture(scope="module")
def tracks(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Fifty short tracks, each of another tempo, with names that shells trip over."""
    folder = tmp_path_factory.mktemp("tracks")
    made = []
    for number in range(50):
        made.append(folder / f"track {number} $(echo x) `id` '!'\n.wav")
        make_track(made[-1], seconds=4, bpm=90 + 2 * number)
    return made


@pytest.fixture(scope="module")
def heard(tracks: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """What this machine alone finds in the first twenty."""
    return analysed(tracks[:20], tmp_path_factory.mktemp("near"))["music"]


def analysed(tracks: list[Path], folder: Path, **variables: str) -> dict:
    done = montage(
        "analyse", *tracks, "--json", "--store", folder / "store", cwd=folder, **variables
    )
    assert done.code == 0, done.stderr
    return done.json


def test_without_a_login_nothing_hangs_and_the_reason_is_told(
    tracks: list[Path], tmp_path: Path, far: dict[str, str], config_dir: Path, material: Material
) -> None:
    (config_dir / "state" / "session.json").unlink()
    job = ("plan", str(material.footage), "--music", str(material.music), "--json", *SMALL)
    done = montage(*job, DASK_MONTAGE__PLACEMENT="{beats: cgpu}", **far)
    assert done.code == 0, done.stderr
    (beats,) = [o for o in done.json["operations"] if o["operation"] == "beats"]
    assert beats["target"] == "cpu"
    assert "not logged in" in beats["reason"]


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"assign_outcome": 1}, "quota"),
        ({"assign_status": 503}, "no accelerator free"),
        ({"token_status": 400}, "log in"),
        ({"contents_status": 500}, "upload"),
    ],
)
def test_a_dead_service_costs_seconds_and_falls_back(
    tracks: list[Path],
    heard: list[dict],
    tmp_path: Path,
    far: dict[str, str],
    colab: Colab,
    knobs: dict[str, int],
    said: str,
) -> None:
    colab.knobs.set(**knobs)
    result = analysed(tracks[:2], tmp_path, DASK_MONTAGE__PLACEMENT="{beats: cgpu}", **far)
    assert result["music"] == heard[:2]
    assert targets(result)["beats"] == {"cpu"}
    assert [(f["operation"], f["from_target"], f["to_target"]) for f in result["fallbacks"]] == [
        ("beats", "cgpu", "cpu")
    ] * 2
    assert all(said in f["reason"].lower() for f in result["fallbacks"])


def counting(binary: Path, folder: Path) -> tuple[Path, Path]:
    """A cgpu that notes each of its calls in a file."""
    calls, counted = folder / "calls", folder / "cgpu-counted"
    counted.write_text(f'#!/bin/sh\necho "$1" >> {calls}\nexec {binary} "$@"\n')
    counted.chmod(0o755)
    calls.touch()
    return counted, calls


def test_fifty_requests_cost_ten_calls_at_most(
    tracks: list[Path],
    heard: list[dict],
    tmp_path: Path,
    far: dict[str, str],
    cgpu_binary: Path,
) -> None:
    binary, calls = counting(cgpu_binary, tmp_path)
    result = analysed(
        tracks, tmp_path, DASK_MONTAGE__PLACEMENT="{beats: cgpu}",
        **{**far, "DASK_MONTAGE__CGPU_BINARY": str(binary)},
    )  # fmt: skip
    assert result["music"][:20] == heard
    assert targets(result)["beats"] == {"cgpu"}
    made = calls.read_text().splitlines()
    assert len(made) <= 10, made


@pytest.mark.parametrize("seed", [1, 2])
def test_a_job_under_random_faults_is_complete_and_right(
    seed: int,
    tracks: list[Path],
    heard: list[dict],
    tmp_path: Path,
    far: dict[str, str],
    colab: Colab,
) -> None:
    rng = random.Random(seed)
    over = threading.Event()
    injected: list[str] = []

    def lose() -> None:
        colab.lose_runtime()

    def faults() -> None:
        kinds = {
            "lost": lose,
            "upload refused": lambda: colab.knobs.for_next(1, contents_status=500),
            "bytes changed on the way there": lambda: colab.knobs.for_next(1, corrupt_uploads=True),
            "line cut": lambda: colab.knobs.for_next(1, ws_drop_after=0.3),
            "no terminal": lambda: colab.knobs.for_next(1, terminals_status=500),
            "black hole": lambda: colab.knobs.for_next(1, ws_hole_after=0.2),
            "bytes changed on the way back": lambda: colab.knobs.for_next(
                1, corrupt_downloads=True
            ),
            "quota": lambda: (colab.lose_runtime(), colab.knobs.for_next(1, assign_outcome=1)),
        }
        while not over.wait(rng.uniform(1.0, 4.0)) and len(injected) < 8:
            name = rng.choice(sorted(kinds))
            injected.append(name)
            kinds[name]()

    injecting = threading.Thread(target=faults)
    injecting.start()
    try:
        result = analysed(
            tracks[:20], tmp_path, DASK_MONTAGE__PLACEMENT="{beats: cgpu}", **far
        )  # fmt: skip
    finally:
        over.set()
        injecting.join()
    assert result["music"] == heard
    assert sum(o["count"] for o in result["operations"] if o["name"] == "beats") == 20
    store = tmp_path / "store" / "records" / "beats"
    assert len(list(store.rglob("*.json"))) == 20


def test_a_machine_that_is_lost_under_a_bundle_is_told(
    tracks: list[Path], heard: list[dict], tmp_path: Path, far: dict[str, str], colab: Colab
) -> None:
    over = threading.Event()

    def lose() -> None:
        # The wheel is the first file that arrives there, the bundle the second.
        while colab.count("PUT", "") < 2 and not over.wait(0.05):
            pass
        colab.lose_runtime()

    losing = threading.Thread(target=lose)
    losing.start()
    try:
        result = analysed(tracks[:3], tmp_path, DASK_MONTAGE__PLACEMENT="{beats: cgpu}", **far)
    finally:
        over.set()
        losing.join()
    assert result["music"] == heard[:3]
    assert targets(result)["beats"] == {"cgpu"}
    assert result["fallbacks"] == []
    told = {(t["operation"], t["reason"].split(":")[0]) for t in result["troubles"]}
    assert told <= {("beats", "RuntimeLost"), ("beats", "ConnectionLost")}
    assert told
