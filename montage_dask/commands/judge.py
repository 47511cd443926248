"""The command `judge`."""

from __future__ import annotations

from typing import Any

import click

from montage_dask.commands.shared import call, print_json, shared
from montage_dask.evaluation.words import figure_lines


@click.command()
@click.argument("montage", metavar="RUN_DIR|OUTPUT|VIDEO")
@shared
def judge(montage: str, as_json: bool, **given: Any) -> int:
    """What a montage is worth, without people: figures, and a score from 0 to 10. Of a video without its run less is known."""
    from montage_dask import api

    result = call(api.judge, given, montage)
    if as_json:
        print_json(result)
        return 0
    score = result["score"]
    click.echo("score: " + ("none" if score is None else f"{score:.1f} of 10"))
    for words, value in figure_lines(result["figures"]):
        click.echo(f"  {words}: {value}")
    return 0
