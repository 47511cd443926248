"""A runtime is set up once, is the same from call to call, and is missed when it is not."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from driving import Counted, make_runner, make_runtime, within

from montage_dask import __version__
from montage_dask.cgpu import provision
from montage_dask.cgpu.runtime import Runtime
from montage_dask.errors import (
    ConnectionLost,
    RemoteCommandFailed,
    RemoteError,
    RuntimeLost,
    UsageError,
)

pytestmark = pytest.mark.cgpu


def test_set_up_once(runtime, runner, colab, cgpu_binary, config_dir, cgpu_environment):
    with Counted(runner) as cold:
        info = runtime.ensure()
    assert cold.started == 4  # the machine, the look at it, the wheel, its set-up
    assert info.new
    assert info.version == __version__
    assert info.missing == ()
    assert info.python == ".".join(map(str, sys.version_info[:3]))
    assert info.free_bytes > 0
    with Counted(runner) as again:
        assert runtime.ensure() is info
        done = runtime.run("echo $PWD; $PYTHON -m montage_dask --version; exit 3", 30)
    assert again.started == 1
    assert done.code == 3
    assert done.output == f"{runtime.folder}\nmontage-dask, version {__version__}\n"
    # It is our wheel that runs there, not what the Python has.
    where = runtime.run("$PYTHON -c 'import montage_dask as m; print(m.__file__)'", 30)
    assert where.output.startswith(f"{runtime.folder}/lib/")
    other = make_runtime(make_runner(cgpu_binary, config_dir, cgpu_environment, colab), colab)
    with Counted(other.runner) as warm:
        found = other.ensure()
    assert warm.started == 2
    assert (found.id, found.boot_id, found.new) == (info.id, info.boot_id, False)


def test_two_at_once_agree(colab, cgpu_binary, config_dir, cgpu_environment):
    runtimes = [
        make_runtime(make_runner(cgpu_binary, config_dir, cgpu_environment, colab), colab)
        for _ in range(3)
    ]
    with ThreadPoolExecutor(3) as pool:
        infos = list(pool.map(lambda r: r.ensure(), runtimes))
    assert len({info.id for info in infos}) == 1
    assert [r.run("exit 5", 30).code for r in runtimes] == [5, 5, 5]
    left = {path.name for path in Path(runtimes[0].folder).iterdir()}
    assert not [name for name in left if ".whl" in name]


@pytest.mark.parametrize("listed", [True, False])
def test_a_replaced_machine_is_noticed_and_set_up_again(runtime, colab, listed):
    first = runtime.ensure()
    colab.lose_runtime(listed=listed)
    with pytest.raises(RuntimeLost) as raised:
        runtime.run("echo hi", 30)
    assert type(raised.value) is RuntimeLost
    assert raised.value.retryable
    second = runtime.ensure()
    assert second.id != first.id
    assert runtime.run("echo hi", 30).output == "hi\n"
    assert runtime.alive()
    colab.lose_runtime(listed=True)
    assert not runtime.alive()


def test_a_restarted_machine_with_its_disk_is_set_up_again(runtime):
    first = runtime.ensure()
    path = Path(runtime.environment_path)
    path.write_text(path.read_text().replace(first.boot_id, "0" * 8 + first.boot_id[8:]))
    with pytest.raises(RuntimeLost):
        runtime.run("true", 30)
    assert runtime.ensure().new
    assert runtime.run("true", 30).code == 0


def test_a_cut_line_is_not_a_lost_machine(runtime, colab):
    runtime.ensure()
    colab.knobs.for_next(1, ws_drop_after=0.3)
    with pytest.raises(ConnectionLost):
        runtime.run("sleep 2", 30)
    assert runtime.run("echo still", 30).output == "still\n"


def test_a_wheel_that_arrives_changed(runtime, colab):
    runtime.runner.allocate()
    colab.knobs.corrupt_uploads = True
    with pytest.raises(RemoteError, match="changed"):
        runtime.ensure()
    colab.knobs.corrupt_uploads = False
    assert runtime.ensure().new


def test_what_is_missing_is_installed_once(runner, colab, monkeypatch, tmp_path):
    """With a real pip, into our folder, from a folder of packages instead of an index."""
    project = tmp_path / "project"
    (project / "montage_missing_piece").mkdir(parents=True)
    (project / "montage_missing_piece" / "__init__.py").write_text("HERE = True\n")
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "montage-missing-piece"\nversion = "1.0"\n'
    )
    monkeypatch.setattr(
        provision, "MODULES", {"click": "click", "montage-missing-piece": "montage_missing_piece"}
    )
    monkeypatch.setattr(
        provision,
        "requirements",
        lambda: {"montage-missing-piece": f"montage-missing-piece @ file://{project}"},
    )
    monkeypatch.setattr(provision, "PIP", [*provision.PIP, "--no-build-isolation", "--no-deps"])
    runtime = Runtime(runner, f"{colab.root()}/montage-dask", install="target", call_seconds=30)
    with Counted(runner) as counted:
        info = runtime.ensure()
    assert counted.started <= 7  # as above, the job (one or two), and another look
    assert info.missing == ()
    done = runtime.run("$PYTHON -c 'import montage_missing_piece as m; print(m.HERE)'", 30)
    assert done.output == "True\n"
    again = Runtime(runner, f"{colab.root()}/montage-dask", install="target", call_seconds=30)
    with Counted(runner) as counted:
        assert not again.ensure().new
    assert counted.started == 1


def test_what_cannot_be_installed_says_why(runner, colab, monkeypatch, tmp_path):
    monkeypatch.setattr(provision, "MODULES", {"nothing": "montage_no_such_module"})
    monkeypatch.setattr(
        provision, "requirements", lambda: {"nothing": f"nothing @ file://{tmp_path}/none"}
    )
    runtime = Runtime(runner, f"{colab.root()}/montage-dask", install="target", call_seconds=30)
    with pytest.raises(RemoteCommandFailed, match="pip install failed") as raised:
        runtime.ensure()
    assert any("none" in line for line in raised.value.last_lines)
    off = make_runtime(runner, colab)
    assert off.ensure().missing == ("nothing",)


def test_a_python_that_is_not_there(runner, colab):
    runtime = Runtime(runner, f"{colab.root()}/x", python="python9", call_seconds=30)
    with within(10), pytest.raises(RemoteError, match="cgpu-python"):
        runtime.ensure()


def test_stop_leaves_nothing(runtime, colab):
    runtime.ensure()
    runtime.run("cd jobs; mkdir x; sleep 300 & setsid sleep 299 & echo $! >x/pid", 30)
    assert Path(runtime.folder).exists()
    runtime.stop()
    assert not Path(runtime.folder).exists()
    assert runtime.ensure().new


def test_wrong_settings(runner):
    for options in ({"install": "maybe"}, {"chunk_bytes": 0}, {"chunk_bytes": 65 << 20}):
        with pytest.raises(UsageError):
            Runtime(runner, **options)
    for folder in ("relative", "/a b", "/a;b", "/a/../b"):
        with pytest.raises(UsageError):
            Runtime(runner, folder)


def test_from_settings(monkeypatch, cgpu_binary, tmp_path):
    from montage_dask.config import resolve

    monkeypatch.setenv("CGPU_BIN", str(cgpu_binary))
    monkeypatch.setenv("CGPU_CONFIG_DIR", str(tmp_path))
    runtime = Runtime.from_settings(
        resolve({"cgpu-folder": "/data/ours", "cgpu-chunk-megabytes": 8, "cgpu-call-seconds": 60})
    )
    assert runtime.folder == "/data/ours"
    assert runtime.runner.scratch == "/data"
    assert runtime.chunk_bytes == 8 << 20
    assert runtime.runner.account.config_dir == tmp_path
    json.dumps(runtime.runner.account.lack())
