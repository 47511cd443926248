"""docs/tour.md and README.md: their commands are run as they stand, on small media, on the cluster that the tour starts."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from distributed import Client
from jobs import Material, environment
from PIL import Image

from montage_dask.cli import cli
from montage_dask.media import demo
from montage_dask.media.ffmpeg import run_ffmpeg
from montage_dask.media.probe import probe

ROOT = Path(__file__).parents[2]
TOUR = (ROOT / "docs/tour.md").read_text(encoding="utf-8")
OURS = "python -m montage_dask "
PORT = "8786"


def lines(text: str) -> list[str]:
    """The indented commands of a page."""
    prose = re.sub(r"```.*?```", "", text.replace("\\\n", " "), flags=re.DOTALL)
    return [c.partition("  #")[0].strip() for c in re.findall(r"^    (\S.*)$", prose, re.MULTILINE)]


def known_options(line: str) -> bool:
    """Whether a line of ours names a command and options that there are."""
    words = shlex.split(line)[3:]
    command: click.Command = cli
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words.pop(0))
        if found is None:
            return False
        command = found
    known = {o for p in command.params for o in p.opts} | {"--help"}
    words = words[: words.index("--")] if "--" in words else words
    return {w for w in words if w.startswith("-")} <= known


@pytest.mark.parametrize(
    "page", ["README.md", "docs/tour.md", "docs/usage.md", "docs/gpu.md", "docs/cgpu.md", "docs/styles.md",
             "docs/coordinator.md", "docs/troubleshooting.md", "docs/architecture.md", "docs/configuration.md"],
)  # fmt: skip
def test_every_command_of_ours_on_a_page_exists(page: str):
    text = (ROOT / page).read_text(encoding="utf-8")
    found = lines(text) + re.findall(r"`(python -m montage_dask [^`…]+)`", text)
    found += [c.replace("… run …", OURS + "run") for c in re.findall(r"`(… run … [^`]+)`", text)]
    ours = [c[c.index(OURS) :] for c in found if OURS in c and "FILES…" not in c and "|" not in c]
    assert ours or page == "docs/architecture.md"
    assert [c for c in ours if not known_options(c)] == []


@pytest.mark.parametrize("page", sorted(p.name for p in (ROOT / "docs").glob("*.md")))
def test_links_lead_somewhere(page: str):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    for target, _, part in re.findall(r"\]\(([^)#:\s]*)(#([^)]*))?\)", text):
        file = ROOT / "docs" / (target or page)
        assert file.exists(), target
        if part:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            names = {re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in headings}
            assert part in names, part


@pytest.fixture
def home(material: Material, tmp_path: Path) -> Path:
    """A folder where the demo's media are there already, small ones."""
    made = tmp_path / "demo-media" / f"demo-{demo.VERSION}-0"
    (made / "footage").mkdir(parents=True)
    small = {p.suffix: p for p in sorted(material.footage.iterdir())}
    for clip in demo._CLIPS:
        path = made / "footage" / clip.name
        # Copies that differ: equal files are one clip.
        copied = small.get(path.suffix, small[".mp4"])
        about = ["-t", "2", "-c", "copy", "-metadata", f"title={clip.name}"]
        run_ffmpeg(["-i", str(copied), *about, str(path)], about=path)
    (made / "music").mkdir()
    shutil.copy(material.music, made / "music/demo.flac")
    return tmp_path


@pytest.fixture
def shell(home: Path) -> Iterator[dict[str, str]]:
    """The environment of a user's terminal, with what makes jobs small; and the tour's cluster on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    bin_folder = home / "bin"
    bin_folder.mkdir()
    (bin_folder / "python").symlink_to(sys.executable)
    told = environment(
        PATH=f"{bin_folder}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        DASK_MONTAGE__DURATION="3",
        DASK_MONTAGE__SIZE="160x90",
        DASK_MONTAGE__QUALITY="preview",
        PYTHONPATH=os.pathsep.join(p for p in sys.path if p),
        PORT=port,
    )
    started = []
    try:
        for command in (c for c in lines(TOUR) if c.startswith("dask ") or " worker " in c):
            words = shlex.split(command.replace(PORT, port))
            words += ["--no-dashboard"]
            started.append(
                subprocess.Popen(
                    words,
                    cwd=home,
                    env=told,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            )
        assert len(started) == 2
        with Client(f"tcp://127.0.0.1:{port}", timeout="120s") as client:
            client.wait_for_workers(1, timeout=120)
        yield {**told, "DASK_MONTAGE__CLUSTER": f"tcp://127.0.0.1:{port}"}
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(timeout=60)


@pytest.mark.timeout(900)
def test_the_tour_works_by_the_letter(home: Path, shell: dict[str, str]):
    (swap,) = re.findall(r"```python\n(.*?)```", TOUR, re.DOTALL)
    (home / "swap.py").write_text(swap)
    # The cluster is started above; doctor tries every encoder, and has tests of its own.
    elsewhere = ("pip install", "dask scheduler", OURS + "worker", OURS + "doctor")
    todo = [c for c in lines(TOUR) if not c.startswith(elsewhere)]
    assert len(todo) >= 15
    for command in todo:
        done = _run(command.replace(PORT, shell["PORT"]), home, shell)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    for name in ("demo", "montage", "trailer", "other", "calm", "mine"):
        source, _ = probe(home / f"{name}.mp4")
        assert source.frames == 90, name
    for style in ("party", "noir"):
        source, _ = probe(home / f"styles/{style}.mp4")
        assert source.frames == 90
        with Image.open(home / f"styles/{style}.jpg") as strip:
            assert strip.size == (1200, 90)
    for name in (
        *("montage.montage/report.html", "montage.montage/contact_sheet.jpg"),
        *("analysis/analysis.json", "analysis/beats.csv", "stills/contact_sheet.jpg"),
    ):
        assert (home / name).stat().st_size > 0
    assert len(list((home / "graded").glob("*.mp4"))) == len(demo._CLIPS)


def _run(command: str, home: Path, shell: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        shlex.split(command), cwd=home, env=shell, capture_output=True, text=True, timeout=240
    )
