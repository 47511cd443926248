"""A job with every effect on, killed in the middle, goes on; and another edit of the same footage reuses what effects made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from jobs import Material, environment, montage
from makers import network_file

from montage_dask.render.verify import frames_hash

EFFECTS = (
    *("--size", "640x360", "--fps", "25", "--quality", "preview", "--duration", "3", "--seed", "3"),
    *("--stabilise", "on", "--upscale", "on", "--match", "on", "--grade", "warm"),
)
MADE = ("stabilise", "upscale")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    path = network_file(tmp_path_factory.mktemp("model") / "tiny.pth")
    return {"DASK_MONTAGE__UPSCALE_MODEL": str(path)}


def arguments(material: Material, output: Path, *more: str) -> list[str]:
    job = ["run", str(material.footage), "--music", str(material.music), "-o", str(output)]
    return [*job, "--json", *EFFECTS, *more]


def made(store: Path) -> int:
    return sum(len(list(store.glob(f"records/{name}/*/*.json"))) for name in MADE)


def start(material: Material, output: Path, model: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "montage_dask", *arguments(material, output)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(**model),
    )


def wait_for(process: subprocess.Popen[str], output: Path, pieces: int) -> None:
    """Until effects have made so many pieces."""
    deadline = time.monotonic() + 200
    while made(output.parent / ".montage") < pieces:
        assert process.poll() is None, "the job ended before it could be disturbed"
        assert time.monotonic() < deadline, "no effect made anything"
        time.sleep(0.02)


def test_killed_with_all_effects_on_it_goes_on(
    material: Material, tmp_path: Path, model: dict[str, str]
) -> None:
    whole = tmp_path / "whole" / "out.mp4"
    done = montage(*arguments(material, whole), **model)
    assert done.code == 0, done.stderr
    applied = {e["effect"] for e in done.json["effects"] if e["applied"]}
    assert "upscale" in applied
    reference, pieces = frames_hash(whole), made(whole.parent / ".montage")
    assert pieces >= 4

    # First a worker dies, and then, some pieces later, the client.
    output = tmp_path / "killed" / "out.mp4"
    process = start(material, output, model)
    wait_for(process, output, 1)
    children = psutil.Process(process.pid).children(recursive=True)
    next(c for c in children if "spawn_main" in " ".join(c.cmdline())).kill()
    wait_for(process, output, 3)
    children = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    psutil.wait_procs(children, timeout=20)
    assert not output.exists()
    before = made(output.parent / ".montage")
    again = montage(*arguments(material, output), **model)
    assert again.code == 0, again.stderr
    rows = {o["name"]: o for o in again.json["operations"]}
    assert sum(rows[n]["reused"] for n in MADE if n in rows) >= before
    assert sum(rows[n]["count"] for n in MADE if n in rows) == pieces - before
    assert frames_hash(output) == reference

    # Another edit of the same footage: pieces that it shows as well are there.
    other = montage(*arguments(material, whole.with_name("other.mp4"), "--start", "2"), **model)
    assert other.code == 0, other.stderr
    rows = {o["name"]: o for o in other.json["operations"]}
    assert sum(rows[n]["reused"] for n in MADE if n in rows) > 0
    assert rows["encode"]["count"] > 0
