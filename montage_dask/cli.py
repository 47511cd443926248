"""The commands: they parse, call the API, and print. Data goes to stdout, everything for people to stderr."""

from __future__ import annotations

import json
import logging
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import click

from montage_dask import __version__
from montage_dask.commands_cgpu import cgpu
from montage_dask.commands_cluster import cluster, kubernetes_options
from montage_dask.commands_report import report, status
from montage_dask.commands_worker import op, worker
from montage_dask.errors import MontageError, UsageError, printable

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_SKIPPED, EXIT_INTERRUPTED = 0, 1, 2, 3, 130

Function = Callable[..., Any]


def _options(*decorators: Function) -> Function:
    def apply(function: Function) -> Function:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


shared = _options(
    click.option(
        "--cluster",
        metavar="WHERE",
        help="local, kubernetes, tcp://host:port, tls://host:port, or a scheduler file.",
    ),
    click.option("--tls-ca-file", metavar="FILE", help="Of a cluster at tls://: its authority."),
    click.option("--tls-cert", metavar="FILE", help="This client's certificate there."),
    click.option("--tls-key", metavar="FILE", help="The certificate's key."),
    *kubernetes_options,
    click.option("--n-workers", type=int, metavar="N", help="Local worker processes."),
    click.option("--store", metavar="DIR", help="Folder of artefacts, shared by jobs."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
    click.option("-q", "--quiet", is_flag=True, help="No progress."),
    click.option("-v", "--verbose", is_flag=True, help="Details on stderr."),
)

analysis = _options(
    click.option(
        "--detector", metavar="NAME", help="fast, accurate, content, adaptive, hash, histogram."
    ),
    click.option("--threshold", metavar="X", help="Of the detector."),
    click.option("--tracker", metavar="NAME", help="auto, flux or librosa."),
    click.option("--bpm", metavar="X", help="Tempo, when you know it."),
    click.option("--beats", "beats_file", metavar="FILE", help="Beat times, one a line."),
    click.option("--beats-per-bar", metavar="N", help="3 or 4."),
)

converted = _options(
    click.argument("files", nargs=-1),
    click.option("-o", "--output", required=True, metavar="DIR"),
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

montage_options = _options(
    click.argument("footage", nargs=-1),
    click.option("--music", metavar="FILE", help="Audio file, or a video whose sound to use."),
    click.option("-o", "--output", metavar="FILE", help="The montage; default montage.mp4."),
    click.option("--demo", is_flag=True, help="Make footage and music to try it with."),
    click.option("--style", metavar="NAME|FILE", help="A style; `config styles` lists them."),
    click.option("--duration", metavar="TIME", help="Length; default: to the end of the music."),
    click.option("--start", metavar="TIME", help="Where in the music to begin."),
    click.option("--size", metavar="WxH", help="Default 1920x1080."),
    click.option("--fps", metavar="RATE", help="Default 30; 29.97 and 30000/1001 are the same."),
    click.option("--fit", metavar="HOW", help="contain, cover or blur: for other aspect ratios."),
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
    click.option("--grade", metavar="NAME|FILE.cube", help="Colour grade."),
    click.option(
        "--match", metavar="auto|on|off", help="Bring the shots of one scene to one look."
    ),
    click.option(
        "--transition", metavar="KIND", help="cut, crossfade, dip-to-black, dip-to-white."
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
    click.option("--from-timeline", metavar="FILE.otio", help="Render an edited timeline."),
    click.option(
        "--run-dir", metavar="DIR", help="Folder for timeline, pictures, log and artefacts."
    ),
    analysis,
    shared,
)


@click.group(name="montage", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="montage-dask")
def cli() -> None:
    """Automatic, beat-synced video montage on one Dask graph, from a laptop to a cluster."""


cli.add_command(cgpu)


def _progress(quiet: bool) -> AbstractContextManager[Any]:
    from contextlib import nullcontext

    from montage_dask.graph.drive import Silent
    from montage_dask.progress import Bars, Lines

    if quiet:
        return nullcontext(Silent())
    return Bars() if sys.stderr.isatty() else Lines()


def _verbosity(verbose: bool) -> None:
    logger = logging.getLogger("montage_dask")
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)
    if verbose:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        logger.addHandler(handler)


def _print(value: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=True, allow_nan=False, indent=1) + "\n")


def _skipped(result: Mapping[str, Any]) -> int:
    """Name what was left out; the exit code that it means."""
    for skipped in result.get("skipped", ()):
        click.echo(
            f"skipped {printable(skipped['path'])}: {printable(skipped['reason'])}", err=True
        )
    return EXIT_SKIPPED if result.get("skipped") else EXIT_DONE


def _call(function: Function, given: dict[str, Any], *arguments: Any, **keywords: Any) -> Any:
    """An API call with the progress that was asked for."""
    quiet, verbose = given.pop("quiet"), given.pop("verbose")
    given.pop("as_json", None)
    _verbosity(verbose)
    options = {k: v for k, v in given.items() if v is not None and v != ()}
    with _progress(quiet) as progress:
        return function(*arguments, progress=progress, **keywords, **options)


@cli.command()
@montage_options
def run(footage: tuple[str, ...], demo: bool, as_json: bool, **given: Any) -> int:
    """Make a montage of FOOTAGE (files, folders, globs, or one job file). Run it again to go on after anything went wrong."""
    from montage_dask import api

    if demo:
        footage, given = _demo(footage, given)
    result = _call(api.run, given, footage)
    if as_json:
        _print(result)
    elif not given.get("quiet"):
        cuts, errors = (
            result["cuts"],
            [abs(c["error_ms"]) for c in result["cuts"] if c["error_ms"] is not None],
        )
        worst = f", at most {max(errors):.1f} ms off their beats" if errors else ""
        for line in direction_lines(result["director"]) if result["director"] else ():
            click.echo(line, err=True)
        click.echo(f"{len(cuts)} cuts{worst}; {result['frames']} frames", err=True)
        for made in result.get("variants", [result]):
            click.echo(made["output"])
    return _skipped(result)


def _demo(
    footage: tuple[str, ...], given: dict[str, Any]
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Footage and music of our own, in a folder beside the output."""
    from montage_dask.media.demo import make_demo

    if footage or given.get("music"):
        raise UsageError("--demo brings its own footage and music: leave yours out")
    output = Path(given.get("output") or "demo.mp4")
    if not given.get("quiet"):
        click.echo("making demo footage and music …", err=True)
    media = make_demo(output.absolute().with_name(output.stem + "-media"))
    given = {**given, "output": str(output), "music": str(media.music)}
    given["size"] = given.get("size") or "1280x720"
    return tuple(str(p) for p in media.footage), given


@cli.command()
@montage_options
def plan(footage: tuple[str, ...], demo: bool, as_json: bool, **given: Any) -> int:
    """Say what `run` with the same arguments would do, where, how long it takes and how much disk it needs."""
    from montage_dask import api

    if demo:
        footage, given = _demo(footage, given)
    result = _call(api.plan, given, footage)
    if as_json:
        _print(result)
    else:
        _show_plan(result)
    return _skipped(result)


def _show_plan(result: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    clips = Table(
        title=f"{len(result['clips'])} clips, {result['windows']} windows of {result['window_frames']} frames"
    )
    for name in ("clip", "codec", "size", "fps", "frames", "windows", "to do"):
        clips.add_column(name, justify="left" if name in ("clip", "codec") else "right")
    for c in result["clips"]:
        clips.add_row(
            printable(Path(c["path"]).name), c["codec"], c["size"], f"{c['fps']:.3f}".rstrip("0").rstrip("."),
            str(c["frames"]), str(c["windows"]), str(c["windows_to_do"]),
        )  # fmt: skip
    console.print(clips)
    operations = Table(title="Operations")
    for name in ("operation", "target", "resources", "count", "CPU s", "reason"):
        operations.add_column(name, justify="right" if name in ("count", "CPU s") else "left")
    for o in result["operations"]:
        tags = " ".join(f"{k}={v:g}" for k, v in o["resources"].items())
        operations.add_row(
            o["operation"],
            o["target"],
            tags,
            str(o["count"]),
            f"{o['cpu_seconds']:.1f}",
            o["reason"],
        )
    console.print(operations)
    if result.get("director"):
        for line in direction_lines(result["director"]):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    montage, estimate, cluster = result["montage"], result["estimate"], result["cluster"]
    console.print(
        f"montage: {montage['duration_seconds']:.1f} s, {montage['frames']} frames of {montage['size']} "
        f"at {montage['fps']:g} fps in {montage['segments']} segments or more"
    )
    console.print(
        f"estimate: about {estimate['wall_seconds']:.0f} s on {cluster['workers']} workers, "
        f"{estimate['disk_bytes'] / 1e6:.0f} MB of {estimate['disk_free_bytes'] / 1e9:.1f} GB free"
    )
    offered = ", ".join(f"{k}={v:g}" for k, v in cluster["resources"].items()) or "no resources"
    console.print(f"cluster: {cluster['where']}, {cluster['workers']} workers, {offered}")


def direction_lines(director: Mapping[str, Any]) -> list[str]:
    """What a director has decided, for people; file names and a model's words are escaped."""
    lines = [f"director ({director['answered_by']}): {director['reason'] or 'no reason given'}"]
    lines += [f"  {chosen}" for chosen in director["chosen"]]
    if director["overruled"]:
        lines.append(
            "  set by you, and so not by the director: " + ", ".join(director["overruled"])
        )
    lines += [f"  note: {note}" for note in director["notes"]]
    if director["provisional"]:
        lines.append("  the footage is not analysed yet: run will look at it before it decides")
    return [printable(line) for line in lines]


@cli.command()
@click.argument("files", nargs=-1)
@click.option("--music", multiple=True, metavar="FILE", help="Counts as music, whatever it is.")
@click.option(
    "-o",
    "--output",
    metavar="FILE|DIR",
    help="Write .json, .csv or .otio (into a folder: all of them).",
)
@analysis
@shared
def analyse(files: tuple[str, ...], output: str | None, as_json: bool, **given: Any) -> int:
    """Shots and features of footage, beats and sections of music."""
    from montage_dask import api
    from montage_dask.report.tables import write_analysis

    if not files and not given["music"]:
        raise UsageError("no files: name footage, music, folders or globs")
    folder = None
    if output is not None:
        folder = (
            Path(output).parent
            if Path(output).suffix in (".json", ".csv", ".otio")
            else Path(output)
        )
    result = _call(api.analyse, given, files, output=folder)
    if output is not None:
        for path in write_analysis(result, Path(output)):
            click.echo(str(path), err=True)
    if as_json or output is None:
        _print(result)
    return _skipped(result)


@cli.command()
@click.argument("files", nargs=-1)
@click.option("-o", "--output", default="frames", show_default=True, metavar="DIR")
@click.option(
    "--every", metavar="SECONDS", help="A still every so many seconds (default: per shot)."
)
@click.option("--per-shot", type=int, default=1, show_default=True, help="Stills of each shot.")
@click.option("--contact-sheet", is_flag=True, help="Also one picture with all of them.")
@click.option("--format", "image_format", default="jpg", show_default=True, metavar="jpg|png")
@click.option("--width", "max_width", type=int, metavar="PIXELS", help="Scale down to this width.")
@click.option("--detector", metavar="NAME")
@shared
def frames(files: tuple[str, ...], output: str, as_json: bool, **given: Any) -> int:
    """Write stills: every so many seconds, or per shot; and contact sheets."""
    from montage_dask import api

    if not files:
        raise UsageError("no files: name footage, folders or globs")
    result = _call(api.frames, given, files, output)
    if as_json:
        _print(result)
    else:
        count = sum(len(f["stills"]) for f in result["frames"])
        click.echo(f"{count} stills of {len(result['frames'])} clips in {output}", err=True)
    return _skipped(result)


@cli.command()
@converted
@click.option("--size", metavar="WxH", help="The box that the picture must fit into.")
@shared
def transcode(files: tuple[str, ...], output: str, as_json: bool, **given: Any) -> int:
    """Transcode many files, in windows spread over the workers."""
    from montage_dask import api

    return _convert(api.transcode, files, output, as_json, given)


@cli.command()
@converted
@click.option(
    "--detector",
    metavar="NAME",
    help="Of shots: fast, accurate, content, adaptive, hash, histogram.",
)
@shared
def stabilise(files: tuple[str, ...], output: str, as_json: bool, **given: Any) -> int:
    """Steady the shots of many files, in windows spread over the workers."""
    from montage_dask import api

    return _convert(api.stabilise, files, output, as_json, given)


@cli.command()
@converted
@click.option(
    "--scale",
    type=click.Choice(["2", "4"]),
    default="2",
    show_default=True,
    help="How much larger.",
)
@click.option(
    "--model",
    metavar="NAME|FILE.pth",
    help="fidelity (default): true to what is there; detail: cleans old footage and draws detail; or a compact network.",
)
@click.option("--yes", is_flag=True, help="Begin, however long it takes.")
@shared
def upscale(files: tuple[str, ...], output: str, as_json: bool, scale: str, **given: Any) -> int:
    """Enlarge the pictures of many files by a neural network. Says how long it takes before it begins."""
    from montage_dask import api

    return _convert(api.upscale, files, output, as_json, {**given, "scale": int(scale)})


def _convert(
    function: Function, files: tuple[str, ...], output: str, as_json: bool, given: dict[str, Any]
) -> int:
    if not files:
        raise UsageError("no files: name footage, folders or globs")
    result = _call(function, given, files, output)
    if as_json:
        _print(result)
    else:
        for made in result["outputs"]:
            click.echo(made["output"])
    return _skipped(result)


class _WithGrades(click.Command):
    """Help that ends with the names of the presets; they are imported only for it."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from montage_dask.render.grade import preset_names

        formatter.write_paragraph()
        formatter.write_text("Grades: " + ", ".join(preset_names()))


@cli.command(cls=_WithGrades)
@converted
@click.option(
    "--grade", required=True, metavar="NAME|FILE.cube", help="A preset (names below), or a table."
)
@click.option("--size", metavar="WxH", help="The box that the picture must fit into.")
@shared
def grade(files: tuple[str, ...], output: str, as_json: bool, **given: Any) -> int:
    """Grade many files, in windows spread over the workers; the result is Rec.709."""
    from montage_dask import api

    return _convert(api.grade, files, output, as_json, given)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--cluster", metavar="WHERE", help="Check this cluster.")
def doctor(as_json: bool, cluster: str | None) -> int:
    """Check what this machine has: ffmpeg and its encoders (tried), GPU, cgpu, cluster, disk; and what to do about each lack."""
    from montage_dask.doctor import examine

    findings = examine(cluster)
    if as_json:
        _print({"checks": findings})
    else:
        for f in findings:
            click.echo(f"{'ok  ' if f['ok'] else 'LACK'} {f['check']}: {f['detail']}")
            if f["advice"]:
                click.echo(f"       → {f['advice']}")
    return EXIT_FAILED if any(f["needed"] and not f["ok"] for f in findings) else EXIT_DONE


@cli.group()
def config() -> None:
    """Settings."""


@config.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(as_json: bool) -> int:
    """Every setting: its value and where it comes from."""
    from montage_dask.config import ENVIRONMENT, resolve
    from montage_dask.records import to_json

    settings = resolve()
    if as_json:
        _print({k: {"value": to_json(s.value), "origin": s.origin} for k, s in settings.items()})
        return EXIT_DONE
    names = {v: k for k, v in ENVIRONMENT.items()}
    for name, setting in settings.items():
        alias = f"  [{names[name]}]" if name in names else ""
        value = "null" if setting.value is None else setting.value
        click.echo(f"{name} = {value}  ({setting.origin}){alias}")
    return EXIT_DONE


@config.command()
def styles() -> int:
    """The styles there are."""
    from montage_dask.edit.styles import load_style, style_names

    for name in style_names():
        click.echo(f"{name}: {load_style(name).description}")
    return EXIT_DONE


cli.add_command(cluster)
cli.add_command(worker)
cli.add_command(report)
cli.add_command(status)
cli.add_command(op)


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit with its code. Errors are one line; details are in the log."""
    # A terminated job is an interrupted one: it stops its workers and keeps what is done.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = cli.main(args=arguments, prog_name="python -m montage_dask", standalone_mode=False)
    except UsageError as error:
        click.echo(f"error: {error}", err=True)
        code = EXIT_USAGE
    except MontageError as error:
        click.echo(f"error: {error}", err=True)
        code = EXIT_FAILED
    except click.ClickException as error:
        error.show()
        code = EXIT_USAGE
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted: what is done is kept; run the same command to go on", err=True)
        code = EXIT_INTERRUPTED
    sys.exit(code or EXIT_DONE)
