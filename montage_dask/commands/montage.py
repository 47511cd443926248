"""The main commands: `run` makes a montage, `plan` says what `run` would do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from montage_dask.commands.shared import (
    analysis,
    call,
    montage_options,
    print_json,
    shared,
    tell_skipped,
)
from montage_dask.errors import UsageError, printable


@click.command()
@montage_options
def run(footage: tuple[str, ...], demo: bool, as_json: bool, **given: Any) -> int:
    """Make a montage of FOOTAGE (files, folders, globs, or one job file). Run it again to go on after anything went wrong."""
    from montage_dask import api

    if demo:
        footage, given = _demo(footage, given)
    quiet = given["quiet"]
    if _is_for_coordinator(given):
        from montage_dask.commands.coordinator import connect, follow_job, send

        there = connect(None)
        job, output = send(there, footage, given)
        return follow_job(there, job["id"], output, as_json=as_json)
    result = call(api.run, given, footage)
    if as_json:
        print_json(result)
    else:
        for line in () if quiet else _told(result):
            click.echo(line, err=True)
        for made in result.get("variants", [result]):
            click.echo(made["output"])
    return tell_skipped(result)


def _is_for_coordinator(given: Mapping[str, Any]) -> bool:
    """Whether COORDINATOR_URL names a coordinator, and nothing on the command line says to run elsewhere."""
    from montage_dask.config import resolve

    settings = resolve()
    url = str(settings["coordinator-url"].value or "")
    if given.get("cluster") is not None or settings["distributed-mode"].value:
        return False
    return url.startswith(("http://", "https://"))


def _told(result: Mapping[str, Any]) -> list[str]:
    """What came of a run, for people."""
    errors = [abs(c["error_ms"]) for c in result["cuts"] if c["error_ms"] is not None]
    worst = f", at most {max(errors):.1f} ms off their beats" if errors else ""
    lines = direction_lines(result["director"]) if result["director"] else []
    return [*lines, f"{len(result['cuts'])} cuts{worst}; {result['frames']} frames"]


def _demo(
    footage: tuple[str, ...], given: dict[str, Any]
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Footage and music of our own, in a folder beside the output."""
    from montage_dask.config import resolve
    from montage_dask.media.demo import make_demo

    if footage or given.get("music"):
        raise UsageError("--demo brings its own footage and music: leave yours out")
    output = Path(given.get("output") or "demo.mp4")
    if not given.get("quiet"):
        click.echo("making demo footage and music …", err=True)
    media = make_demo(output.absolute().with_name(output.stem + "-media"))
    given = {**given, "output": str(output), "music": str(media.music)}
    if given.get("size") is None and resolve()["size"].origin == "default":
        given["size"] = "1280x720"
    return tuple(str(p) for p in media.footage), given


@click.command()
@montage_options
def plan(footage: tuple[str, ...], demo: bool, as_json: bool, **given: Any) -> int:
    """Say what `run` with the same arguments would do, where, how long it takes and how much disk it needs."""
    from montage_dask import api

    if demo:
        footage, given = _demo(footage, given)
    result = call(api.plan, given, footage)
    if as_json:
        print_json(result)
    else:
        _show_plan(result)
    return tell_skipped(result)


@click.command()
@click.argument("footage", nargs=-1)
@click.option("--music", metavar="FILE", help="Audio file, or a video whose sound to use.")
@click.option("-o", "--output", default="styles", show_default=True, metavar="DIR")
@click.option("--demo", is_flag=True, help="Make footage and music to try it with.")
@click.option("--style", multiple=True, metavar="NAME|FILE", help="Only these; default: all.")
@click.option("--duration", metavar="TIME", help="Length of each; default 20 seconds.")
@click.option("--start", metavar="TIME", help="Where in the music to begin.")
@click.option("--size", metavar="WxH", help="Default 640x360.")
@click.option("--fit", metavar="HOW", help="contain, cover or blur: for other aspect ratios.")
@click.option("--seed", metavar="N", help="Another seed, other montages.")
@analysis
@shared
def styles(footage: tuple[str, ...], output: str, demo: bool, as_json: bool, **given: Any) -> int:
    """Try the styles on FOOTAGE: a short draft of each (NAME.mp4) and its pictures in one strip (NAME.jpg)."""
    from montage_dask import api

    quiet = given["quiet"]
    if demo:
        size = given["size"]
        footage, given = _demo(footage, {**given, "output": str(Path(output) / "demo.mp4")})
        given = {k: v for k, v in given.items() if k != "output"} | {"size": size}
    result = call(api.styles, given, footage, output)
    if as_json:
        print_json(result)
    else:
        for made in result["styles"]:
            if not quiet:
                click.echo(
                    f"{made['name']}: {len(made['cuts'])} cuts. {made['description']}", err=True
                )
            click.echo(made["output"])
    return tell_skipped(result)


def _show_plan(result: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from montage_dask.report.left_out import left_out_lines

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
    for note in result["notes"]:
        console.print(printable(note), markup=False, highlight=False, soft_wrap=True)
    if result.get("director"):
        for line in direction_lines(result["director"]):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    lines = left_out_lines(result)
    if result["left_out"] is None:
        lines = ["what of the footage is left out is known once it is analysed (analyse, run)"]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for warning in result["music"]["warnings"]:
        console.print(f"music: {warning}", markup=False, highlight=False, soft_wrap=True)
    montage, estimate, cluster = result["montage"], result["estimate"], result["cluster"]
    workers = f"{cluster['workers']} worker{'' if cluster['workers'] == 1 else 's'}"
    console.print(
        f"montage: {montage['duration_seconds']:.1f} s, {montage['frames']} frames of {montage['size']} "
        f"at {montage['fps']:g} fps in {montage['segments']} segments or more"
    )
    console.print(
        f"estimate: about {estimate['wall_seconds']:.0f} s on {workers}, "
        f"{estimate['disk_bytes'] / 1e6:.0f} MB of {estimate['disk_free_bytes'] / 1e9:.1f} GB free"
    )
    offered = ", ".join(f"{k}={v:g}" for k, v in cluster["resources"].items()) or "no resources"
    console.print(f"cluster: {_asked(cluster)}, {workers}, {offered}")


def _asked(cluster: Mapping[str, Any]) -> str:
    """Which cluster a plan asked."""
    where, address = printable(cluster["where"]), printable(cluster["address"])
    return where if where == address else f"{where} ({address})"


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
