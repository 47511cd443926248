"""The command that trains networks of our own: `train`."""

from __future__ import annotations

from typing import Any

import click

from montage_dask.commands.shared import call, print_json, shared, tell_skipped
from montage_dask_training.recipes import RECIPES


@click.command()
@click.argument("network", metavar="|".join(RECIPES))
@click.option(
    "--data",
    multiple=True,
    metavar="FILE|DIR",
    help="Your own material beside what is drawn: footage and photos for scenes, music with .beats files for beats.",
)
@click.option("-o", "--output", metavar="DIR", help="Default: trained-NETWORK.")
@click.option("--target", metavar="NAME", help="Where it learns: auto, cpu, gpu or cgpu.")
@click.option("--size", metavar="NAME", help="default, or tiny: seconds, to see that all works.")
@click.option("--seed", type=int, metavar="N", help="Another seed, another network; default 0.")
@click.option("--weights", metavar="FILE", help="Begin with these weights.")
@shared
def train(network: str, output: str | None, as_json: bool, **given: Any) -> int:
    """Train a network on made and own material; a killed training goes on where it was."""
    from montage_dask_training import api

    result = call(api.train, given, network, output=output)
    if as_json:
        print_json(result)
    else:
        click.echo(result["weights"])
        click.echo(f"use it with --weights {result['weights']}", err=True)
    return tell_skipped(result)
