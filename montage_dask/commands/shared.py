"""What commands share: groups of options, exit codes, progress, and how results are printed."""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import click

from montage_dask.commands.options import Function, grouped, setting_option, setting_options
from montage_dask.config import KINDS
from montage_dask.errors import UsageError, printable
from montage_dask.schema_versions import with_version

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_SKIPPED, EXIT_INTERRUPTED = 0, 1, 2, 3, 130


def _weights(context: click.Context, _: click.Parameter, files: tuple[str, ...]) -> None:
    """Weights say themselves which network they are of."""
    from montage_dask.named_files import recipe_of_weights

    for file in files:
        name = recipe_of_weights(file)
        if f"{name}-weights" not in KINDS:
            raise UsageError(
                f"--weights {printable(file)}: other weights of the network {name!r} than the package's cannot be used here"
            )
        context.params[f"{name}_weights"] = os.path.abspath(file)


shared = grouped(
    *setting_options("shared"),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
    click.option("-q", "--quiet", is_flag=True, help="Only results, errors and what was left out."),
    click.option("-v", "--verbose", is_flag=True, help="Details on stderr."),
)

analysis = grouped(
    *setting_options("analysis"),
    click.option(
        "--weights",
        multiple=True,
        metavar="FILE",
        expose_value=False,
        callback=_weights,
        help="Of a network that `train` made.",
    ),
)

converted = grouped(
    click.argument("files", nargs=-1),
    click.option("-o", "--output", required=True, metavar="DIR"),
    *(setting_option(name) for name in ("deinterlace", "codec", "quality", "crf")),
    click.option("--audio", default="copy", show_default=True, metavar="copy|aac|none"),
    click.option(
        "--container",
        type=click.Choice([".mp4", ".mov", ".mkv"]),
        default=".mp4",
        show_default=True,
    ),
)

montage_options = grouped(
    click.argument("footage", nargs=-1),
    click.option("--music", metavar="FILE", help="Audio file, or a video whose sound to use."),
    click.option("-o", "--output", metavar="FILE", help="The montage; default montage.mp4."),
    click.option("--demo", is_flag=True, help="Make footage and music to try it with."),
    *setting_options("montage"),
    click.option(
        "--include", multiple=True, metavar="CLIP[@t]", help="Use only these clips or shots."
    ),
    click.option("--exclude", multiple=True, metavar="CLIP[@t]", help="Never use these."),
    click.option("--pin", multiple=True, metavar="CLIP[@t]", help="These must be in it."),
    click.option("--first", metavar="CLIP[@t]", help="This opens the montage."),
    click.option("--last", metavar="CLIP[@t]", help="This ends it."),
    click.option(
        "--focus",
        multiple=True,
        metavar="CLIP[@t]=x,y",
        help="Keep this in view where pictures are cropped: 0,0 is the upper left, 1,1 the lower right.",
    ),
    click.option(
        "--trust-job",
        is_flag=True,
        default=None,
        help="The job file is mine: it may say where to run, and name any path.",
    ),
    click.option("--from-timeline", metavar="FILE.otio", help="Render an edited timeline."),
    click.option(
        "--run-dir", metavar="DIR", help="Folder for timeline, pictures, log and artefacts."
    ),
    analysis,
    shared,
)


def progress_for(quiet: bool) -> AbstractContextManager[Any]:
    from contextlib import nullcontext

    from montage_dask.graph.telling import Silent
    from montage_dask.progress import Bars, Lines

    if quiet:
        return nullcontext(Silent())
    return Bars() if sys.stderr.isatty() else Lines()


DASK_LOGGERS = ("distributed", "distributed.client", "tornado", "tornado.application", "bokeh")
"""Those that Dask gives a handler to stderr."""


def set_verbosity(verbose: bool) -> None:
    if not verbose:
        # What people must know of the cluster, a job says itself; the rest stands in its log.
        for name in DASK_LOGGERS:
            for handler in logging.getLogger(name).handlers:
                handler.setLevel(logging.CRITICAL)
    logger = logging.getLogger("montage_dask")
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)
    if verbose:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        logger.addHandler(handler)


def print_json(value: Mapping[str, Any]) -> None:
    """What `--json` prints: one object with its version, in ASCII."""
    told = with_version("output", value)
    sys.stdout.write(json.dumps(told, ensure_ascii=True, allow_nan=False, indent=1) + "\n")


def tell_skipped(result: Mapping[str, Any]) -> int:
    """Name what was left out; the exit code that it means."""
    for skipped in result.get("skipped", ()):
        click.echo(
            f"skipped {printable(skipped['path'])}: {printable(skipped['reason'])}", err=True
        )
    return EXIT_SKIPPED if result.get("skipped") else EXIT_DONE


def call(function: Function, given: dict[str, Any], *arguments: Any, **keywords: Any) -> Any:
    """An API call with the progress that was asked for."""
    quiet, verbose = given.pop("quiet"), given.pop("verbose")
    given.pop("as_json", None)
    set_verbosity(verbose)
    if quiet:
        # Without a handler, Python prints the warnings of a log.
        logging.getLogger("montage_dask").addHandler(logging.NullHandler())
        warnings.simplefilter("ignore")
    options = {k: v for k, v in given.items() if v is not None and v != ()}
    with progress_for(quiet) as progress:
        return function(*arguments, progress=progress, **keywords, **options)
