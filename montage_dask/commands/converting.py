"""The commands that make new files of many files: `transcode`, `stabilise`, `upscale`, `grade`."""

from __future__ import annotations

from typing import Any

import click

from montage_dask.commands.options import Function
from montage_dask.commands.shared import call, converted, print_json, shared, tell_skipped
from montage_dask.errors import UsageError


@click.command()
@converted
@click.option("--size", metavar="WxH", help="The box that the picture must fit into.")
@shared
def transcode(files: tuple[str, ...], output: str, as_json: bool, **given: Any) -> int:
    """Transcode many files, in windows spread over the workers."""
    from montage_dask import api

    return _convert(api.transcode, files, output, as_json, given)


@click.command()
@converted
@click.option(
    "--detector",
    metavar="NAME",
    help="Of shots: auto, fast, accurate, content, adaptive, hash, histogram.",
)
@shared
def stabilise(files: tuple[str, ...], output: str, as_json: bool, **given: Any) -> int:
    """Steady the shots of many files, in windows spread over the workers."""
    from montage_dask import api

    return _convert(api.stabilise, files, output, as_json, given)


@click.command()
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
    "upscale_model",
    metavar="NAME|FILE.pth",
    help="fidelity (default): true to what is there; detail: cleans old footage and draws detail; or a compact network.",
)
@click.option("--yes", is_flag=True, help="Begin, however long it takes.")
@shared
def upscale(
    files: tuple[str, ...],
    output: str,
    as_json: bool,
    scale: str,
    upscale_model: str | None,
    **given: Any,
) -> int:
    """Enlarge the pictures of many files by a neural network. Says how long it takes before it begins."""
    from montage_dask import api

    return _convert(
        api.upscale, files, output, as_json, {**given, "scale": int(scale), "model": upscale_model}
    )


def _convert(
    function: Function, files: tuple[str, ...], output: str, as_json: bool, given: dict[str, Any]
) -> int:
    if not files:
        raise UsageError("no files: name footage, folders or globs")
    result = call(function, given, files, output)
    if as_json:
        print_json(result)
    else:
        for made in result["outputs"]:
            click.echo(made["output"])
    return tell_skipped(result)


class _WithGrades(click.Command):
    """Help that ends with the names of the presets; they are imported only for it."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from montage_dask.render.grade import preset_names

        formatter.write_paragraph()
        formatter.write_text("Grades: " + ", ".join(preset_names()))


@click.command(cls=_WithGrades)
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
