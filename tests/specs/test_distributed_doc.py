"""docs/DISTRIBUTED_PROCESSING.md: its commands exist, and its cluster by hand, with its certificates, works."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import click
import pytest
from started import end, free_port, wait_for

from montage_dask.cli import cli

pytestmark = pytest.mark.job

DOC = Path(__file__).parents[2] / "docs/DISTRIBUTED_PROCESSING.md"
TEXT = DOC.read_text()


def commands() -> list[list[str]]:
    """Indented lines of code, and the commands in the text, as words."""
    indented = re.findall(r"^    (\S(?:.*\\\n)*.*)$", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL), re.MULTILINE)  # fmt: skip
    quoted = re.findall(r"`(python -m montage_dask [^`]+)`", TEXT)
    return [shlex.split(c.replace("\\\n", " ")) for c in [*indented, *quoted]]


def ours() -> list[list[str]]:
    mark = ["python", "-m", "montage_dask"]
    return [c[i + 3 :] for c in commands() for i in range(len(c)) if c[i : i + 3] == mark]


@pytest.mark.parametrize("words", ours(), ids=" ".join)
def test_our_commands_have_these_options(words):
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group):
        found = command.get_command(context, words[0])
        assert found is not None, words[0]
        command, words = found, words[1:]
    known = {o for p in command.params for o in p.opts}
    if command.name != "worker":  # hands on what it does not know
        assert {w for w in words if w.startswith("-")} <= known


def test_all_kinds_of_commands_are_seen():
    assert len(ours()) >= 15
    assert ["dask", "scheduler"] in [c[:2] for c in commands()]


def block(kind: str, mark: str, places: dict[str, str]) -> str:
    (found,) = [b for b in re.findall(rf"```{kind}\n(.*?)```", TEXT, re.DOTALL) if mark in b]
    for there, here in places.items():
        found = found.replace(there, here)
    return found


def test_links_lead_somewhere():
    found = re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    headings = {re.sub(r"[^a-z ]", "", h.lower()).replace(" ", "-") for h in found}
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        if target.startswith("#"):
            assert target[1:] in headings
        elif "://" not in target:
            assert (DOC.parent / target).exists(), target


def test_a_cluster_by_hand(tmp_path):
    """The certificates and the settings of the page, its scheduler, its worker, and its look into them."""
    tls = tmp_path / "tls"
    tls.mkdir()
    port, dashboard = str(free_port()), str(free_port())
    places = {
        "/etc/montage": str(tls),
        "scheduler:8786": f"127.0.0.1:{port}",
        "8786": port,
        "8787": dashboard,
    }
    (tls / "dask.yaml").write_text(block("yaml", "ca-file", places))
    clean = {k: v for k, v in os.environ.items() if not k.startswith("DASK_")}
    environment = clean | {"DASK_CONFIG": str(tls / "dask.yaml")}
    (export,) = [c for c in commands() if c[0] == "export" and c[1].startswith("DASK_")]
    environment |= dict(w.split("=", 1) for w in export[1:])
    make = [sys.executable, "-c", block("python", "Security.temporary", places)]
    subprocess.run(make, check=True, env=clean, timeout=60)
    assert {p.stat().st_mode & 0o777 for p in tls.glob("*.pem")} == {0o600}
    again = subprocess.run(make, env=clean, capture_output=True, timeout=60)
    assert again.returncode == 1, "a key in use was replaced"

    def start(head: list[str], *more: str) -> subprocess.Popen[bytes]:
        (words,) = [c for c in commands() if c[: len(head)] == head]
        line = " ".join(words[words.index("-m") + 1 :] if "-m" in words else words)
        for there, here in places.items():
            line = line.replace(there, here)
        command = [sys.executable, "-m", *shlex.split(line), *more]
        return subprocess.Popen(command, env=environment, start_new_session=True)

    look = block("python", "call_stack", places)
    with ExitStack() as stack:
        stack.callback(end, start(["dask", "scheduler"], "--host", "127.0.0.1"))
        worker = ["python", "-m", "montage_dask", "worker", "--type", "cpu"]
        stack.callback(end, start(worker, "--slots", "1", "--no-dashboard"))

        def seen() -> str:
            done = subprocess.run(
                [sys.executable, "-c", look],
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
            )
            return done.stdout

        wait_for(lambda: "tls://" in seen())
