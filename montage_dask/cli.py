"""The command line: its commands, and how errors end it."""

from __future__ import annotations

import logging
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from montage_dask import plugins
from montage_dask._version import __version__
from montage_dask.commands.cgpu import cgpu
from montage_dask.commands.cluster import cluster
from montage_dask.commands.converting import grade, stabilise, transcode, upscale
from montage_dask.commands.coordinator import coordinator, jobs, submit
from montage_dask.commands.judge import judge
from montage_dask.commands.looking import analyse, frames
from montage_dask.commands.machine import config, doctor
from montage_dask.commands.montage import plan, run, styles
from montage_dask.commands.report import report, status
from montage_dask.commands.shared import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE
from montage_dask.commands.token import token
from montage_dask.commands.worker import op, worker
from montage_dask.config import REPLACED
from montage_dask.errors import MontageError, UsageError
from montage_dask.store import write_json

if TYPE_CHECKING:
    from sys import UnraisableHookArgs


class Commands(click.Group):
    """The package's commands, then those that other distributions plug in; these are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *plugins.names(plugins.COMMANDS)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        try:
            return cast(click.Command, plugins.load(plugins.COMMANDS, cmd_name))
        except KeyError:
            return None
        except UsageError as error:
            return _unavailable(cmd_name, error)


def _unavailable(name: str, error: UsageError) -> click.Command:
    """A command that only says why there is none, whatever its arguments."""

    def say(**_: object) -> None:
        raise error

    return click.Command(
        name,
        callback=say,
        params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
        context_settings={"ignore_unknown_options": True},
        add_help_option=False,
        short_help=str(error),
    )


@click.group(name="montage", cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="montage-dask")
@click.pass_context
def cli(context: click.Context) -> None:
    """Automatic, beat-synced video montage on one Dask graph, from a laptop to a cluster."""
    if context.invoked_subcommand in ("run", "worker", "coordinator"):
        for name in sorted(REPLACED.keys() & os.environ.keys()):
            click.echo(f"note: {name} does nothing here: {REPLACED[name]}", err=True)


for _command in (
    run, plan, styles, analyse, frames, transcode, stabilise, upscale, grade, report, judge, status, doctor,
    config, cluster, worker, cgpu, op, coordinator, submit, jobs, token,
):  # fmt: skip
    cli.add_command(_command)


_stopping = False


def _stop(number: int, frame: object) -> None:
    """Say at once that the interrupt was heard, for what is under way may take a while to end; the second one quits.

    Raises:
        KeyboardInterrupt: the first time.
    """
    global _stopping
    if _stopping:
        # Workers end when they see that we are gone.
        os._exit(EXIT_INTERRUPTED)
    _stopping = True
    # What the interrupt leaves half started ends in tracebacks that nobody asks for, of tasks that nobody waits for.
    for name in ("asyncio", "tornado.application"):
        logging.getLogger(name).disabled = True
    # Not through a buffer that the interrupted code may be writing to; nobody may be there to read it.
    with suppress(OSError):
        os.write(2, b"\nstopping; once more to quit at once\n")
    raise KeyboardInterrupt


AGAIN_SECONDS = 0.05


def _unheard(told: UnraisableHookArgs) -> None:
    """An interrupt that came within a destructor or a callback of the garbage collector goes no further: it is sent once more.

    What else such code says after that is what the interrupt has left behind.
    """
    if not _stopping:
        sys.__unraisablehook__(told)
    elif issubclass(told.exc_type, KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)


def _stop_again(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def listen() -> None:
    """A terminated job, or one whose terminal is gone, is an interrupted one: it stops its workers and keeps what is done."""
    sys.unraisablehook = _unheard
    signal.signal(signal.SIGALRM, _stop_again)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, _stop)


ENDING_VARIABLE = "MONTAGE_ENDING"
"""Names a file for the kind of the error that ends the command: a coordinator tells by it what is worth another try."""


def _leave_word(error: MontageError) -> None:
    named = os.environ.get(ENDING_VARIABLE)
    if named:
        with suppress(MontageError, OSError):
            write_json(Path(named), {"error": type(error).__name__, "message": str(error)})


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit with its code. Errors are one line; details are in the log."""
    # For whatever Python this process starts (workers, nannies, helpers of multiprocessing): they begin in the current folder.
    os.environ["PYTHONSAFEPATH"] = "1"
    listen()
    try:
        code = cli.main(args=arguments, prog_name="python -m montage_dask", standalone_mode=False)
    except MontageError as error:
        click.echo(f"error: {error}", err=True)
        code = EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILED
        _leave_word(error)
    except click.ClickException as error:
        error.show()
        code = EXIT_USAGE
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted: what is done is kept; run the same command to go on", err=True)
        code = EXIT_INTERRUPTED
    sys.exit(code or EXIT_DONE)
