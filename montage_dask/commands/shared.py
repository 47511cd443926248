"""What commands share: groups of options, exit codes, progress, and how results are printed."""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import click

from montage_dask.commands.cluster import kubernetes_options
from montage_dask.config import KINDS
from montage_dask.errors import UsageError, printable

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_SKIPPED, EXIT_INTERRUPTED = 0, 1, 2, 3, 130

Function = Callable[..., Any]


def grouped(*decorators: Function) -> Function:
    def apply(function: Function) -> Function:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


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
    click.option(
        "--cluster",
        metavar="WHERE",
        help="local, kubernetes, tcp://host:port, tls://host:port, or a scheduler file.",
    ),
    click.option("--tls-ca-file", metavar="FILE", help="Of a cluster at tls://: its authority."),
    click.option("--tls-cert", metavar="FILE", help="This client's certificate there."),
    click.option("--tls-key", metavar="FILE", help="The certificate's key."),
    click.option(
        "--insecure",
        is_flag=True,
        default=None,
        help="Also a cluster beyond this machine without TLS.",
    ),
    *kubernetes_options,
    click.option("--n-workers", type=int, metavar="N", help="Local worker processes."),
    click.option("--store", metavar="DIR", help="Folder of artefacts, shared by jobs."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
    click.option("-q", "--quiet", is_flag=True, help="Only results, errors and what was left out."),
    click.option("-v", "--verbose", is_flag=True, help="Details on stderr."),
)

deinterlacing = click.option(
    "--deinterlace",
    metavar="auto|on|off",
    help="Whole pictures from fields; auto: of interlaced footage.",
)

analysis = grouped(
    deinterlacing,
    click.option("--faces", metavar="on|off", help="Look for faces; default on."),
    click.option(
        "--detector",
        metavar="NAME",
        help="auto, fast, accurate, content, adaptive, hash, histogram.",
    ),
    click.option("--threshold", metavar="X", help="Of the detector."),
    click.option(
        "--weights",
        multiple=True,
        metavar="FILE",
        expose_value=False,
        callback=_weights,
        help="Of a network that `train` made.",
    ),
    click.option("--tracker", metavar="NAME", help="auto, network, flux, librosa or beat-this."),
    click.option("--beat-this-checkpoint", metavar="FILE", help="Weights of tracker beat-this."),
    click.option("--bpm", metavar="X", help="Tempo, when you know it."),
    click.option("--beats", "beats_file", metavar="FILE", help="Beat times, one a line."),
    click.option("--beats-per-bar", metavar="N", help="2 to 7."),
)

converted = grouped(
    click.argument("files", nargs=-1),
    click.option("-o", "--output", required=True, metavar="DIR"),
    deinterlacing,
    click.option("--codec", metavar="NAME", help="h264, hevc or av1."),
    click.option("--quality", metavar="NAME", help="preview, standard, high or master."),
    click.option("--crf", metavar="N", help="Overrides the rate factor of the quality."),
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
    click.option("--style", metavar="NAME|FILE", help="A style; `config styles` lists them."),
    click.option("--duration", metavar="TIME", help="Length; default: to the end of the music."),
    click.option(
        "--exact",
        is_flag=True,
        default=None,
        help="Keep --duration, whatever the music does there.",
    ),
    click.option(
        "--music-fit",
        is_flag=True,
        default=None,
        help="Make the track as long as --duration by joins at bar lines; its own ending stays.",
    ),
    click.option(
        "--start", metavar="TIME|auto", help="Where in the music to begin; auto: its best part."
    ),
    click.option(
        "--size",
        metavar="WxH|NAME",
        help="Default 1920x1080; reel, short, square, portrait, landscape, 4k.",
    ),
    click.option("--fps", metavar="RATE", help="Default 30; 29.97 and 30000/1001 are the same."),
    click.option("--fit", metavar="HOW", help="contain, cover, centre or blur: for other shapes."),
    click.option("--quality", metavar="NAME", help="preview, standard, high or master."),
    click.option("--codec", metavar="NAME", help="h264, hevc or av1."),
    click.option("--crf", metavar="N", help="Overrides the rate factor of the quality."),
    click.option("--seed", metavar="N", help="Another seed, another montage."),
    click.option("--variants", metavar="N", help="So many montages with successive seeds."),
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
        "--allow",
        multiple=True,
        metavar="KIND",
        help="Show it all the same: text, card, black, white, empty, frozen, fade, blur, all.",
    ),
    click.option("--grade", metavar="NAME|FILE.cube", help="Colour grade."),
    click.option(
        "--match", metavar="auto|on|off", help="Bring the shots of one scene to one look."
    ),
    click.option(
        "--transition", metavar="KIND", help="cut, crossfade, dip-to-black, dip-to-white."
    ),
    click.option(
        "--beat-effects",
        metavar="off|EFFECT=WHERE[:X],…",
        help="punch, flash, shake, ramp on none, drops, downbeats or beats, 0 to 1 strong.",
    ),
    click.option(
        "--stabilise", metavar="auto|on|off", help="Steady shots; auto: those that shake."
    ),
    click.option(
        "--upscale",
        metavar="auto|on|off",
        help="Enlarge small footage by a network; auto: where there is a GPU.",
    ),
    click.option("--upscale-model", metavar="NAME|FILE.pth", help="fidelity, detail or a file."),
    click.option(
        "--director", metavar="TEXT", help='What it should be like: "fast, ends on the sea".'
    ),
    click.option("--director-url", metavar="URL", help="Server with an OpenAI API that reads it."),
    click.option("--director-model", metavar="NAME", help="Default: the server's own."),
    click.option("--director-api", metavar="auto|responses|chat"),
    click.option(
        "--keep-audio", is_flag=True, default=None, help="Keep the clips' sound under the music."
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
    sys.stdout.write(json.dumps(value, ensure_ascii=True, allow_nan=False, indent=1) + "\n")


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
