"""The commands that deal with the runtime behind cgpu by hand: `cgpu status|run|put|get|train|stop`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from montage_dask.commands.shared import print_json

if TYPE_CHECKING:
    from montage_dask.cgpu.runtime import Runtime

DISCONNECT = (
    "cgpu cannot release the runtime: it ends when it is idle, or at once by "
    "Runtime > Disconnect and delete runtime in https://colab.research.google.com"
)


def _bytes(context: click.Context, parameter: click.Parameter, value: str) -> int:
    from montage_dask.config.values import cache_size

    try:
        return cache_size(value)
    except (ValueError, TypeError) as error:
        raise click.BadParameter(str(error), context, parameter) from error


_most = click.option(
    "--most",
    default="1GB",
    show_default=True,
    metavar="SIZE",
    callback=_bytes,
    help="Fetch nothing larger: the runtime says itself how much it sends.",
)


@click.group()
def cgpu() -> None:
    """A free Colab GPU by hand; `run` and the other commands use it by themselves.

    Google's rules for free runtimes disallow remote control that bypasses the notebook, and may end it without warning: whether
    your plan and purpose allow it is for you to decide.
    """


def _runtime() -> Runtime:
    from montage_dask.cgpu.runtime import Runtime
    from montage_dask.config import resolve

    # By hand, nothing is installed there: the jobs that need packages bring them.
    return Runtime.from_settings(resolve({"cgpu-install": "off"}))


@cgpu.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--start", is_flag=True, help="Get a runtime if there is none, and look at it.")
def status(as_json: bool, start: bool) -> int:
    """Whether cgpu is set up, and what Colab offers the account. Without --start no runtime is allocated."""
    from montage_dask.cgpu.client import CgpuCli

    runtime = _runtime()
    assert isinstance(runtime.runner, CgpuCli)
    found: dict[str, Any] = {
        "binary": str(runtime.runner.account.binary),
        "config_dir": str(runtime.runner.account.config_dir),
        "eligible": runtime.runner.eligible(),
    }
    if start:
        info = runtime.ensure()
        found["runtime"] = {
            "id": info.id,
            "gpu": info.gpu,
            "python": info.python,
            "free_gigabytes": round(info.free_bytes / 1e9, 1),
            "missing": list(info.missing),
        }
    if as_json:
        print_json(found)
        return 0
    click.echo(f"cgpu: {found['binary']} ({found['config_dir']})")
    click.echo(f"eligible: {', '.join(found['eligible']) or 'no accelerator now'}")
    for name, value in found.get("runtime", {}).items():
        shown = ", ".join(value) or "nothing" if isinstance(value, list) else value
        click.echo(f"runtime {name.replace('_', ' ')}: {shown}")
    return 0


@cgpu.command(context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "--timeout",
    "timeout_seconds",
    type=click.FloatRange(1),
    default=3600.0,
    show_default=True,
    metavar="SECONDS",
)
def run(command: tuple[str, ...], timeout_seconds: float) -> int:
    """Run COMMAND on the runtime, print its output as it comes, and end with its exit code. One argument is a bash script.

    It is a job: interrupted here it is ended there, and a line that is cut does not end it.
    """
    import uuid

    script = command[0] if len(command) == 1 else shlex.join(command)

    def show(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    runtime = _runtime()
    with runtime.keep_alive():
        done = runtime.job(f"by-hand-{uuid.uuid4().hex[:12]}", script, timeout_seconds, show)
    return done.code


@cgpu.command()
@click.argument("local", type=click.Path(path_type=Path))
@click.argument("remote")
def put(local: Path, remote: str) -> int:
    """Send the file LOCAL to REMOTE on the runtime: absolute, or below our folder. Verified; goes on after a break."""
    _runtime().put(local, remote)
    return 0


@cgpu.command()
@click.argument("remote")
@click.argument("local", type=click.Path(path_type=Path))
@_most
def get(remote: str, local: Path, most: int) -> int:
    """Fetch the file REMOTE from the runtime as LOCAL. Verified and atomic; goes on after a break."""
    target = local / remote.rsplit("/", 1)[-1] if local.is_dir() else local
    _runtime().get(remote, target, most)
    return 0


@cgpu.command(context_settings={"ignore_unknown_options": True})
@click.argument("script", type=click.Path(path_type=Path))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option("--data", type=click.Path(path_type=Path), help="A file or folder: $DATA there.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="What the script wrote into $OUTPUT.",
)
@_most
@click.option("--hours", type=click.FloatRange(0.01, 24), default=6.0, show_default=True)
def train(
    script: Path,
    arguments: tuple[str, ...],
    data: Path | None,
    output: Path,
    most: int,
    hours: float,
) -> int:
    """Run the Python file SCRIPT on the runtime, with your data, and fetch what it wrote. ARGUMENTS (behind --) are its own."""
    from montage_dask.cgpu.training import train as train_there
    from montage_dask.errors import UsageError, printable

    for path in (script, data):
        if path is not None and not path.exists():
            raise UsageError(f"{printable(str(path))}: no such file or folder")

    def show(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()

    runtime = _runtime()
    with runtime.keep_alive():
        made = train_there(
            runtime, script, output, data=data, arguments=arguments,
            timeout_seconds=hours * 3600, on_progress=show, most_bytes=most,
        )  # fmt: skip
    for path in made:
        click.echo(str(path))
    return 0


@cgpu.command()
def stop() -> int:
    """End our jobs on the runtime and remove our files; says how to release the machine itself."""
    _runtime().stop()
    click.echo(f"our jobs are ended and our files removed. {DISCONNECT}", err=True)
    return 0
