"""The other commands, as a user runs them: plan, analyse, frames, transcode, and a cluster of one's own."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import opentimelineio as otio
import pytest
from jobs import SMALL, Material, environment, make_clip, montage
from makers import network_file
from PIL import Image

from montage_dask.media.decode import decode_frames
from montage_dask.media.probe import probe


def test_plan_tells_and_does_nothing(material: Material, tmp_path: Path):
    output = tmp_path / "out.mp4"
    done = montage(
        "plan", material.footage, "--music", material.music, "-o", output, "--json", *SMALL
    )
    assert done.code == 0, done.stderr
    plan = done.json
    assert len(plan["clips"]) == 5
    assert all(c["windows_to_do"] == c["windows"] >= 1 for c in plan["clips"])
    assert plan["montage"]["frames"] == 300
    rows = {o["operation"]: o for o in plan["operations"]}
    assert rows.keys() >= {"strip", "shots", "beats", "encode", "audio", "assemble"}
    assert all(
        o["target"] == "cpu" and o["reason"] and o["resources"] == {"CPU": 1} for o in rows.values()
    )
    assert plan["estimate"]["wall_seconds"] > 0
    assert plan["estimate"]["disk_bytes"] > 0
    assert plan["cluster"]["resources"]["CPU"] >= 1
    assert not output.exists()
    assert not list(tmp_path.glob(".montage/records/strip/*"))
    for_people = montage(
        "plan", material.footage, "--music", material.music, "-o", output, *SMALL, "-q"
    )
    assert "runs on the CPU only" in for_people.stdout.replace("\n", " ")


@pytest.fixture(scope="module")
def cut_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures of 40 frames each."""
    path = tmp_path_factory.mktemp("cut") / "three shots.mp4"
    picture = (
        "testsrc2=size=320x180:rate=25:duration=1.6[a];mandelbrot=size=320x180:rate=25,trim=duration=1.6[b];"
        "smptehdbars=size=320x180:rate=25:duration=1.6[c];[a][b][c]concat=n=3"
    )
    make_clip(path, picture, 4.8)
    return path


