"""The commands that look into files: `analyse` and `frames`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from montage_dask.commands.options import setting_option
from montage_dask.commands.shared import (
    analysis,
    call,
    print_json,
    shared,
    tell_skipped,
)
from montage_dask.errors import UsageError, printable
from montage_dask.store import place_of


@click.command()
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
    from montage_dask.report.left_out import left_out_lines
    from montage_dask.report.tables import write_analysis

    if not files and not given["music"]:
        raise UsageError("no files: name footage, music, folders or globs")
    quiet = given["quiet"]
    place = None if output is None else place_of(output)
    folder = place
    if place is not None and place.suffix in (".json", ".csv", ".otio"):
        folder = place.parent
    result = call(api.analyse, given, files, output=folder)
    if place is not None:
        for path in write_analysis(result, place):
            click.echo(str(path), err=True)
    for music in () if quiet else result["music"]:
        for warning in music["warnings"]:
            click.echo(f"{printable(Path(music['path']).name)}: {warning}", err=True)
    for line in () if quiet else left_out_lines(result):
        click.echo(line, err=True)
    if as_json or output is None:
        print_json(result)
    return tell_skipped(result)


@click.command()
@click.argument("files", nargs=-1)
@click.option("-o", "--output", default="frames", show_default=True, metavar="DIR")
@click.option(
    "--every", metavar="SECONDS", help="A still every so many seconds (default: per shot)."
)
@click.option("--per-shot", type=int, default=1, show_default=True, help="Stills of each shot.")
@click.option("--contact-sheet", is_flag=True, help="Also one picture with all of them.")
@click.option("--format", "image_format", default="jpg", show_default=True, metavar="jpg|png")
@click.option("--width", "max_width", type=int, metavar="PIXELS", help="Scale down to this width.")
@setting_option("detector")
@setting_option("deinterlace")
@shared
def frames(files: tuple[str, ...], output: str, as_json: bool, **given: Any) -> int:
    """Write stills: every so many seconds, or per shot; and contact sheets."""
    from montage_dask import api

    if not files:
        raise UsageError("no files: name footage, folders or globs")
    result = call(api.frames, given, files, output)
    if as_json:
        print_json(result)
    else:
        count = sum(len(f["stills"]) for f in result["frames"])
        click.echo(f"{count} stills of {len(result['frames'])} clips in {output}", err=True)
    return tell_skipped(result)
