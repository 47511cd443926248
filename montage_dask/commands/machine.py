"""The commands that tell what there is: `doctor` and `config`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from montage_dask.commands.shared import EXIT_DONE, EXIT_FAILED, print_json


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--cluster", metavar="WHERE", help="Check this cluster.")
def doctor(as_json: bool, cluster: str | None) -> int:
    """Check what this machine has: ffmpeg and its encoders (tried), GPU, cgpu, cluster, disk; and what to do about each lack."""
    from montage_dask.doctor import examine

    findings = examine(cluster)
    if as_json:
        print_json({"checks": findings})
    else:
        _show(findings)
    return EXIT_FAILED if any(f["needed"] and not f["ok"] for f in findings) else EXIT_DONE


def _show(findings: Sequence[Mapping[str, Any]]) -> None:
    """Every check on a line, advice below what is not there, and what it comes to."""
    told = ""
    for f in findings:
        mark = "ok  " if f["ok"] else "LACK" if f["needed"] else "no  "
        click.echo(f"{mark} {f['check']}: {f['detail']}")
        if f["advice"] and f["advice"] != told:  # said once for many encoders
            click.echo(f"       → {f['advice']}")
        told = f["advice"] or told
    lacking = [f["check"] for f in findings if f["needed"] and not f["ok"]]
    click.echo(
        f"needed and not there: {', '.join(lacking)}" if lacking else "all that is needed is there"
    )


@click.group()
def config() -> None:
    """Settings and styles: what they are, and where their values come from."""


@config.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(as_json: bool) -> int:
    """Every setting: its value and where it comes from."""
    from montage_dask.config import ENVIRONMENT, resolve
    from montage_dask.records import to_json

    settings = resolve()
    if as_json:
        print_json(
            {k: {"value": to_json(s.value), "origin": s.origin} for k, s in settings.items()}
        )
        return EXIT_DONE
    names = {v: k for k, v in ENVIRONMENT.items()}
    for name, setting in settings.items():
        alias = f"  [{names[name]}]" if name in names else ""
        value = "null" if setting.value is None else setting.value
        click.echo(f"{name} = {value}  ({setting.origin}){alias}")
    return EXIT_DONE


@config.command()
@click.option("--styles", "of_styles", is_flag=True, help="Every style instead (docs/styles.md).")
@click.pass_context
def reference(context: click.Context, of_styles: bool) -> int:
    """Every setting explained, as a page in Markdown (docs/configuration.md)."""
    from montage_dask.commands.gallery_page import gallery_page
    from montage_dask.commands.reference import reference as page

    if of_styles:
        click.echo(gallery_page(), nl=False)
        return EXIT_DONE
    commands = context.find_root().command
    assert isinstance(commands, click.Group)
    click.echo(page(commands), nl=False)
    return EXIT_DONE


@config.command()
@click.option("--trusted", is_flag=True, help="Of job files that are yours (--trust-job).")
def schema(trusted: bool) -> int:
    """What a job file may hold, as JSON schema: editors complete and check by it."""
    from montage_dask.config.schema import job_schema
    from montage_dask.job import LISTS, PATHS
    from montage_dask.schema_versions import VERSIONS

    made = job_schema(PATHS, LISTS, newest=VERSIONS["job file"], trusted=trusted)
    click.echo(json.dumps(made, indent=1, ensure_ascii=False))
    return EXIT_DONE


@config.command()
def styles() -> int:
    """The styles there are."""
    from montage_dask.edit.styles import load_style, style_names

    for name in style_names():
        click.echo(f"{name}: {load_style(name).description}")
    return EXIT_DONE
