"""A montage whose pictures are not what they claim never stands at the output; an ffmpeg that does wrong is put between."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest
from jobs import SMALL, Material, make_clip, make_track, montage

from montage_dask.media.ffmpeg import binary

TRAPS = {
    # After a seek, all is some frames late: what damaged key frames and wrong time stamps do.
    "late-after-seeks": """
for at, argument in enumerate(arguments):
    if argument == "-ss":
        before = arguments[:at]
        arguments = [*before, "-itsoffset", "0.24", *arguments[at:]]
        break
""",
    # One file comes out late wherever it is decoded from.
    "one-file": """
for at, argument in enumerate(arguments):
    if "b mandel" in argument and arguments[at - 1] == "-i":
        start = max(n for n in range(at) if arguments[n] == "-protocol_whitelist")
        arguments = [*arguments[:start], "-itsoffset", "0.4", *arguments[start:]]
        break
""",
    # Every picture has wrong colours.
    "all": """
arguments = [a.replace("setparams=", "hue=h=90,setparams=") if "trim=" in a else a for a in arguments]
""",
}


@pytest.fixture
def trapped(tmp_path):
    """Makes an ffmpeg that does something wrong when it encodes segments: its environment."""

    def make(name: str) -> dict[str, str]:
        path = tmp_path / f"ffmpeg-{name}"
        path.write_text(
            f"#!{sys.executable}\nimport os, sys\narguments = sys.argv[1:]\n{TRAPS[name]}\n"
            f"os.execv({str(binary())!r}, ['ffmpeg', *arguments])\n"
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return {"MONTAGE_FFMPEG": str(path)}

    return make


@pytest.fixture(scope="module")
def moving(tmp_path_factory) -> Material:
    """Clips of one long group each but for the first, so that most events need a seek to nowhere but the start."""
    folder = tmp_path_factory.mktemp("moving")
    footage = folder / "footage"
    footage.mkdir()
    for name, picture in (
        ("a stars", "testsrc2=size=320x180:rate=25"),
        ("b mandel", "mandelbrot=size=320x180:rate=25:start_scale=1:end_scale=0.05:end_pts=150"),
        ("c colours", "gradients=size=320x180:rate=25:speed=0.2:seed=3"),
    ):
        make_clip(
            footage / f"{name}.mp4", picture, 6, "25",
            "-c:v", "libx264", "-preset", "ultrafast", "-g", "12", "-pix_fmt", "yuv420p",
        )  # fmt: skip
    return Material(footage, folder / "track.wav", make_track(folder / "track.wav", 8))


def run(material: Material, folder: Path, *more: object, **environment: str):
    return montage(
        "run", material.footage, "--music", material.music, "-o", folder / "m.mp4",
        "--run-dir", folder / "run", "--bpm", "120", "--json", "--allow", "all", *SMALL, *more, **environment,
    )  # fmt: skip


def test_what_is_wrong_after_seeks_is_made_again(moving, tmp_path, trapped):
    done = run(moving, tmp_path, **trapped("late-after-seeks"))
    assert done.code == 0, done.stderr
    guard = done.json["guard"]
    assert guard["made_again"] >= 1
    assert guard["worst"] < 1
    assert guard["events"] == len(done.json["cuts"]) + 1
    assert "made again, decoded from further back" in done.stderr
    assert list((tmp_path / "run").glob("mismatch-*.png"))
    # The same command with a whole ffmpeg finds nothing wrong in the store.
    again = run(moving, tmp_path)
    assert again.code == 0
    assert again.json["guard"]["made_again"] == 0
    right = run(moving, tmp_path / "fresh")
    assert right.json["cuts"] == done.json["cuts"]


def test_a_clip_that_is_wrong_alone_is_left_out(moving, tmp_path, trapped):
    done = run(moving, tmp_path, **trapped("one-file"))
    assert done.code in (0, 3), done.stderr
    assert [Path(s["path"]).name for s in done.json["skipped"]] == ["b mandel.mp4"]
    assert "do not come out as they are" in done.json["skipped"][0]["reason"]
    assert not any("mandel" in c["source"] for c in [done.json["opening"], *done.json["cuts"]])


def test_nobody_is_blamed_where_all_is_wrong(moving, tmp_path, trapped):
    done = run(moving, tmp_path, **trapped("all"))
    assert done.code == 1
    assert "not what it claims to show" in done.stderr
    assert "mismatch-" in done.stderr
    assert not (tmp_path / "m.mp4").exists()
    records = list(tmp_path.rglob("records/encode/*/*.json"))
    assert not [
        r for r in records if json.loads(r.read_text())["frames"] and "guard" in os.fspath(r)
    ]
