"""A received folder may hold a click.py: no command, and no process that one starts, imports modules from the current folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from distributed import Client, LocalCluster
from jobs import Material, environment

PLANTED = (
    "click", "yaml", "numpy", "dask", "distributed", "tornado", "av", "cv2", "rich", "bokeh", "jinja2", "msgpack", "montage",
    "typing", "shlex", "__future__", "multiprocessing", "json", "logging", "dataclasses", "ssl", "bdb",
    "sitecustomize", "usercustomize", "pickle", "asyncio", "resource", "fcntl", "zarr", "torch", "psutil", "cloudpickle",
)  # fmt: skip
"""Without those that Python itself imports for `-m` before any code of ours: pkgutil, collections, functools; see SECURITY.md."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder full of modules that tell that they were imported."""
    for name in PLANTED:
        mark = tmp_path / f"imported-{name}"
        (tmp_path / f"{name}.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    # As if a distribution lay there that plugs commands in.
    (tmp_path / "plugged.py").write_text(
        f"open({str(tmp_path / 'imported-plugged')!r}, 'w').close()\n"
    )
    info = tmp_path / "plugged-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[montage_dask.commands]\nplugged = plugged:command\n")
    return tmp_path


def outside() -> dict[str, str]:
    """An environment as users have it: a command that ran within these tests has left its own protection behind."""
    return {k: v for k, v in environment().items() if k != "PYTHONSAFEPATH"}


def imported(folder: Path) -> set[str]:
    return {p.name.removeprefix("imported-") for p in folder.glob("imported-*")}


def test_modules_in_the_current_folder_are_found_without_us(folder: Path):
    """The test could not fail otherwise."""
    command = [sys.executable, "-c", "import click, typing"]
    subprocess.run(command, cwd=folder, env=outside(), check=False)
    assert "click" in imported(folder)


@pytest.mark.parametrize("start", [["-m", "montage_dask"], ["-Bm", "montage_dask"], ["script"]])
@pytest.mark.parametrize(
    "command", [["config", "styles"], ["--help"], ["cluster", "--help"], ["doctor"]]
)
def test_commands_import_nothing_from_it(folder: Path, start: list[str], command: list[str]):
    if command == ["doctor"] and start != ["-m", "montage_dask"]:
        pytest.skip("slow, and once is enough")
    script = Path(sys.executable).with_name("montage-dask")
    begin = [str(script)] if start == ["script"] else [sys.executable, *start]
    done = subprocess.run(
        [*begin, *command], cwd=folder, env=outside(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
    assert not imported(folder)


@pytest.mark.parametrize("start", [["-m", "montage_dask"], ["script"]])
def test_a_whole_job_and_its_workers_import_nothing_from_it(
    folder: Path, material: Material, start: list[str]
):
    script = Path(sys.executable).with_name("montage-dask")
    begin = [str(script)] if start == ["script"] else [sys.executable, *start]
    done = subprocess.run(
        [*begin, "run", str(material.footage / "a stars.mp4"), "--music", str(material.music), "--duration", "2",
         "--size", "160x90", "--quality", "preview", "--n-workers", "1", "-q"],
        cwd=folder, env=outside(), capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not imported(folder)


def test_a_worker_and_its_nanny_import_nothing_from_it(folder: Path):
    with (
        LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        process = subprocess.Popen(
            [sys.executable, "-m", "montage_dask", "worker", "--scheduler", cluster.scheduler_address, "--slots", "1"],
            cwd=folder, env=outside(), stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            client.wait_for_workers(1, timeout=90)
            path = client.submit(lambda: __import__("sys").path).result(timeout=30)
            assert str(folder) not in path
            assert "" not in path
            client.submit(lambda: [__import__(n) for n in ("av", "rich", "zarr")]).result(
                timeout=60
            )
        finally:
            process.terminate()
            process.wait(30)
    assert not imported(folder)


def test_the_api_starts_workers_that_do_not_look_there(folder: Path):
    """A notebook stands in a folder, and looks there itself; what it starts looks where Python is installed first."""
    code = (
        "import sys; sys.path.remove('')\n"
        "from montage_dask import Cluster\n"
        "if __name__ == '__main__':\n"
        "    with Cluster(n_workers=1) as cluster:\n"
        "        print(cluster.client.submit(lambda: __import__('sys').flags.safe_path).result())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=outside(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "True", done.stderr
    assert not imported(folder)


def test_sources_that_are_not_installed_still_run(tmp_path: Path):
    import montage_dask

    package = Path(montage_dask.__file__).parent
    (tmp_path / "montage_dask").symlink_to(package)
    (tmp_path / "click.py").write_text("raise SystemExit('planted')")
    done = subprocess.run(
        [sys.executable, "-m", "montage_dask", "--version"],
        cwd=tmp_path, env=outside(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "montage-dask, version" in done.stdout