def test_analyse_finds_shots_and_beats(cut_clip: Path, material: Material, tmp_path: Path):
    done = montage("analyse", cut_clip, material.music, "-o", tmp_path / "found", "--json")
    assert done.code == 0, done.stderr
    (clip,) = done.json["footage"]
    assert [(s["start_frame"], s["stop_frame"]) for s in clip["shots"]] == [
        (0, 40),
        (40, 80),
        (80, 120),
    ]
    assert clip["shots"][1]["start_seconds"] == pytest.approx(1.6)
    assert (clip["fps"], clip["frames"]) == (25, 120)
    (track,) = done.json["music"]
    assert track.keys() >= {
        "path",
        "tempo_bpm",
        "confidence",
        "beats_seconds",
        "downbeats_seconds",
        "sections",
    }
    assert track["tempo_bpm"] == pytest.approx(120, abs=1)
    near = [min(abs(b - t) for b in track["beats_seconds"]) for t in material.beats]
    assert sum(n <= 0.035 for n in near) >= 0.95 * len(near)
    files = {p.name for p in (tmp_path / "found").iterdir()}
    assert files >= {"analysis.json", "shots.csv", "beats.csv", "shots.otio"}
    assert (
        json.loads((tmp_path / "found" / "analysis.json").read_text())["footage"]
        == done.json["footage"]
    )
    with (tmp_path / "found" / "shots.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 3
    timeline = otio.adapters.read_from_file(str(tmp_path / "found" / "shots.otio"))
    assert len(list(timeline.find_clips())) == 3


@pytest.mark.parametrize("detector", ["accurate", "content"])
def test_other_detectors_find_the_same_cuts(cut_clip: Path, tmp_path: Path, detector: str):
    done = montage(
        "analyse", cut_clip, "-o", tmp_path / "a.json", "--json", "--detector", detector, "-q"
    )
    assert done.code == 0, done.stderr
    assert [s["start_frame"] for s in done.json["footage"][0]["shots"]] == [0, 40, 80]


def test_frames_per_shot_and_contact_sheet(cut_clip: Path, tmp_path: Path):
    done = montage("frames", cut_clip, "-o", tmp_path, "--contact-sheet", "--width", 160, "--json")
    assert done.code == 0, done.stderr
    stills = done.json["frames"][0]["stills"]
    assert [Path(s).name for s in stills] == ["020.jpg", "060.jpg", "100.jpg"]
    with Image.open(stills[0]) as image:
        assert image.size == (160, 90)
    with Image.open(done.json["contact_sheet"]) as sheet:
        assert sheet.width > 300


def test_frames_every_second(cut_clip: Path, tmp_path: Path):
    done = montage("frames", cut_clip, "-o", tmp_path, "--every", 1, "--format", "png", "--json")
    names = [Path(s).name for s in done.json["frames"][0]["stills"]]
    assert names == ["000.png", "025.png", "050.png", "075.png", "100.png"]


def test_transcode_in_windows(material: Material, tmp_path: Path):
    arguments = (
        "transcode",
        material.footage,
        "-o",
        tmp_path / "out",
        "--codec",
        "h264",
        "--crf",
        30,
        "--quality",
        "preview",
        "--size",
        "160x160",
        "--json",
    )
    done = montage(*arguments, DASK_MONTAGE__TRANSCODE_FRAMES="40")
    assert done.code == 0, done.stderr
    assert len(done.json["outputs"]) == 5
    for made in done.json["outputs"]:
        before, _ = probe(made["path"])
        after, _ = probe(made["output"])
        assert after.frames == before.frames == made["frames"]
        assert after.frame_rate == before.frame_rate
        assert max(after.width, after.height) <= 160
    again = montage(*arguments, DASK_MONTAGE__TRANSCODE_FRAMES="40")
    assert sum(o["count"] for o in again.json["operations"]) == 0


def test_grade_is_resumed_and_checked_first(cut_clip: Path, tmp_path: Path):
    arguments = ("grade", cut_clip, "-o", tmp_path / "out", "--grade", "noir", "--json")
    arguments += ("--quality", "preview", "--audio", "none")
    done = montage(*arguments, DASK_MONTAGE__TRANSCODE_FRAMES="60")
    assert done.code == 0, done.stderr
    (made,) = done.json["outputs"]
    assert made["frames"] == 120
    source, index = probe(made["output"])
    (_, frame) = next(decode_frames(source, index, 60, 61))
    assert abs(frame.to_ndarray()[180:].astype(int) - 128).max() <= 2  # no colour is left
    again = montage(*arguments, DASK_MONTAGE__TRANSCODE_FRAMES="60")
    assert sum(o["count"] for o in again.json["operations"]) == 0
    refused = montage("grade", cut_clip, "-o", tmp_path / "out", "--grade", "noire")
    assert refused.code == 2
    assert "noir" in refused.stderr
    assert "teal-orange" in montage("grade", "--help").stdout


def test_a_cluster_of_ones_own(material: Material, tmp_path: Path):
    """A plain scheduler and worker started by hand, reached by a scheduler file; their open address needs a word."""
    file = tmp_path / "scheduler.json"
    launch = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    worker = [
        sys.executable,
        "-m",
        "distributed.cli.dask_worker",
        "--scheduler-file",
        str(file),
        "--nthreads",
        "1",
        "--no-dashboard",
    ]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment()}
    started = [
        subprocess.Popen(
            [*launch, "--scheduler-file", str(file), "--port", "0", "--no-dashboard"], **quiet
        )
    ]
    try:
        deadline = time.monotonic() + 60
        while not file.exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        started.append(subprocess.Popen(worker, **quiet))
        arguments = (
            "run",
            material.footage,
            "--music",
            material.music,
            "--duration",
            2,
            "--json",
            "--cluster",
            file,
            *SMALL,
        )
        refused = montage(*arguments, "-o", tmp_path / "no.mp4")
        assert refused.code == 1
        assert "lies beyond this machine" in refused.stderr
        done = montage(*arguments, "--insecure", "-o", tmp_path / "yes.mp4")
        assert done.code == 0, done.stderr
        assert (tmp_path / "yes.mp4").exists()
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(timeout=30)


def test_no_cluster_is_an_error_in_one_line(material: Material, tmp_path: Path):
    done = montage(
        "run",
        material.footage,
        "--music",
        material.music,
        "-o",
        tmp_path / "o.mp4",
        "--cluster",
        tmp_path / "none.json",
    )
    assert done.code == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: --cluster")
    assert "Traceback" not in done.stderr


def test_upscale_as_a_user_does(tmp_path: Path):
    clip = tmp_path / "small.mp4"
    make_clip(clip, "testsrc2=size=64x36:rate=25", 1)
    model = network_file(tmp_path / "own.pth")
    done = montage(
        "upscale", clip, "-o", tmp_path / "out", "--scale", 4, "--model", model, "--json", "--n-workers", 1
    )  # fmt: skip
    assert done.code == 0, done.stderr
    assert "4× by own.pth on 1 cpu slot takes about" in done.stderr
    (made,) = done.json["outputs"]
    after, _ = probe(made["output"])
    assert (after.width, after.height, after.frames) == (256, 144, 25)
    assert done.json["expected_seconds"] > 0


def test_quiet_is_quiet(material, tmp_path):
    """The result on stdout, and not a word beside it; also of Python's and Dask's warnings."""
    arguments = (material.footage, "--music", material.music, "-o", tmp_path / "o.mp4", *SMALL)
    done = montage("run", *arguments, "--duration", "4", "-q")
    assert done.code == 0
    assert done.stdout == f"{tmp_path / 'o.mp4'}\n"
    assert done.stderr == ""
