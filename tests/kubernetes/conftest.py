"""A namespace of its own on the cluster that KUBECONFIG names, with a claim whose folder is the same here and in the pods.

`pytest -m kubernetes` needs a cluster with the Dask operator whose pods see this machine's files (a hostPath volume), and whose
images, or what stands in for them, hold this package.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "integration"))

from jobs import Material, make_clip, make_track, montage
from server import SHORT, Namespace, Server

from montage_dask.render.verify import frames_hash


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, without a cluster."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.kubernetes)
            if not os.environ.get("KUBECONFIG"):
                item.add_marker(pytest.mark.skip(reason="needs KUBECONFIG: a Kubernetes cluster"))


@pytest.fixture(autouse=True)
def _operator(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests run beside each other, but not beside the one that takes the operator away."""
    configuration = os.environ.get("KUBECONFIG", "")
    name = "montage-operator-" + hashlib.sha256(configuration.encode()).hexdigest()[:12]
    alone = request.node.get_closest_marker("alone") is not None
    with (Path(tempfile.gettempdir()) / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with Server() as opened:
        yield opened


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that is the same here and in the pods; they run as another user."""
    folder = tmp_path_factory.mktemp("shared")
    for part in (folder, *folder.parents[:2]):
        part.chmod(0o777 if part == folder else 0o755)
    return folder


@pytest.fixture(scope="session")
def one_namespace(server: Server, shared: Path) -> Iterator[Namespace]:
    with server.namespace(f"montage-{secrets.token_hex(3)}", shared) as made:
        yield made


@pytest.fixture
def namespace(one_namespace: Namespace) -> Iterator[Namespace]:
    """The session's namespace; what a failed test leaves there does not fail the next."""
    yield one_namespace
    one_namespace.clear()


@pytest.fixture(scope="session")
def material(shared: Path) -> Material:
    """Three clips and a track: enough for several windows and segments."""
    footage = shared / "footage"
    footage.mkdir()
    make_clip(footage / "a stars.mp4", "testsrc2=size=320x180:rate=25", 6)
    make_clip(footage / "b mandel.mp4", "mandelbrot=size=320x240:rate=30", 5, "30")
    make_clip(footage / "c bars.mp4", "smptehdbars=size=180x320:rate=50,hue=H=t*2", 4, "50")
    return Material(footage, shared / "track.wav", make_track(shared / "track.wav", 8))


@pytest.fixture(scope="session")
def reference(material: Material, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The frames of the montage as this machine makes it alone."""
    output = tmp_path_factory.mktemp("local") / "out.mp4"
    done = montage("run", material.footage, "--music", material.music, "-o", output, *SHORT, "--n-workers", 2)  # fmt: skip
    assert done.code == 0, done.stderr
    return frames_hash(output)


@pytest.fixture
def out(shared: Path, request: pytest.FixtureRequest) -> Path:
    """Where a test's montage goes: a folder that the pods may write to."""
    folder = shared / request.node.name.replace("[", "-").rstrip("]")
    folder.mkdir()
    folder.chmod(0o777)
    return folder / "out.mp4"
