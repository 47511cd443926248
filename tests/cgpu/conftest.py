"""A loopback Colab per test, and a cgpu executable that talks to it.

`cgpu_binary` is the program that CGPU_BIN names, else the stand-in. `cgpu` calls it in `cgpu_environment`.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from calling import Cgpu
from colab import Colab, loopback_colab
from driving import make_runner, make_runtime

from montage_dask.cgpu.client import CgpuCli
from montage_dask.cgpu.runtime import Runtime
from montage_dask.errors import RuntimeLost

STAND_IN = Path(__file__).with_name("cgpu_stand_in.py")


@pytest.fixture
def colab(tmp_path: Path) -> Iterator[Colab]:
    """A fresh loopback Colab; see `colab.py` for all that it can do."""
    with loopback_colab(tmp_path / "colab") as running:
        yield running


@pytest.fixture(scope="session")
def cgpu_binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An executable named `cgpu`, or what CGPU_BIN names."""
    if named := os.environ.get("CGPU_BIN"):
        return Path(named)
    binary = tmp_path_factory.mktemp("bin") / "cgpu"
    # This very Python, isolated and without its site packages: it starts in a fraction of the time.
    binary.write_text(
        f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -IS {shlex.quote(str(STAND_IN))} "$@"\n'
    )
    binary.chmod(0o755)
    return binary


@pytest.fixture
def config_dir(tmp_path: Path) -> Path:
    """cgpu's config folder of the account "me", written by `cgpu_environment`."""
    return tmp_path / "config"


@pytest.fixture
def cgpu_environment(colab: Colab, config_dir: Path) -> dict[str, str]:
    """The complete environment of a signed-in cgpu that talks to `colab`."""
    inherited = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
    return inherited | colab.environment(config_dir) | {"NO_COLOR": "1"}


@pytest.fixture
def cgpu(cgpu_binary: Path, cgpu_environment: dict[str, str]) -> Cgpu:
    """Calls the executable in that environment."""
    return Cgpu(cgpu_binary, cgpu_environment)


@pytest.fixture
def runner(
    cgpu_binary: Path, config_dir: Path, cgpu_environment: dict[str, str], colab: Colab
) -> CgpuCli:
    """A driver of the signed-in cgpu."""
    return make_runner(cgpu_binary, config_dir, cgpu_environment, colab)


@pytest.fixture
def runtime(runner: CgpuCli, colab: Colab) -> Runtime:
    """A runtime behind it, not set up yet; chunks of 1 MiB."""
    return make_runtime(runner, colab)


@pytest.fixture(scope="module")
def shared_runtime(
    cgpu_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Colab, Runtime]]:
    """A runtime that is set up once for a module; `work` hands it out in good order."""
    folder = tmp_path_factory.mktemp("shared")
    with loopback_colab(folder / "colab") as running:
        environment = dict(os.environ) | running.environment(folder / "config")
        runner = make_runner(cgpu_binary, folder / "config", environment, running)
        yield running, make_runtime(runner, running)


@pytest.fixture
def work(shared_runtime: tuple[Colab, Runtime]) -> tuple[Colab, Runtime]:
    """The module's loopback Colab and its runtime, set up and with all knobs as they were."""
    running, runtime = shared_runtime
    running.knobs.reset()
    if not Path(runtime.folder, "runtime").exists():  # the last test lost it
        with contextlib.suppress(RuntimeLost):
            runtime.run("true", 30)
    runtime.ensure()
    return running, runtime
